"""The claim on a branch's folder: a lock that the kernel drops when its owner dies, and what else is to be known of it.

A claim is taken before its folder is made. So whoever gets the lock of a folder knows that its owner is dead.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from neontest.errors import LocalError
from neontest.local.held import Held


class Fate(msgspec.Struct, frozen=True, kw_only=True):
    """What is to become of a folder whose owner is gone; stored in its lock file, and no loss if that is lost."""

    expires_at: str | None = None
    """It was left running on purpose, until this moment (ISO 8601, UTC)."""
    port: int | None = None
    """Where its server listened last, to come back to the same address."""

    def left_running(self, now: datetime | None = None) -> bool:
        """It was left on purpose, and its time has not come."""
        return self.expires_at is not None and datetime.fromisoformat(self.expires_at) > (now or datetime.now(UTC))


class Claim:
    """An exclusive lock on the name of a branch's folder, held until `release`."""

    def __init__(self, path: Path, held: Held) -> None:
        self._path = path
        self._held = held

    def fileno(self) -> int:
        """The open lock file."""
        return self._held.fileno()

    def fate(self) -> Fate:
        """What the file says; an empty one says nothing."""
        content = os.pread(self._held.fileno(), 65536, 0)
        try:
            return Fate(**json.loads(content))
        except (ValueError, TypeError):
            return Fate()

    def decide(self, fate: Fate) -> None:
        """Write down what is to become of the folder."""
        content = json.dumps(msgspec.structs.asdict(fate)).encode()
        os.pwrite(self._held.fileno(), content.ljust(len(os.pread(self._held.fileno(), 65536, 0))), 0)

    def release(self, *, forget: bool) -> None:
        """Give the claim up, once; `forget` removes its file, for a folder that is gone."""
        if self._held.fileno() < 0:
            return
        if forget:
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()
        self._held.close()


def claim(path: Path, *, patience: float = 5.0) -> Claim:
    """The claim whose lock file is `path`; waits for `patience` seconds while another process holds it.

    Raises:
        LocalError: it is still held.
    """
    end = time.monotonic() + patience
    while (taken := try_claim(path, create=True)) is None:
        if time.monotonic() > end:
            raise LocalError(
                f"the local branch {path.name} is in use by another process",
                hint="only one process at a time can serve a state folder: stop the other one, or name another folder",
            )
        time.sleep(0.02)
    return taken


def try_claim(path: Path, *, create: bool = False) -> Claim | None:
    """The claim if nobody holds it (and, without `create`, its file exists)."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_CREAT if create else 0)
    try:
        held = Held(os.open(path, flags, 0o600))
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(held.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever held it before us may have removed the file: then this lock is on nothing.
        if os.path.samestat(os.fstat(held.fileno()), path.stat(follow_symlinks=False)):
            return Claim(path, held)
    except (BlockingIOError, FileNotFoundError):
        pass
    held.close()
    return None
