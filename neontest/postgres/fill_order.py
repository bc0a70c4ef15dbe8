"""The order in which tables can be given rows: what is referred to comes first. Pure.

A circle of foreign keys is opened where a column may be null: it is filled afterwards. Where none may, the tables are
filled together, a row of each in one statement, for which Postgres checks foreign keys at its end.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable

import msgspec

from neontest.postgres.fill_model import ForeignKey, Table


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """Tables whose rows are inserted together: mostly one."""

    tables: tuple[Table, ...]
    later: frozenset[tuple[int, str]] = frozenset()
    """Foreign keys, by table and name, that stay null until all tables have rows."""
    tied: frozenset[tuple[int, str]] = frozenset()
    """Foreign keys that refer to rows of this very step and cannot wait."""


def free(table: Table, key: ForeignKey) -> tuple[int, ...]:
    """The columns of a foreign key that may stay null for the time being; empty where none may."""
    nullable = tuple(number for number in key.columns if table.by_number[number].nullable)
    if key.full and len(nullable) < len(key.columns):
        return ()
    others = {number for other in table.foreign_keys if other is not key for number in other.columns}
    return tuple(number for number in nullable if number not in others) or nullable


def steps(tables: Iterable[Table]) -> tuple[Step, ...]:
    """Every table once; foreign keys to tables that are not among them bind nothing."""
    left = {table.oid: table for table in tables}
    places = {oid: place for place, oid in enumerate(left)}
    open_to = {
        oid: {key.target for key in table.foreign_keys if key.target in left and key.target != oid}
        for oid, table in left.items()
    }
    referring: dict[int, list[int]] = {}
    for oid, targets in open_to.items():
        for target in targets:
            referring.setdefault(target, []).append(oid)
    ready = [(places[oid], oid) for oid, targets in open_to.items() if not targets]
    found: list[Step] = []
    while left:
        chosen, waiting = ((left[heapq.heappop(ready)[1]],), set[int]()) if ready else _circle(left)
        inside = {table.oid for table in chosen}
        later: set[tuple[int, str]] = set()
        tied: set[tuple[int, str]] = set()
        for table in chosen:
            for key in table.foreign_keys:
                if key.target in inside or (key.target in waiting and key.target in left):
                    (later if free(table, key) else tied).add((table.oid, key.name))
        found.append(Step(tables=chosen, later=frozenset(later), tied=frozenset(tied)))
        for oid in inside:
            del left[oid]
        for oid in inside:
            for each in referring.get(oid, ()):
                open_to[each].discard(oid)
                if each in left and not open_to[each]:
                    heapq.heappush(ready, (places[each], each))
    return tuple(found)


def _circle(left: dict[int, Table]) -> tuple[tuple[Table, ...], set[int]]:
    """Where each waits for another: the tables to fill next, and those that they must not wait for."""
    open_keys = {
        oid: [key for key in table.foreign_keys if key.target in left and key.target != oid]
        for oid, table in left.items()
    }
    reach = {oid: _reach(oid, {each: {key.target for key in keys} for each, keys in open_keys.items()}) for oid in left}
    circle = [oid for oid in left if oid in reach[oid]]
    for oid in circle:
        if all(free(left[oid], key) for key in open_keys[oid]):
            return (left[oid],), {key.target for key in open_keys[oid]}
    # Nothing in the circle can wait: those that need each other go together, first those that need nobody else.
    hard = {
        oid: {key.target for key in keys if not free(left[oid], key)} for oid, keys in open_keys.items()
    }  # fmt: skip
    needs = {oid: _reach(oid, hard) for oid in left}
    oid = min(circle, key=lambda each: (len(needs[each] | {each}), list(left).index(each)))
    group = needs[oid] | {oid}
    return tuple(table for each, table in left.items() if each in group), set(left) - group


def _reach(start: int, arrows: dict[int, set[int]]) -> set[int]:
    """All that can be come to from `start`, itself only by a circle."""
    seen: set[int] = set()
    waiting = list(arrows.get(start, ()))
    while waiting:
        one = waiting.pop()
        if one not in seen:
            seen.add(one)
            waiting.extend(arrows.get(one, ()))
    return seen
