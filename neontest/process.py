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
from typing import Final

from neontest.stop import Stop

GRACE: Final = ((signal.SIGINT, 0.8), (signal.SIGTERM, 0.5), (signal.SIGKILL, 5.0))
"""Signals in the order in which a process that does not end gets them, and the seconds given to each."""
_LINE: Final = 1 << 20
"""Bytes without a line break that are taken for a line."""


GUARD: Final = 'exec 3<&0; ( (read _ <&3; kill -KILL 0) & ); exec "$@" 3<&- </dev/null'
"""Starts a command beside a watchman: when the pipe that is their standard input ends, since its owner closed it or
died, the whole process group is killed. The command itself has no standard input, and no watchman for a child."""
MARK: Final = "NEONTEST_MARK"
"""The variable by which a process that left its group is known as a child's."""
FIRST_FREE: Final = 10
"""The lowest descriptor that a child may inherit: the shell uses those below."""


class Child:
    """One process and its process group, which end with this process; every line that it prints goes to `log`.

    A session of its own leaves it no terminal to ask questions on. What it forked may outlive it and hold its pipes:
    the end is the process's exit, and then the whole group is killed; on Linux also what had left the group.

    Raises:
        FileNotFoundError, PermissionError: there is no such program.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        environ: Mapping[str, str],
        stop: Stop,
        log: Callable[[str], None],
        pass_fds: Sequence[int] = (),
    ) -> None:
        assert all(number >= FIRST_FREE for number in pass_fds)
        check_program(command[0], cwd=cwd, environ=environ)
        self._stop, self._log = stop, log
        self._mark = secrets.token_hex(16)
        leash, self._leash = os.pipe()
        self._wake_read, self._wake_write = os.pipe()
        try:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", GUARD, "neontest-guard", *command],
                cwd=cwd,
                env={**environ, MARK: environ.get(MARK, "") + self._mark},  # a neontest's in a neontest: both
                stdin=leash,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                pass_fds=pass_fds,
            )
        except BaseException:
            for number in (self._leash, self._wake_read, self._wake_write):
                os.close(number)
            raise
        finally:
            os.close(leash)
        self._ended = False
        self._drain = threading.Thread(target=self._drained, name=f"output of {self._process.pid}", daemon=True)
        self._drain.start()

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
            for signum, seconds in GRACE:
                if self._process.poll() is not None:
                    break
                self._signal(signum)
                self.wait(seconds)
            self._signal(signal.SIGKILL)
            status = self._process.wait()
            if not self._ended:
                self._ended = True
                end_marked(self._mark.encode())
                with contextlib.suppress(BrokenPipeError):
                    os.write(self._wake_write, b"!")
                self._drain.join(2)
                os.close(self._wake_write)
                os.close(self._leash)
        return status

    def _signal(self, signum: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signum)

    def _drained(self) -> None:
        """Read both pipes until they end, or until the process has and nothing more is in them."""
        held: dict[int, bytes] = {}
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_read, selectors.EVENT_READ)
            for pipe in (self._process.stdout, self._process.stderr):
                assert pipe is not None
                os.set_blocking(pipe.fileno(), False)
                selector.register(pipe, selectors.EVENT_READ)
                held[pipe.fileno()] = b""
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
        os.close(self._wake_read)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _read(self, number: int, held: dict[int, bytes], *, everything: bool) -> bool:
        """Take what is there and log its whole lines; False at the end of the pipe."""
        while True:
            try:
                data = os.read(number, 65536)
            except BlockingIOError:
                return True
            if not data:
                return False
            *lines, held[number] = (held[number] + data).split(b"\n")
            for line in lines:
                self._say(line)
            if len(held[number]) > _LINE:
                self._say(held[number])
                held[number] = b""
            if not everything:
                return True

    def _say(self, line: bytes) -> None:
        if line:
            self._log(line.decode("utf-8", "replace").rstrip("\r"))


def end_marked(mark: bytes) -> None:
    """Kill this user's processes that were started with `mark` in their environment; nothing where there is no /proc.

    A process that was started with an environment of its own, or has become another user's, is not found.
    """
    end = time.monotonic() + 2
    while (found := marked(mark)) and time.monotonic() < end:
        for number in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(number, signal.SIGKILL)
        time.sleep(0.002)


def marked(mark: bytes) -> list[int]:
    """The ids of such processes, dead ones left out."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_uid == os.geteuid() and mark in (folder / "environ").read_bytes():
                found.append(int(folder.name))
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
