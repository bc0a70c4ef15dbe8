"""A second connection to where the first one leads, which is asked for rows while that one is asked for others.

It is made, and asked, without being waited for; whatever fails on it only means that there is none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

import psycopg2
import psycopg2.extensions

from neontest.errors import DatabaseError
from neontest.postgres.asked import Asked
from neontest.postgres.connect import Connection, begun, driven

PATIENCE: Final = 1.0
"""Seconds."""
TURN: Final = 0.05
"""Seconds between two looks whether the first connection has answered."""


class Second:
    """Not for several threads at once."""

    def __init__(self, url: str, setup: str, expected: Sequence[object]) -> None:
        """Begin to connect. `setup` is run first; its last answer has to be the `expected` row, and its own process."""
        self._setup, self._expected = setup, tuple(expected)
        self._prepared = Asked()
        self._conn: Connection | None = None
        self._cursor: psycopg2.extensions.cursor | None = None
        self.backend: int | None = None
        """The server's process, once it is there and as long as it is."""
        self._begun = 0.0
        self.asked = False
        """There is an answer to come that nobody has taken yet."""
        with suppress(DatabaseError):
            self._conn = begun(url)

    def ready(self, seconds: float = 0.0) -> bool:
        """Whether it is there, after at most so many seconds; goes on with making it."""
        if self._conn is None or self.backend is not None:
            return self.backend is not None
        until = time.monotonic() + seconds
        try:
            driven(self._conn, until)
            if self._cursor is None:
                self._cursor = self._conn.cursor()
                self._cursor.execute(self._setup)
                driven(self._conn, until)
            *found, backend = self._cursor.fetchone() or (None,)
            if tuple(found) == self._expected:
                self.backend = backend
        except TimeoutError:
            return False
        except psycopg2.Error:
            pass
        if self.backend is None:
            self.close()
        return self.backend is not None

    def ask(self, key: str, query: str) -> None:
        """Send a query, as of `Asked.text`, if it is there and has nothing to answer."""
        if self.backend is not None and self._cursor is not None and not self.asked:
            try:
                self._cursor.execute(self._prepared.text(self._cursor, key, query))
                self.asked, self._begun = True, time.monotonic()
            except psycopg2.Error:
                self.close()

    def rows(self, answered: Callable[[], bool] = lambda: True) -> list[Any] | None:
        """The answer to what was asked; None where there is none.

        Once the first connection has `answered`, it is waited for once more as long as it has taken, and a second.
        """
        if self._conn is None or self._cursor is None or not self.asked:
            return None
        self.asked = False
        try:
            while not answered():
                with suppress(TimeoutError):
                    driven(self._conn, time.monotonic() + TURN)
                    break
            now = time.monotonic()
            driven(self._conn, now + (now - self._begun) + PATIENCE)
            rows = self._cursor.fetchall()
        except psycopg2.Error:
            if self._conn.closed:
                self.close()
            return None
        except BaseException as error:
            self.close()  # it still runs: the next answer would be this one's
            if isinstance(error, TimeoutError):
                return None
            raise
        self._prepared.answered()
        return rows

    @contextmanager
    def attended(self) -> Iterator[None]:
        """An answer that nobody has taken when the block ends is lost: one that waits keeps its transaction open."""
        try:
            yield
        except BaseException as error:
            if not isinstance(error, psycopg2.Error):
                self.close()
            raise
        finally:
            self.rows()

    def close(self) -> None:
        """There is none any more."""
        conn, self._conn, self.backend, self.asked = self._conn, None, None, False
        if conn is not None:
            with suppress(psycopg2.Error):
                conn.close()
