# ruff: noqa: S608 - the SQL is put together from quoted identifiers and literals
"""Values for columns of rows that are there already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg2

from neontest.postgres.data import Filled
from neontest.postgres.fill_model import UPDATE, Table, Value, identifier, sql_value
from neontest.postgres.fill_refusal import refusal
from neontest.postgres.fill_rows import Plan, Unfit
from neontest.postgres.fill_session import GIVE_UP, TIME_IS_UP, TRIES, Cursor, Session, bump, title
from neontest.postgres.names import literal, quoted


def update(session: Session, table: Table, numbers: Sequence[int], *, invented: bool = False) -> Filled | None:
    """Give the columns values in the first rows, by the table's key, where they are null; None where nothing is.

    Only as many rows as are invented for a table are looked at. Unless all rows are `invented` just now, a table whose
    triggers or rules would run is left alone, for they could change what was there before.
    """
    names = tuple(table.by_number[number].name for number in numbers)
    try:
        if session.time_is_up:
            return Filled(table=title(table), columns=names, why=TIME_IS_UP)
        with session.transaction() as cursor:
            needed = [
                *numbers,
                *(n for key in table.foreign_keys if set(key.columns) & set(numbers) for n in key.columns),
            ]
            read = list(dict.fromkeys(needed))
            rows = _rows(session, cursor, table, read)
            if not any(None in row[2 : 2 + len(numbers)] for row in rows):
                return None
            if not invented and (why := _in_the_way(table, numbers)) is not None:
                return Filled(table=title(table), columns=names, why=why)
            updating = _Updating(session, cursor, table, numbers, read)
            written, why = updating.every(rows)
            return Filled(table=title(table), rows=written, columns=names, why=why)
    except Unfit as error:
        return Filled(table=title(table), columns=names, why=str(error))
    except psycopg2.Error as error:
        return Filled(table=title(table), columns=names, why=session.why(table, error))


def _in_the_way(table: Table, numbers: Sequence[int]) -> str | None:
    for trigger in table.triggers:
        if trigger.events & UPDATE and (not trigger.columns or set(trigger.columns) & set(numbers)):
            return f"its trigger {quoted(trigger.name)} would run on UPDATE, and could change other columns"
    for name, event in table.rules:
        if event == "2":
            return f"its rule {quoted(name)} would run on UPDATE, and could change other columns"
    return None


def _rows(session: Session, cursor: Cursor, table: Table, read: Sequence[int]) -> list[tuple[Any, ...]]:
    """(tableoid, ctid, values) of the first rows."""
    columns = [f"t.{identifier(table.by_number[number].name)}" for number in read]
    key = next((each.columns for each in table.uniques if each.primary), ())
    by = [f"t.{identifier(table.by_number[number].name)}" for number in key] or ["t.tableoid::regclass::text", "t.ctid"]
    cursor.execute(
        f"SELECT t.tableoid::text, t.ctid::text, {', '.join(f'{column}::text' for column in columns)}"
        f" FROM {table.only} AS t ORDER BY {', '.join(by)} LIMIT {session.rows}"
    )
    return cursor.fetchall()


class _Updating:
    """One table's rows, each changed in a statement of its own."""

    def __init__(
        self, session: Session, cursor: Cursor, table: Table, numbers: Sequence[int], read: Sequence[int]
    ) -> None:
        self._session = session
        self._cursor = cursor
        self._table = table
        self._numbers = numbers
        self._read = read
        self._plan: Plan = session.plan(cursor, table, columns=numbers)

    def every(self, rows: Sequence[tuple[Any, ...]]) -> tuple[int, str | None]:
        """How many rows got values, and why others did not."""
        written, failed, why = 0, 0, None
        for at, (tableoid, ctid, *texts) in enumerate(rows):
            if self._session.time_is_up:
                return written, TIME_IS_UP
            there: dict[int, Value] = dict(zip(self._read, texts, strict=True))
            changed, reason, final = self._row(at, f"tableoid = {tableoid} AND ctid = {literal(ctid)}", there)
            written += changed
            failed = failed + 1 if reason else 0
            why = reason or why
            if final or failed >= GIVE_UP:
                break
        return written, why

    def _row(self, at: int, where: str, there: dict[int, Value]) -> tuple[int, str | None, bool]:
        """1 if the row was changed, why it was not, and whether that goes for all rows."""
        fixed = {number: value for number, value in there.items() if value is not None or number not in self._numbers}
        tries: dict[int, int] = {}
        why = None
        for _ in range(TRIES):
            try:
                values = self._plan.values(at, tries, fixed)
            except Unfit as error:
                return 0, why or str(error), False
            new = {n: value for n, value in values.items() if value is not None and there[n] is None}
            if not new:
                return 0, None, False
            if (unique := self._plan.taken(values)) is not None:
                why = f"unique constraint {unique.name}: no further values were found"
                bump(tries, unique.mentioned, {})
                continue
            sets = ", ".join(f"{identifier(self._table.by_number[n].name)} = {sql_value(v)}" for n, v in new.items())
            try:
                written = self._session.send(self._cursor, f"UPDATE {self._table.only} SET {sets} WHERE {where}")
            except psycopg2.Error as error:
                if self._session.conn.closed:
                    raise
                said = refusal(self._table, error)
                why = said.why
                if said.final:
                    return 0, why, True
                bump(tries, set(said.columns) & set(self._numbers) or self._numbers, {})
                continue
            self._plan.take(values)
            return written, None, False
        return 0, why, False
