"""A fork server: the project's interpreter, which imports Alembic once and forks a worker for each session.

Sessions have a process each, since modules of the project keep the URL that they were imported with; Alembic and
SQLAlchemy, whose import takes longer than most migrations, keep nothing of it.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from neontest.errors import WorkerError
from neontest.process import FIRST_FREE, GRACE, MARK, Child, Start, spawned
from neontest.stop import Stop

WORKER: Final = Path(__file__).with_name("worker.py")
LOST: Final = -signal.SIGKILL
"""The exit status of a process that nobody knows one of."""
_LOOK: Final = 0.1
"""Seconds between two looks whether the server still lives."""


class ForkServer:
    """One interpreter in one environment; begins with its imports at once.

    Raises:
        WorkerError: there is no such interpreter.
    """

    def __init__(
        self,
        python: Path,
        *,
        kind: Literal["alembic", "flask"],
        cwd: Path,
        environ: Mapping[str, str],
        stop: Stop,
        log: Callable[[str], None],
    ) -> None:
        self.python, self.environ = python, environ
        self._stop = stop
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with theirs:
            number = fcntl.fcntl(theirs, fcntl.F_DUPFD_CLOEXEC, FIRST_FREE)
        command = [str(python), "-u", str(WORKER), str(number), kind]
        try:
            start = spawned(command, cwd=cwd, environ=environ, pass_fds=(number,))
            # No interrupt: to one that a Python meets before its first line, it has a traceback to say.
            self._child = Child(start, stop=stop, log=log, grace=GRACE[1:])
        except OSError as error:
            self._requests.close()
            raise WorkerError(f"{python} does not start: {error.strerror}") from error
        finally:
            os.close(number)

    def worker(self, commands: int, reports: int, cancels: int, *, cwd: Path) -> Start:
        """How to start a worker in that folder that reads `commands`, writes `reports`, and ends with `cancels`."""

        def start(leash: int, out: int, err: int, mark: str) -> Forked:
            answer, theirs = os.pipe()
            request = json.dumps({"cwd": str(cwd), "mark": self.environ.get(MARK, "") + mark}).encode()
            try:
                with suppress(ConnectionError):  # the server is gone: so is the worker, as its answer says
                    socket.send_fds(self._requests, [request], [leash, out, err, theirs, commands, reports, cancels])
            except BaseException:
                os.close(answer)
                raise
            finally:
                os.close(theirs)
            return Forked(answer, self._child, self._stop)

        return start

    def close(self) -> None:
        """End the server, after its workers: nobody would tell their ends."""
        self._child.end()
        self._requests.close()


class Forked:
    """A process that is not ours to wait for: it tells its id, `pid N`, and its server how it ended, `status N`."""

    def __init__(self, answer: int, server: Child, stop: Stop) -> None:
        self.pid: int | None = None
        self._answer, self._server, self._stop = answer, server, stop
        self._held = b""
        self._status: int | None = None

    def poll(self) -> int | None:
        self._read(0)
        return self._status

    def wait(self, timeout: float | None = None) -> int:
        """The exit status. One that was never born, as its server hangs, is not waited for: its pipe's end kills it.

        Raises:
            subprocess.TimeoutExpired: the process has not ended.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while self._status is None:
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                raise subprocess.TimeoutExpired("the worker", timeout or 0)
            if left is None and self.pid is None:
                self._ended(LOST)
            else:
                self._read(_LOOK if left is None else min(left, _LOOK))
        return self._status or 0

    def _read(self, seconds: float) -> None:
        """Take what the server says of it, after at most that long."""
        if self._status is not None:
            return
        gone = self.pid is None and self._server.poll() is not None
        if not select.select([self._answer], [], [], 0 if gone else seconds)[0]:
            if gone:  # the request lies where nobody takes it
                self._ended(self._servers())
            return
        with self._stop.shield():  # what is read is not lost
            data = os.read(self._answer, 64)
            *lines, self._held = (self._held + data).split(b"\n")
            for what, number in (line.split() for line in lines):
                if what == b"pid":
                    self.pid = int(number)
                else:
                    self._ended(os.waitstatus_to_exitcode(int(number)))
            if not data and self._status is None:
                self._ended(self._servers() if self.pid is None and self._server.wait(1.0) else LOST)

    def _servers(self) -> int:
        """The exit status of the server, which took the worker along."""
        status = self._server.poll()
        return LOST if status is None else status

    def _ended(self, status: int) -> None:
        self._status = status
        os.close(self._answer)
