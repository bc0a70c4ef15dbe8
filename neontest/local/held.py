"""Descriptors that must die with this very process: locks, and the pipes to guards.

All are closed in children that run another program (close-on-exec). These are closed in forked children too, such as
the workers of multiprocessing, which would otherwise keep a dead owner's locks and servers alive.
"""

from __future__ import annotations

import contextlib
import os
import weakref

_inherited: weakref.WeakSet[Held] = weakref.WeakSet()


class Held:
    """A descriptor that only this process may hold: a forked child closes it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        _inherited.add(self)

    def fileno(self) -> int:
        return self._fd

    def close(self) -> None:
        """Close it, once."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def _close_in_child() -> None:
    for held in list(_inherited):
        with contextlib.suppress(OSError):
            held.close()


os.register_at_fork(after_in_child=_close_in_child)
