"""Upgrades that are cut off in the middle, as a deploy whose connection is lost, and run again: a branch for each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final, TypeVar

import msgspec

from neontest.errors import DatabaseError
from neontest.migrate.reports import Paused, Resumed
from neontest.postgres.blocking import Blocker, waits_in_the_middle
from neontest.postgres.diff import diff
from neontest.postgres.model import Snapshot
from neontest.record import Failure, Interruption, Statement, Visit
from neontest.statements import bare
from neontest.talk import Talk
from neontest.trial import Trial, failed

MOST: Final = 10
"""Interruptions of one run: each takes a branch."""
ROLLED_BACK: Final = 2
"""Of these, at most so many of transactions that nothing was committed before: they all end alike."""
_MARK: Final = re.compile(r"(?:SAVEPOINT|RELEASE|ROLLBACK)\b", re.IGNORECASE)
"""Statements that only mark or undo: SQLAlchemy's begin_nested() runs them."""

T = TypeVar("T")


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A moment of an upgrade: in the middle of its statement `at`, from 1, or at whatever comes next to it."""

    statement: Statement
    at: int
    after: bool = False


def points(statements: Sequence[Statement]) -> tuple[Point, ...]:
    """Where to interrupt an upgrade that ran these: at most ten moments, in their order.

    What was committed before the moment stays, so it counts: statements in autocommit, first of all those that commit
    by themselves on the way; the moment after the last of them in a row, when the version table does not know of it
    yet; and each later transaction of the same revision. Where all is one transaction, the server undoes everything
    alike: two moments are enough then.
    """
    numbered = list(enumerate(statements, 1))
    alone = [Point(statement=each, at=number) for number, each in numbered if each.transaction == 0]
    slow = [point for point in alone if waits_in_the_middle(point.statement.sql)]
    committed = [
        Point(statement=each, at=number, after=True)
        for number, each in numbered
        if leaves(each, statements[number] if number < len(statements) else None)
    ]
    ends = {
        each.transaction: Point(statement=each, at=number)
        for number, each in numbered
        if each.transaction and not _MARK.match(bare(each.sql))
    }
    known = {point.at + 1 for point in committed}
    whole = [point for point in ends.values() if point.at not in known]
    found: list[Point] = []
    for group in (slow, committed, [point for point in alone if point not in slow], evenly(whole, ROLLED_BACK)):
        found += evenly(group, MOST - len(found))
    return tuple(sorted(found, key=lambda point: (point.at, point.after)))


def leaves(statement: Statement, following: Statement | None) -> bool:
    """What this statement did is committed when the next begins, and that one is not in autocommit itself."""
    if following is not None and following.transaction == 0:
        return False
    if statement.transaction == 0:
        return True
    return (
        following is not None
        and following.transaction != statement.transaction
        and following.revision == statement.revision
    )


def evenly(items: Sequence[T], most: int) -> list[T]:
    """At most so many of them, spread over all."""
    if len(items) <= most:
        return list(items)
    return [items[(2 * number + 1) * len(items) // (2 * most)] for number in range(most)]


class Cut:
    """Cuts an upgrade off at one point (a `migrate.pausing.Pausing`)."""

    def __init__(self, trial: Trial, point: Point) -> None:
        self.at, self.after = point.at, point.after
        self.statement = point.statement
        """The one that was cancelled."""
        self.done = False
        self._trial = trial
        self._blocker: Blocker | None = None
        self._backend = 0

    @property
    def looking(self) -> bool:
        return self._blocker is not None and not self._blocker.cancelled

    def paused(self, report: Paused) -> bool:
        """Make a statement wait in its middle, which only one that commits on its way has; else cancel it here."""
        at = self.statement
        self.statement = msgspec.structs.replace(
            report.statement, revision=at.revision, transaction=0 if report.backend else at.transaction
        )
        if report.backend and waits_in_the_middle(report.statement.sql):
            with suppress(DatabaseError):
                self._blocker = Blocker(self._trial.url, report.statement.sql, report.search_path)
                self._backend = report.backend
                return True
        self.done = True
        return False

    def look(self) -> None:
        if self._blocker is not None:
            self._blocker.cancel(self._backend, self._trial.connection)

    def resumed(self, report: Resumed) -> None:
        self.done = self._blocker is not None and self._blocker.cancelled and not report.ended
        self.release()

    def release(self) -> None:
        """Let go of what the statement waited for."""
        if self._blocker is not None:
            self._blocker.close()
            self._blocker = None


def interrupted(
    fresh: Callable[[Trial | None], Trial],
    statements: Sequence[Statement],
    after: Snapshot,
    target: str,
    *,
    talk: Talk,
    done: Callable[[Trial], None],
    old: Trial | None = None,
) -> Iterator[Interruption]:
    """Each interruption, once its second upgrade is over.

    `fresh` takes a branch at the start in place of another, of `old` at first; `done` gives the last one back.
    `statements` are those of an undisturbed upgrade, and `after` is the schema that it leaves, but for the order of
    columns.
    """
    trial = old
    chosen = points(statements)
    for number, point in enumerate(chosen, 1):
        trial = fresh(trial)
        where = f"after statement {point.at}" if point.after else f"at statement {point.at}"
        talk.say(f"interrupting the upgrade {where} of {len(statements)} ({number} of {len(chosen)})")
        yield once(trial, point, after, target)
    if trial is not None:
        done(trial)


def once(trial: Trial, point: Point, after: Snapshot, target: str) -> Interruption:
    """One upgrade cut off and run again; what the second made of what the first left."""
    cut = Cut(trial, point)
    try:
        visit = trial.visit("upgrade", target, cut)
    finally:
        cut.release()
    revision = (visit.error.revision if visit.error else None) or cut.statement.revision
    seen = Interruption(revision=revision, statement=cut.statement, interrupted=cut.done)
    if not cut.done or not trial.session.alive:
        return msgspec.structs.replace(seen, interrupted=False)
    second = trial.visit("upgrade", target)
    if failed(second):
        return msgspec.structs.replace(seen, again=why(second))
    different = tuple(each for each in diff(after, trial.schema) if each.change != "order")
    return msgspec.structs.replace(seen, different=different)


def why(visit: Visit) -> Failure:
    return visit.error or Failure(kind="NothingRun", message="the version table did not move, and nothing says why")
