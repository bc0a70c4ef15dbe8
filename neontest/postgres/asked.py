"""Queries that are prepared when they are asked first: planning them takes longer than most answers."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Sequence
from typing import Any, Final

import psycopg2.extensions

FEW: Final = "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_seqscan = off; "
"""For a few of many the indexes are better, which a plan for any number would not use; nor one that was made when there
were not many. Until the end of the statement that comes with it: others read whole tables over this connection."""
_NUMBERS: Final = itertools.count(1)
"""Of prepared statements: after a failure nobody knows whether one is there, so no name is used twice."""


FAR: Final = 0.004
"""Seconds of the fastest answer, with what the server does for it, from which on a database is far away."""
SURE: Final = 3
"""Answers without which nobody can tell."""


class Asked:
    """What is prepared on one connection, by a key for each query."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._sent: tuple[str, str] = ("", "")
        self._answers = 0
        """Those for which nothing was planned, which takes as long as a long way."""
        self._fastest = math.inf

    @property
    def far(self) -> bool:
        """A round trip costs more than most queries."""
        return self._answers >= SURE and self._fastest >= FAR

    def text(
        self, cursor: psycopg2.extensions.cursor, key: str, query: str, given: Sequence[tuple[str, Any]] = ()
    ) -> str:
        """What to send for a query of this key, with types and values for its parameters, in one round trip."""
        kinds, values = ", ".join(kind for kind, _ in given), ", ".join(f"%s::{kind}" for kind, _ in given)
        of = cursor.mogrify(f"({values})", [value for _, value in given]).decode() if given else ""
        name, prepare = self._names.get(key), ""
        if name is None:
            name = f"neontest_{next(_NUMBERS)}"
            prepare = f"PREPARE {name}{f'({kinds})' if kinds else ''} AS {query}; "
        self._sent = key, name
        return f"{prepare}EXECUTE {name}{of}"

    def answered(self) -> None:
        """What was sent last has been answered, so it is prepared."""
        key, name = self._sent
        self._names[key] = name

    def rows(
        self,
        cursor: psycopg2.extensions.cursor,
        key: str,
        query: str,
        given: Sequence[tuple[str, Any]] = (),
        *,
        first: str = "",
    ) -> list[Any]:
        """What a query of this key answers; `first` are statements that go before it."""
        planned, began = key in self._names, time.perf_counter()
        cursor.execute(first + self.text(cursor, key, query, given))
        if planned:
            self._answers += 1
            self._fastest = min(self._fastest, time.perf_counter() - began)
        self.answered()
        return cursor.fetchall()
