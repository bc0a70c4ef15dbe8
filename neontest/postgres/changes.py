"""What has changed since a schema was looked at last, told without reading what is in it: in a small one by the number
of each object, in a large one by what was counted, else by sums."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, NamedTuple

import psycopg2.extensions

from neontest.postgres.asked import FEW, Asked
from neontest.postgres.catalog import NUMBER, Row, changed_rows_sql, of_some
from neontest.postgres.counted import (
    COUNTS,
    FIRST,
    NOTED,
    Counts,
    Known,
    changes_sql,
    counting,
    follows,
    only,
    with_counts,
)
from neontest.postgres.probe import (
    ALL_THERE,
    MOMENT,
    NEAR,
    NEW,
    SEQUENCE_THERE,
    SUM,
    TYPE_THERE,
    probe_sql,
    sums_sql,
)

Cursor = psycopg2.extensions.cursor
State = dict[int, int]
"""By relation, index, enum or domain a number that changes with it; at 0 one of all else."""

SUMMED: Final = 200
"""Numbers of a state, from which on their sum is asked for first, and before that what was counted: to read each takes
longer."""
_WRITTEN: Final = f"there & {NEW} <> 0 OR digest <> $3[array_position($2, id)]"
"""What has changed, among the numbers of all: what was written, or is expected and is other."""
_OTHER: Final = "digest IS DISTINCT FROM $5[array_position($2, id)]"
"""The same among the numbers of what can have changed."""


class Found(NamedTuple):
    """What has changed since it was `seen`."""

    state: State
    changed: Collection[int]
    """Its oids."""
    rows: Sequence[Row] = ()
    """What was read of it in the same round trip, if anything was."""


class Changes:
    """On one connection, which has run what is to be `prepared`."""

    def __init__(self, version: int, asked: Asked) -> None:
        self._version, self._asked = version, asked
        self.state: State = {}
        """When it was `seen` last."""
        self._last: Collection[int] = ()
        """Oids of which something was other when it was last other: what undoes a step changes the same."""
        self.there = 0
        """What there has been of kinds that few databases have: bits of the probe."""
        self.moment = ""
        """Which transactions were seen."""
        self._counts: Counts = ()
        """What had been counted before, or even earlier; () where nobody has asked."""
        self._types: set[int] = set()
        """Enums and domains; some of them may be gone."""
        self._sequences: set[int] = set()
        """The same of sequences."""
        self._first = FIRST if counting(version) else ""

    @property
    def large(self) -> bool:
        return len(self.state) > SUMMED

    def since(self, cursor: Cursor, known: Known | None, *, whole: bool) -> Found:
        """The state now, and what has changed since it was `seen`, by transactions that may be `known`; where the
        `whole` schema will be read, nothing of it is.

        In the same round trip, which tells what has changed, that is read from a database that is far away. Near by,
        the two queries as one take 0.4 ms more than one after the other.
        """
        counted = bool(self._counts) or (known is not None and bool(known.xids))
        return self._counted(cursor, known) or self._probed(cursor, known, counted=counted, whole=whole)

    def there_of(self, oids: Collection[int]) -> int:
        """The bits of what there can be of these."""
        return of_some(self.there, relations=self._types.isdisjoint(oids) and self._sequences.isdisjoint(oids))

    def seen(self, state: State, changed: Collection[int]) -> None:
        """What has changed has been read."""
        self.state, self._last = state, changed if len(changed) <= NEAR else ()

    def _counted(self, cursor: Cursor, known: Known | None) -> Found | None:
        """The same, by what the server has counted; None where that proves nothing."""
        if known is None or not known.xids or not self._counts or not self.large:
            return None
        near, xids = self._expected(known), [xid & 0xFFFFFFFF for xid in known.xids]
        arrays = (("xid[]", xids), ("oid[]", near), ("bigint[]", self._counts), ("oid[]", self._types))
        given, sql = [(kind, array(numbers)) for kind, numbers in arrays], changes_sql(self._version)
        rows: Sequence[Row] = ()
        if self._asked.far:
            numbers, rows = self._with_rows(cursor, "changes", sql, _OTHER, given, near, first=self._first)
        else:
            numbers = self._asked.rows(cursor, "changes", sql, given, first=self._first)
        said = {oid: text for oid, text, _ in numbers if oid in (MOMENT, COUNTS, NOTED)}
        counts = [int(each) for each in said[COUNTS].split()]
        if said[NOTED] is None or not only(known.xids, self.moment, said[MOMENT]):
            return None
        if not follows(known, self._counts, counts):
            return None
        before = self.there
        now = self._numbers(numbers)
        seen = {*map(int, said[NOTED].split()), *([0] if 0 in now else [])}
        state, changed = self._other(seen, now)
        return Found(state, changed, rows if self.there == before else ())

    def _expected(self, known: Known | None) -> list[int]:
        """What can have changed: what is undone, and what was locked."""
        return list({*self._last, *(known.oids if known is not None else ())} - {0})

    def _with_rows(
        self,
        cursor: Cursor,
        key: str,
        sql: str,
        changed: str,
        given: Sequence[tuple[str, str]],
        near: Sequence[int],
        first: str = "",
    ) -> tuple[list[Any], list[Row]]:
        """The numbers that such a query tells, and what is read of those that have changed: of kinds that were there
        the last time, so that it is of no use where there are more now. Its last parameter are the numbers that those
        `near` had."""
        there = of_some(self.there)
        query = changed_rows_sql(sql, changed, self._version, there)
        given = (*given, ("text[]", array(self.state.get(oid) for oid in near)))
        rows: list[Row] = self._asked.rows(cursor, f"{key}, rows {there}", query, given, first=first + FEW)
        return [(row[1], row[3], row[2]) for row in rows if row[0] == NUMBER], [row for row in rows if row[0] != NUMBER]

    def _other(self, seen: Iterable[int], now: State) -> tuple[State, Collection[int]]:
        """The state where of what was `seen` there is what is `now`, and the rest is as it was."""
        changed = [oid for oid in seen if now.get(oid) != self.state.get(oid)]
        if not changed:
            return self.state, ()
        state = self.state.copy()
        for oid in changed:
            if oid in now:
                state[oid] = now[oid]
            else:
                del state[oid]
        return state, changed

    def _probed(self, cursor: Cursor, known: Known | None, *, counted: bool, whole: bool) -> Found:
        """The same, whoever has changed it."""
        if self.large and (found := self._summed(cursor, counted=counted)):
            return found
        rows: Sequence[Row] = ()
        before = self.there
        if whole or self.large or not self._asked.far:
            numbers = self._asked.rows(cursor, "probe", probe_sql(self._version))
        else:
            near, sql = self._expected(known), probe_sql(self._version, since=True)
            given = (("xid", self._since), ("oid[]", array(near)))
            numbers, rows = self._with_rows(cursor, "since", sql, _WRITTEN, given, near)
        state = self._numbers(numbers)
        changed = {oid for oid, _ in state.items() ^ self.state.items()}
        return Found(state, changed, rows if self.there == before else ())

    def _summed(self, cursor: Cursor, *, counted: bool) -> Found | None:
        """The same without reading all numbers: what was written since, and what was changed the last time, is all
        that has changed if the sum of all says so. None where it does not, as when something old is gone or a
        transaction was committed that was open the last time, or where that is much."""
        before = self.state
        given = (("xid", self._since), ("oid[]", [oid for oid in self._last if oid]))
        if counted:
            sums = with_counts(sums_sql(self._version), self._version)
            rows = self._asked.rows(cursor, "counted sums", sums, given, first=self._first)
        else:
            rows = self._asked.rows(cursor, "sums", sums_sql(self._version), given)
        now = self._numbers((oid, digest, there) for oid, digest, there, _ in rows if oid != SUM)
        more = sum(int(digest or 0) for oid, digest, _, _ in rows if oid == SUM) - sum(before.values()) + before[0]
        near: set[int] = set()
        if more:
            near = {int(oid) for _, _, _, oids in rows for oid in (oids or "").split()}.union(self._last) - {0}
            if not 0 < len(near) <= NEAR or more != sum(now.get(oid, 0) - before.get(oid, 0) for oid in near):
                return None
        return Found(*self._other((0, *near), now))

    @property
    def _since(self) -> str:
        """The first transaction that had not begun when the state was looked at: not the first that was open, for that
        one may stay open, and then all is written since."""
        return str(int(self.moment.split(":")[1]) & 0xFFFFFFFF)

    def _numbers(self, rows: Iterable[tuple[int, str, int]]) -> State:
        """What rows of the probe say, but for the bits of what is there and the moment, which are noted."""
        state = {}
        for oid, digest, there in rows:
            if oid == MOMENT:
                self.moment = digest
            elif oid == COUNTS:
                self._counts = [int(each) for each in digest.split()]
            elif oid != NOTED:
                state[oid] = int(digest)
                if there:
                    self.there |= there & ALL_THERE
                    if there & TYPE_THERE:
                        self._types.add(oid)
                    elif there & SEQUENCE_THERE:
                        self._sequences.add(oid)
        return state


def array(values: Iterable[object]) -> str:
    """An array of numbers, as text."""
    return f"{{{', '.join('NULL' if value is None else str(value) for value in values)}}}"
