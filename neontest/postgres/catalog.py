# ruff: noqa: S608 - the SQL is put together from constants only
"""Everything that a snapshot reads, as data: one entry a kind, and one query of them all.

Each fact is one SQL expression of its own, so that a difference can name it; NULL means that the fact does not apply.
All text is deparsed by the server under an empty search_path: no oid, attribute number or node tree gets into a fact,
for those differ after a downgrade and a new upgrade. Works on PostgreSQL 14 to 18 without superuser's rights.
Source: https://www.postgresql.org/docs/18/catalogs.html (2026-11-22).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final

from neontest.postgres.catalog_database import DATABASE
from neontest.postgres.catalog_relations import RELATIONS
from neontest.postgres.catalog_routines import OPERATORS, ROUTINES
from neontest.postgres.catalog_types import TYPES
from neontest.postgres.definitions import LISTED, composed
from neontest.postgres.dependents import AFFECTED, GIVEN, IN_QUERIES, IN_VALUES
from neontest.postgres.kind import USER_OID, Kind, prelude
from neontest.postgres.probe import (
    ALL_THERE,
    COMMENT_THERE,
    RARE_THERE,
    REST_THERE,
    SEQUENCE_THERE,
    TYPE_THERE,
    UNCOMMON_THERE,
)

Row = tuple[int, int, int, str, str, str, int]
"""Index into KINDS (COMMENT for a comment, READ for what was read), oid, sub-object, `Key.on`, name, facts as the text
of a text[], relation or type that it hangs on."""

KINDS: Final[tuple[Kind, ...]] = (*DATABASE, *TYPES, *RELATIONS, *ROUTINES, *OPERATORS)
"""Every kind, in the order in which differences are told."""

COMMENT: Final = -1
"""Stands for a kind's index where a row is a comment."""
READ: Final = -2
"""The same where a row is a relation or a type that was read, by its oid; of oid 0 for everything."""
NUMBER: Final = -3
"""The same where it is what tells a change: an oid, the probe's bits in the place of the sub-object, and its number in
that of what it is on."""

MANY: Final = 16
"""Relations and types that are read one by one, however few others there are."""

BESIDE: Final = ("table", "sequence", "constraint", "index")
"""Kinds that every database has, which take about as long to read as all others do."""


@cache
def rows_sql(version: int, there: int = ALL_THERE, *, beside: bool | None = None) -> str:
    """The one query that reads everything, for a server of this version; `there` are the probe's bits. Most databases
    have little of most kinds, and half of the time would go into planning how to find nothing.

    `beside` has it read but one half: of the kinds `BESIDE`, or of all others.
    """
    comments = [
        _COMMENTS + " OR (classoid = 'pg_namespace'::regclass AND objoid IN (SELECT oid FROM space))",
        f"""SELECT {COMMENT}, objoid, 0, 'pg_database', ''::text, description, 0::oid FROM pg_shdescription
        WHERE classoid = 'pg_database'::regclass
          AND objoid = (SELECT oid FROM pg_database WHERE datname = current_database())""",
    ]
    read = f"SELECT {READ}, 0::oid, 0, ''::text, ''::text, pg_current_snapshot()::text, 0::oid"
    kinds = [kind for kind in _kinds(there) if beside is None or beside == (kind.name in BESIDE)]
    told = [read, *([_OF_BESIDE] if beside else comments), *_branches(kinds, version, there, listed=True)]
    return _query(f"{prelude()}, {LISTED}", told)


@cache
def some_rows_sql(version: int, there: int = ALL_THERE) -> str:
    """The same of these relations and types: `$1`, their oids.

    A row READ names each of them, and says in the place of the sub-object 1 where a column more or less of it can show
    elsewhere, in that of the name whether it is an index, and in that of the facts which transactions are seen.
    """
    return _some(_GIVEN, [], version, there)


@cache
def changed_rows_sql(numbers: str, changed: str, version: int, there: int) -> str:
    """What the query `numbers` tells, as rows NUMBER, and the same of those for which the condition `changed` holds; of
    none where they are more than `MANY`."""
    picked = f"ARRAY(SELECT id FROM numbers WHERE id >= {USER_OID} AND ({changed}))"
    before = f"""numbers(id, digest, there) AS MATERIALIZED ({numbers}), picked(oid) AS MATERIALIZED (
  SELECT unnest(CASE WHEN cardinality(oids) <= {MANY} THEN oids END) FROM (SELECT {picked} AS oids) p)"""
    told = f"SELECT {NUMBER}, id, there, digest, ''::text, ''::text, 0::oid FROM numbers"
    return _some(before, [told], version, there)


def of_some(there: int, *, relations: bool = False) -> int:
    """The bits that matter where some are read, of which none is a type or a sequence if they are `relations`:
    functions do where nothing is rare."""
    if there & RARE_THERE:
        there &= ~REST_THERE
    return there & ~(TYPE_THERE | SEQUENCE_THERE) if relations else there


def _some(before: str, told: Sequence[str], version: int, there: int) -> str:
    # Views, rules and policies are rare, and functions are of the rest.
    held = f"{IN_QUERIES} OR {IN_VALUES}" if there & (RARE_THERE | REST_THERE) else IN_VALUES
    index = "EXISTS (SELECT FROM pg_index i WHERE i.indexrelid = g.oid OFFSET 0)::text"
    read = f"SELECT {READ}, g.oid, ({held})::int, ''::text, {index}, pg_current_snapshot()::text, 0::oid FROM given g"
    comments = [_COMMENTS] if there & COMMENT_THERE else []
    kinds = [kind for kind in _kinds(there) if kind.of != "0"]
    some = prelude("{} IN (SELECT oid FROM given)")
    return _query(f"{before}, {GIVEN}, {some}", [*told, read, *comments, *_branches(kinds, version, there)])


@cache
def others_sql() -> str:
    """The oids of other relations and types that can read differently once those of `$1` have changed: 0 for something
    else, then only everything will do."""
    return f"WITH RECURSIVE {_GIVEN}, {GIVEN}, {AFFECTED} SELECT DISTINCT coalesce(oid, 0) FROM affected"


_GIVEN: Final = "picked(oid) AS MATERIALIZED (SELECT unnest($1))"
_COMMON: Final = (
    *("database", "setting", "schema", "extension"),
    *("table", "column", "constraint", "index"),
)
_OF: Final = {"enum": TYPE_THERE, "sequence": SEQUENCE_THERE}


def _kinds(there: int) -> list[Kind]:
    """Those of which there can be something, by the bits that the probe told."""

    def bit(kind: Kind) -> int:
        return _OF.get(kind.name, REST_THERE if kind.of == "0" else RARE_THERE)

    return [kind for kind in KINDS if kind.name in _COMMON or there & bit(kind)]


_COMMENTS: Final = f"""SELECT {COMMENT}, objoid, objsubid, classoid::regclass::text, ''::text, description, 0::oid
  FROM pg_description WHERE objoid >= {USER_OID}"""
"""Comments come first, so that each object is built once, with its own."""
_OF_BESIDE: Final = f"{_COMMENTS} AND objsubid = 0 AND classoid IN ('pg_class'::regclass, 'pg_constraint'::regclass)"


def _query(prelude: str, branches: Sequence[str]) -> str:
    return f"WITH RECURSIVE {prelude} " + "\nUNION ALL\n".join(branches)


def _branches(kinds: Sequence[Kind], version: int, there: int, *, listed: bool = False) -> list[str]:
    return [
        _branch(KINDS.index(kind), composed(kind, version) if listed else kind, version, there)
        for kind in kinds
        if kind.since <= version
    ]


def _branch(index: int, kind: Kind, version: int, there: int) -> str:
    expressions = {**kind.facts, **({} if there & UNCOMMON_THERE else kind.common)}
    for before, replaced in kind.older.items():
        if version < before:
            expressions.update(replaced)
    array = ", ".join(f"({expression})::text" for expression in expressions.values())
    return (
        f"SELECT {index}, ({kind.oid})::oid, ({kind.sub})::int, ({kind.on})::text, ({kind.title})::text, "
        f"ARRAY[{array}]::text, {kind.of}::oid FROM {kind.source}"
    )
