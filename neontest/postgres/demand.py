"""What a statement can demand of the rows that are there. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from neontest.postgres.tokens import Words


class Added(msgspec.Struct, frozen=True, kw_only=True):
    """A column that the same statement adds: its name, type and value as SQL."""

    name: str
    type: str
    value: str


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """Something that all rows of a table have to satisfy; `table` and all expressions are SQL as it was written."""

    table: str
    only: bool = False
    """Not its children's rows."""
    added: tuple[Added, ...] = ()


class NotNull(Demand, frozen=True, kw_only=True):
    column: str
    value: str
    """Of the column, in each row."""
    type: str | None = None
    """Of a column without a default of its own: a domain may have one."""


class Unique(Demand, frozen=True, kw_only=True):
    values: tuple[str, ...]
    columns: tuple[str, ...]
    where: str = "true"
    nulls_distinct: bool = True


class ForeignKey(Demand, frozen=True, kw_only=True):
    columns: tuple[str, ...]
    target: str
    targets: tuple[str, ...] = ()
    """None named: the target's primary key."""
    full: bool = False


class Check(Demand, frozen=True, kw_only=True):
    condition: str
    columns: tuple[str, ...]
    """All names in it, columns or not."""


class Exclusion(Demand, frozen=True, kw_only=True):
    values: tuple[str, ...]
    operators: tuple[str, ...]
    columns: tuple[str, ...]
    where: str = "true"


class Cast(Demand, frozen=True, kw_only=True):
    """A value that has to be computed, and to fit a type (None: the column's own)."""

    value: str
    type: str | None
    columns: tuple[str, ...]
    where: str = "true"
    plain: bool = False
    """It is the column, cast to that type, and nothing else."""


class Validate(Demand, frozen=True, kw_only=True):
    constraint: str


class Attach(Demand, frozen=True, kw_only=True):
    """Rows of `table` have to lie within a partition's bound; those of the default partition have to lie without."""

    parent: str
    how: Literal["list", "range", "hash", "default"]
    bound: tuple[tuple[str, ...], ...] = ()
    new: bool = False
    """The partition is made by the statement, so that it has no rows."""


class Domain(Demand, frozen=True, kw_only=True):
    """`table` is the domain; the condition speaks of `VALUE`, "" is NOT NULL."""

    condition: Words | None = None
    constraint: str | None = None
    """One that is there already, to be validated."""


class Write(Demand, frozen=True, kw_only=True):
    """Rows that are written, and break a constraint that is there already."""

    verb: Literal["insert", "update", "delete"]
    assigned: tuple[tuple[str, str | None], ...] = ()
    """Column and value of an update; None where the text alone does not say the value."""
    where: str = "true"
