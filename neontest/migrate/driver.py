"""The drivers below SQLAlchemy: what they know, and a question of ours that no event tells of.

A part of `worker`, so it runs in the project's interpreter too: Python 3.8, SQLAlchemy 1.3.24 to 2.1, nothing of ours.
"""

# ruff: noqa: UP006, UP035, UP045
from __future__ import annotations

import codecs
import contextlib
import sys
from typing import Any, Dict, List, Optional

IDLE, OPEN, FAILED = 0, 2, 3
"""A transaction's states, as libpq has them."""

NAMES: Dict[Any, str] = {}
"""Drivers by their classes of connections."""


class Driver:
    """The driver's own connection, asked for what it knows without a round trip."""

    def __init__(self, connection: Any) -> None:
        pooled = connection.connection
        self._adapter: Any = getattr(pooled, "dbapi_connection", None) or pooled.connection
        self._raw: Any = getattr(self._adapter, "driver_connection", None) or self._adapter
        self._name = NAMES.get(type(self._raw)) or named(type(self._raw))
        self.simple = self._name in ("psycopg2", "psycopg")
        """Sends a text without parameters as it is, be it several statements."""

    @property
    def status(self) -> Optional[int]:
        """Of the transaction, as the server said last; None where the driver does not tell."""
        if self.simple:
            return int(self._raw.info.transaction_status)
        if self._name == "asyncpg":
            return OPEN if self._raw.is_in_transaction() else IDLE
        inside = getattr(self._raw, "in_transaction", getattr(self._raw, "_in_transaction", None))
        return None if inside is None else OPEN if inside else IDLE

    @property
    def autocommit(self) -> bool:
        if self._name == "asyncpg":
            return getattr(self._adapter, "isolation_level", None) == "autocommit"
        # psycopg2 does not begin another transaction after a COMMIT by hand.
        by_hand = self._name == "psycopg2" and self._raw.status == 2 and self.status == IDLE
        return bool(getattr(self._raw, "autocommit", False)) or by_hand

    @property
    def backend(self) -> int:
        """The server's process."""
        found = getattr(getattr(self._raw, "info", None), "backend_pid", 0)
        return int(self._raw.get_server_pid() if self._name == "asyncpg" else found)

    def rows(self, sql: str) -> List[str]:
        """The lines that a query gives, in one round trip where the driver can."""
        if self._name == "psycopg":
            result = self._raw.pgconn.exec_(sql.encode())
            if result.status != 2:
                raise RuntimeError(result.error_message.decode("utf-8", "replace"))
            return [result.get_value(row, 0).decode() for row in range(result.ntuples)]
        if self._name == "psycopg2":  # a project's own cursors may log, or give dictionaries
            cursor = self._raw.cursor(cursor_factory=sys.modules["psycopg2.extensions"].cursor)
        else:
            cursor = self._adapter.cursor()
        cursor.execute(sql)
        found = [str(row[0]) for row in cursor.fetchall()]
        cursor.close()
        return found


def named(kind: Any) -> str:
    """The driver that a class of connections is from, be it a project's own; "" for an unknown one."""
    modules = [each.__module__.partition(".")[0] for each in kind.__mro__]
    found = [name for name in ("psycopg2", "psycopg", "asyncpg", "pg8000") if name in modules]
    NAMES[kind] = found[0] if found else ""
    return NAMES[kind]


def decoded(text: bytes, encoding: str) -> str:
    """A name of a database in this encoding, as Postgres calls it."""
    if encoding != "UTF8":
        for name in (encoding, encoding.replace("WIN", "cp"), encoding.replace("KOI8", "koi8_")):
            with contextlib.suppress(LookupError):
                return text.decode(codecs.lookup(name).name, "replace")
    return text.decode("utf-8", "replace")
