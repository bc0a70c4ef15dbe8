"""Makes a statement that commits on its way wait in its middle, with a part of it done, and cancels it there.

`CREATE INDEX CONCURRENTLY` and its like wait for every transaction that holds a lock on the table, once they have
committed a first part: the new index is in the catalog then, and not valid. Source:
https://www.postgresql.org/docs/18/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY (2026-11)
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Final

import psycopg2

from neontest.errors import DatabaseError
from neontest.postgres.connect import Connection, connect, mapped
from neontest.postgres.implied_locks import split

_NAME: Final = r'((?:"(?:[^"]|"")+"|[^\s"().;,]+)(?:\s*\.\s*(?:"(?:[^"]|"")+"|[^\s"().;,]+))?)'
_TABLE: Final = tuple(
    re.compile(each.replace("NAME", _NAME), re.IGNORECASE)
    for each in (
        r"\s*create\s+(?:unique\s+)?index\s+concurrently\s.*?\bon\s+(?:only\s+)?NAME",
        r"\s*alter\s+table\s+(?:if\s+exists\s+)?(?:only\s+)?NAME\s+detach\s+partition\s.*\bconcurrently\b",
        r"\s*reindex\s+table\s+concurrently\s+NAME",
        r"\s*reindex\s*\([^)]*\bconcurrently\b[^)]*\)\s*table\s+NAME",
    )
)
_INDEX: Final = tuple(
    re.compile(each.replace("NAME", _NAME), re.IGNORECASE)
    for each in (
        r"\s*drop\s+index\s+concurrently\s+(?:if\s+exists\s+)?NAME",
        r"\s*reindex\s+index\s+concurrently\s+NAME",
        r"\s*reindex\s*\([^)]*\bconcurrently\b[^)]*\)\s*index\s+NAME",
    )
)
LOCK_TIMEOUT: Final = "5s"


def waits_in_the_middle(sql: str) -> bool:
    """The statement commits a part of its work, and waits for others' transactions before it goes on."""
    return _named(sql) is not None


def _named(sql: str) -> tuple[str, bool] | None:
    """The relation that the statement works on, as it is written there, and whether that is an index."""
    text = " ".join(next(split(sql), "").split())
    for patterns, is_index in ((_TABLE, False), (_INDEX, True)):
        for pattern in patterns:
            if (found := pattern.match(text)) is not None:
                return found[1], is_index
    return None


class Blocker:
    """A transaction on the table of such a statement, for which it will wait.

    The lock is one that every writer has, and keeps nobody from beginning: a stronger one would be waited for before
    the first part is done.

    Raises:
        DatabaseError: there is no such table, or its lock is not to be had.
    """

    def __init__(self, url: str, sql: str, search_path: str) -> None:
        named = _named(sql)
        if named is None:
            raise DatabaseError("no statement that waits for others in its middle")
        self.cancelled = False
        self._connection = connect(url, autocommit=False)
        try:
            self._lock(*named, search_path)
        except BaseException:
            self.close()
            raise

    def _lock(self, name: str, is_index: bool, search_path: str) -> None:
        with mapped("cannot hold up the statement"), self._connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_backend_pid(), set_config('search_path', %s, true), set_config('lock_timeout', %s, true)",
                (search_path, LOCK_TIMEOUT),
            )
            self._backend, *_ = cursor.fetchone() or (0,)  # what libpq knows is a proxy's
            cursor.execute(
                "SELECT indrelid::regclass::text FROM pg_index WHERE indexrelid = to_regclass(%s)"
                if is_index
                else "SELECT to_regclass(%s)::text",
                (name,),
            )
            row = cursor.fetchone()
            if row is None or row[0] is None:
                raise DatabaseError(f"there is no {name}")
            cursor.execute(f"LOCK TABLE {row[0]} IN ROW EXCLUSIVE MODE")  # as regclass writes it, so quoted

    def cancel(self, backend: int, connection: Connection) -> None:
        """Cancel what `backend` runs if it waits for this transaction, asked for over another connection."""
        with mapped("cannot cancel the statement"), connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_cancel_backend(%(it)s) WHERE %(this)s = ANY (pg_blocking_pids(%(it)s))",
                {"it": backend, "this": self._backend},
            )
            row = cursor.fetchone()
        self.cancelled = row is not None and bool(row[0])

    def close(self) -> None:
        """Let the lock go."""
        with suppress(psycopg2.Error):
            self._connection.rollback()
            self._connection.close()
