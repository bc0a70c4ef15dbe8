# ruff: noqa: S608 - names are quoted, everything else is constants and numbers
"""How values become numbers, as SQL. Whatever differs between two moments has to differ in here.

The server's own hash functions serve a hash table, where a collision only costs time. Measured on 15 and 18: the one
of numeric drops the sign (-5 hashes as 5, Infinity as NaN), and so does that of jsonb, which drops nesting too; the one
of bigint folds 64 bits into 32 (5 hashes as 4294967300); the one of arrays drops dimensions; that of enums hashes an
oid, which is another one after a downgrade and a new upgrade; that of intervals takes a month for 30 days. So only
those are used here that hash every bit of a value, and all else is hashed as its text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from neontest.postgres.fingerprint_model import EXACT_MASK, Column, Table
from neontest.postgres.set_up import TEXTS

_INTEGERS: Final = {16: "bool", 20: "int8", 21: "int8", 23: "int8", 26: "int8"}
FAMILIES: Final = {
    **dict.fromkeys(_INTEGERS, "integer"),
    700: "float",
    701: "float",
    1700: "numeric",
    17: "bytea",
    650: "inet",
    869: "inet",
    1083: "time",
    1266: "timetz",
    1114: "timestamp",
    1184: "timestamptz",
    2950: "uuid",
    114: "jsonb",
    3802: "jsonb",
}
"""By the oid of a type in pg_catalog; every other type is "text". Values of one family hash alike over all its types.

jsonb is hashed as text, too, but no text can be expected to be what jsonb makes of it. json is hashed as what jsonb
makes of it: a column that was jsonb for a while comes back with other blanks, and that is nothing."""

_TARGETS: Final = {
    **_INTEGERS,
    700: "float4",
    701: "float8",
    1700: "numeric",
    17: "bytea",
    650: "inet",
    869: "inet",
    1083: "time",
    1266: "timetz",
    1114: "timestamp",
    1184: "timestamptz",
    2950: "uuid",
    114: "jsonb",
}
"""What a value is cast to that was of this type before: wide enough never to refuse what the old one held."""

_HASHES: Final = {
    # The value goes where the seed goes, for only the seed's 64 bits are all hashed.
    "integer": "hashint4extended(0, {c}::int8 # {k})",
    # Zero, whatever its sign, hashes as the bare seed: hash that.
    "float": "hashint4extended(0, hashfloat8extended({c}::float8, {k}))",
    # 1.0 is 1.00: the scale is no part of the value.
    "numeric": 'hashtextextended(trim_scale({c}::numeric)::text COLLATE "C", {k})',
    "uuid": "uuid_hash_extended({c}, {k})",
    # The functions of the other types with a date came with PostgreSQL 18.
    "timestamp": "timestamp_hash_extended({c}, {k})",
    # At UTC. By an offset, which is an addition: a cast to timestamp asks for the time zone's year, month and day.
    "timestamptz": "timestamp_hash_extended(timezone(interval '0', {c}), {k})",
    "time": "time_hash_extended({c}, {k})",
    "timetz": "timetz_hash_extended({c}, {k})",
    "inet": "hashinetextended({c}, {k})",
    # bytea has no function of its own before PostgreSQL 18; a record of one column hashes as the column.
    "bytea": "CASE WHEN {c} IS NOT NULL THEN hash_record_extended(ROW({c}::bytea), {k}) END",
}
# "C": equal by a collation that ignores case is not the same.
_TEXT: Final = 'hashtextextended({c}::text COLLATE "C", {k})'

_NOTHING: Final = 0x6A09E667F3BCC908

FEW: Final = 2_000
"""Tables of no more rows have a group a row."""
SAMPLED: Final = 64
_SAMPLE_BITS: Final = -(1 << 58)
"""The upper six bits: the lower ten make the groups."""
TOO_WIDE: Final = 800
"""Two values a column have to fit into one row of a result, which has 1,664."""

SETTINGS: Final = {
    **TEXTS,
    # Rows that a policy hides would be rows lost: rather an error.
    "row_security": "off",
    # Functions of the project's own may run: casts, and the output of types.
    "transaction_read_only": "on",
    "jit": "off",
    # Groups are few, rows may be many: never sort them.
    "enable_sort": "off",
    "enable_hashagg": "on",
}
"""For the one transaction that reads."""

WORKERS: Final = 2
"""Processes beside its own that the server may read a table of some size with: it takes no more of the processors, and
half the time."""
_SHARED: Final = 8 << 20
"""Bytes from which on the server would."""
_APART: Final = "pg_is_in_recovery() AS apart"
"""A column that keeps the server from writing the inner expressions of a query wherever their results are used: it may
be another value each time, and is looked up in no time. OFFSET 0 does that as well, but leaves everything to one
process."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """How a column's values are hashed."""

    column: Column
    family: str
    cast: str | None = None
    """Cast to this type first, for it was of that type."""
    note: str | None = None
    """Not hashed at all, and why."""

    def value(self) -> str:
        """The SQL of the value, as it is hashed."""
        name = identifier(self.column.name)
        if self.cast:
            name = f"({name}::{self.cast})"
        boolean = (self.cast or _INTEGERS.get(self.column.base)) == "bool"
        return f"{name}::int4" if boolean and self.family == "integer" else name


def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


_JSON: Final = 114


def as_text(column: Column) -> Reading:
    """How to hash json that jsonb does not take, such as a \\u0000 in it."""
    return Reading(column=column, family="text")


def reading(column: Column, was: Column | None = None, family: str | None = None) -> Reading:
    """How to hash the column; so that it compares with a column `was` that was hashed as `family`, if there is one."""
    own = FAMILIES.get(column.base, "text")
    if was is None or family is None or family == own:
        return Reading(column=column, family=own, cast="jsonb" if column.base == _JSON else None)
    if family != "text" and (target := _TARGETS.get(was.base)) is not None:
        return Reading(column=column, family=family, cast=target)
    if own == "jsonb" and column.base != _JSON:
        # Blanks and the order of keys are not what they were, and that is nothing.
        return Reading(column=column, family=own, note=f"{was.type} became {column.type}: its values were only counted")
    return Reading(column=column, family=family)


def count_sql(table: Table, cast: Reading | None = None) -> str:
    """SQL that counts the rows; or the values that can be cast, and fails where one cannot."""
    return f"SELECT count({cast.value() if cast else '*'}) FROM {_source(table)}"


def print_sql(
    table: Table, columns: Sequence[Reading], *, by: Sequence[Reading], keyed: bool, mask: int, one_in: int = 1
) -> str:
    """One scan, a row a group: group, rows, sum of the hashes that tell rows apart; with a key, the sum of digests over
    whole rows; then of each column the sum of digests and the number of values.

    With a key, `by` is it, and each column is hashed with the key's hash as its seed. Without one, `by` are some of
    the columns, which are hashed without a seed, and a row's hash is made of theirs. With `one_in` (and a key), the
    rows that are not read come as one more group, NULL.
    """
    hashes = {f"h{each.column.number}": each for each in columns}
    seed = "k" if keyed else "0"
    digests = {name: _hash(each, f"c{each.column.number}", seed) for name, each in hashes.items()}
    values = [f"{each.value()} AS c{each.column.number}" for each in columns]
    group, whole = f"k & {mask}::int8", _mixed("k", list(hashes))
    if one_in > 1:
        chosen = f"CASE WHEN k & {_SAMPLE_BITS} = 0 THEN "
        digests = {name: f"{chosen}{sql} END" for name, sql in digests.items()}
        group, whole = f"{chosen}{group} END", f"{chosen}{whole} END"
    apart, alone = ([_APART], "") if table.bytes >= _SHARED else ([], " OFFSET 0")
    if keyed:
        source = f"SELECT {', '.join([f'{_key(by)} AS k', *values, *apart])} FROM {_source(table)}{alone}"
        source = f"SELECT {', '.join(['k', *_named(digests), *apart])} FROM ({source}) a{alone}"
    else:
        source = f"SELECT {', '.join([*values, *apart])} FROM {_source(table)}{alone}"
        source = f"SELECT {', '.join([*_named(digests), *apart])} FROM ({source}) a{alone}"
        row = _mixed("0::int8", [f"h{each.column.number}" for each in by])
        source = f"SELECT {', '.join([f'{row} AS k', *hashes, *apart])} FROM ({source}) b{alone}"
    results = [group, "count(*)", "sum(k)"] + ([f"sum({whole})"] if keyed else [])
    results += [result for name in hashes for result in (f"sum({name})", f"count({name})")]
    limit = f" LIMIT {FEW + 1}" if mask == EXACT_MASK else ""
    return f"SELECT {', '.join(results)} FROM ({source}) c GROUP BY 1{limit}"


def together_sql(queries: Sequence[str]) -> str:
    """SQL for several such results of numbers as one: which query's, and a row of it as text, which `numbers` reads."""
    return " UNION ALL ".join(f"SELECT {number}, each::text FROM ({sql}) each" for number, sql in enumerate(queries))


def numbers(row: str) -> tuple[int | None, ...]:
    """A row of numbers, as Postgres writes it as text."""
    return tuple(int(each) if each else None for each in row[1:-1].split(","))


def _source(table: Table) -> str:
    name = f"{identifier(table.schema)}.{identifier(table.relation)}"
    # A table's children by INHERITS are tables of their own.
    return name if table.partitioned else f"ONLY {name}"


def _named(expressions: Mapping[str, str]) -> list[str]:
    return [f"{sql} AS {name}" for name, sql in expressions.items()]


def _hash(each: Reading, value: str, seed: str) -> str:
    """SQL for 64 bits of the value; NULL for NULL."""
    return _HASHES.get(each.family, _TEXT).format(c=value, k=seed)


def _key(by: Sequence[Reading]) -> str:
    """SQL for the hash by which a row is known. Another table's key may have been NULL, so that may be, too."""
    hashes = [_given(_hash(each, each.value(), "0")) for each in by]
    return hashes[0] if len(hashes) == 1 else _mixed("0::int8", hashes)


def _mixed(start: str, hashes: Sequence[str]) -> str:
    """SQL that makes one hash of several, in which it matters which is which."""
    sql = start
    for each in hashes:
        sql = f"hashint4extended(0, {sql} # {each if each.startswith('coalesce(') else _given(each)})"
    return sql


def _given(hash_: str) -> str:
    """The SQL of a hash with a number for NULL that no value is likely to have."""
    return f"coalesce({hash_}, {_NOTHING})"
