"""Waiting for a free branch: the project has as many as it may have, and others give theirs back by and by.

The API keeps no queue. So all who wait ask again now and then, at moments that dice spread, and the more often the
nearer the end of their wait is: of those who wait for the same time, who came first is served first, more or less, and
nobody is passed over for ever. Nobody else is kept waiting by it as long as whoever waits holds no branch.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

import msgspec

from neontest.errors import NoFreeBranch
from neontest.stop import Deadline

T = TypeVar("T")

LONGEST: Final = 10.0
"""Seconds between two questions at first: forty who wait ask 240 times a minute, of the 700 that the API allows."""
SHORTEST: Final = 2.0
"""Seconds between two questions in the end."""
SHARE: Final = 1 / 20
"""Of the time that is left."""


def silent(text: str) -> None:
    pass


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long to wait for a free branch, and who is told of it."""

    seconds: float = 0.0
    say: Callable[[str], None] = silent
    jitter: Callable[[], float] = random.random


NONE: Final = Patience()


def when_free(
    ask: Callable[[], T], patience: Patience, *, pause: Callable[[float], None], within: Deadline, what: str
) -> T:
    """What `ask` answers as soon as it does not raise NoFreeBranch any more, which it raises when the wait is over.

    `pause` sleeps, and raises when a stop is requested. `within` bounds the wait, too.
    """
    wait = within.sooner(patience.seconds, what="waiting for a free branch")
    seconds = wait.left()
    told = False
    while True:
        try:
            return ask()
        except NoFreeBranch as error:
            last, left = error, wait.left()
        if left <= 0:
            raise refused(last, seconds) if told else last
        if not told:
            told = True
            until = datetime.now(UTC) + timedelta(seconds=left)
            patience.say(
                f"the project has as many branches as it may have: waiting for a free one for {what}, until"
                f" {until:%H:%M:%SZ}"
            )
        pause(min(left, between(left, patience.jitter)))
        if within.left() <= 0:
            raise refused(last, seconds)


def between(left: float, jitter: Callable[[], float]) -> float:
    """Seconds until the next question, where so many are left."""
    return min(LONGEST, max(SHORTEST, left * SHARE)) * (0.5 + jitter())


def refused(error: NoFreeBranch, seconds: float) -> NoFreeBranch:
    """The refusal as it is told after so long a wait."""
    return NoFreeBranch(
        f"no branch became free within {seconds:.3g} s: {error.message}",
        hint="wait longer (`--wait`), or give back what nobody needs (`neontest sweep --dry-run` shows what neontest"
        " left, the Neon console shows the rest)",
        status=error.status,
        request_id=error.request_id,
    )
