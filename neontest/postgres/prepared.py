"""Questions that are asked again and again of the same catalogs: planned once for each connection."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from typing import Any

import psycopg2.errors
import psycopg2.extensions


@cache
def _name(sql: str) -> str:
    return "neontest_" + hashlib.sha256(sql.encode()).hexdigest()[:16]


def execute(cursor: psycopg2.extensions.cursor, sql: str, types: str = "", values: Sequence[Any] = ()) -> None:
    """Run one statement, whose parameters are `$1`, `$2`, … of these types (`oid[], text[]`); in autocommit only.

    Planning some of what neontest asks of the catalogs takes longer than the answer.

    Raises:
        psycopg2.Error: the server's, as from `cursor.execute`.
    """
    name = _name(sql)
    call = f"EXECUTE {name}" + (f"({', '.join(['%s'] * len(values))})" if values else "")
    try:
        cursor.execute(call, values or None)
    except psycopg2.errors.InvalidSqlStatementName:
        cursor.execute(f"PREPARE {name}{f'({types})' if types else ''} AS {sql}")
        cursor.execute(call, values or None)
