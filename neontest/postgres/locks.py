"""Watches the database from beside a migration: what is there, and what a statement in autocommit does while it runs.

Such a statement has let go of its locks when it ends, so that only another connection sees them. In a transaction the
migration's own connection sees them better; there only waits are sampled.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final

import msgspec
import psycopg2
import psycopg2.extensions
from msgspec.structs import replace

from neontest.errors import DatabaseError
from neontest.postgres import implied_locks
from neontest.postgres.connect import Connection, connect
from neontest.postgres.kind import USER_OID
from neontest.postgres.names import quoted

OFTEN: Final = 0.005
"""Seconds between two samples of a statement in autocommit."""
SELDOM: Final = 0.05
"""The same in a transaction, and how long a statement may run there before anybody looks."""
COUNTED: Final = 100_000
"""Rows of a table without statistics that are counted; of how many more there are, the pages they fill tell."""
PAGE: Final = 8192
FULL: Final = 291
"""Rows that a page can have: MaxHeapTuplesPerPage of src/include/access/htup_details.h."""
Row = tuple[int, str, str, str, int, int, float, int, int | None, int | None]
"""Oid, schema, name, relkind, file, table that it is a part of, reltuples, relpages, bytes, partitioned table."""
_NAME: Final = "neontest_relations"
_DROPS: Final = re.compile(r"\s*drop\b", re.IGNORECASE)
_ALTERS: Final = re.compile(r"\s*(?:alter|comment)\b", re.IGNORECASE)

_LOCKS: Final = f"""
SELECT l.relation, n.nspname, c.relname, c.relkind, l.mode,
  CASE WHEN l.granted THEN NULL ELSE extract(epoch FROM clock_timestamp() - l.waitstart)::float8 END, l.granted
FROM pg_catalog.pg_locks l LEFT JOIN (pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace)
  ON c.oid = l.relation AND l.locktype = 'relation' AND c.oid >= {USER_OID}
WHERE l.pid = %s
"""  # noqa: S608
_RELATIONS: Final = """
SELECT c.oid, n.nspname, c.relname, c.relkind, c.relfilenode, coalesce(i.indrelid,
    CASE WHEN c.relkind = 't' THEN substring(c.relname FROM '^pg_toast_([0-9]+)$')::oid END, c.oid),
  c.reltuples::float8, c.relpages, CASE WHEN c.relkind IN ('r', 'm', 'i', 't') THEN pg_relation_size(c.oid) END,
  CASE WHEN c.relispartition AND i.indrelid IS NULL
    THEN (SELECT h.inhparent FROM pg_catalog.pg_inherits h WHERE h.inhrelid = c.oid) END,
  pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::int8
FROM (VALUES (1)) one LEFT JOIN (pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid)
  ON {which}
"""
"""One row at least, for the position in the log."""


class Relation(msgspec.Struct, frozen=True, kw_only=True):
    """A relation and what is in it."""

    name: str
    kind: str
    node: int
    table: int
    parent: int | None
    rows: int | None
    bytes: int | None
    """Of its own, without what tells where there is room in it."""
    parts: tuple[int, ...] = ()
    """Its indexes and its toast table."""


class Sampled(msgspec.Struct, kw_only=True):
    """What was seen of one statement."""

    locks: dict[tuple[int, str, str, str], None] = msgspec.field(default_factory=dict)
    """Oid, name, relkind and mode."""
    waited: float = 0.0


class _Running(msgspec.Struct, kw_only=True):
    backend: int
    autocommit: bool
    began: float
    sampled: Sampled = msgspec.field(default_factory=Sampled)
    looks: int = 0
    waiting: float = 0.0
    """Of the wait that goes on."""


class Observer:
    """Knows the relations of one database, and samples statements over a second connection while they run.

    `connection` is neontest's own to that database, in autocommit; another one is made to `url` when it is needed
    first. Where that is refused there are no samples.
    """

    def __init__(self, connection: Connection, url: str) -> None:
        self._connection, self._url = connection, url
        self._mine: Connection | None = None
        self._refused = False
        self._thread: threading.Thread | None = None
        self._condition = threading.Condition()
        self._running: _Running | None = None
        self._closed = False
        self._stale = True
        self._prepared = False
        self.known: dict[int, Relation] = {}
        self.wal: int | None = None

    # -- what is there

    def begin(self) -> None:
        """Read what is there, unless the end of the last visit did, and nothing was done in between."""
        if self._stale:
            self.known = {}
            self._take(self._read(f"c.oid >= {USER_OID}", ()), dropped=())

    def forget(self) -> None:
        """Something other than a visit has changed rows or relations: read everything again before the next one."""
        self._stale = True

    def renew(self, oids: Collection[int], *, newer: bool, everything: bool) -> None:
        """Read these relations again, and all that are `newer` than those known; or everything."""
        if everything or self._stale:
            self.known = {}
            self._take(self._read(f"c.oid >= {USER_OID}", ()), dropped=())
            return
        known = self.known
        touched = {known[oid].table for oid in oids if oid in known} | set(oids)
        while more := {part for oid in touched if oid in known for part in known[oid].parts} - touched:
            touched |= more
        newest = max(known, default=USER_OID - 1) if newer else 0
        self.known = dict(known)
        if newer:
            rows = self._read("c.oid = ANY(%s::oid[]) OR c.oid > %s", (list(touched), newest))
        else:
            rows = self._read("", (list(touched),))
        self._take(rows, dropped=touched - {row[0] for row in rows})

    def learn(self, rows: Iterable[Row], *, dropped: Collection[int], grown: Mapping[int, int], wal: int) -> None:
        """Know what others have read, without asking; of those that have `grown` only the bytes."""
        self.known, self.wal = dict(self.known), wal
        for oid, size in grown.items():
            known = self.known.get(oid)
            if known is not None and known.bytes is not None:
                self.known[oid] = replace(known, bytes=size)
        self._take(rows, dropped=dropped)

    def _read(self, which: str, parameters: tuple[object, ...]) -> list[Row]:
        """What is there; without a condition by a prepared query, which takes oids."""
        try:
            with self._connection.cursor() as cursor:
                if which:
                    cursor.execute(_RELATIONS.format(which=which), parameters)
                else:
                    self._prepare(cursor)
                    cursor.execute(f"EXECUTE {_NAME}(%s)", parameters)
                found = cursor.fetchall()
        except psycopg2.Error:
            # Whoever reads the schema next will say what is wrong with the connection.
            self.known, self.wal, self._stale = {}, None, True
            return []
        self._stale = False
        self.wal = found[0][-1]
        return [row[:-1] for row in found if row[0] is not None]

    def _take(self, rows: Iterable[Row], *, dropped: Iterable[int]) -> None:
        """Know them, and those no more."""
        uncounted: dict[int, tuple[str, int]] = {}
        parts: list[tuple[int, int, bool]] = []
        for oid in dropped:
            gone = self.known.pop(oid, None)
            if gone is not None:
                parts.append((gone.table, oid, False))
        for oid, schema, name, kind, node, table, tuples, pages, size, parent in rows:
            was, title = self.known.get(oid), f"{quoted(schema)}.{quoted(name)}"
            stored = kind in ("r", "m")
            count = round(tuples) if tuples > 0 else None
            if stored and size is not None:
                count = _estimated(tuples, pages, size)
            if count is None and stored and size:
                uncounted[oid] = (f"{_strict(schema)}.{_strict(name)}", size)
            self.known[oid] = Relation(
                name=title, kind=kind, node=node, table=table, parent=parent, rows=count, bytes=size,
                parts=was.parts if was is not None else (),
            )  # fmt: skip
            if table != oid:
                parts.append((table, oid, True))
        for table, oid, there in parts:
            whole = self.known.get(table)
            if whole is not None and (oid in whole.parts) is not there:
                rest = {*whole.parts, oid} if there else {*whole.parts} - {oid}
                self.known[table] = replace(whole, parts=tuple(sorted(rest)))
        if uncounted:
            self._count(uncounted)

    def _prepare(self, cursor: psycopg2.extensions.cursor) -> None:
        if not self._prepared:
            # A plan for any oids: planning takes longer than what is planned.
            query = _RELATIONS.format(which="c.oid = ANY($1)")
            cursor.execute(f"SET plan_cache_mode = force_generic_plan; PREPARE {_NAME}(oid[]) AS {query}")
            self._prepared = True

    def _count(self, tables: dict[int, tuple[str, int]]) -> None:
        """Count what has no statistics; the rest of the large ones by how full their first pages are."""
        parts = [
            f"SELECT {oid}, (SELECT count(*) FROM ONLY {name})"  # noqa: S608 -- takes half as long
            if size // PAGE * FULL < COUNTED
            else f"SELECT {oid}, (SELECT CASE WHEN count(*) < {COUNTED} THEN count(*)"  # noqa: S608
            f" ELSE {size // PAGE} * count(*) / count(DISTINCT (page::text::point)[0]) END"
            f" FROM (SELECT ctid AS page FROM ONLY {name} LIMIT {COUNTED}) t)"
            for oid, (name, size) in tables.items()
        ]
        for at in range(0, len(parts), 200):
            some = parts[at : at + 200]
            if not self._counted(some):  # one of them may not be read
                for each in some:
                    self._counted([each])

    def _counted(self, parts: Sequence[str]) -> bool:
        with suppress(psycopg2.Error), self._connection.cursor() as cursor:
            cursor.execute(" UNION ALL ".join(parts))
            for oid, rows in cursor.fetchall():
                self.known[oid] = replace(self.known[oid], rows=rows)
            return True
        return False

    def implied(self, sql: str) -> tuple[tuple[int, str, str, str], ...]:
        """What a statement must lock by its kind: oid (0 where it is not known), name, relkind and mode."""
        found: dict[tuple[int, str, str, str], None] = {}
        for name, mode in implied_locks.implied(sql):
            oid, title = self._resolved(name)
            known = self.known.get(oid)
            found[oid, title, known.kind if known else "r", mode] = None
            table = self.known.get(known.table) if known else None
            if known is not None and table is not None and known.kind in "iI" and not _ALTERS.match(sql):
                # An index is dropped and built under a lock on its table.
                builds = mode == implied_locks.ACCESS_EXCLUSIVE and not _DROPS.match(sql)
                found[known.table, table.name, table.kind, implied_locks.SHARE if builds else mode] = None
        return tuple(found)

    def _resolved(self, name: str) -> tuple[int, str]:
        """Oid and name as the record has it; without a schema it is the public one's, or the only one of that name."""
        parts = [
            part[1:-1].replace('""', '"') if part[0] == '"' else part.lower() for part in implied_locks.parts(name)
        ]
        title = ".".join(quoted(part) for part in parts)
        ends = f".{quoted(parts[-1])}"
        same = [oid for oid, each in self.known.items() if each.name == title or each.name.endswith(ends)]
        if len(parts) == 1:
            title = f"public.{title}"
        exact = [oid for oid in same if self.known[oid].name == title]
        oid = exact[0] if exact else same[0] if len(parts) == 1 and len(same) == 1 else 0
        return oid, self.known[oid].name if oid else title

    # -- what goes on

    def began(self, backend: int, *, autocommit: bool) -> None:
        """A statement begins in the server's process `backend`."""
        with self._condition:
            self._running = _Running(backend=backend, autocommit=autocommit, began=time.monotonic())
            if self._thread is None and backend and not self._refused:
                self._thread = threading.Thread(target=self._sample, name="neontest-locks", daemon=True)
                self._thread.start()
            elif autocommit:
                self._condition.notify()

    def ended(self) -> Sampled:
        """That statement has ended; what was seen of it."""
        with self._condition:
            running, self._running = self._running, None
        return running.sampled if running is not None else Sampled()

    def close(self) -> None:
        """End the thread and its connection; the other one is not ours to close."""
        with self._condition:
            self._closed = True
            self._condition.notify()
        if self._thread is not None:
            self._thread.join(1.0)
        if self._mine is not None:
            with suppress(psycopg2.Error):
                self._mine.close()

    def _sample(self) -> None:
        while not self._refused:
            with self._condition:
                running = self._running
                wait = OFTEN if running is not None and running.autocommit else SELDOM
                if running is None or not running.autocommit or running.looks:
                    self._condition.wait(wait)
                if self._closed:
                    return
                running = self._running
            if running is None or not (running.autocommit or time.monotonic() - running.began > SELDOM):
                continue
            running.looks += 1
            try:
                self._look(running)
            except (psycopg2.Error, DatabaseError, OSError):
                self._refused = True

    def _look(self, running: _Running) -> None:
        if self._mine is None:
            self._mine = connect(self._url)
        with self._mine.cursor() as cursor:
            cursor.execute(_LOCKS, (running.backend,))
            found = cursor.fetchall()
        with self._condition:
            if running is not self._running:
                return  # it ended meanwhile: these may be the next one's
            now = 0.0
            for oid, schema, name, kind, mode, waited, granted in found:
                if not granted:
                    now = max(now, waited or 0.0)
                if name is not None and running.autocommit:
                    running.sampled.locks[oid, f"{quoted(schema)}.{quoted(name)}", kind, mode] = None
            if now < running.waiting:
                running.waiting = 0.0
            running.sampled.waited += max(0.0, now - running.waiting)
            running.waiting = now


def _estimated(tuples: float, pages: int, size: int) -> int | None:
    """Rows by the statistics and today's size, as the planner reckons; None where there are none."""
    if size == 0:
        return 0
    if tuples < 0 or pages == 0:
        return None
    return round(tuples / pages * (size / PAGE))


def _strict(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
