"""What the source is, asked of it in one read-only transaction: version, revisions, tables, sizes, extensions."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import msgspec
from psycopg2.errors import LockNotAvailable

from neontest.errors import CouldNotTest, DatabaseError, UsageError
from neontest.postgres.connect import Connection, connect, mapped, place
from neontest.postgres.versions import version_tables

LOCK_SECONDS: Final = 5
"""How long the source's locks are waited for: who waits in that queue makes others wait behind it."""
LOCKED: Final = f"somebody has locked what is to be read for longer than {LOCK_SECONDS} s"
WAIT_FOR_IT: Final = "try again when that transaction has ended; pg_locks of the source shows it"
OLDEST: Final = 12
"""The oldest source that is understood."""
CONNECT_SECONDS: Final = 15.0

_SETTINGS: Final = {
    "default_transaction_read_only": "on",
    "lock_timeout": f"{LOCK_SECONDS}s",
    "idle_in_transaction_session_timeout": "0",
    "search_path": "pg_catalog",
}
_TABLES: Final = """
    SELECT c.oid::int8, n.nspname::text, c.relname::text, quote_ident(n.nspname) || '.' || quote_ident(c.relname),
        CASE WHEN c.relkind = 'r' THEN pg_table_size(c.oid) ELSE 0 END, greatest(c.reltuples, 0)::int8, c.relkind = 'p',
        ARRAY(SELECT DISTINCT k.confrelid::int8 FROM pg_constraint k
              WHERE k.conrelid = c.oid AND k.contype = 'f' AND k.confrelid <> c.oid),
        (SELECT o.nspname::text || '.' || r.relname::text FROM pg_class r JOIN pg_namespace o ON o.oid = r.relnamespace
         WHERE c.relispartition AND r.oid = pg_partition_root(c.oid))
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname <> 'information_schema'
        AND NOT starts_with(n.nspname::text, 'pg_')
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                        AND d.deptype = 'e')
    ORDER BY 2, 3
"""
_ALL: Final = "SELECT sum(pg_relation_size(oid)) FROM pg_class WHERE relkind IN ('S', 'v', 'm')"
"""Each is locked for a moment: pg_dump waits for them without a limit."""
_LOCKS: Final = """
    SELECT DISTINCT quote_ident(n.nspname) || '.' || quote_ident(c.relname)
    FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE l.mode = 'AccessExclusiveLock' AND l.granted AND c.relkind NOT IN ('i', 'I', 't')
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    ORDER BY 1 LIMIT 5
"""


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table of the source."""

    oid: int
    schema: str
    bare: str
    name: str
    """Qualified, and quoted where it has to be."""
    size: int
    """Bytes, without indexes; of a partitioned table none."""
    rows: int
    """As the source's statistics have it."""
    partitioned: bool = False
    refers: tuple[int, ...] = ()
    root: str | None = None
    """The partitioned table that this is a partition of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The source at one moment."""

    version: str
    major: int
    version_tables: tuple[tuple[str, tuple[str, ...]], ...] = ()
    tables: tuple[Table, ...] = ()
    chosen: tuple[Table, ...] = ()
    """Those whose rows are copied."""
    extensions: tuple[str, ...] = ()
    tls: bool = False
    """Whether it was reached by TLS."""
    snapshot: str = field(default="", repr=False)
    release: Callable[[], None] = field(default=lambda: None, repr=False, compare=False)
    """Ends the snapshot, once all has been read: the source cleans up nothing that is newer."""

    @property
    def size(self) -> int:
        return sum(each.size for each in self.chosen)


@contextmanager
def surveyed(url: str, patterns: Sequence[str], limit: int) -> Iterator[Source]:
    """The source; what it says of itself stays true for who imports its snapshot, until the end of the block.

    Raises:
        DatabaseError: it cannot be reached or read.
        CouldNotTest: it is too old, or somebody has locked a part of it.
        UsageError: its rows are larger than `limit` bytes, or the patterns name what is not there.
    """
    connection = connect(url, timeout=CONNECT_SECONDS)
    try:
        with mapped(f"the source, {place(url)}, cannot be read"), connection.cursor() as cursor:
            settings = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in _SETTINGS.items())
            cursor.execute(f"SELECT {settings}")
            cursor.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            source = looked_at(connection, patterns)
        except DatabaseError as error:
            if isinstance(error.__cause__, LockNotAvailable):
                raise CouldNotTest(f"the source cannot be read: {locked(connection)}", hint=WAIT_FOR_IT) from error
            raise
        refuse_large(source, limit)
        yield source
    finally:
        connection.close()


def looked_at(connection: Connection, patterns: Sequence[str]) -> Source:
    if connection.server_version < OLDEST * 10_000:
        raise CouldNotTest(
            f"the source is Postgres {connection.server_version // 10_000}, older than {OLDEST}",
            hint="fill the local parent with --prepare",
        )
    with mapped("the source cannot be read"), connection.cursor() as cursor:
        cursor.execute(_TABLES)
        tables = tuple(
            Table(
                oid=oid, schema=schema, bare=bare, name=name, size=size, rows=rows, partitioned=partitioned,
                refers=tuple(refers), root=root,
            )
            for oid, schema, bare, name, size, rows, partitioned, refers, root in cursor.fetchall()
        )  # fmt: skip
        cursor.execute(_ALL)
        cursor.execute("SELECT extname::text FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY 1")
        extensions = tuple(name for (name,) in cursor.fetchall())
        cursor.execute("SELECT pg_export_snapshot(), current_setting('server_version')")
        snapshot, version = cursor.fetchone() or ("", "")
    versions = version_tables(connection)
    return Source(
        version=str(version).split()[0],
        major=connection.server_version // 10_000,
        version_tables=versions,
        tables=tables,
        chosen=chosen(tables, patterns, {name for name, _ in versions}),
        extensions=extensions,
        tls=connection.info.ssl_in_use,
        snapshot=snapshot,
        release=connection.close,
    )


def locked(connection: Connection) -> str:
    """What others have locked, so that nobody may read it."""
    with mapped("the source cannot be asked for its locks"), connection.cursor() as cursor:
        cursor.execute("ROLLBACK")
        cursor.execute(_LOCKS)
        names = ", ".join(name for (name,) in cursor.fetchall())
    return f"somebody has locked {names} for longer than {LOCK_SECONDS} s" if names else LOCKED


def chosen(tables: Sequence[Table], patterns: Sequence[str], always: set[str]) -> tuple[Table, ...]:
    """The tables that a pattern names (`users`, `billing.*`, `log_*`), and version tables; all where there is none.

    Raises:
        UsageError: a pattern names nothing, or a table is left out that one of them refers to.
    """
    if not patterns:
        return tuple(tables)
    names: set[str] = set()
    for pattern in patterns:
        hits = {each.name for each in tables if fits(each, pattern)}
        if not hits:
            raise UsageError(
                f'--tables: the source has no table "{pattern}"', hint="names, or patterns such as app.log_*"
            )
        names |= hits
    found = tuple(each for each in tables if each.name in names | always)
    known, by_oid = {each.oid for each in found}, {each.oid: each for each in tables}
    for each in found:
        left_out = sorted(by_oid[oid].name for oid in each.refers if oid in by_oid and oid not in known)
        if left_out:
            raise UsageError(
                f"--tables: {each.name} refers to rows of {', '.join(left_out)}, which is left out",
                hint=f"add {left_out[0]}, or leave {each.name} out",
            )
    return found


def fits(table: Table, pattern: str) -> bool:
    """The pattern names the table, or the one that it is a partition of."""
    whole = pattern if "." in pattern else f"*.{pattern}"
    names = (f"{table.schema}.{table.bare}", table.root or "")
    return any(fnmatch.fnmatchcase(each, whole) for each in names)


def refuse_large(source: Source, limit: int) -> None:
    if source.size > limit:
        largest = max(source.chosen, key=lambda each: each.size)
        raise UsageError(
            f"the source has {sized(source.size)} of rows to copy, above the limit of {sized(limit)};"
            f" the largest table is {largest.name} with {sized(largest.size)}",
            hint="raise --from-limit, or name the tables whose rows you need with --tables",
        )


def sized(count: int) -> str:
    """Bytes as a person says them."""
    for unit, name in ((1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "kB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} bytes"
