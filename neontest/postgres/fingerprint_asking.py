"""How fingerprints are asked for: with their settings, and in the time that there is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from neontest.postgres.connect import Connection
from neontest.postgres.fingerprint_sql import SETTINGS

LEAST: Final = 0.05
"""Seconds without which no table is begun."""
_LOCKED: Final = 10_000
"""Milliseconds to wait for a lock; a migration's forgotten transaction may hold it for ever."""
_MOST: Final = 2_000_000
"""Seconds; a setting takes no more than 2^31 milliseconds."""


def asked(conn: Connection, sql: str, seconds: float, *, workers: int = 0) -> Sequence[tuple[Any, ...]]:
    """The result of a query in a transaction of its own, with the settings that it needs and so much time.

    Raises:
        TimeoutError: there is none left; what the server cannot finish in time is a psycopg2.Error.
    """
    if seconds < LEAST:
        raise TimeoutError
    milliseconds = 0 if seconds > _MOST else int(seconds * 1000)
    settings = SETTINGS | {
        "statement_timeout": str(milliseconds),
        "lock_timeout": str(min(milliseconds or _LOCKED, _LOCKED)),
        "max_parallel_workers_per_gather": str(workers),
    }
    local = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in settings.items())
    with conn.cursor() as cursor:
        # One simple query is one transaction, and the settings end with it.
        cursor.execute(f"SELECT {local}; {sql}")
        return cursor.fetchall()
