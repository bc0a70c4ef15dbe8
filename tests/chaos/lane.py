"""One place where whole runs are started, hit by signals, and looked at afterwards, one after the other."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from neontest.neon.client import Neon
from tests.chaos import left, victim
from tests.chaos.passing_on import Passing, When, passing_on
from tests.conftest import SCRUBBED, away

REPOSITORY = Path(__file__).parents[2]
Engine = Literal["local", "neon"]
Hit = Literal["SIGINT", "SIGTERM", "SIGHUP", "SIGKILL", "cancel"]
HITS: tuple[Hit, ...] = ("SIGINT", "SIGTERM", "SIGHUP", "SIGKILL", "cancel")
LONGEST = 40.0
"""Seconds after which an undisturbed or a signalled run is taken to hang."""
ACCEPTED = 7.0
"""Seconds within which a deletion has to be accepted after a signal."""
SETTLES = 5.0
"""Seconds for what ends by itself once its owner is gone: guards, watchmen."""
CANCEL = ((signal.SIGINT, 7.5), (signal.SIGTERM, 2.5), (signal.SIGKILL, 0.0))
"""As GitHub's runner cancels a step: the signal, and the seconds until the next."""


@dataclass(frozen=True, kw_only=True)
class Moment:
    """When a run is hit: one of these, and so many seconds after it."""

    after: float = 0.0
    line: str | None = None
    """This stands in a line of what it says."""
    hang: str | None = None
    """The project hangs there."""
    call: tuple[str, str, When] | None = None
    """Method and path of a call to the API, when it is asked or answered."""
    reading: bool = False
    """It writes its report, and nobody takes it."""
    fresh: bool = False
    """In a state folder that is new."""


@dataclass(kw_only=True)
class Trial:
    """What became of one run that was hit."""

    hit: Hit
    engine: Engine
    code: int | None = None
    said: str = ""
    reached: bool = True
    ending: bool = False
    """It was giving its branches back already, or had, or had not begun."""
    accepted: float | None = None
    """Seconds from the signal to the last branch's deletion: accepted (neon), proved (local)."""
    ended: float = 0.0
    """Seconds from the signal to the process's end."""
    remains: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


class Run:
    """A `neontest run` under way."""

    def __init__(self, command: list[str], *, root: Path, environ: Mapping[str, str]) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            command, cwd=root, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)

    def says(self, text: str) -> bool:
        return any(text in line for line in self.lines)

    def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """The condition held before the process ended and the seconds were over."""
        end = time.monotonic() + seconds
        while not condition():
            if self.process.poll() is not None or time.monotonic() > end:
                return condition()
            time.sleep(0.004)
        return True

    def send(self, signum: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signum)

    def output(self) -> str:
        self._reader.join(2)
        return "".join(self.lines)

    def close(self) -> None:
        self._reader.join(2)
        assert self.process.stdout is not None
        self.process.stdout.close()


class Lane:
    """A folder of its own for each: project, states, ledger, temporary files, and a served Neon beside them."""

    def __init__(self, folder: Path, *, served: bool) -> None:
        self.folder = folder
        self.served = served
        self.root = victim.write(folder / "project")
        self.ledger, self.temp, self.state = folder / "ledger", folder / "tmp", folder / "state"
        for name in ("tmp", "marks", "home"):
            (folder / name).mkdir()
        self.temp.chmod(0o1777)
        self.passing = Passing()
        self.api: Neon | None = None
        self.project_id = ""
        self.seconds: dict[Engine, float] = {}
        self._neon: dict[str, str] = {}
        self._ends = ExitStack()

    def __enter__(self) -> Lane:
        if self.served:
            self._serve()
        return self

    def __exit__(self, *error: object) -> None:
        self._ends.close()

    def _serve(self) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "neontest", "serve", "--port", "0", "--state", str(self.folder / "served")],
            env=self._environ({}), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
        )  # fmt: skip
        self._ends.callback(self._end_serving, process)
        assert process.stdout is not None
        lines = [shlex.split(process.stdout.readline())[1] for _ in range(3)]
        exported = dict(line.partition("=")[::2] for line in lines)
        self.passing = self._ends.enter_context(passing_on(exported["NEON_API_HOST"]))
        self.api = self._ends.enter_context(Neon(exported["NEON_API_KEY"], host=exported["NEON_API_HOST"]))
        self.project_id = exported["NEON_PROJECT_ID"]
        self._neon = exported | {"NEON_API_HOST": self.passing.url}

    def _end_serving(self, process: subprocess.Popen[str]) -> None:
        process.terminate()
        process.communicate(timeout=60)

    def _environ(self, more: Mapping[str, str]) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(SCRUBBED)}
        return {
            **kept,
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.temp),
            "NEONTEST_STATE": str(self.state),
            "NEONTEST_LEDGER": str(self.ledger),
            "PYTHONPATH": str(REPOSITORY),
            **more,
        }

    # -- one run

    def undisturbed(self, engine: Engine) -> float:
        """Seconds that a run takes which nobody hits; it has to pass and to leave nothing."""
        with self._begun(engine, Moment(), "SIGINT") as (run, mark, _):
            began = time.monotonic()
            run.process.wait(LONGEST)
            took = time.monotonic() - began
            remains = self._remains(mark, set())
        assert run.process.returncode == 0, run.output()
        assert not remains, remains
        self.seconds[engine] = took
        return took

    def hit(self, engine: Engine, hit: Hit, moment: Moment) -> Trial:
        """Start a run, hit it at that moment, and look at what it did and left."""
        trial = Trial(hit=hit, engine=engine)
        state = self.state
        if moment.fresh:
            self.state = self.folder / f"state-{secrets.token_hex(3)}"
        try:
            with self._begun(engine, moment, hit) as (run, mark, report):
                trial.reached = self._wait_for(run, moment, mark, report)
                self._strike(run, trial, mark, report)
        finally:
            if moment.fresh:
                shutil.rmtree(self.state, ignore_errors=True)
            self.state = state
        return trial

    @contextmanager
    def _begun(self, engine: Engine, moment: Moment, hit: Hit) -> Iterator[tuple[Run, Path, Path]]:
        mark = self.folder / "marks" / secrets.token_hex(6)
        self._segments = left.segments()
        report = mark.with_suffix(".json")
        if moment.reading:
            os.mkfifo(report)
        self.passing.forget()
        words = [sys.executable, "-m", "neontest", "run", f"--{engine}", "-v", "--json", str(report)]
        words += ["--from-revision", "r1"] if engine == "local" else []
        environ = {"CHAOS_MARK": str(mark), **({"CHAOS_HANG": moment.hang} if moment.hang else {})}
        if hit == "cancel":
            script = mark.with_suffix(".sh")
            script.write_text(f"exec {shlex.join(words)}\n")
            words = ["bash", "-e", str(script)]
        self._armed: threading.Event = threading.Event()
        if moment.call is not None:
            held = threading.Event()
            self._held = held

            def reached() -> None:
                self._armed.set()
                held.wait(3)  # the call waits until the signal is there

            self.passing.calls.append((*moment.call, reached))
        run = Run(words, root=self.root, environ=self._environ({**environ, **(self._neon if engine == "neon" else {})}))
        try:
            yield run, mark, report
        finally:
            if run.process.poll() is None:
                os.killpg(run.process.pid, signal.SIGKILL)
                run.process.wait()
            for pid in left.processes(mark):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            run.close()
            for path in mark.parent.glob(f"{mark.name}*"):
                path.unlink()

    def _wait_for(self, run: Run, moment: Moment, mark: Path, report: Path) -> bool:
        reached = True
        if moment.line is not None:
            wanted = moment.line
            reached = run.until(lambda: run.says(wanted), LONGEST)
        elif moment.hang is not None:
            reached = run.until(Path(f"{mark}.hangs").exists, LONGEST)
        elif moment.call is not None:
            reached = run.until(self._armed.is_set, LONGEST)
        elif moment.reading:
            self._pipe = os.open(report, os.O_RDONLY | os.O_NONBLOCK)
            fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, 4096)
            reached = run.until(lambda: self._arrived(self._pipe), LONGEST)
        if reached and moment.after:
            run.until(lambda: False, moment.after)
        return reached

    @staticmethod
    def _arrived(pipe: int) -> bool:
        return int.from_bytes(fcntl.ioctl(pipe, 0x541B, b"\0" * 4), sys.byteorder) > 0  # FIONREAD

    def _strike(self, run: Run, trial: Trial, mark: Path, report: Path) -> None:
        pids = set(left.processes(mark, f"{self.state}/"))
        trial.ending = run.says("giving the branch back") or not run.says("engine:")
        late = run.process.poll() is not None
        noted = self._noted()
        struck = time.monotonic()
        steps = CANCEL if trial.hit == "cancel" else ((signal.Signals[trial.hit], LONGEST),)
        given: float | None = None
        for signum, seconds in steps:
            run.send(signum)
            if hasattr(self, "_held"):
                threading.Timer(0.05, self._held.set).start()
            end = time.monotonic() + seconds
            while run.process.poll() is None and time.monotonic() < end:
                if noted and given is None and not self._noted():
                    given = time.monotonic()
                self._drain()
                time.sleep(0.004)
            if run.process.poll() is not None:
                break
        trial.ended = time.monotonic() - struck
        trial.code = run.process.poll()
        if trial.code is None:
            trial.wrong.append(f"did not end within {LONGEST:g} s")
            os.killpg(run.process.pid, signal.SIGKILL)
            run.process.wait()
        self._drain(close=True)
        if noted and given is None and not self._noted():
            given = time.monotonic()
        if trial.engine == "neon":
            given = self.passing.accepted(struck)
        trial.accepted = None if given is None else given - struck
        trial.said = run.output()
        self._judge(trial, late=late)
        if trial.code == -signal.SIGKILL:
            self._mend(trial)
        trial.remains = self._remains(mark, pids)

    def _drain(self, *, close: bool = False) -> None:
        """Take what a held report's pipe has."""
        pipe = getattr(self, "_pipe", None)
        if pipe is None:
            return
        with contextlib.suppress(BlockingIOError):
            os.read(pipe, 1 << 16)
        if close:
            os.close(pipe)
            del self._pipe

    def _noted(self) -> bool:
        """The ledger has an entry."""
        try:
            return any(path.suffix == ".json" for path in self.ledger.iterdir())
        except OSError:
            return False

    def _judge(self, trial: Trial, *, late: bool) -> None:
        if late:  # it was quicker than the one that was measured
            allowed = {0}
        elif trial.hit == "SIGKILL":
            allowed = {-signal.SIGKILL}
        else:
            signum = signal.SIGINT if trial.hit == "cancel" else signal.Signals[trial.hit]
            # Python's own default, before there is a handler and after it: a shell counts it as 128 and the number.
            allowed = {128 + signum, *((-signum, 0) if trial.ending else ())}
        if trial.code not in allowed:
            trial.wrong.append(f"exit code {trial.code}")
        # In a Python that has not come to any code of ours yet, there is nothing to be done about it.
        if "Traceback" in trial.said and str(REPOSITORY / "neontest") in trial.said:
            trial.wrong.append("a traceback")
        if trial.accepted is not None and trial.accepted > ACCEPTED and trial.hit != "SIGKILL":
            trial.wrong.append(f"deleted only after {trial.accepted:.1f} s")

    def _mend(self, trial: Trial) -> None:
        """What a person, a later step or a scheduled job does after a kill."""
        neon = self._neon if trial.engine == "neon" else {}
        for command in ("cleanup", "sweep") if neon else ("cleanup",):
            done = subprocess.run(
                [sys.executable, "-m", "neontest", command],
                cwd=self.root, env=self._environ(neon), capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip
            if done.returncode:
                trial.wrong.append(f"{command} ended with {done.returncode}: {done.stdout} {done.stderr}")

    def _remains(self, mark: Path, pids: set[int]) -> list[str]:
        """What is left once that had time to end by itself."""
        end = time.monotonic() + SETTLES
        while (found := self._found(mark, pids)) and time.monotonic() < end:
            time.sleep(0.05)
        return found

    def _found(self, mark: Path, pids: set[int]) -> list[str]:
        found = [f"process {pid}: {what}" for pid, what in left.processes(mark, f"{self.state}/").items()]
        folders = [self.state / name for name in ("b", "new", "lock")]
        found += left.files(self.temp, self.ledger, *folders)
        found += [f"socket {path}" for path in left.sockets(self.state) + left.sockets(self.temp)]
        found += [f"shared memory segment {each}" for each in left.segments_made_by(pids, but=self._segments)]
        if self.api is not None:
            branches = self.api.branches(self.project_id)
            found += [f"branch {each.name}" for each in branches if not each.default]
            kept = left.files(self.folder / "served" / "kept")
            found += kept[1:] if len(kept) > len(branches) else []
        return found


@contextmanager
def lane(*, served: bool) -> Iterator[Lane]:
    """A lane in a folder of its own, which is gone afterwards."""
    folder = away("kills")
    try:
        with Lane(folder, served=served) as made:
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)
