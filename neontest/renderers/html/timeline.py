"""Where everything of the run lies in time, as numbers for the script that draws it.

A run records how long visits, statements and locks took, not at which moment they began. So visits are put one after
another, and the statements of a visit in their order: where a lock of one is known exactly, from the statement's
beginning to the transaction's end, it says how far from the end of the transaction the statement began. What is left
of a visit (loading env.py, connecting) is put before its first statement. The page says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final

import msgspec

from neontest.locks import BLOCKS, judged
from neontest.postgres.names import without_public
from neontest.record import Lock, Statement, Visit, Walk
from neontest.renderers import words
from neontest.report import Report

MODES: Final = (
    "ACCESS EXCLUSIVE", "EXCLUSIVE", "SHARE ROW EXCLUSIVE", "SHARE", "SHARE UPDATE EXCLUSIVE", "ROW EXCLUSIVE",
    "ROW SHARE", "ACCESS SHARE",
)  # fmt: skip
"""Strongest first."""
STRENGTH: Final = {mode: strength for strength, mode in enumerate(MODES)}
LANES: Final = 12
"""Relations with a lane of their own."""
DRAWN: Final = 12_000
"""Statements, and as many locks, that the page carries for the picture."""
NEW: Final = 1
BOUND: Final = 2


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """A statement and when it began, in seconds from the beginning of the picture."""

    number: int
    """Of all statements, from 0: its row in the list has it, too."""
    walk: int
    visit: int
    start: float
    statement: Statement


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A visit, from when to when."""

    walk: int
    start: float
    end: float
    visit: Visit


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """Everything in its place."""

    spans: tuple[Span, ...]
    placed: tuple[Placed, ...]


def timeline(report: Report) -> Timeline:
    """All visits and statements of the report, laid out."""
    spans: list[Span] = []
    placed: list[Placed] = []
    now = 0.0
    for walk_number, walk in enumerate(report.walks):
        for visit in walk.visits:
            offsets, length = offsets_of(visit)
            lead = max(0.0, visit.seconds - length)
            for offset, statement in zip(offsets, visit.statements, strict=True):
                placed.append(
                    Placed(
                        number=len(placed), walk=walk_number, visit=len(spans), start=now + lead + offset,
                        statement=statement,
                    )
                )  # fmt: skip
            end = now + lead + length
            spans.append(Span(walk=walk_number, start=now, end=end, visit=visit))
            now = end
    return Timeline(spans=tuple(spans), placed=tuple(placed))


def offsets_of(visit: Visit) -> tuple[list[float], float]:
    """When each statement began after the first one, and how long they took together with the transactions' ends."""
    offsets: list[float] = []
    now = 0.0
    for transaction, group in groupby(visit.statements, key=lambda each: each.transaction):
        ends: float | None = None
        for statement in group:
            held = exact(statement) if transaction else None
            if held is not None:
                if ends is None:
                    ends = now + held
                now = max(now, ends - held)
            offsets.append(now)
            now += statement.seconds
        now = max(now, ends or 0.0)
    return offsets, now


def exact(statement: Statement) -> float | None:
    """Seconds from the statement's beginning to its transaction's end, where a lock tells."""
    return max((lock.held_seconds for lock in statement.locks if lock.seen == "statement"), default=None)


def strongest(statement: Statement) -> Iterator[Lock]:
    """The statement's locks, of each relation the strongest one."""
    best: dict[str, Lock] = {}
    for lock in statement.locks:
        if lock.relation not in best or rank(lock) < rank(best[lock.relation]):
            best[lock.relation] = lock
    yield from best.values()


def rank(lock: Lock) -> int:
    return STRENGTH.get(lock.mode, len(MODES))


def blocks(lock: Lock) -> bool:
    """Somebody could have waited for it: a strong lock on a table that was there before."""
    return lock.mode in BLOCKS and judged(lock.kind) and lock.existed


def weight(statement: Statement) -> tuple[bool, float]:
    """What to keep where not everything can be: statements that block or rewrite, then long ones. Larger is more."""
    held = max((lock.held_seconds for lock in statement.locks if blocks(lock)), default=0.0)
    return bool(statement.rewrote), max(held, statement.seconds)


def lanes(placed: tuple[Placed, ...]) -> dict[str, int]:
    """A lane for each relation, those first that were blocked the longest; the last lane holds all the others."""
    worth: defaultdict[str, tuple[bool, bool, float]] = defaultdict(lambda: (False, False, 0.0))
    for each in placed:
        for lock in each.statement.locks:
            mine = (blocks(lock), judged(lock.kind), lock.held_seconds)
            worth[lock.relation] = max(worth[lock.relation], mine)
    ordered = sorted(worth, key=lambda relation: worth[relation], reverse=True)
    return {relation: min(number, LANES) for number, relation in enumerate(ordered)}


def data(report: Report, laid: Timeline, listed: frozenset[int]) -> dict[str, Any]:
    """The numbers for the script, moments and lengths in microseconds; `listed` are the statements with a row."""
    kept = drawn(laid.placed)
    lane = lanes(laid.placed)
    names = [without_public(relation) for relation in list(lane)[:LANES]]
    if len(lane) > LANES:
        names.append(words.plural(len(lane) - LANES, "more relation"))
    locks: list[tuple[float, list[Any]]] = [
        (lock.held_seconds, [lane[lock.relation], place, micro(lock.held_seconds), rank(lock),
         NEW * (not lock.existed) | BOUND * (lock.seen != "statement"),
         *([without_public(lock.relation)] if lane[lock.relation] == LANES else [])])
        for place, each in enumerate(kept) for lock in strongest(each.statement)
    ]  # fmt: skip
    most_held = sorted(locks, key=lambda each: each[0], reverse=True)[:DRAWN] if len(locks) > DRAWN else locks
    return {
        "total": micro(laid.spans[-1].end if laid.spans else 0.0),
        "walks": [
            walk_data(report, report.walks[number], tuple(spans))
            for number, spans in groupby(laid.spans, key=lambda each: each.walk)
        ],
        "visits": [
            [micro(each.start), micro(each.end), int(each.visit.direction == "downgrade"),
             int(words.mark(each.visit) == "✓"), each.walk, route(each.visit)]
            for each in laid.spans
        ],
        "statements": [
            [micro(each.start), micro(each.statement.seconds), each.number, each.visit, int(each.number in listed),
             int(bool(each.statement.rewrote))]
            for each in kept
        ],
        "lanes": names, "locks": [each for _, each in most_held], "modes": MODES,
        "left": [len(laid.placed) - len(kept), len(locks) - len(most_held)],
    }  # fmt: skip


def walk_data(report: Report, walk: Walk, mine: tuple[Span, ...]) -> list[Any]:
    name, about = words.title(report, walk)
    fine = all(words.mark(each.visit) == "✓" for each in mine)
    return [micro(mine[0].start), micro(mine[-1].end), name, about, int(fine)]


def drawn(placed: tuple[Placed, ...]) -> list[Placed]:
    """The statements for the picture: all, or those that weigh most."""
    if len(placed) <= DRAWN:
        return list(placed)
    chosen = sorted(placed, key=lambda each: weight(each.statement), reverse=True)[:DRAWN]
    return sorted(chosen, key=lambda each: each.number)


def route(visit: Visit) -> str:
    """Such as `↑ base → ab12`."""
    return f"{words.ARROWS[visit.direction]} {visit.from_ or 'base'} → {visit.to or 'base'}"


def micro(seconds: float) -> int:
    return round(seconds * 1_000_000)
