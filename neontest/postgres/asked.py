"""Queries that are prepared when they are asked first: planning them takes longer than most answers."""

from __future__ import annotations

import itertools
from typing import Final

import psycopg2.extensions

_FEW: Final = "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_seqscan = off; "
"""For a few of many the indexes are better, which a plan for any number would not use; nor one that was made when there
were not many. Until the end of the statement that comes with it: others read whole tables over this connection."""
_NUMBERS: Final = itertools.count(1)
"""Of prepared statements: after a failure nobody knows whether one is there, so no name is used twice."""


class Asked:
    """What is prepared on one connection, by a key for each query."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._sent: tuple[str, str] = ("", "")

    def text(
        self,
        cursor: psycopg2.extensions.cursor,
        key: str,
        query: str,
        *,
        xid: str | None = None,
        oids: list[int] | None = None,
    ) -> str:
        """What to send for a query of this key, with `xid` and `oids` for its parameters, in one round trip."""
        given = {kind: value for kind, value in (("xid", xid), ("oid[]", oids)) if value is not None}
        kinds, values = ", ".join(given), ", ".join(f"%s::{kind}" for kind in given)
        of = cursor.mogrify(f"({values})", list(given.values())).decode() if given else ""
        name, prepare = self._names.get(key), ""
        if name is None:
            name = f"neontest_{next(_NUMBERS)}"
            prepare = f"PREPARE {name}{f'({kinds})' if kinds else ''} AS {query}; "
        self._sent = key, name
        return f"{_FEW if list(given) == ['oid[]'] else ''}{prepare}EXECUTE {name}{of}"

    def answered(self) -> None:
        """What was sent last has been answered, so it is prepared."""
        key, name = self._sent
        self._names[key] = name
