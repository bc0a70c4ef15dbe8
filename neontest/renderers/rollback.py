"""What a rollback of each pending revision would cost, in clauses of plain text. Pure, and of no format."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from neontest.locks import ABOUT, BLOCKS, RANK, judged
from neontest.lost import emptied, goes_back, unstamped
from neontest.postgres.data import DataChange, TableChange
from neontest.postgres.names import without_public
from neontest.record import Lock, Visit, Walk
from neontest.renderers import words
from neontest.report import Report
from neontest.statements import shown
from neontest.walks import down, irreversible, up, walked_alone

State = Literal["measured", "impossible", "unknown"]
LEADS: Final[dict[State, tuple[str, str]]] = {
    "measured": ("if you roll ", " back: "),
    "impossible": ("", " cannot be rolled back: "),
    "unknown": ("what rolling ", " back would do is not known: "),
}
MOST: Final = 3
"""Locks, and losses, that a card names; more are counted."""


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """What a rollback of one pending revision, or of all, would do."""

    revision: str | None
    """None: all pending revisions at once."""
    state: State
    clauses: tuple[str, ...]
    grave: bool = False
    """It loses something, cannot be done, or locks for longer than the limit."""

    @property
    def lead(self) -> tuple[str, str]:
        """What stands before the name, and after it."""
        return LEADS[self.state]


def cards(report: Report) -> tuple[Card, ...]:
    """A card for all pending revisions, where they are several and were rolled back at once; then one for each."""
    alone = {walked_alone(report, walk): walk for walk in report.walks if walk.kind == "whole"}
    alone |= {walk.revision: walk for walk in report.walks if walk.kind == "stairway"}
    alone.pop(None, None)
    found = []
    if len(report.history.pending) > 1:
        found += [card(report, None, walk) for walk in report.walks if walk.kind == "whole" and down(walk)]
    return (*found, *(card(report, each, alone.get(each)) for each in report.history.pending))


def card(report: Report, revision: str | None, walk: Walk | None) -> Card:
    visit = down(walk) if walk is not None else None
    if walk is None or visit is None:
        return Card(revision=revision, state="unknown", clauses=(unknown(walk),))
    if visit.error is not None:
        raises = irreversible(report, visit)
        said = f"its downgrade raises {visit.error.kind}" if raises else f"its downgrade fails, {visit.error.kind}"
        reason = f"{said}: {visit.error.message}" if visit.error.message else said
        return Card(revision=revision, state="impossible", clauses=(reason,), grave=True)
    if not visit.moved:
        reason = "its downgrade ends, but the database stays at the same version"
        return Card(revision=revision, state="impossible", clauses=(reason,), grave=True)
    lost, longest = tuple(losses(walk.data_lost)), max((each.held_seconds for each in blocking(visit)), default=0.0)
    clauses = [words.duration(visit.seconds), *locked(visit), *schema(walk), *data(report, walk, lost)]
    if walk.with_rows:
        clauses.append("measured on rows that neontest invented")
    grave = bool(lost) or bool(different(walk)) or (longest > report.limits.lock_seconds and not walk.with_rows)
    return Card(revision=revision, state="measured", clauses=tuple(clauses), grave=grave)


def unknown(walk: Walk | None) -> str:
    if walk is None:
        return "it was not walked on its own"
    first = up(walk)
    if first is not None and first.error is not None:
        return f"its upgrade fails, {first.error.kind}"
    return walk.note or "the run did not come to its downgrade"


def blocking(visit: Visit) -> list[Lock]:
    """Of each relation that was there, the lock that holds others up the most; the worst first."""
    worst: dict[str, Lock] = {}
    for lock in (each for statement in visit.statements for each in statement.locks):
        if lock.mode in BLOCKS and lock.existed and judged(lock.kind):
            known = worst.get(lock.relation)
            if known is None or rank(lock) < rank(known):
                worst[lock.relation] = lock
    return sorted(worst.values(), key=lambda each: (-each.held_seconds, RANK[each.mode]))


def rank(lock: Lock) -> tuple[int, float]:
    return RANK[lock.mode], -lock.held_seconds


def held(lock: Lock) -> str:
    """Such as `ACCESS EXCLUSIVE on user for 1.7 s`."""
    return f"{lock.mode} on {shown(lock.relation)} for {ABOUT[lock.seen]}{words.duration(lock.held_seconds)}"


def locked(visit: Visit) -> Iterator[str]:
    found = blocking(visit)
    if not visit.traced:
        yield "its locks were not seen"
    elif not found:
        yield "no lock that holds others up"
    yield from map(held, found[:MOST])
    if len(found) > MOST:
        yield f"locks on {words.plural(len(found) - MOST, 'more table')}"


def different(walk: Walk) -> int:
    """In how many things the schema is not what it was; the order of columns is none."""
    return sum(each.change != "order" for each in walk.not_restored)


def schema(walk: Walk) -> Iterator[str]:
    if count := different(walk):
        yield f"the schema is not what it was in {words.plural(count, 'thing')}"


def data(report: Report, walk: Walk, lost: tuple[str, ...]) -> Iterator[str]:
    """What is lost; that nothing is, only of rows that were compared."""
    yield from lost[:MOST]
    if len(lost) > MOST:
        yield f"and {words.plural(len(lost) - MOST, 'more loss', 'more losses')}"
    if lost:
        return
    if walk.data_lost is None:
        yield "whether rows are lost is not known, for they were not compared"
    elif not any(each.rows for each in report.read if each.how != "not"):
        yield "there were no rows to compare"
    else:
        mine = {lock.relation for visit in walk.visits for each in visit.statements for lock in each.locks}
        less = [without_public(each.table) for each in report.read if each.table in mine and each.how != "full"]
        yield "nothing is lost" + (
            f", as far as rows were read (not all of {words.listed(less, MOST)})" if less else ""
        )


def losses(change: DataChange | None) -> Iterator[str]:
    """A clause for each loss, such as `48,112 values of user.phone lost`."""
    change = unstamped(change)
    if change is None:
        return
    for table in change.tables:
        yield from of_table(table)
    for each in change.sequences:
        if goes_back(each):
            yield f"sequence {without_public(each.sequence)} {'lost' if each.gone else 'set back'}"
    if change.large_objects is not None and change.large_objects[1] < change.large_objects[0]:
        yield f"{words.plural(change.large_objects[0] - change.large_objects[1], 'large object')} lost"


def of_table(table: TableChange) -> Iterator[str]:
    name, at_least = without_public(table.table), "" if table.exact else "at least "
    sampled = f" (of one row in {table.one_in})" if table.one_in > 1 else ""
    if table.after is None:
        yield f"table {name} lost, with its {words.plural(table.before, 'row')}"
        return
    if table.rekeyed:
        yield f"the keys of {name} changed"
    if table.lost:
        yield f"{at_least}{words.plural(table.lost, 'row')} of {name} lost{sampled}"
    for column in table.columns:
        gone = emptied(table, column)
        others = column.changed - gone if column.after is not None else 0
        about = "" if column.exact else "at least "
        if gone:
            yield f"{words.plural(gone, 'value')} of {name}.{column.column} lost{sampled}"
        if others > 0:
            yield f"{about}{words.plural(others, 'value')} of {name}.{column.column} changed{sampled}"
