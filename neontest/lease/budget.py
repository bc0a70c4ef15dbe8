"""The time for giving back: long while nobody waits for it, short once a stop was requested."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from neontest.stop import Deadline, Stop

STOPPED_BUDGET: Final = 5.5
"""Seconds to give everything back after a signal: GitHub sends SIGTERM after 7.5 s and kills 2.5 s later."""
BUDGET: Final = 60.0
"""Seconds for the same without one."""


class Budget(Deadline):
    """A deadline that comes nearer when the stop is requested: `stopped_seconds` from the first look after it."""

    def __init__(
        self,
        seconds: float,
        *,
        stopped_seconds: float,
        stop: Stop,
        what: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(seconds, what=what, clock=clock)
        self._stop = stop
        self._stopped_seconds = stopped_seconds
        self._cut = False

    def left(self) -> float:
        if self._stop and not self._cut:
            self._cut = True
            self._at = min(self._at, self._clock() + self._stopped_seconds)
            self.seconds = min(self.seconds, self._stopped_seconds)
        return super().left()

    def sooner(self, seconds: float, *, what: str) -> Deadline:
        """The same share of the short time as of the long one."""
        left = self.left()
        share = min(1.0, seconds / left) if left else 0.0
        return Budget(
            left * share,
            stopped_seconds=min(left, self._stopped_seconds) * share,
            stop=self._stop,
            what=what,
            clock=self._clock,
        )
