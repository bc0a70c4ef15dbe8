# ruff: noqa: S608 - names are quoted by the server
"""Alembic's version tables: what they hold, and whether a visit moved them as Alembic meant it to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from contextlib import suppress

import psycopg2.errors

from neontest.errors import DatabaseError
from neontest.postgres.connect import Connection, mapped

VersionTables = tuple[tuple[str, tuple[str, ...]], ...]
"""Alembic's version tables: (qualified name, revisions) each, in order."""

_LISTED = """
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), NULL
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND NOT starts_with(n.nspname::text, 'pg_')
GROUP BY n.nspname, c.relname, c.oid
HAVING count(*) = 1 AND min(a.attname::text) = 'version_num'
"""


def version_tables(conn: Connection, like: VersionTables = ()) -> VersionTables:
    """Alembic's version tables with what is in them: every table whose only column is version_num.

    One round trip where those of `like` are all that there are; else another one.
    """
    known: Collection[str] = [name for name, _ in like]
    with mapped("cannot read the version table"), conn.cursor() as cursor:
        while True:
            contents = [
                f"SELECT %s, version_num::text FROM {_escaped(name)} WHERE version_num IS NOT NULL" for name in known
            ]
            try:
                cursor.execute(" UNION ALL ".join([_LISTED, *contents]), [*known] or None)
            except (psycopg2.errors.UndefinedTable, psycopg2.errors.UndefinedColumn, psycopg2.errors.InvalidSchemaName):
                if not known:
                    raise
                known = ()  # one of them is there no more
                continue
            found = defaultdict[str, set[str | None]](set)
            for name, revision in cursor.fetchall():
                found[name].add(revision)
            tables = sorted(name for name, revisions in found.items() if None in revisions)
            if set(tables) <= set(known):
                return tuple((name, tuple(sorted(each for each in found[name] if each is not None))) for name in tables)
            known = tables


class Versions:
    """What the version tables of one branch hold, followed from visit to visit."""

    def __init__(self, conn: Connection, held: VersionTables) -> None:
        self._conn, self._held = conn, held

    def moved(self, before: Sequence[str], after: Sequence[str]) -> bool:
        """Whether the only version table there is has gone from these revisions to those since it was last looked at.

        False where it has not, and where that is not so plain, as with several: then env.py has to say.
        """
        with suppress(DatabaseError):
            was, self._held = self._held, version_tables(self._conn, self._held)
            return set(before) != set(after) and _revisions(was) == set(before) and _revisions(self._held) == set(after)
        return False


def fill_version_tables(conn: Connection, tables: VersionTables) -> None:
    """Write revisions into version tables, as `version_tables` read them elsewhere; those that are there stay."""
    with mapped("cannot write the version table"), conn.cursor() as cursor:
        for table, revisions in tables:
            for revision in revisions:
                cursor.execute(
                    f"INSERT INTO {_escaped(table)} (version_num) SELECT %s"
                    f" WHERE NOT EXISTS (SELECT FROM {_escaped(table)} WHERE version_num = %s)",
                    [revision, revision],
                )


def _escaped(name: str) -> str:
    """For a query with parameters."""
    return name.replace("%", "%%")


def _revisions(tables: VersionTables) -> set[str] | None:
    """What the only one of them holds; None where there are several."""
    return None if len(tables) > 1 else {revision for _, revisions in tables for revision in revisions}
