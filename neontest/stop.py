"""When to end: a deadline, and the order to stop.

Both are handed down to everything that waits. A wait that would pass its deadline is not begun.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from neontest.errors import DeadlineExceeded, Stopped

FOREVER: Final = float("inf")


class Deadline:
    """A moment on the monotonic clock, with the name of what it bounds."""

    def __init__(self, seconds: float, *, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.what = what
        self.seconds = seconds
        self._clock = clock
        self._at = clock() + seconds

    def left(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self._at - self._clock())

    def check(self) -> None:
        """Raise DeadlineExceeded when the time is up."""
        if self.left() <= 0:
            raise DeadlineExceeded(
                f"{self.what} took longer than {self.seconds:g} s", hint="raise the limit, or find what hangs"
            )

    def sooner(self, seconds: float, *, what: str) -> Deadline:
        """The earlier of this deadline and one `seconds` from now."""
        return self if self.left() <= seconds else Deadline(seconds, what=what, clock=self._clock)


class _Count(threading.local):
    many = 0


class Stop:
    """The order to stop, given once, by a signal.

    The first `request` raises Stopped in the main thread, which runs the handlers of signals, so that whatever it
    waits for ends at once. Inside `shield`, and for every later request, nothing is raised: a second
    signal never interrupts a branch being given back. A shield is its thread's own.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._shields = _Count()
        self._since: float | None = None
        self.signum: int | None = None

    def __bool__(self) -> bool:
        return self._event.is_set()

    def request(self, signum: int) -> None:
        if self._event.is_set():
            return
        self.signum = signum
        self._since = time.monotonic()
        self._event.set()
        if threading.current_thread() is threading.main_thread() and not self._shields.many:
            raise Stopped(signum)

    @contextmanager
    def shield(self) -> Iterator[None]:
        """Let nothing interrupt the block; a request inside it is kept for `check`."""
        self._shields.many += 1
        try:
            yield
        finally:
            self._shields.many -= 1

    def check(self) -> None:
        """Raise Stopped if a stop was requested (for threads, and after a shield)."""
        if self.signum is not None:
            raise Stopped(self.signum)

    def age(self) -> float:
        """Seconds since the request; 0 without one."""
        return 0.0 if self._since is None else time.monotonic() - self._since

    def wait(self, seconds: float) -> bool:
        """Sleep for `seconds`, or less: True as soon as a stop is requested."""
        return self._event.wait(seconds)
