# ruff: noqa: S608 - the SQL is put together from constants only
"""Everything that a snapshot reads, as data: one entry a kind, and one query of them all.

Each fact is one SQL expression of its own, so that a difference can name it; NULL means that the fact does not apply.
All text is deparsed by the server under an empty search_path: no oid, attribute number or node tree gets into a fact,
for those differ after a downgrade and a new upgrade. Works on PostgreSQL 14 to 18 without superuser's rights.
Source: https://www.postgresql.org/docs/18/catalogs.html (2026-11-22).
"""

from __future__ import annotations

from typing import Final

from neontest.postgres.catalog_database import DATABASE
from neontest.postgres.catalog_relations import RELATIONS
from neontest.postgres.catalog_routines import OPERATORS, ROUTINES
from neontest.postgres.catalog_types import TYPES
from neontest.postgres.kind import PRELUDE, USER_OID, Kind

KINDS: Final[tuple[Kind, ...]] = (*DATABASE, *TYPES, *RELATIONS, *ROUTINES, *OPERATORS)
"""Every kind, in the order in which differences are told."""

COMMENT: Final = -1
"""Stands for a kind's index where a row is a comment."""


def rows_sql(version: int) -> str:
    """The one query that reads everything, for a server of this version."""
    # Comments come first, so that each object is built once, with its own.
    branches = [
        f"""SELECT {COMMENT}, objoid, objsubid, classoid::regclass::text, ''::text, description FROM pg_description
        WHERE objoid >= {USER_OID} OR (classoid = 'pg_namespace'::regclass AND objoid IN (SELECT oid FROM space))""",
        f"""SELECT {COMMENT}, objoid, 0, 'pg_database', ''::text, description FROM pg_shdescription
        WHERE classoid = 'pg_database'::regclass
          AND objoid = (SELECT oid FROM pg_database WHERE datname = current_database())""",
        *(_branch(index, kind, version) for index, kind in enumerate(KINDS) if kind.since <= version),
    ]
    return f"WITH {PRELUDE} " + "\nUNION ALL\n".join(branches)


def _branch(index: int, kind: Kind, version: int) -> str:
    expressions = dict(kind.facts)
    for before, replaced in kind.older.items():
        if version < before:
            expressions.update(replaced)
    array = ", ".join(f"({expression})::text" for expression in expressions.values())
    return (
        f"SELECT {index}, ({kind.oid})::oid, ({kind.sub})::int, ({kind.on})::text, ({kind.title})::text, "
        f"ARRAY[{array}]::text FROM {kind.source}"
    )
