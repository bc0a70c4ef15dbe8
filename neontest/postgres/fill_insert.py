"""The rows of one table: all at once, or one by one where that is refused."""

from __future__ import annotations

from collections.abc import Iterable

import psycopg2

from neontest.postgres.fill_model import Table, Value
from neontest.postgres.fill_refusal import refusal
from neontest.postgres.fill_rows import Plan, Unfit
from neontest.postgres.fill_session import (
    CHUNK,
    GIVE_UP,
    TIME_IS_UP,
    TRIES,
    Cursor,
    Done,
    Session,
    bump,
    insert_sql,
    settled,
    swallowed,
)


def insert(session: Session, table: Table, without: Iterable[str]) -> Done:
    """Fill the table; the foreign keys in `without` stay null."""
    done = Done()
    try:
        with session.transaction() as cursor:
            plan = session.plan(cursor, table, without=without)
            for start in range(0, session.rows, CHUNK):
                chunk = range(start, min(session.rows, start + CHUNK))
                if not (
                    _at_once(session, cursor, plan, chunk, done) or _one_by_one(session, cursor, plan, chunk, done)
                ):
                    break
    except Unfit as error:
        done = Done(why=str(error))
    except psycopg2.Error as error:
        done = Done(why=session.why(table, error))
    return session.told(table, done)


def _at_once(session: Session, cursor: Cursor, plan: Plan, rows: range, done: Done) -> bool:
    """All these rows in one statement; False where it is refused and nothing has happened."""
    thought: list[dict[int, Value]] = []
    for row in rows:
        try:
            values = settled(plan, row, {})
        except Unfit:
            break
        plan.take(values)
        thought.append(values)
    # A table without columns takes a row at a time.
    if len(thought) == len(rows) and plan.columns:
        try:
            written = session.send(cursor, insert_sql(plan.table, thought))
        except psycopg2.Error:
            if session.conn.closed:
                raise
        else:
            done.rows += written
            done.why = done.why if written == len(rows) else swallowed(plan.table)
            return True
    plan.forget(thought)
    return False


def _one_by_one(session: Session, cursor: Cursor, plan: Plan, rows: range, done: Done) -> bool:
    """Each row by itself; False where going on is of no use."""
    failed = 0
    for row in rows:
        if session.time_is_up:
            done.why = TIME_IS_UP
            return False
        why, final = _row(session, cursor, plan, row, done)
        failed = failed + 1 if why else 0
        done.why = why or done.why
        if final or failed >= GIVE_UP:
            return False
    return True


def _row(session: Session, cursor: Cursor, plan: Plan, row: int, done: Done) -> tuple[str | None, bool]:
    """Send the row until it is taken; else why it was not, and whether that goes for all rows."""
    tries: dict[int, int] = {}
    checked: set[int] = set()
    why = None
    for _ in range(TRIES):
        try:
            values = settled(plan, row, tries)
        except Unfit as error:
            return why or str(error), False
        try:
            written = session.send(cursor, insert_sql(plan.table, [values]))
        except psycopg2.Error as error:
            if session.conn.closed:
                raise
            said = refusal(plan.table, error)
            if said.final:
                return said.why, True
            why = said.why
            checked.update(said.columns if said.check else ())
            bump(tries, said.columns, done.helped if said.check else {})
            continue
        plan.take(values)
        done.helped.update({number: tries[number] for number in checked})
        done.rows += written
        return (None if written else swallowed(plan.table)), False
    return why, False
