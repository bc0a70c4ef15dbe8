# ruff: noqa: S608 - the SQL is put together from quoted identifiers and literals
"""Rows invented to test migrations with: from the catalogs alone, and for the same seed always the same.

Each table is a transaction of its own, each row tried in a savepoint where all of them together are refused. The
project's own triggers run. What could not be filled is told with its reason and is never an error.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import psycopg2

from neontest.postgres import fill_catalog, fill_columns, fill_insert, fill_tied, fill_undo
from neontest.postgres.connect import Connection
from neontest.postgres.data import Filled
from neontest.postgres.fill_model import INSERT, UPDATE, Table
from neontest.postgres.fill_order import Step, free, steps
from neontest.postgres.fill_session import TIME_IS_UP, Done, Session, one, title
from neontest.postgres.kind import USER_OID
from neontest.stop import Deadline

_WRITING: Final = f"""EXISTS (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang
  WHERE p.oid >= {USER_OID} AND p.provolatile = 'v' AND p.prorettype <> 'trigger'::regtype AND l.lanname <> 'c')"""
"""SQL: there are functions that a default or a check can call and that may write; none of Postgres's own does, of those
in C it is not expected."""


class Filler:
    """Fills the tables of one database, and remembers what it has seen of them."""

    def __init__(self, conn: Connection, *, rows: int, seed: int = 0, deadline: Deadline) -> None:
        """`conn` is in autocommit, as a `Reader` leaves it, and is left so, outside any transaction.

        Raises:
            DatabaseError: the catalogs could not be read.
        """
        self._session = Session(conn, rows=rows, seed=seed, deadline=deadline)
        self._seen: frozenset[tuple[int, int]] = frozenset()
        self._widths: frozenset[tuple[int, ...]] = frozenset()
        self._roots: set[int] = set()
        """The tables that rows were invented for."""
        self._own: set[int] = set()
        """The tables, and parts of partitioned ones, that have no other rows than invented ones."""
        self._alone = True
        """Nothing but these tables, and sequences, was changed."""
        self._drawn: dict[int, tuple[fill_undo.Position, fill_undo.Position]] = {}
        """Where the sequences were, and are, that were drawn from."""
        self._sequences: fill_undo.Sequences = {}
        """Where all were when last rows were invented."""
        self._tables = self._look()

    def fill_empty(self, *, look: bool = True) -> tuple[Filled, ...]:
        """Give every empty table rows, in the order of their foreign keys; those with rows are left alone.

        Without `look`, the tables are those of the last look: nobody has changed the schema since.

        Raises:
            DatabaseError: the catalogs could not be read, or the connection is lost.
        """
        if look:
            self._tables = self._look()
        with self._drawing() as tried:
            tried += self._insert(self._tables)
        return tuple(tried)

    def fill_new(self) -> tuple[Filled, ...] | None:
        """Give rows to empty tables, and values to columns, that were not there at the last look; None where nothing is
        new, and nobody looked.

        Of the rows that are there only as many as are invented for a table get values, and only in new columns that
        are null; where a trigger or rule might change more, none.

        Raises:
            DatabaseError: the catalogs could not be read, or the connection is lost.
        """
        widths = fill_catalog.widths(self._session.conn)
        if widths <= self._widths:
            with self._drawing():
                return None
        seen, known = self._seen, {oid for oid, _ in self._seen}
        self._tables = self._look(widths)
        with self._drawing() as tried:
            tried += self._insert_new(self._tables, known, seen)
        return tuple(tried)

    def _insert_new(
        self, tables: Sequence[Table], known: Collection[int], seen: Collection[tuple[int, int]]
    ) -> tuple[Filled, ...]:
        filled = list(self._insert([table for table in tables if table.oid not in known]))
        for table in tables if self._session.rows > 0 else ():
            new = [column.number for column in table.columns if (table.oid, column.number) not in seen]
            new = [number for number in new if not table.by_number[number].generated]
            if table.oid in known and new and table.readable:
                done = fill_columns.update(self._session, table, new)
                filled.extend([done] if done is not None else [])
                self._alone = self._alone and (done is None or not done.rows or table.oid in self._roots)
        return tuple(filled)

    def withdraw(self) -> bool:
        """Take all that was invented away again; False where that cannot be done, and nothing was.

        For a database where nobody has written rows since they were invented.

        Raises:
            DatabaseError: the connection is lost.
        """
        before = {**self._sequences, **{oid: was for oid, (was, _) in self._drawn.items()}}
        return self._alone and fill_undo.withdraw(self._session.conn, self._own, before)

    @contextmanager
    def _drawing(self) -> Iterator[list[Filled]]:
        """Note what the block does to sequences, if it lists anything. One that was drawn from, and set since, nobody
        can set back."""
        before = fill_undo.sequences(self._session.conn)
        tried: list[Filled] = []
        yield tried
        self._sequences = after = fill_undo.sequences(self._session.conn) if tried else before
        for oid, now in after.items():
            then = before.get(oid, now)
            was, left = self._drawn.get(oid, (then, then))
            self._alone = self._alone and then == left
            if now != was:
                self._drawn[oid] = was, now

    def _look(self, widths: frozenset[tuple[int, ...]] | None = None) -> tuple[Table, ...]:
        """The tables as they are now, which is remembered; `widths` of a moment ago."""
        self._widths = fill_catalog.widths(self._session.conn) if widths is None else widths
        tables = fill_catalog.tables(self._session.conn)
        # 0 stands for the table itself: it may have no columns.
        self._seen = frozenset(
            (table.oid, number) for table in tables for number in (0, *(column.number for column in table.columns))
        )
        return tables

    def _insert(self, tables: Sequence[Table]) -> tuple[Filled, ...]:
        done: dict[int, Done] = {}
        afterwards: list[tuple[Table, list[int]]] = []
        known = self._known(tables) if self._session.rows > 0 else {}
        for step in steps(tables) if self._session.rows > 0 else ():
            wanted = self._wanted(step, known, done)
            if any(_acts(table) or table.partitioned for table in wanted):
                known = {oid: full for oid, full in known.items() if full}
            if step.tied and len(wanted) == len(step.tables):
                done |= fill_tied.insert(self._session, step)
            else:
                for table in wanted:
                    done[table.oid] = fill_insert.insert(self._session, table, _names(table, step.later))
            for table in wanted:
                waiting = [key for key in table.foreign_keys if (table.oid, key.name) in step.later]
                if waiting and done[table.oid].rows:
                    afterwards.append((table, sorted({number for key in waiting for number in free(table, key)})))
        for table, numbers in afterwards:
            second = fill_columns.update(self._session, table, numbers, invented=True)
            if second is not None and second.why and not done[table.oid].why:
                done[table.oid].why = f"{', '.join(second.columns)} stays null: {second.why}"
        by_oid = {table.oid: table for table in tables}
        filled = {oid for oid, each in done.items() if each.rows}
        parts, acts = fill_undo.parts(self._session.conn, [oid for oid in filled if by_oid[oid].partitioned])
        self._roots |= filled
        self._own |= parts.union(oid for oid in filled if not by_oid[oid].partitioned)
        self._alone = self._alone and not acts and not any(_acts(by_oid[oid]) for oid in filled)
        return tuple(Filled(table=title(by_oid[oid]), rows=each.rows, why=each.why) for oid, each in done.items())

    def _known(self, tables: Sequence[Table]) -> dict[int, bool]:
        """Whether they have rows, asked for in one statement; what it does not tell is asked of each, and so are
        empty ones that functions may fill."""
        asked = [table for table in tables if table.readable and not table.guarded]
        if not asked or self._session.time_is_up:
            return {}
        question = ", ".join(f"EXISTS (SELECT FROM {table.only})" for table in asked)
        try:
            with self._session.transaction() as cursor:
                *answers, writing = one(cursor, f"SELECT ARRAY[{question}, {_WRITING}]")
        except psycopg2.Error:
            if self._session.conn.closed:
                raise
            return {}
        return {table.oid: full for table, full in zip(asked, answers, strict=True) if full or not writing}

    def _wanted(self, step: Step, known: Mapping[int, bool], done: dict[int, Done]) -> list[Table]:
        """The empty tables of the step; those that are not known to be are asked, a trigger may have filled one."""
        wanted = []
        for table in step.tables:
            full = known.get(table.oid)
            empty, why = (False, None) if full else self._empty(table, known=full is not None)
            if why is not None:
                done[table.oid] = Done(why=why)
            elif empty:
                wanted.append(table)
        return wanted

    def _empty(self, table: Table, *, known: bool) -> tuple[bool, str | None]:
        """Whether the table has no rows, which may be known, or why that cannot be said."""
        if self._session.time_is_up:
            return False, TIME_IS_UP
        if known:
            return True, None
        if not table.readable:
            return False, f"permission denied: the role may not read {title(table)}"
        question = f"SELECT NOT EXISTS (SELECT FROM {table.only})"
        if table.guarded:
            # A policy hides rows from the role; what lies on the disk it cannot hide.
            size = "(SELECT sum(pg_relation_size(relid)) FROM pg_partition_tree({0}) WHERE isleaf)"
            size = size if table.partitioned else "pg_relation_size({0})"
            question = f"SELECT COALESCE({size.format(f'{table.oid}::oid::regclass')}, 0) = 0"
        try:
            with self._session.transaction() as cursor:
                return bool(one(cursor, question)), None
        except psycopg2.Error as error:
            return False, self._session.why(table, error)


def _acts(table: Table) -> bool:
    """Writing to the table may write elsewhere."""
    return bool(table.rules) or any(trigger.events & (INSERT | UPDATE) for trigger in table.triggers)


def _names(table: Table, keys: Iterable[tuple[int, str]]) -> list[str]:
    return [name for oid, name in keys if oid == table.oid]
