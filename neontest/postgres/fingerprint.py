"""A fingerprint of the rows: what can be compared later, read on the server in one scan a table.

Of each column 64 bits, seeded by the row's key, and the number of its values; of each row 64 bits more. They are summed
up, so that the order of rows is nothing. Tables of up to 2,000 rows keep a sum a row, larger ones 1,024 sums: what a
comparison counts is then exact, or "at least". What it cannot see: in a table of more rows that got new ones in all of
its 1,024 groups, values of old rows that were changed and not emptied, and rows lost where more were added.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Sequence
from typing import Any, Final, Literal

import psycopg2

from neontest.errors import DatabaseError
from neontest.postgres.connect import Connection
from neontest.postgres.data import Read
from neontest.postgres.fingerprint_asking import OVER, SMALL, WHY, asked, batches, read_together, why
from neontest.postgres.fingerprint_compare import compare
from neontest.postgres.fingerprint_model import (
    COARSE_MASK,
    EXACT_MASK,
    Hashed,
    How,
    Print,
    State,
    Table,
    counterparts,
    successor,
    words,
)
from neontest.postgres.fingerprint_sequences import Standing
from neontest.postgres.fingerprint_sql import (
    FEW,
    SAMPLED,
    TOO_WIDE,
    WORKERS,
    Reading,
    as_text,
    count_sql,
    print_sql,
    reading,
)
from neontest.postgres.fingerprint_tables import Listing, listed
from neontest.stop import Deadline

__all__ = ["Print", "State", "Table", "compare", "listed", "read", "tables"]

LARGE: Final = 100_000
"""Rows from which on a sample is taken, where samples are asked for."""
_DENSE: Final = 2 << 20
"""Tables of which nobody counted the rows are tried with a group a row up to so many bytes."""
_REREAD: Final = 16 << 20
"""A table that turns out to have few rows is read once more for exact numbers if it is no larger."""

_UNCASTABLE: Final = ("22", "42846", "23514")
"""How the codes begin that say: this value cannot be cast, there is no such cast, a domain would not have it."""
_NARROWEST: Final = 28
"""Bytes that no row goes below."""


def tables(listing: Listing) -> tuple[Table, ...]:
    """All tables of the project, by size, the smallest first: partitioned ones as one, Alembic's own not among them."""
    return tuple(sorted((each.table for each in listing.tables if each.root is None and each.table), key=_size))


def read(
    conn: Connection,
    wanted: Collection[int] | None,
    *,
    names: Collection[str] = (),
    how: Literal["full", "sample"],
    deadline: Deadline,
    like: State | None = None,
    listing: Listing | None = None,
) -> State:
    """The fingerprints of these tables, by oid (None: of all) or name, and where sequences stand.

    Names are those of a snapshot's keys; a part of a partitioned table stands for the whole.
    `like` is an earlier state that this one is to be compared with: tables of it are found again under other oids,
    and what changed its type, lost its key or was sampled is read as it was then. `listing` is all that there is, of a
    moment ago. What cannot be read, or not in time, is said in `State.reads`. The connection keeps its settings; it has
    to be in autocommit.

    Raises:
        DatabaseError: the catalogs could not be read, or the connection was lost.
    """
    if not conn.autocommit:
        raise ValueError("a fingerprint needs autocommit: its settings last as long as a transaction")
    again = [] if like is None else _selected(like, wanted)
    oids = None if wanted is None else {*wanted, *(each.table.oid for each in again)}
    listing = listing or listed(conn, oids, [*names, *(each.table.name for each in again)])
    found = listing.tables
    named = {each.oid: each.name for each in found}
    earlier = {oid: each for each in again if (oid := successor(each.table, named)) is not None}
    meant = {each.oid for each in found if wanted is None or each.oid in wanted or each.name in names}
    roots = {each.root for each in found if each.oid in meant}
    chosen = [
        each.table
        for each in found
        if each.table is not None
        and (
            each.oid in earlier
            # A part is read with the whole.
            or (each.root is None and (each.oid in meant or each.oid in roots))
        )
    ]
    scans = [_Scan(conn, table, how, earlier.get(table.oid), deadline) for table in sorted(chosen, key=_size)]
    return _state(conn, listing, scans, deadline)


def _state(conn: Connection, listing: Listing, tables: list[_Scan], deadline: Deadline) -> State:
    """Read these, the small ones first: one table can take all the time that there is."""
    prints: dict[int, Print] = {}
    reads: list[Read] = []
    standing = Standing(conn, listing.sequences, deadline)
    scans: list[Standing | _Scan] = [standing, *tables] if listing.sequences else [*tables]
    together = True
    for batch in batches(scans):
        together = together and (len(batch) < 2 or read_together(conn, batch, deadline))
        for scan in batch:
            done = scan.read()
            if isinstance(done, Print):
                prints[done.table.oid] = done
                done = Read(table=done.table.name, how=done.how, rows=done.rows, why=_reason(done))
            if done is not None:
                reads.append(done)
    return State(
        known=tuple((each.oid, each.name, each.root) for each in listing.tables),
        prints=prints,
        sequences=standing.values,
        large_objects=listing.large_objects,
        reads=tuple(reads),
    )


class _Scan:
    """The reading of one table."""

    def __init__(
        self, conn: Connection, table: Table, how: Literal["full", "sample"], was: Print | None, deadline: Deadline
    ) -> None:
        self._conn = conn
        self.table = table
        self._was = was
        self._deadline = deadline
        columns = {column.number: column for column in table.columns}
        self._readings = {number: reading(column) for number, column in columns.items()}
        self._by = table.key or tuple(columns)
        self._keyed = bool(table.key)
        if was is not None:
            self._as_it_was(was)
        self._how: How = "count" if len(columns) > TOO_WIDE else _how(table, how, self._keyed, was)
        self.ahead: Sequence[tuple[Any, ...]] | None = None
        """What the query for a group a row answered, where it was asked together with others."""
        self.bytes, self.columns = table.bytes, len(table.columns)

    def _as_it_was(self, was: Print) -> None:
        """Hash what there was as it was hashed, and tell rows apart by what they were told apart by."""
        same = counterparts(was.table, self.table)
        old = {column.number: column for column in was.table.columns}
        families = dict(was.by) | {each.column.number: each.family for each in was.columns}
        for number, column in same.items():
            self._readings[column.number] = reading(column, old[number], families.get(number))
        by = tuple(same[number].number for number, _ in was.by if number in same)
        if not was.keyed and was.how != "count":
            self._by, self._keyed = by, False
        elif was.keyed and len(by) == len(was.by) and not any(self._readings[number].note for number in by):
            self._by, self._keyed = by, True

    @property
    def small(self) -> bool:
        """It can be read with others."""
        return self.few and self.bytes <= SMALL

    def first(self) -> str:
        """The query for a group a row."""
        return self.sql(EXACT_MASK)

    @property
    def few(self) -> bool:
        """It is read first with a group a row, since it seems to have few."""
        few = self.table.bytes <= _DENSE if self.table.rows is None else self.table.rows <= FEW
        return few and self._how == "full"

    def read(self) -> Print | Read:
        """The fingerprint, or why there is none."""
        try:
            if self._how == "count":
                return Print(table=self.table, rows=int(self._rows(count_sql(self.table))[0][0]), how="count")
            return self._settled()
        except psycopg2.Error as error:
            if self._conn.closed or error.pgcode is None:
                raise DatabaseError(f"the connection was lost while {self.table.name} was read") from error
            reason = why(error.pgcode)
        except TimeoutError:
            reason = OVER
        return Read(table=self.table.name, how="not", why=reason)

    def _settled(self) -> Print:
        """The fingerprint with as many groups as the table's rows are worth: estimates may be wrong, both ways."""
        if self._how == "sample":
            return self._print(COARSE_MASK, SAMPLED)
        few = self.few
        if few and len((done := self._print(EXACT_MASK)).groups) <= FEW:
            return done
        coarse = self._print(COARSE_MASK)
        if not few and coarse.rows <= FEW and self.table.bytes <= _REREAD:
            exact = self._print(EXACT_MASK)
            return exact if len(exact.groups) <= FEW else coarse
        return coarse

    def _print(self, mask: int, one_in: int = 1) -> Print:
        try:
            return self._printed(mask, one_in)
        except psycopg2.Error as error:
            if not (error.pgcode or "").startswith(_UNCASTABLE) or not self._drop_casts():
                raise
        return self._printed(mask, one_in)

    def _drop_casts(self) -> bool:
        """Find out which columns cannot be cast to what they were, and only count those; False if there is none."""
        failed = False
        for number, each in self._readings.items():
            if each.cast is None:
                continue
            try:
                self._rows(count_sql(self.table, each))
            except psycopg2.Error as error:
                if not (error.pgcode or "").startswith(_UNCASTABLE):
                    raise
                failed = True
                if each.family == "jsonb" and each.column.type == "json":
                    self._readings[number] = as_text(each.column)
                    continue
                note = f"its type changed to {each.column.type}, from which not every value can be cast back"
                plain = reading(each.column)
                self._readings[number] = Reading(column=each.column, family=plain.family, note=note)
        if self._keyed and any(self._readings[number].note for number in self._by):
            # The key itself: nothing of it compares.
            for number in self._by:
                self._readings[number] = reading(self._readings[number].column)
        return failed

    def _printed(self, mask: int, one_in: int) -> Print:
        by, columns = self._hashed()
        rows, self.ahead = self.ahead if mask == EXACT_MASK else None, None
        if rows is None:
            rows = self._rows(self.sql(mask, one_in))
        read = [row for row in rows if row[0] is not None]
        first = 4 if self._keyed else 3

        def sums(index: int) -> array[int]:
            return words([int(row[index] or 0) for row in read])

        return Print(
            table=self.table,
            rows=sum(row[1] for row in rows),
            how=self._how,
            by=tuple((each.column.number, each.family) for each in by),
            keyed=self._keyed,
            mask=mask,
            one_in=one_in,
            groups=array("q", [row[0] for row in read]),
            counts=sums(1),
            keys=sums(2),
            whole=sums(3) if self._keyed else (),
            columns=tuple(
                Hashed(
                    column=each.column,
                    family=each.family,
                    note=each.note,
                    sums=sums(first + 2 * index),
                    filled=sums(first + 2 * index + 1),
                )
                for index, each in enumerate(columns)
            ),
        )

    def _hashed(self) -> tuple[list[Reading], list[Reading]]:
        """What a row is known by, and the other columns."""
        by = [self._readings[number] for number in self._by]
        return by, [each for number, each in self._readings.items() if not (self._keyed and number in self._by)]

    def sql(self, mask: int, one_in: int = 1) -> str:
        by, columns = self._hashed()
        return print_sql(self.table, columns, by=by, keyed=self._keyed, mask=mask, one_in=one_in)

    def _rows(self, sql: str) -> Sequence[tuple[Any, ...]]:
        """The result of one query; by one process alone where several cannot, as with some functions of the project."""
        try:
            return asked(self._conn, sql, self._deadline.left(), workers=WORKERS)
        except psycopg2.Error as error:
            code = error.pgcode or ""
            if self._conn.closed or not code or code in WHY or code.startswith(_UNCASTABLE):
                raise
        return asked(self._conn, sql, self._deadline.left())


def _selected(like: State, wanted: Collection[int] | None) -> list[Print]:
    """The fingerprints among `like` that are of wanted tables, or have a part that is wanted."""
    roots = {root for oid, _, root in like.known if wanted is not None and oid in wanted}
    return [each for oid, each in like.prints.items() if wanted is None or oid in wanted or oid in roots]


def _how(table: Table, how: Literal["full", "sample"], keyed: bool, was: Print | None) -> How:
    if was is not None and (was.keyed == keyed or was.how == "count"):
        return was.how
    if how == "full" or (table.bytes // _NARROWEST if table.rows is None else table.rows) <= LARGE:
        return "full"
    return "sample" if keyed else "count"


def _reason(done: Print) -> str | None:
    """Why a table was not read in full."""
    if done.how == "sample":
        return f"it has more than {LARGE:,} rows: one in {done.one_in} was read"
    if done.how == "count":
        wide = len(done.table.columns) > TOO_WIDE
        return f"it has more than {TOO_WIDE} columns" if wide else f"it has more than {LARGE:,} rows and no key"
    return None


def _size(table: Table) -> tuple[int, str]:
    return table.bytes, table.name
