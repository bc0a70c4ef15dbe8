"""Looking at an operation until it is through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from neontest.errors import DeadlineExceeded, NotFound, OperationFailed, one_line
from neontest.neon.answers import excerpt
from neontest.neon.models import Anonymized, Operation
from neontest.neon.retry import Pace
from neontest.stop import Deadline

# https://neon.com/docs/manage/operations (2026-11); the official SDK takes the same for success and failure.
DONE: Final = frozenset({"finished", "skipped"})
DEAD: Final = frozenset({"failed", "error", "cancelled"})
SECOND_CHANCES: Final = 3
"""Looks at an operation that has failed but says when Neon tries it again (`retry_at`)."""
MASKED: Final = "anonymized"
UNMASKED: Final = frozenset({"error", "initialization_error"})
"""Source: https://neon.com/docs/workflows/data-anonymization-api (2026-11)."""
FIRST_POLL: Final = 0.02
LAST_POLL: Final = 2.0
GROWTH: Final = 1.4
"""What ends between two looks is seen late by a third of its own time at most."""


def pauses(pace: Pace) -> Iterator[float]:
    """Seconds between looks: 20 ms first, for a server that is quick; about 2 s in the end.

    The API allows 700 requests a minute and account: ten runs that wait at once stay far below.
    """
    pause = FIRST_POLL
    while True:
        yield pause * (0.75 + 0.5 * pace.jitter())
        pause = min(LAST_POLL, pause * GROWTH)


def follow(
    operation: Operation,
    *,
    look: Callable[[Operation], Operation],
    pace: Pace,
    deadline: Deadline,
    teardown: bool,
    trouble: str,
    at_once: bool = False,
) -> None:
    """Return when the operation is through; on teardown also when nobody knows it any more.

    `trouble`: what to do when the API is at fault.
    `at_once`: what is known of it is old, so look before the first pause.
    """
    chances = SECOND_CHANCES
    for wait in pauses(pace):
        if operation.status in DONE:
            return
        if operation.status in DEAD:
            if operation.status != "failed" or operation.retry_at is None or not chances:
                raise OperationFailed(
                    f"{_named(operation)} ended as {operation.status}"
                    f"{': ' + excerpt(operation.error.encode()) if operation.error else ''} (operation {operation.id})",
                    hint=f"{trouble}, and run again",
                )
            chances -= 1
            wait = max(wait, 1.0)
        elif at_once:
            wait = 0.0
        at_once = False
        if wait >= deadline.left():
            raise DeadlineExceeded(
                f"{deadline.what} took longer than {deadline.seconds:g} s: {_named(operation)} is still "
                f"{one_line(operation.status)}",
                hint=f"raise the limit, or {trouble}",
            )
        pace.pause(wait)
        try:
            operation = look(operation)
        except NotFound:
            if teardown:
                return
            raise


def follow_masking(look: Callable[[], Anonymized], *, pace: Pace, deadline: Deadline, trouble: str) -> None:
    """Return when the branch is masked: before that, its rows are its parent's.

    OperationFailed: they will not be. A state that nobody knows is waited for, as one on the way.
    """
    for wait in pauses(pace):
        found = look()
        if found.state == MASKED:
            return
        said = excerpt(found.status_message.encode())
        if found.state in UNMASKED:
            raise OperationFailed(
                f"branch {found.branch_id} could not be anonymized ({found.state}){': ' + said if said else ''}",
                hint="see to it that each masking rule names a column of the parent and a function for its type",
            )
        if wait >= deadline.left():
            raise DeadlineExceeded(
                f"{deadline.what} took longer than {deadline.seconds:g} s: the anonymization of branch "
                f"{found.branch_id} is still {one_line(found.state)}",
                hint=f"raise the limit, or {trouble}",
            )
        pace.pause(wait)


def _named(operation: Operation) -> str:
    return one_line(f"{operation.action} of branch {operation.branch_id or '(unknown)'}")
