"""What is known of the rows at one moment: digests and counts, no values. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec

from neontest.postgres.data import Read
from neontest.postgres.names import quoted

How = Literal["full", "sample", "count"]

EXACT_MASK: Final = -1
"""A group a row: what a comparison counts is exact."""
COARSE_MASK: Final = 1023
"""So many groups (and one) at most, however many rows there are: memory stays the same, numbers are "at least"."""
WORD: Final = 1 << 64


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column as the catalogs have it. Virtual generated columns are none: they hold nothing."""

    name: str
    number: int
    """attnum, which a renaming keeps."""
    base: int
    """The oid of its type; of what a domain is made of, where it is a domain."""
    type: str
    """For a person: `numeric(10,2)`."""
    stamped: bool = False
    """A trigger of the table sets it at each UPDATE, as it does an `updated_at`."""

    @property
    def shown(self) -> str:
        """Its name as a snapshot writes it."""
        return quoted(self.name)


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table that can be read on its own: an ordinary one, or all of a partitioned one."""

    oid: int
    name: str
    """As a snapshot's keys have it: `public.user`, quoted where that is needed."""
    schema: str
    relation: str
    partitioned: bool
    columns: tuple[Column, ...]
    key: tuple[int, ...]
    """attnums of the primary key, else of a unique index over columns that are NOT NULL; else nothing."""
    rows: int | None
    """Estimated, None where nobody ever counted."""
    bytes: int


class Hashed(msgspec.Struct, frozen=True, kw_only=True):
    """A column whose values went into digests."""

    column: Column
    family: str
    """Values of one family that are equal hash alike, whatever their types."""
    note: str | None = None
    """Why there are no digests of it, but counts alone."""
    sums: Sequence[int]
    """A group: the sum of its values' digests, modulo 2^64."""
    filled: Sequence[int]
    """A group: how many values are not null."""

    @property
    def total(self) -> int:
        """Non-null values."""
        return sum(self.filled)

    @property
    def digest(self) -> int:
        """Of all values."""
        return sum(self.sums) % WORD


class Print(msgspec.Struct, frozen=True, kw_only=True):
    """The fingerprint of one table. Rows are told apart by a 64-bit hash, by which they are also put into groups."""

    table: Table
    rows: int
    how: How = "full"
    by: tuple[tuple[int, str], ...] = ()
    """(attnum, family) of what rows are told apart by: the key's columns, or all of them where there is no key."""
    keyed: bool = False
    mask: int = EXACT_MASK
    """A row's group is its hash under this mask."""
    one_in: int = 1
    groups: Sequence[int] = ()
    counts: Sequence[int] = ()
    """A group: its rows."""
    keys: Sequence[int] = ()
    """A group: the sum of the hashes that its rows are told apart by."""
    whole: Sequence[int] = ()
    """A group: the sum of digests over all columns of a row together; empty without a key, where `keys` is that."""
    columns: tuple[Hashed, ...] = ()

    @property
    def exact(self) -> bool:
        return self.how == "full" and self.mask == EXACT_MASK

    def folded(self, mask: int) -> Print:
        """The same with no finer groups than `mask` makes: sums can be added up."""
        if self.mask & mask == self.mask:
            return self
        groups = sorted({group & mask for group in self.groups})
        place = {group: index for index, group in enumerate(groups)}
        to = [place[group & mask] for group in self.groups]

        def added(numbers: Sequence[int]) -> array[int]:
            sums = [0] * len(groups)
            for index, number in zip(to, numbers, strict=True):
                sums[index] += number
            return words(sums)

        return Print(
            table=self.table,
            rows=self.rows,
            how=self.how,
            by=self.by,
            keyed=self.keyed,
            mask=mask,
            one_in=self.one_in,
            groups=array("q", groups),
            counts=added(self.counts),
            keys=added(self.keys),
            whole=added(self.whole) if self.whole else (),
            columns=tuple(
                Hashed(
                    column=each.column,
                    family=each.family,
                    note=each.note,
                    sums=added(each.sums),
                    filled=added(each.filled),
                )
                for each in self.columns
            ),
        )


class SequenceValue(msgspec.Struct, frozen=True, kw_only=True):
    """Where a sequence stands."""

    oid: int
    name: str
    last: int
    called: bool
    """False: `last` will be given out next."""
    increment: int

    @property
    def value(self) -> int | None:
        """The last value that was given out; None where it was never used."""
        return self.last if self.called else None


class State(msgspec.Struct, frozen=True, kw_only=True):
    """All that was read at one moment, and what was not."""

    known: tuple[tuple[int, str, int | None], ...] = ()
    """(oid, name, oid of the partitioned table that it is a part of) of every table there is, read or not."""
    prints: Mapping[int, Print] = msgspec.field(default_factory=dict)
    """By the table's oid."""
    sequences: tuple[SequenceValue, ...] | None = None
    """None where they could not be read."""
    large_objects: int | None = None
    reads: tuple[Read, ...] = ()


def words(numbers: Sequence[int]) -> array[int]:
    """Numbers modulo 2^64, eight bytes each."""
    return array("Q", [number % WORD for number in numbers])


def counterparts(before: Table, after: Table) -> dict[int, Column]:
    """By attnum in `before`, the columns of `after` that are the same: by name, else by number in the same table.

    A column that was dropped and added again has another number; one that was renamed keeps it.
    """
    named = {column.name: column for column in after.columns}
    found = {column.number: named[column.name] for column in before.columns if column.name in named}
    if before.oid == after.oid:
        taken = {column.number for column in found.values()}
        numbered = {column.number: column for column in after.columns if column.number not in taken}
        for column in before.columns:
            if column.number not in found and column.number in numbered:
                found[column.number] = numbered[column.number]
    return found


def successor(table: Table, known: Mapping[int, str]) -> int | None:
    """The oid that the table has among these: its own, else that of the table that has its name now."""
    if table.oid in known:
        return table.oid
    return next((oid for oid, name in known.items() if name == table.name), None)


def renamed(before: Table, after: Table) -> str | None:
    """The table's new name, if it has one."""
    return after.name if after.name != before.name else None
