"""The rows of one table, thought out before they are inserted: the first try of each, and what to try next. Pure.

Of every column the number of the try is kept. The same row and the same numbers give the same values.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from typing import Final

from neontest.postgres.fill_checks import Hints, hints
from neontest.postgres.fill_model import Column, ForeignKey, Table, Unique, Use, Value
from neontest.postgres.fill_texts import Draw, draw
from neontest.postgres.fill_values import Source, source

NULL_EVERY: Final = 5
"""One row in so many has no value in a column that needs none."""

_ZERO: Final = re.compile(r"0(\.0+)?")
_PATIENCE: Final = 24

Tuples = tuple[tuple[str, ...], ...]
Tries = Mapping[int, int]


class Unfit(Exception):
    """There is no value for a column that needs one."""


class Plan:
    """What the rows of one table are to hold."""

    def __init__(
        self,
        table: Table,
        *,
        rows: int,
        seed: int,
        unicode: bool,
        unknown: frozenset[str] = frozenset(),
        targets: Mapping[str, Tuples],
        without: Iterable[str] = (),
        columns: Iterable[int] | None = None,
    ) -> None:
        """What is given besides the table.

        `targets` are the rows that each foreign key may refer to, `without` names those that are left null; `unknown`
        are types of which there are no values; with `columns` only these are filled, of rows that are there.
        """
        self.table = table
        self.rows = rows
        self._seed = seed
        self._unicode = unicode
        self._unknown = unknown
        self._targets = targets
        self._existing = columns is not None
        wanted = set(columns) if columns is not None else None
        self.columns = tuple(
            column
            for column in table.columns
            if not column.generated and (wanted is None or column.number in wanted)
        )  # fmt: skip
        numbers = {column.number for column in self.columns}
        left_out = set(without)
        self._keys = tuple(
            sorted(
                (key for key in table.foreign_keys if key.name not in left_out and numbers & set(key.columns)),
                key=lambda key: (-len(key.columns), key.name),
            )
        )
        self._null: frozenset[int] = frozenset(
            number
            for key in table.foreign_keys
            if key.name in left_out
            for number in key.columns
            if table.by_number[number].nullable and not any(number in other.columns for other in self._keys)
        )
        self._uniques = tuple(
            each for each in table.uniques if not each.excludes and each.mentioned and set(each.mentioned) <= numbers
        )
        self._null_rows: dict[str, int] = {}
        self._used: dict[str, set[tuple[Value, ...]]] = {each.name: set() for each in self._uniques}
        self._calm = {
            number
            for each in table.uniques
            if each.excludes or each.primary
            for number in each.mentioned
        } | table.partition_columns  # fmt: skip

    def values(self, row: int, tries: Tries, fixed: Mapping[int, Value] | None = None) -> dict[int, Value]:
        """The row's values by column number; `fixed` are those it has.

        Raises:
            Unfit: with the reason.
        """
        values: dict[int, Value] = dict(fixed or {})
        for key in self._keys:
            self._refer(key, values, row, max((tries.get(number, 0) for number in key.columns), default=0))
        for column in self.columns:
            if column.number not in values:
                values[column.number] = self._own(column, row, tries.get(column.number, 0))
        return {column.number: values[column.number] for column in self.columns}

    def taken(self, values: Mapping[int, Value]) -> Unique | None:
        """The unique index that already holds such a row, as far as that can be told without the server."""
        for unique in self._uniques:
            key = _key(unique, values)
            if unique.plain and key is not None and key in self._used[unique.name]:
                return unique
        return None

    def take(self, values: Mapping[int, Value]) -> None:
        for unique in self._uniques:
            if (key := _key(unique, values)) is not None:
                self._used[unique.name].add(key)

    def forget(self, rows: Iterable[Mapping[int, Value]]) -> None:
        """These rows were not inserted after all."""
        for values in rows:
            for unique in self._uniques:
                if (key := _key(unique, values)) is not None:
                    self._used[unique.name].discard(key)

    def _own(self, column: Column, row: int, tried: int) -> Value:
        """The value of a column that refers to nothing."""
        if column.number in self._null:
            return None
        if column.sequence and not self._existing and tried < 3:
            return Use.DEFAULT
        found = self._source(column, row % len(self.table.partitions) if self.table.partitions else 0)
        if found is None:
            if column.nullable:
                return None
            raise Unfit(f"no value is known for its column {column.name} of type {column.type.name}")
        bound = column.number in self.table.partition_columns
        if tried == 0:
            if column.nullable and not bound and self._is_null(column.name, row):
                return None
            if (edge := self._edge(column, found, row)) is not None:
                return edge
        if tried <= 1:
            return self._lowest(column, row) or found.plain(row)
        fresh = found.plain(row + tried * (self.rows + 1))
        if tried == 2:
            return fresh
        # A new row may do without all that can be missing; one that is there rather tries some more values first.
        may_be_null = column.nullable and (not self._existing or tried > _PATIENCE)
        if tried == 3 and may_be_null:
            return None
        constant = (Use.DEFAULT,) if column.default is not None and _constant(column.default) else ()
        if tried == 4 and (zero := next((edge for edge in found.edges if _ZERO.fullmatch(edge)), None)) is not None:
            # All nothing: the sum, the product and the part of nothing.
            return zero
        if tried == 5 and constant:
            return Use.DEFAULT
        likely: list[Value] = [fresh, fresh, *constant, *((None,) if may_be_null else ())]
        pool: list[Value] = [*found.edges, *found.others(row + tried * (self.rows + 1))]
        drawn = self._draw(column.name)
        if not pool or drawn(2, "likely", tried):
            pool = likely
            return pool[drawn(len(pool), "pool", tried)]
        return pool[(tried + drawn(len(pool), "pool")) % len(pool)]

    def _refer(self, key: ForeignKey, values: dict[int, Value], row: int, tried: int) -> None:
        """Let the row refer to a row of the target, one that fits what is settled already."""
        open_ones = [number for number in key.columns if number not in values]
        if not open_ones:
            return
        drawn = self._draw(key.name)
        optional = [number for number in open_ones if self.table.by_number[number].nullable]
        itself = self._existing and key.target == self.table.oid
        none = tried == 3 or (tried > 3 and drawn(3, "null", tried) == 0)
        if optional and (none or (tried == 0 and self._is_null(key.name, row)) or (itself and row == 0)):
            values.update(dict.fromkeys(optional))
            return
        settled = {at: values[number] for at, number in enumerate(key.columns) if number in values}
        known = self._targets.get(key.name, ())
        # To earlier rows only, so that no tree turns into a circle.
        known = known[:row] if itself and row else known
        fitting = [each for each in known if all(each[at] == value for at, value in settled.items())]
        if not fitting:
            if optional:
                values.update(dict.fromkeys(optional))
                return
            names = self.table.names(key.columns)
            missing = "has no rows" if not known else "has no row that fits"
            raise Unfit(f"{_readable(key.target_name)}, to which its {names} refers, {missing}")
        at = row if tried == 0 else drawn(len(fitting), "target", row, tried)
        if itself and tried == 0:
            alone = any(set(each.columns) <= set(key.columns) for each in self.table.uniques)
            at = len(fitting) - 1 if alone else (len(fitting) - 1) // 2
        chosen = fitting[at % len(fitting)]
        values.update({number: chosen[key.columns.index(number)] for number in open_ones})

    def _is_null(self, name: str, row: int) -> bool:
        """In one row of five, in one at least where there are three."""
        return self.rows >= 3 and row % NULL_EVERY == self._null_row(name)

    def _null_row(self, name: str) -> int:
        """The first one of them."""
        if name not in self._null_rows:
            self._null_rows[name] = self._draw(name)(min(NULL_EVERY, self.rows), "null row")
        return self._null_rows[name]

    def _edge(self, column: Column, found: Source, row: int) -> str | None:
        """Every other one of the first rows holds a value at the limits; most rows are ordinary."""
        if column.number in self._calm or not found.edges:
            return None
        at = row
        if column.nullable and self.rows >= 3:
            at -= (row - self._null_row(column.name)) // NULL_EVERY + 1  # the rows before that are null
        most = min(len(found.edges), max(1, self.rows // 3))
        return found.edges[at // 2] if at % 2 and at // 2 < most and self.rows >= 3 else None

    def _lowest(self, column: Column, row: int) -> str | None:
        """A range over several columns takes at least its own lower bound."""
        key = self.table.partition_key
        if not self.table.partitions or len(key) < 2 or column.number not in key:
            return None
        lowest = self.table.partitions[row % len(self.table.partitions)].lowest
        return lowest[key.index(column.number)] if lowest else None

    def _draw(self, name: str) -> Draw:
        return draw(self._seed, self.table.schema, self.table.name, name)

    @functools.cached_property
    def _hints(self) -> tuple[dict[str, Hints], ...]:
        """What checks say of each column, once for each partition."""
        names = [column.name for column in self.table.columns]
        found = hints(self.table.checks, names)
        if not self.table.partitions:
            return (found,)
        bounds = [hints((each.bound,), names) for each in self.table.partitions]
        return tuple({name: hint.and_also(bound[name]) for name, hint in found.items()} for bound in bounds)

    def _source(self, column: Column, partition: int) -> Source | None:
        if column.type.name in self._unknown:
            return None
        if (column.number, partition) not in self._sources:
            self._sources[column.number, partition] = source(
                column.type,
                column.modifier,
                name=column.name,
                hint=self._hints[partition][column.name],
                draw=self._draw(column.name),
                unicode=self._unicode,
            )
        return self._sources[column.number, partition]

    @functools.cached_property
    def _sources(self) -> dict[tuple[int, int], Source | None]:
        return {}


def _key(unique: Unique, values: Mapping[int, Value]) -> tuple[Value, ...] | None:
    """The row's key in a unique index; None where it cannot be told, or is never the same as another."""
    key = tuple(values.get(number) for number in unique.mentioned)
    if Use.DEFAULT in key or (None in key and not unique.nulls_alike):
        return None
    return tuple(each.lower() if isinstance(each, str) else each for each in key)


def _constant(default: str) -> bool:
    """The default is the same at any time: no function is called, no clock or user is asked."""
    outside = "".join(default.split("'")[::2])
    return not any(word in outside for word in ("(", "CURRENT", "SESSION", "LOCAL", "USER")) or default in (
        "true",
        "false",
    )


def _readable(name: str) -> str:
    return name.replace('"', "")
