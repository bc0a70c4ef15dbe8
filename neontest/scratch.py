"""A private folder for a run's files, which may hold secrets: gone with its owner, or swept after it."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import time
from pathlib import Path
from typing import Final

PREFIX: Final = "neontest-run-"
HALF_MADE: Final = 60.0
"""Seconds after which a folder that was never locked is taken to be nobody's."""


class Scratch:
    """A folder, mode 0700, locked for as long as this process lives."""

    def __init__(self) -> None:
        made = Path(tempfile.mkdtemp(prefix=f"new-{PREFIX}"))
        self._lock = os.open(made, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Only now may a sweep of another process look at it.
        self.path = made.rename(made.with_name(made.name.removeprefix("new-")))

    def folder(self) -> Path:
        """A new folder in it."""
        return Path(tempfile.mkdtemp(dir=self.path))

    def close(self) -> None:
        if self._lock >= 0:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._lock)
            self._lock = -1


def sweep() -> int:
    """Remove the folders of this user's dead processes; how many there were."""
    removed = 0
    for path in Path(tempfile.gettempdir()).glob(f"*{PREFIX}*"):
        if path.name.startswith((PREFIX, f"new-{PREFIX}")) and orphaned(path):
            shutil.rmtree(path, ignore_errors=True)
            removed += 1
    return removed


def orphaned(path: Path) -> bool:
    """The folder is ours and nobody holds it. A link, or another user's folder, is left alone."""
    try:
        facts = path.lstat()
        if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid():
            return False
        if path.name.startswith("new-") and time.time() - facts.st_mtime < HALF_MADE:
            return False
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
