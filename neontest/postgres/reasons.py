"""Whether rows can be why something failed, by its SQLSTATE: the only place that decides it."""

from __future__ import annotations

from typing import Final

_NEVER: Final = frozenset({"08", "0A", "25", "26", "28", "2B", "3D", "3F", "40", "42", "53", "55", "57", "58"})
"""Classes of what empty tables do not help against: the connection, the text, names, rights, the state of the
transaction, other sessions, a cancellation, the machine."""
PENDING_EVENTS: Final = "55006"
"""A table is altered in a transaction that has written rows to it whose deferred triggers wait."""


def on_rows(sqlstate: str | None) -> bool:
    """Rows can be why. None is an exception of the migration's own code: a guard, or what it made of a value."""
    return sqlstate is None or sqlstate == PENDING_EVENTS or sqlstate[:2] not in _NEVER
