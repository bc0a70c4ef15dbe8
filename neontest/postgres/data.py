"""What happened to rows between two moments, in numbers and never in values. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec


class ColumnChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A column whose values are not all what they were."""

    column: str
    became: str | None = None
    """Its name afterwards, where the catalogs prove that it is the same one (same attribute number)."""
    before: int = 0
    """Non-null values before."""
    after: int | None = None
    """Non-null values afterwards; None where the column is gone."""
    changed: int = 0
    """Rows, of those that are still there, whose value is another one; where not `exact`, at least so many."""
    filled: int = 0
    """Values where there was NULL, exact or at least: an addition, where the column itself is the one from before."""
    stamped: bool = False
    """A trigger of the table sets it at each UPDATE of a row."""
    exact: bool = True
    note: str | None = None
    """Why it could not be compared, or only in part."""


class TableChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A table whose rows are not all what they were. Names are qualified, such as `public.user`."""

    table: str
    became: str | None = None
    before: int = 0
    """Rows before."""
    after: int | None = None
    """Rows afterwards; None where the table is gone."""
    lost: int = 0
    """Rows that were there before and are there no more, exact or at least."""
    added: int = 0
    columns: tuple[ColumnChange, ...] = ()
    rekeyed: bool = False
    """The values of its key changed, so that no row can be recognised."""
    exact: bool = True
    one_in: int = 1
    """Only one row in so many was read."""


class SequenceChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A sequence that stands elsewhere: its last value and afterwards'; None where it was not used, or is gone."""

    sequence: str
    before: int | None = None
    after: int | None = None
    gone: bool = False


class DataChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything in which the data of two moments differ; empty is equal as far as it was read."""

    tables: tuple[TableChange, ...] = ()
    sequences: tuple[SequenceChange, ...] = ()
    large_objects: tuple[int, int] | None = None
    """How many there were and are, where that differs."""

    def __bool__(self) -> bool:
        return bool(self.tables or self.sequences or self.large_objects)


class Read(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a table's rows were read, for the report."""

    table: str
    how: Literal["full", "sample", "count", "not"] = "full"
    rows: int | None = None
    why: str | None = None
    """Why not in full."""


class Filled(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was done to give a table rows to test with."""

    table: str
    rows: int = 0
    """Rows that were invented for it."""
    columns: tuple[str, ...] = ()
    """Where only new columns of rows that were there already were filled: these."""
    why: str | None = None
    """Why there are fewer rows than were asked for, or none."""


class Violation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Rows that stand in the way of a statement: how many, and up to ten of them by their keys alone."""

    kind: Literal["not null", "unique", "foreign key", "check", "cast", "exclusion"]
    table: str
    columns: tuple[str, ...] = ()
    count: int = 0
    """0: the constraint alone is known, and not how many rows break it."""
    rows: int = 0
    """All rows of the table."""
    keys: tuple[str, ...] = ()
    """Such as `id=17`; none where the table has no key."""
