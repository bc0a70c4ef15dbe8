"""Questions that are asked again and again of the same catalogs: planned once for each connection."""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import Any

import psycopg2.errors
import psycopg2.extensions


@cache
def _name(sql: str) -> str:
    return "neontest_" + hashlib.sha256(sql.encode()).hexdigest()[:16]


_KNOWN: weakref.WeakKeyDictionary[psycopg2.extensions.connection, set[str]] = weakref.WeakKeyDictionary()
"""What was prepared on each connection, unless somebody has dropped it since."""


def execute(cursor: psycopg2.extensions.cursor, sql: str, types: str = "", values: Sequence[Any] = ()) -> None:
    """Run one statement, whose parameters are `$1`, `$2`, … of these types (`oid[], text[]`); in autocommit only.

    Planning some of what neontest asks of the catalogs takes longer than the answer. One round trip, unless somebody
    has dropped what was prepared.

    Raises:
        psycopg2.Error: the server's, as from `cursor.execute`.
    """
    name, known = _name(sql), _KNOWN.setdefault(cursor.connection, set())
    given = cursor.mogrify(f"({', '.join(['%s'] * len(values))})", values) if values else b""
    call = f"EXECUTE {name}".encode() + given
    if name in known:
        with suppress(psycopg2.errors.InvalidSqlStatementName):
            cursor.execute(call)
            return
    try:
        cursor.execute(f"PREPARE {name}{f'({types})' if types else ''} AS {sql}; ".encode() + call)
    except psycopg2.errors.DuplicatePreparedStatement:  # prepared, and then it failed
        cursor.execute(call)
    known.add(name)
