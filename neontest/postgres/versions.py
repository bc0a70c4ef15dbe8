# ruff: noqa: S608 - names are quoted by the server
"""Alembic's version tables: what they hold, and whether a visit moved them as Alembic meant it to."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Final

import psycopg2
import psycopg2.extensions

from neontest.errors import DatabaseError
from neontest.postgres.connect import SLOW, Connection, mapped

Cursor = psycopg2.extensions.cursor
VersionTables = tuple[tuple[str, tuple[str, ...]], ...]
"""Alembic's version tables: (qualified name, revisions) each, in order."""

_LONGEST: Final = 1.0
"""Seconds that it may take to see where a visit led."""
_SOON: Final = 0.05
"""Seconds with which nobody begins."""

_LISTED: Final = """
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), NULL
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND NOT starts_with(n.nspname::text, 'pg_')
GROUP BY n.nspname, c.relname, c.oid
HAVING count(*) = 1 AND min(a.attname::text) = 'version_num'
"""


def version_tables(conn: Connection, like: VersionTables = (), *, seconds: float | None = None) -> VersionTables:
    """Alembic's version tables with what is in them: every table whose only column is version_num.

    One round trip where those of `like` are all that there are; else another one. `seconds`: for each.
    """
    known: Collection[str] = [name for name, _ in like]
    with mapped("cannot read the version table"), conn.cursor() as cursor:
        try:
            found = _held(cursor, known, seconds)
        except psycopg2.Error as error:
            # Something else has their names by now, or nothing.
            if not known or conn.closed or error.pgcode in SLOW:
                raise
            known, found = (), _held(cursor, (), seconds)
        if not found.keys() <= set(known):
            known, found = tuple(found), _held(cursor, found, seconds)
    return tuple((name, tuple(sorted(found[name]))) for name in sorted(found) if name in known)


def _held(cursor: Cursor, known: Collection[str], seconds: float | None) -> dict[str, list[str]]:
    """All version tables, and of those that are known what they hold."""
    contents = [f"SELECT %s, version_num::text FROM {_escaped(name)} WHERE version_num IS NOT NULL" for name in known]
    limit = (
        ""
        if seconds is None
        else "".join(f"SET LOCAL {name} = {seconds * 1000:.0f}; " for name in ("lock_timeout", "statement_timeout"))
    )
    cursor.execute(limit + " UNION ALL ".join([_LISTED, *contents]), [*known] or None)
    rows = cursor.fetchall()
    found: dict[str, list[str]] = {name: [] for name, revision in rows if revision is None}
    for name, revision in rows:
        if revision is not None and name in found:
            found[name].append(revision)
    return found


class Versions:
    """What the version tables of one branch hold, followed from visit to visit."""

    def __init__(self, conn: Connection, held: VersionTables) -> None:
        self._conn, self._held = conn, held

    def moved(self, before: Sequence[str], after: Sequence[str], *, seconds: float) -> bool:
        """Whether the only version table there is has gone from these revisions to those since it was last looked at.

        False where it has not, and where that is not so plain, as with several, or where it is locked for longer than
        so many seconds: then env.py has to say.
        """
        if set(before) == set(after) or seconds < _SOON:
            return False
        with suppress(DatabaseError):
            was, self._held = self._held, version_tables(self._conn, self._held, seconds=min(seconds, _LONGEST))
            return _revisions(was) == set(before) and _revisions(self._held) == set(after)
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
