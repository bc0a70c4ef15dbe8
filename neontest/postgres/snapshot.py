"""The schema as the catalogs say it, in one round trip; a second, cheap one says that nothing changed.

The connection is given over: settings that show in deparsed text (search_path first of all) are fixed on it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

import psycopg2
import psycopg2.errors
import psycopg2.extensions

from neontest.errors import DatabaseError
from neontest.postgres.asked import FEW, Asked
from neontest.postgres.catalog import COMMENT, KINDS, MANY, READ, Row, others_sql, rows_sql, some_rows_sql
from neontest.postgres.changes import Changes, Found
from neontest.postgres.connect import Connection, mapped
from neontest.postgres.counted import Known, counting
from neontest.postgres.garbage import no_collection
from neontest.postgres.grants import grants
from neontest.postgres.kind import Kind
from neontest.postgres.model import Facts, Key, Snapshot
from neontest.postgres.names import quoted
from neontest.postgres.probe import ALL_THERE, MOVED
from neontest.postgres.second import Second
from neontest.postgres.set_up import SET, WHERE, beside

Cursor = psycopg2.extensions.cursor
Identity = tuple[int, int, int]
"""Of an object, whatever its name: index into KINDS, oid, sub-object."""
Part = tuple[int, Identity, Key, Facts]
"""An object, after the relation or type that it hangs on."""

Read = dict[int, bool | None]
"""Oids that were read: whether a change of the columns can show elsewhere; None for an index, which is a part."""

_NAMED: Final = ("enum", "domain", "domain constraint", "composite type")
"""Kinds whose facts others can show."""
_COLUMNS: Final = ("column", "attribute")
_LARGE: Final = 1 << 20
"""Bytes of pg_class from which on everything is read over two connections. Of the benchmarks' tables 500 have 776 KB
there; 1,000 are read in two thirds of the time."""
_CONNECTING: Final = 0.05
"""Seconds that the second of them is waited for."""
_SETTLING: Final = 1.0
"""The same where it has to be there or not to be."""
_ATTEMPTS: Final = 8
_VANISHED: Final = (
    psycopg2.errors.InternalError_,
    psycopg2.errors.UndefinedTable,
    psycopg2.errors.UndefinedObject,
    psycopg2.errors.UndefinedColumn,
    psycopg2.errors.UndefinedFunction,
)
"""What deparsing raises when another session drops the object meanwhile ("cache lookup failed")."""


class Reader:
    """Takes snapshots over one connection, which it sets up and keeps; autocommit is required of it.

    With the `url` of the same database it reads a large schema over two, half of it each, where a second is to be had.
    """

    def __init__(self, conn: Connection, url: str | None = None) -> None:
        if not conn.autocommit:
            raise ValueError("a snapshot needs autocommit: an open transaction would block CREATE INDEX CONCURRENTLY")
        self._conn = conn
        self._last: Snapshot | None = None
        self._keys: dict[int, dict[Identity, Key]] = {}
        """What hangs on each of them, in the last snapshot."""
        self._facts: tuple[dict[str, Facts], ...] = tuple({} for _ in KINDS)
        """Of each kind what its rows' texts mean: most columns are alike."""
        self._prepared = Asked()
        self._sure = True
        """Whatever was read since then saw the same: a name that was read is the one that all others were read by."""
        version = conn.server_version
        self._changes = Changes(version, self._prepared)
        with mapped("cannot prepare to read the schema"), conn.cursor() as cursor:
            # In one simple query: a round trip to a far database costs more than what it asks.
            cursor.execute(
                f"DEALLOCATE ALL; SELECT {SET}; {counting(version)}"
                f" SELECT ({MOVED}), pg_relation_size('pg_class') >= {_LARGE}, {WHERE}"
            )
            moved, large, *where, self._backend = cursor.fetchone() or (False, False, "", 0)
        self.database: str = where[-1]
        if moved:
            self._changes.there = ALL_THERE
        self._second = Second(url, beside(version), where) if url and large else None

    @property
    def counts(self) -> bool:
        """The schema is so large that it is read by counts, where there are any."""
        return self._changes.large

    def snapshot(self, known: Known | None = None) -> Snapshot:
        """The schema now: the very same object as before if nothing changed.

        Where it shows that nobody has written since the last one but transactions that are `known`, only what they can
        have changed is looked at.

        Raises:
            DatabaseError: also when the schema keeps changing while it is read.
        """
        for attempt in range(_ATTEMPTS):
            try:
                with mapped("cannot read the schema"), self._conn.cursor() as cursor, self._beside():
                    whole = self._last is None
                    found = self._changes.since(cursor, None if whole else known, whole=whole)
                    if self._last is None or found.changed:
                        # The state from before the rows: what changes between the two is read again next time.
                        self._last = self._renewed(cursor, found) or self._whole(cursor)
                        self._changes.seen(found.state, found.changed)
                    return self._last
            except BaseException as error:
                self._last = None  # half of it may have been renewed, and by names that are not sure
                vanished = isinstance(error, DatabaseError) and isinstance(error.__cause__, _VANISHED)
                if not vanished or attempt == _ATTEMPTS - 1:
                    raise
            time.sleep(0.02 * (attempt + 1))
        raise AssertionError("unreachable")

    def backends(self) -> list[int]:
        """The server's processes of its connections, from now on the same: a second that is not there is given up."""
        second = self._second
        if second is not None and not second.ready(_SETTLING):
            second.close()
        return [self._backend] if second is None or second.backend is None else [self._backend, second.backend]

    def close(self) -> None:
        """Close the connection, and the second."""
        if self._second is not None:
            self._second.close()
        self._conn.close()

    @contextmanager
    def _beside(self) -> Iterator[None]:
        """Have half of everything read beside the first probe, which nothing has been compared with yet."""
        second = self._second
        if second is None:
            yield
            return
        with second.attended():
            if self._last is None and second.ready(_CONNECTING):
                self._ask_half(second)
            yield

    def _ask_half(self, second: Second) -> None:
        second.ask("half", rows_sql(self._conn.server_version, beside=True))

    def _whole(self, cursor: Cursor) -> Snapshot:
        """Everything, read anew; of kinds that are not there nothing is asked."""
        second = self._second
        if second is not None and second.ready() and not second.asked:
            self._ask_half(second)
        halves = second is not None and bool(second.asked)
        found = self._asked_whole(cursor, halves=halves)
        if not self._sure and (halves or self._changes.there != ALL_THERE):
            # What came since the probe may be of a kind that was not asked for, and be named by what was read; and
            # two halves may be of two moments.
            self._changes.there = ALL_THERE
            found = self._asked_whole(cursor, halves=False)
        return found

    def _asked_whole(self, cursor: Cursor, *, halves: bool) -> Snapshot:
        there, version = self._changes.there, self._conn.server_version
        with no_collection:
            if halves:
                objects = self._halves(cursor, f"other half {there}", rows_sql(version, there, beside=False))
            else:
                rows = self._prepared.rows(cursor, f"everything {there}", rows_sql(version, there))
                self._keys, self._sure = {}, True
                objects = self._noted(self._parts(rows, cursor))
            return Snapshot(objects=objects, server_version=version)

    def _halves(self, cursor: Cursor, key: str, query: str) -> dict[Key, Facts]:
        """What the second connection was asked for is taken apart while the first one is asked for all else; over the
        first, if the second saw something else."""
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="neontest-schema") as other:
            asked = other.submit(self._prepared.rows, cursor, key, query)
            self._keys, self._sure = {}, True
            rows = self._second.rows(asked.done) if self._second is not None else None
            usable = rows is not None and rows[0][5] == self._changes.moment
            objects = self._noted(self._parts(rows, cursor)) if rows is not None and usable else {}
            rest = asked.result()
        if not usable:
            rows = self._prepared.rows(cursor, "half", rows_sql(self._conn.server_version, beside=True))
            objects = self._noted(self._parts(rows, cursor))
        objects.update(self._noted(self._parts(rest, cursor)))
        return objects

    def _renewed(self, cursor: Cursor, found: Found) -> Snapshot | None:
        """The last snapshot, read anew where relations and types have changed; None where that is not all, or most."""
        changed = found.changed
        if self._last is None or 0 in changed:
            return None
        if len(changed) > MANY and len(changed) * 2 > len(found.state):
            return None
        sure, self._sure = self._sure, True
        there = [oid for oid in changed if oid in found.state]
        read, parts = self._taken(found.rows, cursor)
        if left := [oid for oid in there if oid not in read]:
            more = self._some(cursor, left)
            read, parts = read | more[0], parts + more[1]
        if not sure or self._names(self._last, read, parts):
            naming = self._prepared.rows(cursor, "others", others_sql(), (("oid[]", there),), first=FEW)
            others = [oid for (oid,) in naming if oid not in read]
            if sure:
                others = [oid for oid in others if not self._of_same(self._last, oid, parts)]
            if 0 in others:
                return None
            more = self._some(cursor, others) if others else ({}, [])
            read, parts = read | more[0], parts + more[1]
        old = [key for oid in {*changed, *read} for key in self._keys.pop(oid, {}).values()]
        return self._last.renewed(old, self._noted(parts))

    def _some(self, cursor: Cursor, oids: list[int]) -> tuple[Read, list[Part]]:
        """Which relations and types were asked for; and what was read."""
        there = self._changes.there_of(oids)
        some = some_rows_sql(self._conn.server_version, there)
        return self._taken(self._prepared.rows(cursor, f"some {there}", some, (("oid[]", oids),), first=FEW), cursor)

    def _taken(self, rows: Sequence[Row], cursor: Cursor) -> tuple[Read, list[Part]]:
        """The same of these rows, which are gone through twice."""
        read = {row[1]: None if row[4] == "true" else bool(row[2]) for row in rows if row[0] == READ}
        return read, list(self._parts(rows, cursor))

    def _names(self, known: Snapshot, read: Read, parts: Iterable[Part]) -> bool:
        """Whether something has another name than it had, or else what others show who name it: these have to be read
        again, too. What has come or gone is named by nobody who has not changed himself."""
        now: dict[int, dict[Identity, tuple[Key, Facts]]] = {}
        for of, identity, key, facts in parts:
            now.setdefault(of, {})[identity] = key, facts
        for oid, held in read.items():
            before, after = self._keys.get(oid, {}), now.get(oid, {})
            if oid not in self._changes.state or held is None:
                continue
            if not before or not after:  # what is not read, as in a schema of Neon's, may have another name
                return True
            if held and any(KINDS[index].name in _COLUMNS for index, _, _ in before.keys() ^ after.keys()):
                return True
            for identity in before.keys() & after.keys():
                key, facts = after[identity]
                if key != before[identity] or _shown(key.kind, facts) != _shown(key.kind, known.get(key) or ()):
                    return True
        return False

    def _of_same(self, known: Snapshot, oid: int, parts: Iterable[Part]) -> bool:
        """Whether it is a sequence whose column, which is all that it names, was read and is called as it was."""
        owned = [dict(known.get(key) or ()).get("owned by") for key in self._keys.get(oid, {}).values()]
        if len(owned) != 1 or owned[0] is None:
            return False
        return any(
            KINDS[identity[0]].name == "column"
            and f"{key.on}.{key.name}" == owned[0]
            and self._keys.get(of, {}).get(identity) == key
            for of, identity, key, _ in parts
        )

    def _noted(self, parts: Iterable[Part]) -> dict[Key, Facts]:
        """The facts of each, and for later what hangs on what."""
        objects, keys = {}, self._keys
        for of, identity, key, facts in parts:
            objects[key] = facts
            if of in keys:
                keys[of][identity] = key
            else:
                keys[of] = {identity: key}
        return objects

    def _parts(self, rows: Iterable[Row], cursor: Cursor) -> Iterator[Part]:
        comments: dict[str, dict[tuple[int, int], str]] = {}
        current, kind = READ, KINDS[0]
        for row in rows:
            index, oid, sub, on, name, text, of = row
            if index == READ:
                self._sure &= text == self._changes.moment
                continue
            if index == COMMENT:
                comments.setdefault(on, {})[oid, sub] = text
                continue
            if index != current:
                # Rows come kind by kind.
                current, kind = index, KINDS[index]
                title, bare, known, noted = kind.name, kind.bare, self._facts[index], comments.get(kind.catalog)
            facts = known.get(text)
            if facts is None:
                facts = known[text] = _facts(kind, psycopg2.extensions.STRINGARRAY(text, cursor))
            if noted and (comment := noted.get((oid, sub))) is not None:
                facts = (*facts, ("comment", comment))
            yield of, row[:3], Key(title, on, quoted(name) if bare else name), facts


def snapshot(conn: Connection) -> Snapshot:
    """The schema of the connection's database; the connection is given over to it, as to a `Reader`."""
    return Reader(conn).snapshot()


def tables(conn: Connection) -> frozenset[int]:
    """The oids of the tables that there are: one that was dropped and made again has another."""
    with mapped("cannot read the tables"), conn.cursor() as cursor:
        cursor.execute(
            """
            SELECT c.oid::bigint FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND NOT starts_with(n.nspname::text, 'pg_')
            """
        )
        return frozenset(int(oid) for (oid,) in cursor.fetchall())


def _shown(kind: str, facts: Facts) -> Facts:
    """What others show of an object, besides its name."""
    if kind in _COLUMNS:
        return tuple(fact for fact in facts if fact[0] in ("type", "collation"))
    return facts if kind in _NAMED else ()


def _facts(kind: Kind, values: list[str | None]) -> Facts:
    """(name, value) of every fact that applies, in the catalog's order, then the grants."""
    if "acl" not in kind.facts:
        return tuple([(name, value) for name, value in zip(kind.facts, values, strict=True) if value is not None])
    given = dict(zip(kind.facts, values, strict=True))
    plain = [(name, value) for name, value in given.items() if value is not None and not name.startswith("acl")]
    return (*plain, *grants(given["acl"], given.get("acl default"), given.get("owner"), kind.public))
