"""What is set on the connections over which the schema is read: all that shows in deparsed text, and how to plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from neontest.postgres.connect import SERVER

TEXTS: Final = {
    "search_path": "",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "xmlbinary": "base64",
}
"""How values become text, everywhere the same."""

_SETTINGS: Final = {
    **TEXTS,
    "quote_all_identifiers": "off",
    "standard_conforming_strings": "on",
    "default_transaction_isolation": "read committed",
    "statement_timeout": "0",
    # A migration's forgotten transaction may hold a lock that deparsing needs: say so instead of hanging.
    "lock_timeout": "10s",
    # A generic plan saves 4 ms of planning a query; compiling or parallel workers would cost more than they save.
    "plan_cache_mode": "force_generic_plan",
    "enable_hashjoin": "on",
    "enable_mergejoin": "on",
    "enable_seqscan": "on",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
}


def selected(settings: Mapping[str, str], *, local: bool = False) -> str:
    """SQL: what to select to have these set, `local` for the transaction only."""
    return ", ".join(f"set_config('{name}', '{value}', {str(local).lower()})" for name, value in settings.items())


SET: Final = selected(_SETTINGS)
WHERE: Final = f"{SERVER}, current_database(), pg_backend_pid()"
"""The same: what tells a database from every other one, and the server's process, as what libpq knows is a proxy's."""


def beside(version: int) -> str:
    """Statements that set up a second connection to the database of a first, and end with its `WHERE`.

    It waits for no lock, as the first one reads whatever is still wanted. Nobody is to take it for somebody who
    connects later: it is counted at once.
    """
    counted = "; SELECT pg_stat_force_next_flush()" if version >= 150_000 else ""
    return f"SELECT {SET}, set_config('lock_timeout', '100ms', false){counted}; SELECT {WHERE}"
