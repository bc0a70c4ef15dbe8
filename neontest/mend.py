"""The line of a downgrade that would mend a difference, where that is known for certain."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Final

from neontest.postgres.diff import Difference

DROP: Final[dict[str, str]] = {
    "sequence": "SEQUENCE",
    "view": "VIEW",
    "materialized view": "MATERIALIZED VIEW",
    "function": "FUNCTION",
    "procedure": "PROCEDURE",
    "enum": "TYPE",
    "domain": "DOMAIN",
    "composite type": "TYPE",
    "range type": "TYPE",
    "schema": "SCHEMA",
    "extension": "EXTENSION",
    "publication": "PUBLICATION",
}
"""What lives in a schema or in the database, and the word for it after DROP."""
DROP_ON: Final[dict[str, str]] = {"trigger": "TRIGGER", "policy": "POLICY", "rule": "RULE"}
CONSTRAINT_TYPES: Final[dict[str, str]] = {
    "UNIQUE": "unique",
    "FOREIGN KEY": "foreignkey",
    "CHECK": "check",
    "PRIMARY KEY": "primary",
}
WHOLE_DATABASE: Final = frozenset({"schema", "extension", "publication"})

_PART: Final = re.compile(r'"(?:[^"]|"")*"|[^."]+')


@cache
def _quote() -> Callable[[str], str]:
    """How SQLAlchemy quotes, which takes its time to import: few runs have something to mend."""
    from sqlalchemy.dialects import postgresql

    preparer = postgresql.dialect().identifier_preparer  # type: ignore[no-untyped-call]
    return preparer.quote


def mending(difference: Difference) -> str | None:
    """The Alembic operation to add to `downgrade()`, or None where only a person can know."""
    if difference.change == "added":
        return drop(difference)
    if difference.change == "removed":
        return create(difference)
    return None


def bare(name: str) -> str:
    """A name without the quotes that snapshots write around odd ones."""
    return name[1:-1].replace('""', '"') if name.startswith('"') and name.endswith('"') else name


def sql(name: str) -> str:
    """A name, or a qualified one, as SQL takes it: odd names and key words in quotes."""
    return ".".join(_quote()(bare(part)) for part in _PART.findall(name))


def execute(statement: str) -> str:
    return f"op.execute({statement!r})"


def table(difference: Difference) -> tuple[str, str]:
    """Name and `schema=` argument of the table that a difference is on."""
    schema, name = ["", "", *_PART.findall(difference.on)][-2:]
    return bare(name), in_schema(schema)


def in_schema(schema: str) -> str:
    return "" if bare(schema) in ("", "public") else f", schema={bare(schema)!r}"


def drop(difference: Difference) -> str | None:
    """What would remove what was left behind."""
    name, (on, schema) = bare(difference.name), table(difference)
    match difference.kind:
        case "table":
            return f"op.drop_table({name!r}{in_schema(difference.on)})"
        case "column":
            return f"op.drop_column({on!r}, {name!r}{schema})"
        case "index":
            return f"op.drop_index({name!r}, table_name={on!r}{schema})"
        case "constraint":
            return f"op.drop_constraint({name!r}, {on!r}{constraint_type(difference)}{schema})"
        case kind if kind in DROP_ON:
            return execute(f"DROP {DROP_ON[kind]} {sql(difference.name)} ON {sql(difference.on)}")
        case kind if kind in DROP:
            return execute(f"DROP {DROP[kind]} {qualified(difference)}")
    return None


def qualified(difference: Difference) -> str:
    """The name for DROP; a function's carries its argument types, which are SQL already."""
    name, parenthesis, arguments = difference.name.partition("(")
    full = sql(name) + parenthesis + arguments
    if difference.kind in WHOLE_DATABASE or difference.on in ("", "public"):
        return full
    return f"{sql(difference.on)}.{full}"


def constraint_type(difference: Difference) -> str:
    definition = fact(difference, "definition") or ""
    kind = next((alembic for words, alembic in CONSTRAINT_TYPES.items() if definition.startswith(words)), None)
    return f", type_={kind!r}" if kind else ""


def create(difference: Difference) -> str | None:
    """What would bring back what was lost, from its own definition."""
    definition = fact(difference, "definition")
    if definition is None:
        return None
    if difference.kind in ("index", "trigger", "rule"):
        return execute(definition)
    if difference.kind == "constraint":
        return execute(f"ALTER TABLE {sql(difference.on)} ADD CONSTRAINT {sql(difference.name)} {definition}")
    return None


def fact(difference: Difference, name: str) -> str | None:
    """The fact's value on the side on which the object exists."""
    for each, old, new in difference.facts:
        if each == name:
            return new if difference.change == "added" else old
    return None
