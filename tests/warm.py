"""A fork server that many runs share: each has its own sessions, but Alembic is imported once for all of them.

That import is about a fifth of a short run's processor time. The server and its sessions are the real ones; a run whose
interpreter would begin in other circumstances has a server of its own, as has each that is a program of its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from neontest.migrate.forkserver import WORKER, ForkServer
from neontest.process import FIRST_FREE, MARK, spawned
from neontest.scratch import Scratch
from neontest.stop import Stop

KINDS = ("alembic", "flask")
DECIDES = ("DISABLE_SQLALCHEMY", "GLIBC_", "HOME", "LANG", "LC_", "LD_", "MALLOC_", "PYTHON", "SQLALCHEMY", "TZ")
"""How the names of variables begin that are read while Python starts and Alembic is imported."""
OWN = 32
"""Characters that a child adds to the mark of its run."""


def deciding(environ: Mapping[str, str]) -> dict[str, str]:
    """But PYTHONUNBUFFERED, which containers set: the server is started with `-u` in any case."""
    return {name: value for name, value in environ.items() if name.startswith(DECIDES) and name != "PYTHONUNBUFFERED"}


class Servers:
    """One of each kind, for this interpreter in this environment; they end when nobody holds them any more."""

    def __init__(self) -> None:
        with contextlib.closing(Scratch()) as scratch:
            # What is forked writes its own mark in the place of this one, which must be as long.
            self._environ = {**os.environ, MARK: "-" * len(scratch.mark)}
        watched, self._leash = os.pipe()
        self._requests = {kind: self._begun(kind, watched) for kind in KINDS}
        os.close(watched)

    def _begun(self, kind: str, watched: int) -> socket.socket:
        requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with theirs:
            number = fcntl.fcntl(theirs, fcntl.F_DUPFD_CLOEXEC, FIRST_FREE)
        command = [sys.executable, "-u", str(WORKER), str(number), kind]
        start = spawned(command, cwd=Path("/"), environ=self._environ, pass_fds=(number,))
        start(watched, sys.stdout.fileno(), sys.stderr.fileno(), "-" * OWN)
        os.close(number)
        return requests

    def let_go(self) -> None:
        """In a fork: it may use them, but does not keep them alive."""
        os.close(self._leash)

    def server(self, python: Path, *, kind: str, environ: Mapping[str, str], **more: Any) -> ForkServer:
        """In place of `ForkServer`: one that asks these, if that makes no difference to a run."""
        alike = len(environ.get(MARK, "")) == len(self._environ[MARK])
        if str(python) == sys.executable and alike and deciding(environ) == deciding(self._environ):
            return Shared(python, environ, self._requests[kind], more["stop"])
        return ForkServer(python, kind=kind, environ=environ, **more)  # type: ignore[arg-type]


class Shared(ForkServer):
    """A server that is not this run's to end."""

    def __init__(self, python: Path, environ: Mapping[str, str], requests: socket.socket, stop: Stop) -> None:
        self.python, self.environ = python, environ
        self._stop, self._requests = stop, requests.dup()
        self._child: Any = Lives()

    def close(self) -> None:
        self._requests.close()


class Lives:
    """A process of which nobody here is told the end."""

    poll: Callable[..., None] = staticmethod(lambda: None)
    wait: Callable[..., bool] = staticmethod(lambda _: False)
