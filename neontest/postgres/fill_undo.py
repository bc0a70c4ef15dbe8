# ruff: noqa: S608 - the SQL is put together from quoted identifiers and numbers
"""Invented rows taken away again, so that a database is as it was without them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import psycopg2

from neontest.errors import DatabaseError
from neontest.postgres.connect import Connection, mapped
from neontest.postgres.fill_model import INSERT, UPDATE
from neontest.postgres.fill_session import Cursor
from neontest.postgres.prepared import execute

TRUNCATE: Final = 32
"""A bit of pg_trigger.tgtype."""
PATIENCE: Final = "2s"
"""For locks: nobody else should be at work on the branch."""
_NAMES: Final = """
SELECT c.oid, pg_catalog.format('%%I.%%I', n.nspname, c.relname), c.relkind = 'p'
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = ANY(%s::oid[]) AND c.relkind IN ('r', 'p')
"""
_REFERRING: Final = """
WITH RECURSIVE referring(oid) AS (
  SELECT pg_catalog.unnest(%s::oid[])
  UNION SELECT k.conrelid FROM pg_catalog.pg_constraint k JOIN referring r ON k.confrelid = r.oid WHERE k.contype = 'f'
)
SELECT oid FROM referring
"""
_PARTS: Final = """
SELECT c.oid, c.relkind = 'r', EXISTS (SELECT FROM pg_catalog.pg_trigger g WHERE g.tgrelid = c.oid
  AND NOT g.tgisinternal AND g.tgenabled IN ('O', 'A') AND g.tgtype::int & %s <> 0), t.isleaf
FROM pg_catalog.unnest(%s::oid[]) root CROSS JOIN LATERAL pg_catalog.pg_partition_tree(root::regclass) t
JOIN pg_catalog.pg_class c ON c.oid = t.relid
"""
_HEARS: Final = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_trigger g WHERE g.tgrelid = ANY(%s::oid[])
  AND NOT g.tgisinternal AND g.tgenabled IN ('O', 'A') AND g.tgtype::int & %s <> 0)
"""
_SEQUENCES: Final = """
SELECT c.oid::int8, pg_catalog.format('%I.%I', n.nspname, c.relname),
  pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_sequence_privilege(c.oid, 'SELECT')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE CASE c.relkind WHEN 'S' THEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT, USAGE') END
  AND c.relpersistence <> 't'
"""

Position = tuple[int | None, bool | None]
"""A sequence's number, and whether it was given; of one that may not be read, the last that was given, and None."""
Sequences = Mapping[int, Position]
"""Where each stands, by oid."""


def sequences(conn: Connection) -> Sequences:
    """Where the sequences are that the role may use."""
    with mapped("cannot read the sequences"), conn.cursor() as cursor:
        execute(cursor, _SEQUENCES)
        return _stand(cursor)


def parts(conn: Connection, roots: Collection[int]) -> tuple[frozenset[int], bool]:
    """The tables that have the rows of these partitioned ones, and whether writing to them may write elsewhere."""
    if not roots:
        return frozenset(), False
    with mapped("cannot read the partitions"), conn.cursor() as cursor:
        cursor.execute(_PARTS, (INSERT | UPDATE, list(roots)))
        found = cursor.fetchall()
    acts = any(acts or (leaf and not plain) for _, plain, acts, leaf in found)
    return frozenset(oid for oid, plain, _, _ in found if plain), acts


def withdraw(conn: Connection, own: Collection[int], before: Sequences) -> bool:
    """Empty the tables of these oids, and set the sequences to where they were; False where that cannot be done.

    All rows of these tables have to be invented ones, and none of them partitioned: what was attached since has other
    rows. Then no row was changed, where it cannot be done.

    Raises:
        DatabaseError: the connection is lost.
    """
    try:
        with conn.cursor() as cursor:
            cursor.execute(f"BEGIN; SET LOCAL lock_timeout = '{PATIENCE}'; SET LOCAL row_security = off")
            possible = _emptied(cursor, own)
            if possible:
                _set_back(cursor, before)
            cursor.execute("COMMIT" if possible else "ROLLBACK")
            return possible
    except psycopg2.Error as error:
        if conn.closed:
            raise DatabaseError("the connection was lost while invented rows were taken away") from error
        with mapped("cannot undo a transaction"), conn.cursor() as cursor:
            cursor.execute("ROLLBACK")
        return False


def _emptied(cursor: Cursor, own: Collection[int]) -> bool:
    """Empty them all in one statement, with the tables that refer to them, which must have no rows."""
    cursor.execute(_REFERRING, (list(own),))
    cursor.execute(_NAMES, ([oid for (oid,) in cursor.fetchall()],))
    names = {oid: name if partitioned else f"ONLY {name}" for oid, name, partitioned in cursor.fetchall()}
    others = [name for oid, name in names.items() if oid not in own]
    if others:
        cursor.execute("SELECT " + " OR ".join(f"EXISTS (SELECT FROM {name})" for name in others))
        if cursor.fetchone() != (False,):
            return False
    if names:
        cursor.execute(_HEARS, (list(names), TRUNCATE))
        if cursor.fetchone() != (False,):
            return False
        cursor.execute(f"TRUNCATE {', '.join(names.values())}")
    return True


def _stand(cursor: Cursor) -> Sequences:
    """Where those are that were just listed."""
    asked = [
        f"SELECT {oid}::int8, last_value, is_called FROM {name}"
        if readable
        else f"SELECT {oid}::int8, pg_catalog.pg_sequence_last_value({oid}::oid), NULL"
        for oid, name, readable in cursor.fetchall()
    ]
    if not asked:
        return {}
    cursor.execute(" UNION ALL ".join(asked))
    return {oid: (last, called) for oid, last, called in cursor.fetchall()}


def _set_back(cursor: Cursor, before: Sequences) -> None:
    """Raises psycopg2.Error where the role may not."""
    cursor.execute(_SEQUENCES)
    for oid, now in _stand(cursor).items():
        last, called = before.get(oid, now)
        if (last, called) != now:
            cursor.execute("SELECT pg_catalog.setval(%s::oid::regclass, %s, %s)", (oid, last, called))
            if cursor.fetchone() == (None,):
                raise psycopg2.ProgrammingError("the sequence cannot be read")
