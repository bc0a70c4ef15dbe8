# ruff: noqa: S608 - the SQL is put together from quoted identifiers and literals
"""The connection that rows are invented over: a transaction a table, a savepoint a statement, settings for both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

import msgspec
import psycopg2
import psycopg2.errors
import psycopg2.extensions

from neontest.errors import DatabaseError
from neontest.postgres.connect import Connection, mapped
from neontest.postgres.fill_model import INSERT, ForeignKey, Table, Use, Value, identifier, sql_value
from neontest.postgres.fill_refusal import refusal
from neontest.postgres.fill_rows import Plan, Tuples, Unfit
from neontest.postgres.names import literal, quoted
from neontest.stop import Deadline

Cursor = psycopg2.extensions.cursor

TRIES: Final = 100
"""So many times a row is sent before it is given up."""
GIVE_UP: Final = 3
"""So many rows refused one after another end a table."""
CHUNK: Final = 500
"""So many rows are sent at once."""
TIME_IS_UP: Final = "the time for it was up"
_TURNS: Final = 400
"""So many times a row is thought out anew before it is sent."""
_FEWEST_TARGETS: Final = 50


class Done(msgspec.Struct):
    """How far a table has come."""

    rows: int = 0
    why: str | None = None
    helped: dict[int, int] = msgspec.field(default_factory=dict)
    """By column the try that satisfied a check last."""


class _Opening(psycopg2.extensions.cursor):
    """Sends what is to go before everything with the first statement, which saves a round trip."""

    first = ""

    def execute(self, query: Any, vars: Any = None) -> None:
        first, self.first = self.first, ""
        super().execute(first + query, vars)


class Session:
    """How rows are sent, for as long as the deadline allows."""

    def __init__(self, conn: Connection, *, rows: int, seed: int, deadline: Deadline) -> None:
        if not conn.autocommit:
            raise ValueError("filling needs autocommit: every table is a transaction of its own")
        self.conn = conn
        self.rows = rows
        self.seed = seed
        self._deadline = deadline
        with mapped("cannot read the settings"), conn.cursor() as cursor:
            # Triggers and defaults expect the path that the application has, not a Reader's empty one.
            cursor.execute(
                "SELECT reset_val, current_setting('server_encoding') FROM pg_catalog.pg_settings"
                " WHERE name = 'search_path'"
            )
            found = cursor.fetchone() or ("public", "")
            try:
                cursor.execute("SELECT '<a/>'::xml")
                self._unknown: frozenset[str] = frozenset()
            except psycopg2.errors.FeatureNotSupported:
                # A server built without libxml has the type, and no value of it.
                self._unknown = frozenset({"xml"})
        self._path, self._unicode = str(found[0]), found[1] == "UTF8"

    @property
    def time_is_up(self) -> bool:
        return self._deadline.left() <= 0

    @contextmanager
    def transaction(self) -> Iterator[Cursor]:
        """A transaction that is committed at the end, or undone by any exception."""
        timeout = max(1, min(int(self._deadline.left() * 1000), 2**31 - 1)) if self._deadline.left() < 2**31 else 0
        with self.conn.cursor(cursor_factory=_Opening) as cursor:
            cursor.first = (
                f"BEGIN; SET CONSTRAINTS ALL IMMEDIATE; SET LOCAL statement_timeout = {timeout};"
                f" SELECT set_config('search_path', {literal(self._path)}, true); SAVEPOINT neontest; "
            )
            try:
                yield cursor
                if not cursor.first:
                    cursor.execute("COMMIT")
            except BaseException:
                if not cursor.first:
                    with suppress(psycopg2.Error):
                        cursor.execute("ROLLBACK")
                raise

    def send(self, cursor: Cursor, sql: str) -> int:
        """Run one statement in a savepoint, in one round trip; how many rows it wrote.

        Raises:
            psycopg2.Error: the statement was refused, and has left nothing behind.
        """
        try:
            cursor.execute(f"RELEASE SAVEPOINT neontest; SAVEPOINT neontest; {sql}")
        except psycopg2.Error:
            with suppress(psycopg2.Error):
                cursor.execute("ROLLBACK TO SAVEPOINT neontest")
            raise
        return cursor.rowcount

    def plan(
        self, cursor: Cursor, table: Table, *, without: Iterable[str] = (), columns: Iterable[int] | None = None
    ) -> Plan:
        """What the table's rows are to hold; the rows that it may refer to are read for it.

        Raises:
            Unfit: it needs to refer to what the role may not read.
        """
        left_out, numbers = set(without), None if columns is None else frozenset(columns)
        return Plan(
            table,
            rows=self.rows,
            seed=self.seed,
            unicode=self._unicode,
            unknown=self._unknown,
            targets={
                key.name: self._targets(cursor, table, key)
                for key in table.foreign_keys
                if key.name not in left_out and (numbers is None or numbers & set(key.columns))
            },
            without=left_out,
            columns=numbers,
        )

    def _targets(self, cursor: Cursor, table: Table, key: ForeignKey) -> Tuples:
        """The first rows that a foreign key may refer to, by their keys."""
        if not key.readable:
            if all(table.by_number[number].nullable for number in key.columns):
                return ()
            raise Unfit(f"permission denied: the role may not read what its {table.names(key.columns)} refers to")
        columns = [identifier(name) for name in key.target_columns]
        cursor.execute(
            f"SELECT {', '.join(f'{column}::text' for column in columns)} FROM {key.target_name} AS target"
            f" WHERE {' AND '.join(f'{column} IS NOT NULL' for column in columns)}"
            f" ORDER BY {', '.join(f'target.{column}' for column in columns)}"
            f" LIMIT {max(_FEWEST_TARGETS, 2 * self.rows)}"
        )
        return tuple(cursor.fetchall())

    def why(self, table: Table, error: psycopg2.Error) -> str:
        """Why the table could not be filled.

        Raises:
            DatabaseError: the connection is lost, so that no other table can be filled either.
        """
        if self.conn.closed:
            raise DatabaseError(f"the connection was lost while {title(table)} was filled") from error
        return refusal(table, error).why

    def told(self, table: Table, done: Done) -> Done:
        """The same, with numbers where rows are missing."""
        if done.why and done.rows:
            done.why = f"{self.rows - done.rows} of {self.rows} rows are missing: {done.why}"
        elif not done.why and done.rows < self.rows:
            done.why = f"{self.rows - done.rows} of {self.rows} rows are missing"
        return done


def settled(plan: Plan, row: int, tries: dict[int, int]) -> dict[int, Value]:
    """The row as it is to be sent: not with a key that was sent before.

    Raises:
        Unfit: there is no such row.
    """
    reason = Unfit("no row was found")
    refers = {number for key in plan.table.foreign_keys for number in key.columns}
    for _ in range(_TURNS):
        try:
            values = plan.values(row, tries)
        except Unfit as error:
            reason = error
            if max((tries.get(number, 0) for number in refers), default=20) >= 20:
                raise
            bump(tries, refers, {})
            continue
        if (unique := plan.taken(values)) is None:
            return values
        bump(tries, unique.mentioned, {})
        reason = Unfit(f"unique constraint {unique.name}: no further values were found")
    raise reason


def bump(tries: dict[int, int], columns: Iterable[int], helped: Mapping[int, int]) -> None:
    """Try something else for these columns: what has helped before, or else the next thing."""
    for number in columns:
        before = tries.get(number, 0)
        tries[number] = helped.get(number, 1) if not before else before + 1


def insert_sql(table: Table, rows: Sequence[Mapping[int, Value]]) -> str:
    """One INSERT of these rows, that all have the same columns."""
    columns = [column for column in table.columns if column.number in rows[0]]
    if not columns:
        return f"INSERT INTO {table.sql} DEFAULT VALUES"
    given = any(column.identity == "a" and rows[0][column.number] is not Use.DEFAULT for column in columns)
    values = ", ".join("(" + ", ".join(sql_value(row[column.number]) for column in columns) + ")" for row in rows)
    return (
        f"INSERT INTO {table.sql} ({', '.join(identifier(column.name) for column in columns)})"
        f"{' OVERRIDING SYSTEM VALUE' if given else ''} VALUES {values}"
    )


def swallowed(table: Table) -> str:
    """Why rows were taken and yet are not there."""
    rules = [f"rule {quoted(name)}" for name, event in table.rules if event == "3"]
    triggers = [f"trigger {quoted(each.name)}" for each in table.triggers if each.events & INSERT]
    return f"its {' or '.join([*rules, *triggers]) or 'rules'} left the rows out"


def one(cursor: Cursor, sql: str) -> Any:
    """The only value of the only row."""
    cursor.execute(sql)
    row = cursor.fetchone()
    assert row is not None
    return row[0]


def title(table: Table) -> str:
    """The table's name as the report has it, such as `public.user`."""
    return f"{quoted(table.schema)}.{quoted(table.name)}"
