"""What must be known of a table to invent rows for it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import msgspec

from neontest.postgres.names import literal


class Use(Enum):
    """A value that is no text: the column's own default."""

    DEFAULT = "DEFAULT"


Value = str | None | Use
"""As Postgres reads it from text; None is NULL."""

ROW: Final = 1
INSERT: Final = 4
UPDATE: Final = 16
"""Bits of pg_trigger.tgtype."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """A CHECK constraint, of a table or a domain, or the bound of a partition."""

    name: str
    expression: str
    """As the server deparses it under an empty search_path; a domain's value is called VALUE."""
    columns: tuple[int, ...] = ()


class Type(msgspec.Struct, frozen=True, kw_only=True):
    """A type, with the types that it is made of."""

    oid: int
    name: str
    """Without its schema."""
    kind: str
    """pg_type.typtype: b, c, d, e, m, p or r; A for an array."""
    of: Type | None = None
    """A domain's, array's or range's inner type; a multirange's range."""
    modifier: int = -1
    """A domain's modifier for its inner type."""
    not_null: bool = False
    labels: tuple[str, ...] = ()
    fields: tuple[tuple[Type, int], ...] = ()
    """A composite's types with their modifiers."""
    checks: tuple[Check, ...] = ()

    def every_check(self) -> tuple[Check, ...]:
        """Its own checks and those of all types inside it."""
        inner = (*((self.of,) if self.of else ()), *(type for type, _ in self.fields))
        return (*self.checks, *(check for type in inner for check in type.every_check()))


class Column(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    name: str
    type: Type
    modifier: int
    not_null: bool
    default: str | None = None
    identity: str = ""
    """pg_attribute.attidentity: a, d or nothing."""
    generated: bool = False

    @property
    def nullable(self) -> bool:
        return not (self.not_null or self.type.not_null)

    @property
    def sequence(self) -> bool:
        """Its default is the next number of a sequence."""
        default = self.default or ""
        return bool(self.identity) or (default.startswith("nextval(") and default.endswith("::regclass)"))


class Unique(msgspec.Struct, frozen=True, kw_only=True):
    """A unique or excluding index."""

    name: str
    columns: tuple[int, ...]
    """The key's, 0 where it is an expression."""
    mentioned: tuple[int, ...]
    """The key's, and those in its expressions and predicate."""
    plain: bool
    """Neither expressions nor a predicate."""
    excludes: bool
    primary: bool
    nulls_alike: bool


class ForeignKey(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    columns: tuple[int, ...]
    target: int
    target_name: str
    """Qualified and quoted."""
    target_columns: tuple[str, ...]
    full: bool
    """MATCH FULL: all null or none."""
    readable: bool
    """The role may read the target."""


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    events: int
    columns: tuple[int, ...]
    """UPDATE OF these; empty is any."""


class Partition(msgspec.Struct, frozen=True, kw_only=True):
    """A partition without partitions of its own."""

    bound: Check
    """What all its rows meet, its parents' bounds included."""
    lowest: tuple[str, ...] = ()
    """The lower bound of a range, of which every part is a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    oid: int
    schema: str
    name: str
    columns: tuple[Column, ...]
    partitioned: bool = False
    readable: bool = True
    guarded: bool = False
    """Row level security applies to this role."""
    uniques: tuple[Unique, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    checks: tuple[Check, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    rules: tuple[tuple[str, str], ...] = ()
    """(name, event: 2 is UPDATE, 3 is INSERT)."""
    partitions: tuple[Partition, ...] = ()
    partition_key: tuple[int, ...] = ()
    """0 where it is an expression."""
    partition_columns: frozenset[int] = frozenset()
    """The key's, and those of its partitions' own keys."""
    by_number: dict[int, Column] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_number", {column.number: column for column in self.columns})

    @property
    def sql(self) -> str:
        """Its name in SQL, always quoted."""
        return f"{identifier(self.schema)}.{identifier(self.name)}"

    @property
    def only(self) -> str:
        """The same without tables that inherit from it, where that is possible."""
        return self.sql if self.partitioned else f"ONLY {self.sql}"

    def names(self, numbers: tuple[int, ...]) -> str:
        return ", ".join(self.by_number[number].name for number in numbers if number in self.by_number)


def identifier(name: str) -> str:
    """The name in double quotes, for SQL that is run: key words too."""
    return '"' + name.replace('"', '""') + '"'


def sql_value(value: Value) -> str:
    """The value as SQL without a type, so that the column's own decides and nothing is cut to fit."""
    if value is None:
        return "NULL"
    if isinstance(value, Use):
        return str(value.value)
    # A backslash is itself: the connection has standard_conforming_strings on.
    return literal(value)
