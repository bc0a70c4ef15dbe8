"""The line of a downgrade that would mend a difference, where that is known for certain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from neontest.postgres.diff import Difference

DROP: Final[dict[str, str]] = {
    "sequence": "DROP SEQUENCE",
    "view": "DROP VIEW",
    "materialized view": "DROP MATERIALIZED VIEW",
    "function": "DROP FUNCTION",
    "procedure": "DROP PROCEDURE",
    "aggregate": "DROP AGGREGATE",
    "enum": "DROP TYPE",
    "domain": "DROP DOMAIN",
    "composite type": "DROP TYPE",
    "range type": "DROP TYPE",
    "schema": "DROP SCHEMA",
    "extension": "DROP EXTENSION",
    "event trigger": "DROP EVENT TRIGGER",
    "publication": "DROP PUBLICATION",
    "statistics": "DROP STATISTICS",
}
DROP_ON: Final[dict[str, str]] = {
    "trigger": "DROP TRIGGER",
    "policy": "DROP POLICY",
    "rule": "DROP RULE",
}
CONSTRAINT_TYPES: Final[dict[str, str]] = {
    "UNIQUE": "unique",
    "FOREIGN KEY": "foreignkey",
    "CHECK": "check",
    "PRIMARY KEY": "primary",
}


def mending(difference: Difference) -> str | None:
    """The Alembic operation to add to `downgrade()`, or None where only a person can know."""
    if difference.change == "added":
        return drop(difference)
    if difference.change == "removed":
        return create(difference)
    return None


def quoted(name: str) -> str:
    """A name as SQL takes it anywhere."""
    return name if name.isidentifier() and name.islower() else '"' + name.replace('"', '""') + '"'


def execute(sql: str) -> str:
    return f"op.execute({sql!r})"


def place(difference: Difference) -> tuple[str, str]:
    """Table name and the `schema=` argument, for what lives on a relation."""
    schema, _, relation = difference.on.rpartition(".")
    return relation.strip('"'), "" if schema in ("", "public") else f", schema={schema.strip(chr(34))!r}"


def drop(difference: Difference) -> str | None:
    table, schema = place(difference)
    makers: dict[str, Callable[[], str]] = {
        "table": lambda: f"op.drop_table({difference.name!r}{in_schema(difference)})",
        "column": lambda: f"op.drop_column({table!r}, {difference.name!r}{schema})",
        "index": lambda: f"op.drop_index({difference.name!r}, table_name={table!r}{schema})",
        "constraint": lambda: (
            f"op.drop_constraint({difference.name!r}, {table!r}{constraint_type(difference)}{schema})"
        ),
    }
    if maker := makers.get(difference.kind):
        return maker()
    if verb := DROP_ON.get(difference.kind):
        return execute(f"{verb} {quoted(difference.name)} ON {difference.on}")
    if verb := DROP.get(difference.kind):
        return execute(f"{verb} {qualified(difference)}")
    return None


def in_schema(difference: Difference) -> str:
    return "" if difference.on in ("", "public") else f", schema={difference.on!r}"


def qualified(difference: Difference) -> str:
    """The name for DROP; a function's carries its arguments and is quoted already."""
    name = difference.name if "(" in difference.name else quoted(difference.name)
    return name if difference.on in ("", "public") else f"{quoted(difference.on)}.{name}"


def constraint_type(difference: Difference) -> str:
    definition = fact(difference, "definition") or ""
    kind = next((alembic for sql, alembic in CONSTRAINT_TYPES.items() if definition.startswith(sql)), None)
    return f", type_={kind!r}" if kind else ""


def create(difference: Difference) -> str | None:
    """What would bring back a lost index or constraint, from its own definition."""
    definition = fact(difference, "definition")
    if definition is None:
        return None
    if difference.kind in ("index", "trigger", "rule"):
        return execute(definition)
    if difference.kind == "constraint":
        return execute(f"ALTER TABLE {difference.on} ADD CONSTRAINT {quoted(difference.name)} {definition}")
    return None


def fact(difference: Difference, name: str) -> str | None:
    """The fact's value on the side on which the object exists."""
    for each, old, new in difference.facts:
        if each == name:
            return new if difference.change == "added" else old
    return None
