"""Which constraints that are there already a statement that writes rows may break."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from neontest.postgres.demand import Added, Cast, Demand, NotNull, Write
from neontest.postgres.demands import demands
from neontest.postgres.relations import Relation, Relations
from neontest.postgres.tokens import quote

_CONSTRAINTS: Final = {"foreign key": "f", "check": "c", "exclusion": "x"}


def written(write: Write, known: Relations, kind: str | None) -> Iterator[tuple[Demand, bool]]:
    """Each of them, as a demand, and whether the statement's text says enough to count the rows.

    `kind` is what was broken; None, and it was a value that could not be computed, or does not fit. Where the text does
    not say enough, the constraint is named if it is the only one of its kind.
    """
    relation = known.named(write.table)
    if kind is None:
        yield from ((each, True) for each in _casts(write, relation))
        return
    there = list(_referencing(relation, known) if write.verb == "delete" else _existing(kind, relation, known))
    names = {column for column, _ in write.assigned}
    if names:
        there = [each for each in there if names.intersection(_columns(each))]
    if names and all(value is not None for _, value in write.assigned):
        new = tuple(
            Added(
                name=column,
                type=relation.type(column),
                value=f"CASE WHEN ({write.where}) THEN {value} ELSE {quote(column)} END",
            )
            for column, value in write.assigned
        )
        yield from ((replace(each, added=new, only=write.only), True) for each in there)
    elif len(there) == 1:
        yield there[0], False


def _casts(write: Write, relation: Relation) -> Iterator[Cast]:
    for column, value in write.assigned:
        if value is not None:
            type = relation.type(column)
            yield Cast(table=write.table, only=write.only, value=value, type=type, columns=(column,), where=write.where)


def _columns(demand: Demand) -> tuple[str, ...]:
    return (demand.column,) if isinstance(demand, NotNull) else getattr(demand, "columns", ())


def _existing(kind: str, relation: Relation, known: Relations) -> Iterator[Demand]:
    if kind == "not null":
        for column in known.not_null(relation):
            yield NotNull(table=relation.sql, column=column, value=quote(column))
        return
    texts = known.unique_indexes(relation) if kind == "unique" else known.constraints(relation, _CONSTRAINTS[kind])
    for text in texts:
        yield from (each for each in demands(text) if not isinstance(each, Cast))


def _referencing(relation: Relation, known: Relations) -> Iterator[Demand]:
    for oid, text in known.referencing(relation):
        yield from demands(f"ALTER TABLE {known.of(oid).sql} ADD {text}")
