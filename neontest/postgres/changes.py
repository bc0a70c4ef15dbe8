"""What has changed since a schema was looked at last, told without reading what is in it: in a small one by the number
of each object, in a large one by what was counted, else by sums."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

import psycopg2.extensions

from neontest.postgres.asked import Asked
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
from neontest.postgres.probe import ALL_THERE, MOMENT, NEAR, SUM, TYPE, probe_sql, sums_sql

Cursor = psycopg2.extensions.cursor
State = dict[int, int]
"""By relation, index, enum or domain a number that changes with it; at 0 one of all else."""

SUMMED: Final = 200
"""Numbers of a state, from which on their sum is asked for first, and before that what was counted: to read each takes
longer."""


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
        self._first = FIRST if counting(version) else ""

    @property
    def large(self) -> bool:
        return len(self.state) > SUMMED

    @property
    def prepared(self) -> str:
        """Statements."""
        return f"PREPARE neontest_probe AS {probe_sql(self._version)};{counting(self._version)}"

    def since(self, cursor: Cursor, known: Known | None) -> tuple[State, Collection[int]]:
        """The state now, and the oids of what has changed since it was `seen`, by transactions that may be `known`."""
        counted = bool(self._counts) or (known is not None and bool(known.xids))
        return self._counted(cursor, known) or self._probed(cursor, counted=counted)

    def seen(self, state: State, changed: Collection[int]) -> None:
        """What has changed has been read."""
        self.state, self._last = state, changed if len(changed) <= NEAR else ()

    def _counted(self, cursor: Cursor, known: Known | None) -> tuple[State, Collection[int]] | None:
        """The same, by what the server has counted; None where that proves nothing."""
        if known is None or not known.xids or not self._counts or not self.large:
            return None
        near, xids = {*known.oids, *self._last} - {0}, [xid & 0xFFFFFFFF for xid in known.xids]
        arrays = (("xid[]", xids), ("oid[]", near), ("bigint[]", self._counts), ("oid[]", self._types))
        given = [(kind, f"{{{', '.join(map(str, numbers))}}}") for kind, numbers in arrays]
        rows = self._asked.rows(cursor, "changes", changes_sql(self._version), given, first=self._first)
        said = {oid: text for oid, text, _ in rows if oid in (MOMENT, COUNTS, NOTED)}
        counts = [int(each) for each in said[COUNTS].split()]
        if said[NOTED] is None or not only(known.xids, self.moment, said[MOMENT]):
            return None
        if not follows(known, self._counts, counts):
            return None
        now = self._numbers(rows)
        seen = {*map(int, said[NOTED].split()), *([0] if 0 in now else [])}
        return self._other(seen, now)

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

    def _probed(self, cursor: Cursor, *, counted: bool) -> tuple[State, Collection[int]]:
        """The same, whoever has changed it."""
        if self.large and (found := self._summed(cursor, counted=counted)):
            return found
        cursor.execute("EXECUTE neontest_probe")
        state = self._numbers(cursor.fetchall())
        return state, [oid for oid in state.keys() | self.state.keys() if state.get(oid) != self.state.get(oid)]

    def _summed(self, cursor: Cursor, *, counted: bool) -> tuple[State, Collection[int]] | None:
        """The same without reading all numbers: what was written since, and what was changed the last time, is all
        that has changed if the sum of all says so. None where it does not, as when something old is gone or a
        transaction was committed that was open the last time, or where that is much."""
        before = self.state
        # Not the first that was open then: that one may stay open, and then all is written since.
        _, since, _ = self.moment.split(":")
        xid = str(int(since) & 0xFFFFFFFF)
        given = (("xid", xid), ("oid[]", [oid for oid in self._last if oid]))
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
        return self._other((0, *near), now)

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
                self.there |= there & ALL_THERE
                if there & TYPE:
                    self._types.add(oid)
        return state
