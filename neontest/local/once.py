"""Folders that are made once and then shared: by this process, by others, and by later ones."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from neontest.errors import LocalError
from neontest.local.held import Held


def once(done: Path, build: Callable[[Path], None], before_clearing: Callable[[Path], None] | None = None) -> Path:
    """The folder `done`, built the first time in a folder of its own and then renamed, so that it is whole or absent.

    A lock beside it keeps others waiting meanwhile. What a builder left that failed is cleared at once, what a
    killed one left by the next, after `before_clearing`, which ends what still works in it.
    """
    if done.is_dir():
        return done
    lock = Held(os.open(done.parent / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    try:
        fcntl.flock(lock.fileno(), fcntl.LOCK_EX)
        if not done.is_dir():
            fresh = done.with_name(f"{done.name}.new")
            if fresh.exists():
                _clear(fresh, before_clearing)
            fresh.mkdir(mode=0o700)
            try:
                build(fresh)
                fresh.rename(done)
            except BaseException:
                with suppress(LocalError):  # it would hide what happened, and the next one meets it again
                    _clear(fresh, before_clearing)
                raise
    finally:
        lock.close()
    return done


def clear_unfinished(folder: Path, before_clearing: Callable[[Path], None]) -> None:
    """Clear what killed builders left in `folder`, unless somebody builds there now."""
    if not any(folder.glob("*.new")):
        return
    lock = Held(os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    try:
        fcntl.flock(lock.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        for fresh in folder.glob("*.new"):
            _clear(fresh, before_clearing)
    except BlockingIOError:
        pass
    finally:
        lock.close()


def _clear(fresh: Path, before_clearing: Callable[[Path], None] | None) -> None:
    if before_clearing is not None:
        before_clearing(fresh)
    shutil.rmtree(fresh, ignore_errors=True)
