"""A demand as a question to the server: which rows do not satisfy it?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from neontest.postgres.bounds import within
from neontest.postgres.demand import (
    Added,
    Attach,
    Cast,
    Check,
    Demand,
    Domain,
    Exclusion,
    ForeignKey,
    NotNull,
    Unique,
    Validate,
    Write,
)
from neontest.postgres.demands import demands, element
from neontest.postgres.relations import Relation, Relations, Unknown
from neontest.postgres.tokens import Words, quote, statements, tokens
from neontest.postgres.written import written

Kind = Literal["not null", "unique", "foreign key", "check", "cast", "exclusion"]

_STATES: Final[dict[str, Kind]] = {
    "23502": "not null",
    "23503": "foreign key",
    "23505": "unique",
    "23514": "check",
    "23P01": "exclusion",
}
_N: Final = '"neontest n"'
"""A column's name that no table has."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Which of the relation's rows are bad? They are in `source`, where `where` holds."""

    kind: Kind
    relation: Relation
    columns: tuple[str, ...]
    scope: str
    """What follows FROM for all rows of the relation."""
    source: str = ""
    where: str = ""
    first: str = ""
    """WITH …, before the query."""
    value: str | None = None
    """Bad are those for which this cannot be computed, or does not fit `type`; `source` then is `scope`."""
    type: str = "text"
    plain: bool = False
    """The value is the column itself, cast to `type`."""
    counted: bool = True
    """False: only the constraint is known, and not what the statement would make of the rows."""


def kind_of(sqlstate: str | None) -> Kind | None:
    """The kind of violation that a state of the class "integrity constraint violation" speaks of."""
    return _STATES.get(sqlstate or "")


def questions(demand: Demand, known: Relations, sqlstate: str | None) -> Iterator[Question]:
    """What to ask; nothing where the state says that it was not this.

    Raises:
        Unknown: for a table, or another thing, that is not there.
        Unreadable
    """
    found: Iterable[Question | None]
    if isinstance(demand, Write):
        said = [(_question(each, known), counted) for each, counted in written(demand, known, kind_of(sqlstate))]
        found = (question and replace(question, counted=counted) for question, counted in said)
    elif isinstance(demand, Domain):
        found = _of_domain(demand, known)
    elif isinstance(demand, Attach):
        found = _of_partition(demand, known)
    elif isinstance(demand, Validate):
        relation = known.named(demand.table)
        text = f"ALTER TABLE {relation.sql} ADD {known.constraint(relation, demand.constraint)}"
        found = (_question(replace(each, only=demand.only), known) for each in demands(text))
    else:
        found = (_question(demand, known),)
    for question in found:
        if question is not None and _meant(question.kind, sqlstate):
            yield question


def _meant(kind: Kind, sqlstate: str | None) -> bool:
    if sqlstate is None:
        return True
    # A cast to a domain breaks the domain's constraints.
    return kind_of(sqlstate) == kind or (kind == "cast" and sqlstate not in ("23503", "23505", "23P01"))


def _question(demand: Demand, known: Relations) -> Question | None:
    relation = known.named(demand.table)
    scope = _scope(relation, only=demand.only, own=isinstance(demand, Unique | ForeignKey | Exclusion))
    source = _source(relation, scope, demand.added)
    here = {name for name, _ in relation.columns} | {each.name for each in demand.added}

    def asked(kind: Kind, columns: Sequence[str], where: str, source: str = source, first: str = "") -> Question:
        named = tuple(dict.fromkeys(name for name in columns if name in here))
        return Question(
            kind=kind, relation=relation, columns=named, scope=scope, source=source, where=where, first=first
        )

    match demand:
        case NotNull():
            new = demand.value != quote(demand.column)
            if (new and demand.column in here) or (demand.type is not None and known.has_default(demand.type)):
                return None
            here.add(demand.column)
            return asked("not null", (demand.column,), f"({demand.value}) IS NULL")
        case Unique():
            nulls = [f"({value}) IS NOT NULL" for value in demand.values if demand.nulls_distinct]
            counted = f"count(*) OVER (PARTITION BY {', '.join(demand.values)}) AS {_N}"
            where = " AND ".join((f"({demand.where})", *nulls))
            inner = f"(SELECT *, {counted} FROM {source} WHERE {where}) AS {quote(relation.name)}"  # noqa: S608
            return asked("unique", demand.columns, f"{_N} > 1", inner)
        case ForeignKey():
            return asked("foreign key", demand.columns, _orphans(demand, relation, known.named(demand.target)))
        case Check():
            return asked("check", demand.columns, f"({demand.condition}) IS FALSE")
        case Exclusion():
            return _exclusion(demand, relation, asked("exclusion", demand.columns, ""))
        case Cast():
            question = asked("cast", demand.columns, demand.where)
            return replace(question, source=scope, value=demand.value, type=demand.type or "text", plain=demand.plain)
    return None


def fast(question: Question, known: Relations) -> Question | None:
    """The same question of a cast, asked in one query: the column's text is asked whether the type's input takes it."""
    column = question.columns[0] if question.columns else ""
    if known.is_text(question.relation.type(column)) and known.is_read_from_text(question.type):
        type = question.type.replace("'", "''")
        where = f"NOT pg_input_is_valid({quote(column)}::text, '{type}')"
        return replace(question, value=None, where=where)
    return None


def _scope(relation: Relation, *, only: bool = False, own: bool = False) -> str:
    """All rows that a constraint is asked of: those of children too, unless it is not theirs."""
    one = "ONLY " if only or (own and relation.kind == "r") else ""
    return f"{one}{relation.sql} AS {quote(relation.name)}"


def _source(relation: Relation, scope: str, added: Sequence[Added]) -> str:
    """The rows with the columns that the statement adds or writes, as it would make them."""
    if not added:
        return scope
    new = {each.name for each in added}
    columns = [quote(name) for name, _ in relation.columns if name not in new]
    columns += [f"CAST(({each.value}) AS {each.type}) AS {quote(each.name)}" for each in added]
    return f"(SELECT {', '.join(columns)} FROM {scope}) AS {quote(relation.name)}"  # noqa: S608


def _orphans(demand: ForeignKey, relation: Relation, target: Relation) -> str:
    targets = demand.targets or target.key
    if len(targets) != len(demand.columns):
        raise Unknown(target.shown)
    here = [f"{quote(relation.name)}.{quote(column)}" for column in demand.columns]
    pairs = " AND ".join(f"{_N}.{quote(to)} = {own}" for to, own in zip(targets, here, strict=True))
    given = " AND ".join(f"{own} IS NOT NULL" for own in here)
    lost = f"({given}) AND NOT EXISTS (SELECT FROM {target.sql} AS {_N} WHERE {pairs})"
    if not demand.full:
        return lost
    return f"({lost}) OR (NOT ({given}) AND NOT ({' AND '.join(f'{own} IS NULL' for own in here)}))"


def _exclusion(demand: Exclusion, relation: Relation, question: Question) -> Question:
    values = [f'"neontest {place}"' for place in range(len(demand.values))]
    listed = ", ".join(f"{value} AS {name}" for value, name in zip(demand.values, values, strict=True))
    given = " AND ".join((f"({demand.where})", *(f"({value}) IS NOT NULL" for value in demand.values)))
    rows = f"SELECT *, row_number() OVER () AS {_N}, {listed} FROM {question.source} WHERE {given}"  # noqa: S608
    both = " AND ".join(
        f"{quote(relation.name)}.{value} {operator} other.{value}"
        for value, operator in zip(values, demand.operators, strict=True)
    )
    return replace(
        question,
        first=f'WITH "neontest rows" AS MATERIALIZED ({rows})',
        source=f'"neontest rows" AS {quote(relation.name)}',
        where=f'EXISTS (SELECT FROM "neontest rows" AS other WHERE other.{_N} <> '
        f"{quote(relation.name)}.{_N} AND {both})",
    )


def _of_domain(demand: Domain, known: Relations) -> Iterator[Question]:
    condition = demand.condition
    if demand.constraint is not None:
        text = known.domain_constraint(demand.table, demand.constraint)
        words = Words(text, tokens(text))
        words.needs("CHECK")
        condition = words.group()
    for oid, column, base in known.uses(demand.table):
        relation = known.of(oid)
        scope = _scope(relation, own=True)
        where = f"{quote(column)} IS NULL"
        if condition is not None:
            where = f"({condition.replaced('VALUE', f'CAST({quote(column)} AS {base})')}) IS FALSE"
        yield Question(
            kind="check" if condition is not None else "not null",
            relation=relation,
            columns=(column,),
            scope=scope,
            source=scope,
            where=where,
        )


def _of_partition(demand: Attach, known: Relations) -> Iterator[Question]:
    parent = known.named(demand.parent)
    (strategy,) = statements(known.partition_key(parent))
    strategy.take()
    elements = [element(part) for part in strategy.group().parts()]
    keys = [value for value, _ in elements]
    named = {name for name, _ in parent.columns}
    columns = tuple(name for _, mentioned in elements for name in mentioned if name in named)
    siblings, default = known.partitions(parent)

    def asked(relation: Relation, where: str) -> Question:
        scope = _scope(relation)
        return Question(kind="check", relation=relation, columns=columns, scope=scope, source=scope, where=where)

    if demand.how == "default":
        if siblings and not demand.new:
            yield asked(known.named(demand.table), " OR ".join(f"coalesce({text}, false)" for text in siblings))
        return
    inside = f"coalesce({within(demand, parent.oid, keys)}, false)"
    if not demand.new:
        yield asked(known.named(demand.table), f"NOT {inside}")
    if default is not None:
        yield asked(known.of(default), inside)
