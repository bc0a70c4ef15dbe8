"""Why Postgres refused an invented row, and which columns to try anew. Pure."""

from __future__ import annotations

from typing import Final

import msgspec
import psycopg2

from neontest.postgres.fill_model import Table, Type
from neontest.postgres.names import short

_FINAL: Final = ("25", "42", "53", "55", "57", "58", "XX")
"""Classes of errors that no other values mend: permissions, names, resources, a time that is up."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    why: str
    columns: tuple[int, ...]
    """Whose values to try anew."""
    final: bool = False
    """No other values would do."""
    check: bool = False
    """It is about what the values are, not about which rows there are: what helps one row helps the next."""


def refusal(table: Table, error: psycopg2.Error) -> Refusal:
    """What the error says about a row of the table."""
    every = tuple(column.number for column in table.columns if not column.generated)
    code, diag = error.pgcode or "", error.diag
    name, own = diag.constraint_name or "", diag.table_name in (None, table.name) or table.partitioned
    if code == "23514":
        return _check(table, name, diag.message_primary or "", every)
    if code in ("23505", "23P01") and own:
        columns = next((each.mentioned for each in table.uniques if each.name == name), every)
        kind = "unique" if code == "23505" else "exclusion"
        return Refusal(why=f"{kind} constraint {name}: no further values were found", columns=columns or every)
    if code == "23503" and own:
        columns = next((key.columns for key in table.foreign_keys if key.name == name), every)
        return Refusal(why=f"foreign key {name}: no row that fits was found", columns=columns)
    if code == "23502" and own:
        column = tuple(each.number for each in table.columns if each.name == diag.column_name and not each.generated)
        return Refusal(why=f"column {diag.column_name} must not be null", columns=column or every, check=True)
    if code == "57014":
        return Refusal(why="the time for it was up", columns=(), final=True)
    said = short((diag.message_primary or str(error) or type(error).__name__).strip(), 200)
    return Refusal(why=said, columns=every, final=code[:2] in _FINAL or not code, check=code.startswith("P0"))


def _check(table: Table, name: str, message: str, every: tuple[int, ...]) -> Refusal:
    why = f"check {name}: none of the values tried satisfies it"
    for check in table.checks:
        if check.name == name:
            return Refusal(why=why, columns=check.columns or every, check=True)
    of_type = tuple(column.number for column in table.columns if _has_check(column.type, name) and not column.generated)
    if name and of_type:
        return Refusal(why=why, columns=of_type, check=True)
    if table.partitioned and not name:
        if not table.partitions:
            return Refusal(why="it has no partition", columns=(), final=True)
        key = tuple(sorted(table.partition_columns))
        return Refusal(
            why="no partition takes the rows that were tried", columns=key if 0 not in table.partition_key else every
        )
    return Refusal(why=why if name else short(message, 200), columns=every, check=True)


def _has_check(type: Type, name: str) -> bool:
    return any(check.name == name for check in type.every_check())
