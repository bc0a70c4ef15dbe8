"""Rows of tables that cannot do without each other: one of each in one statement, with keys known beforehand.

Postgres checks a foreign key at the end of the statement, whether it is deferrable or not; all that one WITH inserts
is there by then. A table that refers to itself and must is the smallest case.
"""

from __future__ import annotations

import psycopg2

from neontest.postgres.fill_model import ForeignKey, Table, Use, Value
from neontest.postgres.fill_order import Step
from neontest.postgres.fill_refusal import refusal
from neontest.postgres.fill_rows import Plan, Unfit
from neontest.postgres.fill_session import (
    GIVE_UP,
    TIME_IS_UP,
    TRIES,
    Cursor,
    Done,
    Session,
    bump,
    insert_sql,
    one,
    settled,
)
from neontest.postgres.names import literal

Rows = dict[int, dict[int, Value]]
"""One row of each table, by its oid."""


def insert(session: Session, step: Step) -> dict[int, Done]:
    """Fill the tables of the step, by oid."""
    done = {table.oid: Done() for table in step.tables}
    try:
        with session.transaction() as cursor:
            tying = _Tying(session, cursor, step)
            failed = 0
            for row in range(session.rows):
                why = TIME_IS_UP if session.time_is_up else tying.insert(row)
                for each in done.values():
                    each.rows += why is None
                    each.why = why or each.why
                failed = failed + 1 if why else 0
                if failed >= GIVE_UP:
                    break
    except Unfit as error:
        done = {table.oid: Done(why=str(error)) for table in step.tables}
    except psycopg2.Error as error:
        done = {table.oid: Done(why=session.why(table, error)) for table in step.tables}
    return {table.oid: session.told(table, done[table.oid]) for table in step.tables}


class _Tying:
    """The tables of one step, and the rows they have so far."""

    def __init__(self, session: Session, cursor: Cursor, step: Step) -> None:
        self._session = session
        self._cursor = cursor
        self._tables = step.tables
        by_oid = {table.oid: table for table in step.tables}
        self._ties = [
            (table, by_oid[key.target], key)
            for table in step.tables
            for key in table.foreign_keys
            if (table.oid, key.name) in step.tied and key.target in by_oid
        ]
        waits = {
            table.oid: [key.name for key in table.foreign_keys if (table.oid, key.name) in step.later | step.tied]
            for table in step.tables
        }
        self._plans: dict[int, Plan] = {
            table.oid: session.plan(cursor, table, without=waits[table.oid]) for table in step.tables
        }
        self._earlier: list[Rows] = []

    def insert(self, row: int) -> str | None:
        """Insert one row of each table; why that did not go."""
        tries: dict[int, dict[int, int]] = {table.oid: {} for table in self._tables}
        drawn: dict[tuple[int, int], Value] = {}
        why = None
        for _ in range(TRIES):
            try:
                values = {oid: settled(plan, row, tries[oid]) for oid, plan in self._plans.items()}
                self._tie(values, drawn)
                self._session.send(self._cursor, self._sql(values))
            except Unfit as error:
                return why or str(error)
            except psycopg2.Error as error:
                if self._session.conn.closed:
                    raise
                table = next((each for each in self._tables if each.name == error.diag.table_name), self._tables[0])
                said = refusal(table, error)
                why = said.why
                if said.final:
                    return why
                bump(tries[table.oid], said.columns, {})
                continue
            for oid, plan in self._plans.items():
                plan.take(values[oid])
            self._earlier.append(values)
            return None
        return why

    def _tie(self, values: Rows, drawn: dict[tuple[int, int], Value]) -> None:
        """Settle the keys that are referred to, and refer to them."""
        for _, target, key in self._ties:
            for number in _numbers(target, key):
                if values[target.oid][number] is Use.DEFAULT:
                    place = (target.oid, number)
                    if place not in drawn:
                        drawn[place] = self._number(target, number)
                    values[target.oid][number] = drawn[place]
        # Once more for each tie: a key may be made of what refers to another key.
        for _ in self._ties:
            for table, target, key in self._ties:
                earlier = table is target and self._earlier
                # What needs a parent and has none is its own.
                source = self._earlier[(len(self._earlier) - 1) // 2] if earlier else values
                for own, number in zip(key.columns, _numbers(target, key), strict=True):
                    values[table.oid][own] = source[target.oid][number]

    def _number(self, table: Table, number: int) -> str:
        column = table.by_number[number]
        sequence = f"nextval(pg_get_serial_sequence({literal(table.sql)}, {literal(column.name)}))"
        return str(one(self._cursor, f"SELECT {sequence if column.identity else column.default}"))

    def _sql(self, values: Rows) -> str:
        statements = [insert_sql(table, [values[table.oid]]) for table in self._tables]
        ahead = ", ".join(f"neontest_{at} AS ({statement})" for at, statement in enumerate(statements[:-1]))
        return f"WITH {ahead} {statements[-1]}" if ahead else statements[-1]


def _numbers(target: Table, key: ForeignKey) -> tuple[int, ...]:
    """The columns of the target that the key refers to."""
    by_name = {column.name: column.number for column in target.columns}
    return tuple(by_name[name] for name in key.target_columns)
