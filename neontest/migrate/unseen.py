"""What Alembic's autogenerate does not compare: CHECK constraints by name, enum types, their values and the order.

A part of `worker`, so it runs in the project's interpreter too: Python 3.8, SQLAlchemy 1.3.24 to 2.1, nothing of ours.
"""

# ruff: noqa: UP006, UP032, UP035, UP045
from __future__ import annotations

import contextlib
import re
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Set, Tuple

Key = Tuple[str, str]
"""Schema and name."""
LONGEST_NAME = 63
"""Bytes of an identifier that Postgres keeps."""

PLACE = "SELECT CAST(current_database() AS text), CAST(current_schema() AS text)"
TABLES = """
SELECT CAST(n.nspname AS text), CAST(c.relname AS text), pg_table_is_visible(c.oid), c.relispartition OR EXISTS (
  SELECT FROM pg_depend d
  WHERE d.classid = CAST('pg_class' AS regclass) AND d.objid = c.oid AND d.deptype = 'e'
)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
"""
CHECKS = """
SELECT CAST(n.nspname AS text), CAST(c.relname AS text), CAST(k.conname AS text), pg_get_constraintdef(k.oid)
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype = 'c'
ORDER BY 1, 2, 3
"""
ENUMS = """
SELECT CAST(n.nspname AS text), CAST(t.typname AS text), pg_type_is_visible(t.oid), CAST(e.enumlabel AS text)
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_enum e ON e.enumtypid = t.oid
WHERE t.typtype = 'e'
ORDER BY 1, 2, e.enumsortorder
"""


class Entry(NamedTuple):
    """One thing that differs."""

    what: str
    line: Optional[str]
    removes: Optional[Key] = None
    """The table that no model knows."""


class Catalog:
    """What the database has, by schema and name."""

    def __init__(self, connection: Any) -> None:
        from sqlalchemy import text

        def rows(query: str) -> List[Any]:
            return list(connection.execute(text(query)).fetchall())

        self.database, self.schema = rows(PLACE)[0]
        self._visible: Dict[str, str] = {}
        self._visible_types: Dict[str, str] = {}
        self.tables: Set[Key] = set()
        self.foreign: Set[Key] = set()
        """Tables that no model has to know: partitions, and what an extension brought."""
        self.checks: Dict[Key, Dict[str, str]] = {}
        self.enums: Dict[Key, List[str]] = {}
        for schema, name, visible, foreign in rows(TABLES):
            self.tables.add((schema, name))
            if visible:
                self._visible[name] = schema
            if foreign:
                self.foreign.add((schema, name))
        for schema, table, name, definition in rows(CHECKS):
            self.checks.setdefault((schema, table), {})[name] = definition
        for schema, name, visible, label in rows(ENUMS):
            self.enums.setdefault((schema, name), []).extend([] if label is None else [label])
            if visible:
                self._visible_types[name] = schema

    def table(self, schema: Optional[str], name: str) -> Key:
        """Where a table is that a model or Alembic calls so."""
        return (str(schema or self._visible.get(name) or self.schema), str(name))

    def type(self, schema: Optional[str], name: str) -> Key:
        return (str(schema or self._visible_types.get(name) or self.schema), str(name))


def qualified(schema: Optional[str], name: str) -> str:
    return "{}.{}".format(schema, name) if schema else str(name)


def without_binds(sql: str) -> str:
    """The SQL as SQLAlchemy's text() takes it, to which `:name` would be a parameter."""
    return re.sub(r"(?<![:\w\\]):(?=\w+(?!:))", r"\:", sql)


# -- enums


def enum_of(kind: Any, dialect: Any) -> Any:
    """The native enum type with a name that a column's type comes down to, or None."""
    from sqlalchemy import ARRAY, Enum
    from sqlalchemy.types import TypeDecorator

    for _ in range(10):  # a type that wraps itself is no enum
        mapping = getattr(kind, "_variant_mapping", None) or {}
        if dialect.name in mapping:
            kind = mapping[dialect.name]
        elif isinstance(kind, ARRAY):
            kind = kind.item_type
        elif isinstance(kind, TypeDecorator):
            kind = kind.load_dialect_impl(dialect)
        else:
            break
    named = isinstance(kind, Enum) and getattr(kind, "native_enum", True) and kind.name and kind.enums
    return kind if named else None


def enums(tables: Iterable[Any], catalog: Catalog, dialect: Any) -> Iterator[Entry]:
    """Enum types of the models' columns that the database has not, or has with other values."""
    seen = set()
    for table in tables:
        for column in table.columns:
            kind = enum_of(column.type, dialect)
            if kind is None:
                continue
            schema = getattr(kind, "schema", None)
            wanted = tuple(str(value) for value in kind.enums)
            where = catalog.type(schema, kind.name)
            if (where, wanted) in seen:
                continue
            seen.add((where, wanted))
            if where not in catalog.enums:
                arguments = [repr(value) for value in wanted] + ["name={!r}".format(str(kind.name))]
                arguments += ["schema={!r}".format(str(schema))] if schema else []
                line = "sa.Enum({}).create(op.get_bind())".format(", ".join(arguments))
                yield Entry("add enum {}".format(qualified(schema, kind.name)), line)
            else:
                yield from values(schema, kind.name, wanted, catalog.enums[where], dialect)


def values(
    schema: Optional[str], name: str, wanted: Tuple[str, ...], there: List[str], dialect: Any
) -> Iterator[Entry]:
    """The values to add, each at its place; for those to remove and for another order Postgres has no statement."""
    quote = dialect.identifier_preparer.quote
    type_sql = ".".join(quote(part) for part in (schema, name) if part)
    called, now = qualified(schema, name), list(there)
    for number, value in enumerate(wanted):
        if value in now:
            continue
        place = ""
        if number == 0 and now:
            place = " BEFORE " + literal(now[0])
            now.insert(0, value)
        elif now and wanted[number - 1] != now[-1]:
            place = " AFTER " + literal(wanted[number - 1])
            now.insert(now.index(wanted[number - 1]) + 1, value)
        else:
            now.append(value)
        sql = "ALTER TYPE {} ADD VALUE {}{}".format(type_sql, literal(value), place)
        yield Entry("add value {!r} to enum {}".format(value, called), "op.execute({!r})".format(without_binds(sql)))
    for value in there:
        if value not in wanted:
            yield Entry("remove value {!r} from enum {}".format(value, called), None)
    before, after = [each for each in there if each in wanted], [each for each in wanted if each in there]
    if before != after:
        yield Entry("order of enum {}: {} → {}".format(called, ", ".join(before), ", ".join(after)), None)


def literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


# -- CHECK constraints


class Checks:
    """The named CHECK constraints of one table of the models, beside those of the database."""

    def __init__(self, table: Any, catalog: Catalog, autogen: Any) -> None:
        self._table, self._autogen, self._dialect = table, autogen, autogen.dialect
        self._there = catalog.checks.get(catalog.table(table.schema, table.name), {})
        self._unnamed = False
        self._wanted: Dict[str, Any] = {}
        for constraint in self._constraints():
            name = final_name(constraint, self._dialect)
            if name is None:
                self._unnamed = True
            else:
                self._wanted[name] = constraint

    def _constraints(self) -> List[Any]:
        from sqlalchemy import CheckConstraint

        compiler = self._dialect.ddl_compiler(self._dialect, None)
        places = [self._table.constraints, *(column.constraints for column in self._table.columns)]
        found = [each for place in places for each in place if isinstance(each, CheckConstraint)]
        # A type's own constraint is made only where the database has no such type.
        made = [each for each in found if each._create_rule is None or each._create_rule(compiler)]
        return sorted(made, key=lambda each: str(each.name or ""))

    def missing(self) -> Iterator[Entry]:
        for name, constraint in self._wanted.items():
            if name in self._there or not self._asked(constraint, name, reflected=False):
                continue
            line = None
            with contextlib.suppress(Exception):  # of a kind of expression that has no literal form
                line = "op.create_check_constraint({}, {!r}, {!r}{})".format(
                    self._shown(name), str(self._table.name), self._sql(constraint), self._schema()
                )
            yield Entry("add check constraint {} on {}".format(name, self._called()), line)

    def left_over(self) -> Iterator[Entry]:
        from sqlalchemy import CheckConstraint, MetaData, Table
        from sqlalchemy.sql.elements import conv

        for name, definition in self._there.items():
            if name in self._wanted or (self._unnamed and self._by_postgres(name)):
                continue
            alike = Table(self._table.name, MetaData(), schema=self._table.schema)
            constraint = CheckConstraint(definition, name=conv(name), table=alike)
            if not self._asked(constraint, name, reflected=True):
                continue
            line = "op.drop_constraint({}, {!r}, type_='check'{})".format(
                self._shown(name), str(self._table.name), self._schema()
            )
            yield Entry("remove check constraint {} on {}".format(name, self._called()), line)

    def _asked(self, constraint: Any, name: str, *, reflected: bool) -> bool:
        """What env.py's own filters say; one that does not know of check constraints says nothing."""
        parents = {"table_name": self._table.name, "schema_name": self._table.schema}
        with contextlib.suppress(Exception):
            if reflected and not self._autogen.run_name_filters(name, "check_constraint", parents):
                return False
            return bool(self._autogen.run_object_filters(constraint, name, "check_constraint", reflected, None))
        return True

    def _by_postgres(self, name: str) -> bool:
        """The name is one that Postgres gives to a constraint without any, as the models have on this table."""
        return re.match(re.escape(self._table.name[:29]) + r".*_check\d*\Z", name) is not None

    def _sql(self, constraint: Any) -> str:
        sql = str(self._autogen.migration_context.impl.render_ddl_sql_expr(constraint.sqltext))
        if getattr(self._dialect.identifier_preparer, "_double_percents", False):
            sql = sql.replace("%%", "%")
        return without_binds(sql)

    def _shown(self, name: str) -> str:
        """The name as an operation takes it: as it is, where a naming convention would make another of it."""
        conventions = getattr(self._table.metadata, "naming_convention", None) or {}
        shape = "op.f({!r})" if "ck" in conventions else "{!r}"
        return shape.format(name)

    def _schema(self) -> str:
        return ", schema={!r}".format(str(self._table.schema)) if self._table.schema else ""

    def _called(self) -> str:
        return qualified(self._table.schema, self._table.name)


def final_name(constraint: Any, dialect: Any) -> Optional[str]:
    """The name that the database has: by the naming convention, and cut to what Postgres keeps; None without any."""
    if constraint.name is None:
        return None
    try:
        name = dialect.identifier_preparer.format_constraint(constraint)
    except Exception:  # noqa: BLE001  # too long, by SQLAlchemy's rule for names that it did not make itself
        return str(constraint.name).encode("utf-8")[:LONGEST_NAME].decode("utf-8", "ignore")
    if name is not None and name.startswith('"') and name.endswith('"'):
        name = name[1:-1].replace('""', '"')
    return None if name is None else str(name)
