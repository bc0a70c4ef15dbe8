# ruff: noqa: S608 - names are quoted, everything else is numbers
"""Where sequences stand."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence as Rows
from typing import Any, Final

import psycopg2

from neontest.errors import DatabaseError
from neontest.postgres.connect import SLOW, Connection
from neontest.postgres.data import Read
from neontest.postgres.fingerprint_asking import LEAST, OVER, asked, why
from neontest.postgres.fingerprint_model import SequenceValue
from neontest.postgres.fingerprint_sql import identifier
from neontest.postgres.fingerprint_tables import Sequence, listed
from neontest.stop import Deadline

_ATTEMPTS: Final = 3
_FEW: Final = 50
"""Sequences that are asked for together with tables: the plan for many takes longer than a round trip."""
_DENIED: Final = "42501"
_FINAL: Final = (_DENIED, *SLOW)
"""SQLSTATEs of what would not go better at once."""


class Standing:
    """The reading of where these sequences stand."""

    bytes = 0

    def __init__(self, conn: Connection, sequences: tuple[Sequence, ...], deadline: Deadline) -> None:
        self._conn, self._sequences, self._deadline = conn, sequences, deadline
        self._usable = all(each.usable for each in sequences)
        self.small, self.columns = self._usable and len(sequences) <= _FEW, len(sequences)
        self.ahead: Rows[tuple[Any, ...]] | None = None
        self.values: tuple[SequenceValue, ...] | None = None if sequences else ()
        """None where that was not, or could not be, found out."""

    def first(self) -> str:
        """A query for oids, last values, and whether those were given: numbers all."""
        return " UNION ALL ".join(
            f"SELECT {each.oid}::int8, last_value, is_called::int"
            f" FROM {identifier(each.schema)}.{identifier(each.relation)}"
            for each in self._sequences
        )

    def read(self) -> Read | None:
        """Find it out; or why that cannot be.

        Raises:
            DatabaseError: the connection was lost, or the catalogs could not be read again.
        """
        if not self._usable:
            return Read(table="sequences", how="not", why=why(_DENIED))
        reason = OVER
        for attempt in range(_ATTEMPTS):
            if self._deadline.left() < LEAST:
                break
            if attempt:  # one may have been dropped meanwhile
                self._sequences, self.ahead = listed(self._conn, ()).sequences, None
            try:
                rows = self.ahead
                if rows is None:
                    rows = asked(self._conn, self.first(), self._deadline.left()) if self._sequences else ()
            except psycopg2.Error as error:
                if self._conn.closed or error.pgcode is None:
                    raise DatabaseError("the connection was lost while sequences were read") from error
                reason = why(error.pgcode)
                if error.pgcode in _FINAL:
                    break
            except TimeoutError:
                reason = OVER
            else:
                self.values = tuple(self._values(rows))
                return None
        return Read(table="sequences", how="not", why=reason)

    def _values(self, rows: Iterable[tuple[Any, ...]]) -> Iterable[SequenceValue]:
        about = {each.oid: each for each in self._sequences}
        for oid, last, called in sorted(rows):
            each = about[oid]
            yield SequenceValue(oid=oid, name=each.name, last=last, called=bool(called), increment=each.increment)
