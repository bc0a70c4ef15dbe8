"""When a call to the Neon API is made again, and how long to wait before.

The rules are few but not those of a retry library: they ask whether the call has taken effect, look before they
repeat a lost create, are bounded by a deadline that is handed down, and end at once when a stop is requested.
423, 429 and 503 promise that nothing was done, whatever the method.
Source: the official SDK's own set (npm `@neondatabase/api-client` 2.7.3, 2026-11): 423, 429, 503; 250 ms · 2^n, full
jitter, at most 10 s.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from enum import Enum
from typing import Final, TypeVar

import msgspec

from neontest.errors import DeadlineExceeded, NeonError
from neontest.stop import Deadline, Stop

T = TypeVar("T")

FIRST_PAUSE: Final = 0.25
LONGEST_PAUSE: Final = 10.0
DEAD_LINE_TRIES: Final = 6
"""How often in a row nobody may answer, or a server may fail, before it is taken for a fact (about 4 s of pauses)."""


class Effect(Enum):
    """What a failed attempt has done on the other side."""

    REFUSED = "refused"
    """Nothing, and asking again would not help."""
    BUSY = "busy"
    """Nothing; ask again."""
    NEVER_SENT = "never sent"
    """Nothing: the request did not leave."""
    UNKNOWN = "unknown"
    """It may have been carried out."""


class Setback(Exception):
    """One failed attempt: the error to tell if nothing better follows, and what it may have done."""

    def __init__(self, error: NeonError, effect: Effect, *, after: float = 0.0) -> None:
        super().__init__(error.message)
        self.error = error
        self.effect = effect
        self.after = after
        """Seconds that the other side asks for before the next attempt."""


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """The clock, the sleep and the dice: all that makes waiting testable."""

    stop: Stop
    sleep: Callable[[float], bool]
    """Sleeps for so many seconds; True as soon as a stop is requested."""
    clock: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random

    def pause(self, seconds: float) -> None:
        """Sleep, and raise Stopped when a stop is requested meanwhile (or was before)."""
        self.stop.check()
        if seconds > 0 and self.sleep(seconds):
            self.stop.check()

    def backoff(self, attempt: int) -> float:
        """Seconds to wait after the attempt of this number (0 is the first)."""
        return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempt, 16)) * self.jitter()


def persist(
    attempt: Callable[[], T],
    *,
    safe: bool,
    pace: Pace,
    deadline: Deadline,
    reconcile: Callable[[], T | None] | None = None,
) -> T:
    """The result of the first attempt that succeeds, within the deadline.

    `safe`: making the call twice has the effect of making it once. Where it has not, `reconcile` looks for what a
    lost attempt has left, and its finding is the result; without it, a lost attempt is the end.
    The error of the last attempt is raised, never one about waiting.
    """
    number = silent = 0
    lost = False
    error: NeonError | None = None
    while True:
        pace.stop.check()
        if error is not None and deadline.left() <= 0:
            raise error
        deadline.check()
        try:
            return attempt()
        except Setback as setback:
            error, effect, after = setback.error, setback.effect, setback.after
            error.__cause__ = setback.__cause__
        lost = lost or effect is Effect.UNKNOWN
        silent = 0 if effect is Effect.BUSY else silent + 1
        left = deadline.left()
        # Our own pause shrinks towards the end, so that a short budget is used to its last quarter second.
        delay = max(after, min(pace.backoff(number), left / 2))
        number += 1
        over = (
            effect is Effect.REFUSED
            or (effect is Effect.UNKNOWN and not safe and reconcile is None)
            or silent >= DEAD_LINE_TRIES
            or delay >= left
            or left < FIRST_PAUSE
        )
        if not over:
            pace.pause(delay)
        if reconcile is not None and (effect is Effect.UNKNOWN or (over and lost)):
            try:
                found = reconcile()
            except (NeonError, DeadlineExceeded) as second:
                error.add_note(f"looking for what it did failed too: {second}")
                over = True
            else:
                if found is not None:
                    return found
        if over:
            if number > 1:
                error.add_note(f"after {number} attempts")
            raise error
