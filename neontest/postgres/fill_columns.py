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
from neontest.postgres.fill_session import CHUNK, GIVE_UP, TIME_IS_UP, TRIES, Cursor, Session, bump, title
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
        written, why = 0, None
        for start in range(0, len(rows), CHUNK):
            chunk = range(start, min(len(rows), start + CHUNK))
            if self._session.time_is_up:
                return written, TIME_IS_UP
            if (at_once := self._at_once(rows, chunk)) is not None:
                written += at_once
                continue
            some, reason, final = self._one_by_one(rows, chunk)
            written, why = written + some, reason or why
            if final:
                break
        return written, why

    def _at_once(self, rows: Sequence[tuple[Any, ...]], chunk: range) -> int | None:
        """How many of these rows got values, in one round trip; None where it is refused and nothing has happened.

        Only where nothing can leave a row out without an error: the server tells of the last statement alone.
        """
        if self._table.guarded or _in_the_way(self._table, self._numbers) is not None:
            return None
        thought: list[dict[int, Value]] = []
        statements = []
        for at in chunk:
            where, there = self._there(rows[at])
            try:
                values = self._plan.values(at, {}, self._fixed(there))
            except Unfit:
                break
            if not (new := _new(values, there)):
                continue
            if self._plan.taken(values) is not None:
                break
            self._plan.take(values)
            thought.append(values)
            statements.append(self._sql(new, where))
        else:
            try:
                if statements:
                    self._session.send(self._cursor, "; ".join(statements))
            except psycopg2.Error:
                if self._session.conn.closed:
                    raise
            else:
                return len(statements)
        self._plan.forget(thought)
        return None

    def _one_by_one(self, rows: Sequence[tuple[Any, ...]], chunk: range) -> tuple[int, str | None, bool]:
        """How many got values, why others did not, and whether going on is of no use."""
        written, failed, why = 0, 0, None
        for at in chunk:
            if self._session.time_is_up:
                return written, TIME_IS_UP, True
            changed, reason, final = self._row(at, *self._there(rows[at]))
            written += changed
            failed = failed + 1 if reason else 0
            why = reason or why
            if final or failed >= GIVE_UP:
                return written, why, True
        return written, why, False

    def _there(self, row: tuple[Any, ...]) -> tuple[str, dict[int, Value]]:
        """What finds the row, and its values."""
        tableoid, ctid, *texts = row
        return f"tableoid = {tableoid} AND ctid = {literal(ctid)}", dict(zip(self._read, texts, strict=True))

    def _fixed(self, there: dict[int, Value]) -> dict[int, Value]:
        return {number: value for number, value in there.items() if value is not None or number not in self._numbers}

    def _sql(self, new: dict[int, Value], where: str) -> str:
        sets = ", ".join(f"{identifier(self._table.by_number[n].name)} = {sql_value(v)}" for n, v in new.items())
        return f"UPDATE {self._table.only} SET {sets} WHERE {where}"

    def _row(self, at: int, where: str, there: dict[int, Value]) -> tuple[int, str | None, bool]:
        """1 if the row was changed, why it was not, and whether that goes for all rows."""
        fixed = self._fixed(there)
        tries: dict[int, int] = {}
        why = None
        for _ in range(TRIES):
            try:
                values = self._plan.values(at, tries, fixed)
            except Unfit as error:
                return 0, why or str(error), False
            if not (new := _new(values, there)):
                return 0, None, False
            if (unique := self._plan.taken(values)) is not None:
                why = f"unique constraint {unique.name}: no further values were found"
                bump(tries, unique.mentioned, {})
                continue
            try:
                written = self._session.send(self._cursor, self._sql(new, where))
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


def _new(values: dict[int, Value], there: dict[int, Value]) -> dict[int, Value]:
    return {n: value for n, value in values.items() if value is not None and there[n] is None}
