# ruff: noqa: S608 - the SQL is put together from quoted identifiers and numbers
"""Invented rows taken away again, so that a database is as it was without them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import psycopg2

from neontest.errors import DatabaseError
from neontest.postgres.connect import Connection, mapped
from neontest.postgres.fill_session import Cursor

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
_SEQUENCES: Final = """
SELECT s.seqrelid, pg_catalog.pg_sequence_last_value(s.seqrelid), s.seqstart
FROM pg_catalog.pg_sequence s JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid
WHERE c.relpersistence <> 't' AND pg_catalog.has_sequence_privilege(s.seqrelid, 'SELECT, USAGE')
"""

Sequences = Mapping[int, int | None]
"""The last number that each gave, by oid; None for one that gave none yet."""


def sequences(conn: Connection) -> Sequences:
    """Where the sequences are that the role may use."""
    with mapped("cannot read the sequences"), conn.cursor() as cursor:
        cursor.execute(_SEQUENCES)
        return {oid: last for oid, last, _ in cursor.fetchall()}


def withdraw(conn: Connection, own: Collection[int], before: Sequences) -> bool:
    """Empty the tables of these oids, and set the sequences to where they were; False where that cannot be done.

    All rows of these tables have to be invented ones. Then nothing was changed, where it cannot be done.

    Raises:
        DatabaseError: the connection is lost.
    """
    try:
        with conn.cursor() as cursor:
            cursor.execute(f"BEGIN; SET LOCAL lock_timeout = '{PATIENCE}'")
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
        cursor.execute(f"TRUNCATE {', '.join(names.values())}")
    return True


def _set_back(cursor: Cursor, before: Sequences) -> None:
    cursor.execute(_SEQUENCES)
    for oid, last, start in cursor.fetchall():
        was = before.get(oid)
        if last != was:
            cursor.execute("SELECT pg_catalog.setval(%s::oid::regclass, %s, %s)", (oid, was or start, was is not None))
