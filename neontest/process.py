"""A child process of the project's code: its own session, no standard input, its output drained, its end certain."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import selectors
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from neontest.stop import Deadline, Stop

GRACE: Final = ((signal.SIGINT, 0.8), (signal.SIGTERM, 0.5), (signal.SIGKILL, 5.0))
"""Signals in the order in which a process that does not end gets them, and the seconds given to each."""
LOOK: Final = 0.2
"""Seconds between two looks whether a stop was requested."""
_LINE: Final = 1 << 20
"""Bytes without a line break that are taken for a line."""


GUARD: Final = 'exec 3<&0; ( (read _ <&3; kill -KILL 0) & ); exec "$@" 3<&- </dev/null'
"""Starts a command beside a watchman: when the pipe that is their standard input ends, since its owner closed it or
died, the whole process group is killed. The command itself has no standard input, and no watchman for a child."""
MARK: Final = "NEONTEST_MARK"
"""The variable by which a process that left its group is known as a child's."""
FIRST_FREE: Final = 10
"""The lowest descriptor that a child may inherit: the shell uses those below."""


class Process(Protocol):
    """What a Child asks of its process, as of a `subprocess.Popen`."""

    @property
    def pid(self) -> int | None:
        """None as long as it has not begun."""

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...


Start = Callable[[int, int, int, str], Process]
"""Starts a process in a session of its own: its whole group is killed when the pipe that is the first argument ends;
standard output and error are the second and the third; the fourth is its mark, to be seen in its environment."""


def spawned(command: Sequence[str], *, cwd: Path, environ: Mapping[str, str], pass_fds: Sequence[int] = ()) -> Start:
    """How to start a program of its own.

    Raises:
        FileNotFoundError, PermissionError: there is no such program.
    """
    assert all(number >= FIRST_FREE for number in pass_fds)
    check_program(command[0], cwd=cwd, environ=environ)

    def start(leash: int, out: int, err: int, mark: str) -> Process:
        return subprocess.Popen(
            ["/bin/sh", "-c", GUARD, "neontest-guard", *command],
            cwd=cwd,
            env={**environ, MARK: environ.get(MARK, "") + mark},  # a neontest's in a neontest: both
            stdin=leash,
            stdout=out,
            stderr=err,
            start_new_session=True,
            pass_fds=pass_fds,
        )

    return start


class Child:
    """One process and its process group, which end with this process; every line that it prints goes to `log`.

    A session of its own leaves it no terminal to ask questions on. What it forked may outlive it and hold its pipes:
    the end is the process's exit, and then the whole group is killed; on Linux also what had left the group.
    """

    def __init__(
        self,
        start: Start,
        *,
        stop: Stop,
        log: Callable[[str], None],
        grace: Sequence[tuple[signal.Signals, float]] = GRACE,
    ) -> None:
        self._stop, self._log, self._grace = stop, log, grace
        self._mark = secrets.token_hex(16)
        self._status: int | None = None
        opened: list[int] = []
        try:
            for _ in range(4):
                opened += os.pipe()
            leash, self._leash, self._wake_read, self._wake_write, our_out, out, our_err, err = opened
            self._process = start(leash, out, err, self._mark)
            self._drain = threading.Thread(
                target=self._drained, args=(our_out, our_err), name="output of a child", daemon=True
            )
            self._drain.start()
        except BaseException:
            for number in opened:
                os.close(number)
            raise
        for number in (leash, out, err):
            os.close(number)

    def poll(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._process.poll()

    def wait(self, seconds: float) -> bool:
        """Wait for the exit; False when it did not come in time."""
        end = time.monotonic() + seconds
        while self._process.poll() is None:
            left = end - time.monotonic()
            if left <= 0:
                return False
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(min(left, 0.2))
        return True

    def end(self) -> int:
        """Stop the process if it runs, then its group; return its exit status. Nothing interrupts this."""
        with self._stop.shield():
            if self._status is not None:  # long ago, perhaps: its process group may be another's by now
                return self._status
            for signum, seconds in self._grace:
                if self._process.poll() is not None or self._process.pid is None:
                    break
                self._signal(signum)
                self.wait(seconds)
            self._signal(signal.SIGKILL)
            os.close(self._leash)  # and if the signal did not reach it, this does
            self._status = self._process.wait()
            end_marked(self._mark.encode())
            with contextlib.suppress(BrokenPipeError):
                os.write(self._wake_write, b"!")
            self._drain.join(2)
            os.close(self._wake_write)
        return self._status

    def _signal(self, signum: int) -> None:
        pid = self._process.pid
        if pid is not None and pid > 1:  # 0 would be our own group
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signum)

    def _drained(self, *pipes: int) -> None:
        """Read both pipes until they end, or until the process has and nothing more is in them."""
        held: dict[int, bytearray] = {}
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_read, selectors.EVENT_READ)
            for pipe in pipes:
                os.set_blocking(pipe, False)
                selector.register(pipe, selectors.EVENT_READ)
                held[pipe] = bytearray()
            ended = False
            while held and not ended:
                ready = [key.fd for key, _ in selector.select()]
                ended = self._wake_read in ready
                for number in list(held):
                    if (ended or number in ready) and not self._read(number, held, everything=ended):
                        selector.unregister(number)
                        self._say(held.pop(number))
        for rest in held.values():
            self._say(rest)
        for number in (self._wake_read, *pipes):
            os.close(number)

    def _read(self, number: int, held: dict[int, bytearray], *, everything: bool) -> bool:
        """Take what is there and log its whole lines; False at the end of the pipe."""
        while True:
            try:
                data = os.read(number, 65536)
            except BlockingIOError:
                return True
            if not data:
                return False
            first, *more = data.split(b"\n")
            held[number] += first
            for line in more:
                self._say(held[number])
                held[number] = bytearray(line)
            if len(held[number]) > _LINE:
                self._say(held[number])
                held[number] = bytearray()
            if not everything:
                return True

    def _say(self, line: bytearray) -> None:
        if line:
            self._log(line.decode("utf-8", "replace").rstrip("\r"))


def run_child(
    words: Sequence[str],
    *,
    cwd: Path,
    environ: Mapping[str, str],
    deadline: Deadline,
    stop: Stop,
    log: Callable[[str], None],
) -> tuple[int, bool]:
    """The program's exit status, negative for a signal, and whether it ended in time. Nothing of its group is left.

    Raises:
        FileNotFoundError, PermissionError: there is no such program.
    """
    child = Child(spawned(words, cwd=cwd, environ=environ), stop=stop, log=log)
    try:
        while not (in_time := child.wait(min(LOOK, deadline.left()))) and deadline.left() > 0:
            stop.check()  # a thread that is not the first is not interrupted
        stop.check()
    finally:
        status = child.end()
    return status, in_time


def end_marked(mark: bytes) -> None:
    """Kill this user's processes that were started with `mark` in their environment; nothing where there is no /proc.

    They are gone when this returns, at most 2 s later. A process that was started with an environment of its own, or
    has become another user's, is not found.
    """
    end = time.monotonic() + 2
    killed: set[int] = set()
    while time.monotonic() < end:
        found = marked(mark)
        for number in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(number, signal.SIGKILL)
        killed.update(found)
        if not any(map(_alive, killed)):
            break
        time.sleep(0.002)


def _alive(number: int) -> bool:
    """The process runs: one that dies gives its environment back before its files, and only then is dead."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


def marked(mark: bytes) -> list[int]:
    """The ids of such processes, dead ones left out, and never this one, which a stray may have started.

    What another variable holds marks nobody: a log's name, say, or a path in the folder.
    """
    found, variable, user = [], f"{MARK}=".encode(), os.geteuid()
    folders: list[str] = []
    with contextlib.suppress(OSError):
        folders = os.listdir("/proc")  # noqa: PTH208 (a Path each is half the time)
    for number in map(int, filter(str.isdecimal, folders)):
        with contextlib.suppress(OSError):
            if number == os.getpid() or os.stat(f"/proc/{number}").st_uid != user:  # noqa: PTH116 (as above)
                continue
            with open(f"/proc/{number}/environ", "rb", buffering=0) as file:  # noqa: PTH123 (as above)
                environ = file.readall()
            if mark in environ and any(each.startswith(variable) and mark in each for each in environ.split(b"\0")):
                found.append(number)
    return found


def check_program(program: str, *, cwd: Path, environ: Mapping[str, str]) -> None:
    """Raise FileNotFoundError or PermissionError where the shell would only exit with 127 or 126."""
    if os.sep not in program:
        if shutil.which(program, path=environ.get("PATH", os.defpath)) is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), program)
        return
    path = cwd / program
    if not path.is_file():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), program)
    if not os.access(path, os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), program)


def how_it_ended(status: int) -> str:
    """An exit status in words; a negative one is a signal's number."""
    return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with exit status {status}"
