"""Folders that are made once and then shared: by this process, by others, and by later ones."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from neontest.local.held import Held


def once(done: Path, build: Callable[[Path], None]) -> Path:
    """The folder `done`, built the first time in a folder of its own and then renamed, so that it is whole or absent.

    A lock beside it keeps others waiting meanwhile. What a killed builder left is cleared by the next one.
    """
    if done.is_dir():
        return done
    lock = Held(os.open(done.parent / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    try:
        fcntl.flock(lock.fileno(), fcntl.LOCK_EX)
        if not done.is_dir():
            fresh = done.with_name(f"{done.name}.new")
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir(mode=0o700)
            try:
                build(fresh)
                fresh.rename(done)
            except BaseException:
                shutil.rmtree(fresh, ignore_errors=True)
                raise
    finally:
        lock.close()
    return done
