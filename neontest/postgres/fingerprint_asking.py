"""How fingerprints are asked for: with their settings, in the time that there is, and some at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Protocol, TypeVar

import psycopg2

from neontest.errors import DatabaseError
from neontest.postgres.connect import SLOW, Connection
from neontest.postgres.fingerprint_sql import SETTINGS, numbers, together_sql
from neontest.postgres.set_up import selected
from neontest.stop import Deadline

LEAST: Final = 0.05
"""Seconds without which no table is begun."""
_LOCKED: Final = 10_000
"""Milliseconds to wait for a lock; a migration's forgotten transaction may hold it for ever."""
_MOST: Final = 2_000_000
"""Seconds; a setting takes no more than 2^31 milliseconds."""

OVER: Final = "the time for reading rows was over"
WHY: Final = {
    "57014": OVER,
    "42501": "this role may not read all of its rows",
    "42P01": "it was dropped meanwhile",
    "55P03": "it is locked by another session",
}
"""By SQLSTATE. The server's own words may quote values."""
_HASTY: Final = 1.0
"""Seconds for a query that can be asked in another way as well; but no more than an eighth of those that are left."""
_TOGETHER: Final = 10
"""Small tables that are read by one query: far from the database a round trip takes longer than their rows. With more,
or with more columns, such a query takes longer than one a table where the database is near."""
_WIDE: Final = 200
"""Columns that they have together."""
SMALL: Final = 2 << 20
"""Bytes that they have together."""


class Part(Protocol):
    """Something that one query, of numbers alone, may answer at once with others'."""

    ahead: Sequence[tuple[Any, ...]] | None
    """What the query answered."""

    @property
    def small(self) -> bool:
        """It is worth it."""

    @property
    def bytes(self) -> int: ...

    @property
    def columns(self) -> int: ...

    def first(self) -> str:
        """That query."""


AnyPart = TypeVar("AnyPart", bound=Part)


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
    with conn.cursor() as cursor:
        # One simple query is one transaction, and the settings end with it.
        cursor.execute(f"SELECT {selected(settings, local=True)}; {sql}")
        return cursor.fetchall()


def why(code: str) -> str:
    """What a SQLSTATE means for who asked."""
    return WHY.get(code, f"the server refused ({code})")


def batches(parts: Iterable[AnyPart]) -> Iterator[list[AnyPart]]:
    """All of them, the smallest first as they come: small ones some at a time, others by themselves."""
    batch: list[AnyPart] = []
    size = columns = 0
    for part in parts:
        size, columns = size + part.bytes, columns + part.columns
        if batch and (not part.small or len(batch) == _TOGETHER or columns > _WIDE or size > SMALL):
            yield batch
            batch, size, columns = [], part.bytes, part.columns
        batch.append(part)
        if not part.small:
            yield batch
            batch, size, columns = [], 0, 0
    if batch:
        yield batch


def read_together(conn: Connection, batch: Sequence[Part], deadline: Deadline) -> bool:
    """Ask for these at once; where that fails, as for one that may not be read, each asks by itself afterwards.

    Returns:
        Whether that is worth trying for others, too: not where time is what was missing.
    """
    found: list[list[tuple[int | None, ...]]] = [[] for _ in batch]
    try:
        sql = together_sql([part.first() for part in batch])
        for number, row in asked(conn, sql, min(_HASTY, deadline.left() / 8)):
            found[number].append(numbers(row))
    except TimeoutError:
        return False
    except psycopg2.Error as error:
        if conn.closed:
            raise DatabaseError("the connection was lost while rows were read") from error
        return error.pgcode not in SLOW
    for part, rows in zip(batch, found, strict=True):
        part.ahead = rows
    return True
