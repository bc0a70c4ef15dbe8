"""What the catalogs know of the tables that a statement names: asked in the statement's own search_path."""

from __future__ import annotations

from typing import Final

import msgspec
import psycopg2.extensions

from neontest.postgres.names import quoted
from neontest.postgres.tokens import quote


class Unknown(LookupError):
    """There is no such table, type or constraint: not any more, since what made it was rolled back."""


class Relation(msgspec.Struct, frozen=True, kw_only=True):
    oid: int
    schema: str
    name: str
    kind: str
    """pg_class.relkind."""
    columns: tuple[tuple[str, str], ...]
    """Name and type, as SQL."""
    key: tuple[str, ...]
    """The columns of its primary key."""

    @property
    def sql(self) -> str:
        return f"{quote(self.schema)}.{quote(self.name)}"

    @property
    def shown(self) -> str:
        return f"{quoted(self.schema)}.{quoted(self.name)}"

    def type(self, column: str) -> str:
        for name, type in self.columns:
            if name == column:
                return type
        raise Unknown(column)


_RELATION: Final = """
SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text,
    ARRAY(SELECT ARRAY[attname::text, format_type(atttypid, atttypmod)]
        FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum),
    ARRAY(SELECT attname::text
        FROM pg_index i, unnest(i.indkey) WITH ORDINALITY AS k(attnum, place)
        JOIN pg_attribute a ON a.attnum = k.attnum
        WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid AND k.place <= i.indnkeyatts
        ORDER BY k.place)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f') AND c.oid = """

_USES: Final = """
WITH RECURSIVE same AS (
    SELECT to_regtype(%s)::oid AS oid
    UNION SELECT t.oid FROM pg_type t JOIN same ON t.typbasetype = same.oid AND t.typtype = 'd'
)
SELECT c.oid, a.attname::text, format_type(d.typbasetype, d.typtypmod)
FROM same JOIN pg_attribute a ON a.atttypid = same.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p') AND NOT c.relispartition
JOIN pg_type d ON d.oid = to_regtype(%s)
ORDER BY c.oid::regclass::text, a.attnum
"""

_CONSTRAINTS: Final = """
SELECT conrelid, regexp_replace(pg_get_constraintdef(oid), '( NOT VALID| NOT ENFORCED)+$', '')
FROM pg_constraint WHERE
"""


class Relations:
    """Look-ups over a cursor."""

    def __init__(self, cursor: psycopg2.extensions.cursor) -> None:
        self._cursor = cursor

    def named(self, name: str) -> Relation:
        """The table that this SQL means here."""
        return self._relation("to_regclass(%s)", name)

    def of(self, oid: int) -> Relation:
        return self._relation("%s", oid)

    def _relation(self, which: str, value: str | int) -> Relation:
        self._cursor.execute(_RELATION + which, (value,))
        row = self._cursor.fetchone()
        if row is None:
            raise Unknown(str(value))
        oid, schema, name, kind, columns, key = row
        return Relation(
            oid=oid, schema=schema, name=name, kind=kind, columns=tuple((a, b) for a, b in columns), key=tuple(key)
        )

    def has_default(self, type: str) -> bool:
        """The type is a domain with a default."""
        self._cursor.execute("SELECT typdefault IS NOT NULL FROM pg_type WHERE oid = to_regtype(%s)", (type,))
        return (self._cursor.fetchone() or (False,))[0] is True

    def is_text(self, type: str) -> bool:
        """It is a string of which a cast reads what is written (`character` drops blanks)."""
        return self._category(type) == ("S", "b", False)

    def is_read_from_text(self, type: str) -> bool:
        """A cast from text to this type accepts what the type's input accepts, and cuts nothing off."""
        category, kind, _ = self._category(type)
        return kind in ("b", "e", "r") and category not in ("S", "V")

    def _category(self, type: str) -> tuple[str, str, bool]:
        self._cursor.execute(
            "SELECT typcategory::text, typtype::text, typname = 'bpchar' FROM pg_type WHERE oid = to_regtype(%s)",
            (type,),
        )
        row = self._cursor.fetchone()
        if row is None:
            raise Unknown(type)
        return row[0], row[1], row[2]

    def uses(self, domain: str) -> list[tuple[int, str, str]]:
        """Every column of a domain: its table's oid, its name, and the domain's base type."""
        self._cursor.execute(_USES, (domain, domain))
        return self._cursor.fetchall()

    def constraint(self, relation: Relation, name: str) -> str:
        """What a constraint of a table says, as SQL."""
        self._cursor.execute(_CONSTRAINTS + "conrelid = %s AND conname = %s", (relation.oid, name))
        row = self._cursor.fetchone()
        if row is None:
            raise Unknown(name)
        return str(row[1])

    def domain_constraint(self, domain: str, name: str) -> str:
        self._cursor.execute(_CONSTRAINTS + "contypid = to_regtype(%s) AND conname = %s", (domain, name))
        row = self._cursor.fetchone()
        if row is None:
            raise Unknown(name)
        return str(row[1])

    def constraints(self, relation: Relation, kinds: str) -> list[str]:
        """Statements that would make the table's constraints of these kinds (pg_constraint.contype)."""
        self._cursor.execute(
            _CONSTRAINTS + "conrelid = %s AND contype = ANY(%s) ORDER BY conname", (relation.oid, list(kinds))
        )
        return [f"ALTER TABLE {relation.sql} ADD {text}" for _, text in self._cursor.fetchall()]

    def unique_indexes(self, relation: Relation) -> list[str]:
        """Statements that would make the table's unique indexes."""
        self._cursor.execute(
            "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = %s AND indisunique ORDER BY 1",
            (relation.oid,),
        )
        return [str(text) for (text,) in self._cursor.fetchall()]

    def not_null(self, relation: Relation) -> set[str]:
        self._cursor.execute(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = %s AND attnotnull", (relation.oid,)
        )
        return {name for (name,) in self._cursor.fetchall()}

    def referencing(self, relation: Relation) -> list[tuple[int, str]]:
        """Foreign keys to this table: their tables, and what they say."""
        self._cursor.execute(
            _CONSTRAINTS + "confrelid = %s AND contype = 'f' AND conparentid = 0 ORDER BY conname", (relation.oid,)
        )
        return self._cursor.fetchall()

    def partition_key(self, relation: Relation) -> str:
        """Such as `RANGE (day, lower(name))`."""
        self._cursor.execute("SELECT pg_get_partkeydef(%s)", (relation.oid,))
        row = self._cursor.fetchone()
        if row is None or row[0] is None:
            raise Unknown(relation.shown)
        return str(row[0])

    def partitions(self, relation: Relation) -> tuple[list[str], int | None]:
        """The conditions of a table's partitions, and the default one's oid."""
        self._cursor.execute(
            "SELECT c.oid, pg_get_expr(relpartbound, c.oid) = 'DEFAULT', pg_get_partition_constraintdef(c.oid)"
            " FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE inhparent = %s AND relispartition",
            (relation.oid,),
        )
        rows = self._cursor.fetchall()
        default = next((oid for oid, is_default, _ in rows if is_default), None)
        return [text for _, is_default, text in rows if text and not is_default], default
