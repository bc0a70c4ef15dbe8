"""Alembic's operations as a person reads them, and as the lines that a revision would have.

A part of `worker`, so it runs in the project's interpreter too: Python 3.8, Alembic 1.8 to 1.20, nothing of ours.
"""

# ruff: noqa: UP006, UP032, UP035, UP045
from __future__ import annotations

import contextlib
from typing import Any, Callable, Dict, Iterator, List, Optional

CONSTRAINTS = {"unique": "unique constraint", "foreignkey": "foreign key", "primary": "primary key"}


def words(op: Any, dialect: Any) -> Optional[str]:
    """What the operation does, such as `add column user.phone`; None for a kind that is not Alembic's own."""
    with contextlib.suppress(Exception):  # of an operation that a plugin made in its own way
        for each in type(op).__mro__:
            if each.__name__ in WORDS:
                return WORDS[each.__name__](op, dialect)
    return None


def lines(op: Any, autogen: Any) -> Optional[str]:
    """The operation as Python, or None where Alembic has no words for it."""
    from alembic.autogenerate.render import render_op_text

    try:
        text = str(render_op_text(autogen, op)).strip()
    except Exception:  # noqa: BLE001  # of a project's own type or operation: what differs is told all the same
        return None
    prefix = autogen.opts.get("alembic_module_prefix") or "op."
    first, *rest = text.split("\n")
    laid_out = [each if each.startswith((")", "#", prefix)) else "    " + each.strip() for each in rest]
    return "\n".join([first, *laid_out]) or None


def leaves(op: Any) -> Iterator[Any]:
    """The operation itself, or those that it is made of; columns that go are in the order of their names."""
    if not hasattr(op, "ops"):
        yield op
        return
    drops = [each for each in op.ops if type(each).__name__ == "DropColumnOp"]
    for each in [each for each in op.ops if each not in drops] + sorted(drops, key=lambda drop: str(drop.column_name)):
        yield from leaves(each)


def table(op: Any, name: str = "table_name", schema: str = "schema") -> str:
    where = getattr(op, schema, None)
    return "{}.{}".format(where, getattr(op, name)) if where else str(getattr(op, name))


def named(name: Any) -> str:
    return " {}".format(name) if isinstance(name, str) else ""


def index(op: Any) -> str:
    return "index{} on {}".format(named(op.index_name), table(op))


def add_constraint(kind: str) -> Callable[[Any, Any], str]:
    def told(op: Any, _: Any) -> str:
        name = named(op.constraint_name)
        columns = "" if name or not hasattr(op, "columns") else " ({})".format(", ".join(map(str, op.columns)))
        return "add {}{} on {}{}".format(kind, name, table(op), columns)

    return told


def add_foreign_key(op: Any, _: Any) -> str:
    columns = ", ".join(map(str, op.local_cols))
    away = "{}({})".format(op.referent_table, ", ".join(map(str, op.remote_cols)))
    source = getattr(op, "kw", {}).get("source_schema")
    on = "{}.{}".format(source, op.source_table) if source else op.source_table
    return "add foreign key{} on {}: {} → {}".format(named(op.constraint_name), on, columns, away)


def drop_constraint(op: Any, _: Any) -> str:
    kind = op.constraint_type or ""
    return "remove {}{} on {}".format(
        CONSTRAINTS.get(kind, (kind + " constraint").strip()), named(op.constraint_name), table(op)
    )


def alter_column(op: Any, dialect: Any) -> str:
    column = "{}.{}".format(table(op), op.column_name)
    changes: List[str] = []
    if op.modify_type is not None:
        changes.append(
            "type of {}: {} → {}".format(column, kind(op.existing_type, dialect), kind(op.modify_type, dialect))
        )
    if op.modify_nullable is not None:
        null = {True: "NULL", False: "NOT NULL"}
        changes.append(
            "nullability of {}: {} → {}".format(column, null[not op.modify_nullable], null[op.modify_nullable])
        )
    if op.modify_server_default is not False:
        there, wanted = default(op.existing_server_default), default(op.modify_server_default)
        changes.append("server default of {}: {} → {}".format(column, there, wanted))
    if getattr(op, "modify_comment", False) is not False:
        changes.append("comment of {}".format(column))
    return "modify " + "; ".join(changes or [column])


def kind(type_: Any, dialect: Any) -> str:
    try:
        return str(type_.compile(dialect=dialect))
    except Exception:  # noqa: BLE001  # a type of the project's own, or none at all
        return repr(type_)


def default(value: Any) -> str:
    if value is None or value is False:
        return "none"
    return str(getattr(value, "arg", None) or getattr(value, "sqltext", None) or type(value).__name__)


WORDS: Dict[str, Callable[[Any, Any], str]] = {
    "CreateTableOp": lambda op, _: "add table {}".format(table(op)),
    "DropTableOp": lambda op, _: "remove table {}".format(table(op)),
    "AddColumnOp": lambda op, _: "add column {}.{}".format(table(op), op.column.name),
    "DropColumnOp": lambda op, _: "remove column {}.{}".format(table(op), op.column_name),
    "AlterColumnOp": alter_column,
    "CreateIndexOp": lambda op, _: "add " + index(op),
    "DropIndexOp": lambda op, _: "remove " + index(op),
    "CreateUniqueConstraintOp": add_constraint("unique constraint"),
    "CreateCheckConstraintOp": add_constraint("check constraint"),
    "CreatePrimaryKeyOp": add_constraint("primary key"),
    "CreateForeignKeyOp": add_foreign_key,
    "DropConstraintOp": drop_constraint,
    "CreateTableCommentOp": lambda op, _: "modify comment of table {}".format(table(op)),
    "DropTableCommentOp": lambda op, _: "remove comment of table {}".format(table(op)),
}
"""By the name of the operation's class, or of one that it is made from."""
