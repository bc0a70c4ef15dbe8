"""A private folder for a run's files, which may hold secrets: gone with its owner, or swept after it.

Its name is the run's mark, too, by which a sweep knows what a killed run has started and nobody has ended.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import time
from pathlib import Path
from typing import Final

from neontest import worktrees
from neontest.process import end_marked

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

    @property
    def mark(self) -> str:
        """What the environment of everything that the run starts begins its `process.MARK` with."""
        return marking(self.path)

    def folder(self) -> Path:
        """A new folder in it."""
        return Path(tempfile.mkdtemp(dir=self.path))

    def close(self) -> None:
        if self._lock >= 0:
            end_marked(self.mark.encode())  # what still runs in it could make files anew
            worktrees.remove(self.path)
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._lock)
            self._lock = -1


def marking(path: Path) -> str:
    """The mark of the run whose folder that is; with an end, so that no name is the beginning of another's."""
    return f"{path.name}."


def sweep() -> int:
    """End what this user's dead processes have started, and remove their folders; how many there were."""
    removed = 0
    for path in Path(tempfile.gettempdir()).glob(f"*{PREFIX}*"):
        if path.name.startswith((PREFIX, f"new-{PREFIX}")) and orphaned(path):
            end_marked(marking(path).encode())  # in a session of its own, no watchman has ended it
            worktrees.remove(path)
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
