"""What a statement demands of the rows that are there: read from its text alone. Pure.

Only what can fail on rows is read. Whatever else a statement does, and whatever is written in a way that is not known
here, yields nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from msgspec.structs import replace

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
from neontest.postgres.tokens import Unreadable, Words, quote, statements

_AFTER_TYPE: Final = (
    *("COLLATE", "CONSTRAINT", "NOT", "NULL", "CHECK", "DEFAULT", "GENERATED", "UNIQUE", "PRIMARY", "REFERENCES"),
    *("DEFERRABLE", "INITIALLY", "STORAGE", "COMPRESSION", "USING", "ENFORCED"),
)
"""Key words that end the type of a column, or its default."""
_CONSTRAINTS: Final = ("CONSTRAINT", "UNIQUE", "PRIMARY", "FOREIGN", "CHECK", "EXCLUDE", "NOT")
_SERIAL: Final = ("SMALLSERIAL", "SERIAL", "BIGSERIAL", "SERIAL2", "SERIAL4", "SERIAL8")


def demands(sql: str) -> tuple[Demand, ...]:
    """All demands of the statements in a text, in their order; those that cannot be read are left out.

    `%%` is `%`: so the drivers' statements are recorded.
    """
    found: list[Demand] = []
    with suppress(Unreadable):
        for words in statements(sql.replace("%%", "%")):
            with suppress(Unreadable):
                found += _statement(words)
    return tuple(found)


def _statement(words: Words) -> Iterator[Demand]:
    if words.has("ALTER", "TABLE"):
        yield from _alter_table(words)
    elif words.has("CREATE", "UNIQUE", "INDEX"):
        yield from _index(words, unique=True)
    elif words.has("CREATE", "INDEX"):
        yield from _index(words, unique=False)
    elif words.has("CREATE", "TABLE"):
        yield from _partition(words)
    elif words.has("ALTER", "DOMAIN"):
        yield from _domain(words)
    elif words.has("INSERT", "INTO"):
        yield Write(table=words.qualified(), verb="insert")
    elif words.has("DELETE", "FROM"):
        words.has("ONLY")
        yield Write(table=words.qualified(), verb="delete")
    elif words.has("UPDATE"):
        yield _update(words)


def _alter_table(words: Words) -> Iterator[Demand]:
    words.has("IF", "EXISTS")
    only = words.has("ONLY")
    table = words.qualified()
    words.has("*")
    added: list[Added] = []
    found: list[Demand] = []
    for action in words.parts():
        with suppress(Unreadable):
            found += _action(action, Demand(table=table, only=only), added)
    names = {each.name for each in added}
    for demand in found:
        # One that speaks of no new column is asked of the table as it is: a new column's type may not be there yet.
        speaks = not names.isdisjoint(getattr(demand, "columns", ()))
        yield replace(demand, added=tuple(added)) if speaks else demand


def _action(words: Words, on: Demand, added: list[Added]) -> Iterator[Demand]:
    if words.has("ADD"):
        if any(words.next is not None and words.next.word == each for each in _CONSTRAINTS):
            yield from _constraint(words, on)
        else:
            words.has("COLUMN")
            perhaps = words.has("IF", "NOT", "EXISTS")
            new = list(_new_column(words, on, added))
            # Of a column that may be there already only NOT NULL is known to be asked.
            yield from (each for each in new if not perhaps or isinstance(each, NotNull))
    elif words.has("VALIDATE", "CONSTRAINT"):
        yield Validate(table=on.table, only=on.only, constraint=words.name())
    elif words.has("ATTACH", "PARTITION"):
        child = words.qualified()
        yield from _bound(words, child, on.table, new=False)
    elif words.has("ALTER"):
        words.has("COLUMN")
        column = words.name()
        if words.has("SET", "NOT", "NULL"):
            yield NotNull(table=on.table, only=on.only, column=column, value=quote(column))
        elif words.has("SET", "DATA", "TYPE") or words.has("TYPE"):
            yield _new_type(words, on, column)


def _new_type(words: Words, on: Demand, column: str) -> Cast:
    type = words.until("USING", "COLLATE").text
    if words.has("COLLATE"):
        words.qualified()
    using = words.text if words.has("USING") else quote(column)
    plain = _casts_only(Words(words.sql, words.rest), column, type)
    return Cast(table=on.table, only=on.only, value=using, type=type, columns=(column,), plain=plain)


def _casts_only(words: Words, column: str, type: str) -> bool:
    """It is `column::type` or `CAST(column AS type)`, and nothing else."""
    with suppress(Unreadable):
        given = words.group() if words.has("CAST") else words
        if not (given is not words and words) and given.name() == column and (given.has("::") or given.has("AS")):
            return given.text.lower().split() == type.lower().split()
    return False


def _new_column(words: Words, on: Demand, added: list[Added]) -> Iterator[Demand]:
    name = words.name()
    type = words.until(*_AFTER_TYPE)
    value, given, own, not_null = "NULL", False, type.rest[0].word in _SERIAL, False
    found: list[Demand] = []
    while words:
        if words.has("COLLATE"):
            words.qualified()
        elif words.has("CONSTRAINT"):
            words.name()
        elif words.has("NOT", "NULL"):
            not_null = True
        elif words.has("PRIMARY", "KEY"):
            not_null = True
            found.append(Unique(table=on.table, values=(quote(name),), columns=(name,)))
        elif words.has("DEFAULT"):
            value, given = words.until(*_AFTER_TYPE).text, True
        elif words.has("GENERATED"):
            if not words.has("ALWAYS", "AS") or words.next is None or words.next.text != "(":
                own = True
                words.until(*_AFTER_TYPE)
            else:
                value, given = words.group().text, True
        elif words.has("UNIQUE"):
            distinct = not words.has("NULLS", "NOT", "DISTINCT")
            words.has("NULLS", "DISTINCT")
            found.append(Unique(table=on.table, values=(quote(name),), columns=(name,), nulls_distinct=distinct))
        elif words.has("CHECK"):
            inner = words.group()
            found.append(Check(table=on.table, only=on.only, condition=inner.text, columns=(name, *inner.mentioned)))
        elif words.has("REFERENCES"):
            found.append(_references(words, on, (name,)))
        else:
            words.take()
    if own:
        return  # numbered by a sequence: there is nothing that rows could break
    added.append(Added(name=name, type=type.text, value=value))
    if not_null:
        yield NotNull(table=on.table, only=on.only, column=name, value=value, type=None if given else type.text)
    yield from found


def _constraint(words: Words, on: Demand) -> Iterator[Demand]:
    if words.has("CONSTRAINT"):
        words.name()
    if words.has("UNIQUE"):
        distinct = not words.has("NULLS", "NOT", "DISTINCT")
        words.has("NULLS", "DISTINCT")
        yield _unique(on, words.group().names(), distinct)
    elif words.has("PRIMARY", "KEY"):
        columns = words.group().names()
        for column in columns:
            yield NotNull(table=on.table, only=on.only, column=column, value=quote(column))
        yield _unique(on, columns, True)
    elif words.has("FOREIGN", "KEY"):
        columns = words.group().names()
        words.needs("REFERENCES")
        found = _references(words, on, columns)
        if not _unchecked(words):
            yield found
    elif words.has("CHECK"):
        inner = words.group()
        if not _unchecked(words):
            yield Check(table=on.table, only=on.only, condition=inner.text, columns=inner.mentioned)
    elif words.has("NOT", "NULL"):
        column = words.name()
        if not _unchecked(words):
            yield NotNull(table=on.table, only=on.only, column=column, value=quote(column))
    elif words.has("EXCLUDE"):
        yield _exclusion(words, on)


def _unchecked(words: Words) -> bool:
    """The rows that are there are not looked at."""
    while words:
        if words.has("NOT", "VALID") or words.has("NOT", "ENFORCED"):
            return True
        words.take()
    return False


def _unique(on: Demand, columns: tuple[str, ...], distinct: bool) -> Unique:
    values = tuple(quote(column) for column in columns)
    return Unique(table=on.table, values=values, columns=columns, nulls_distinct=distinct)


def _references(words: Words, on: Demand, columns: tuple[str, ...]) -> ForeignKey:
    target = words.qualified()
    targets = words.group().names() if words.next is not None and words.next.text == "(" else ()
    return ForeignKey(table=on.table, columns=columns, target=target, targets=targets, full=words.has("MATCH", "FULL"))


def _exclusion(words: Words, on: Demand) -> Exclusion:
    if words.has("USING"):
        words.name()
    values: list[str] = []
    operators: list[str] = []
    columns: list[str] = []
    for part in words.group().parts():
        value, mentioned = element(part.until("WITH"))
        part.needs("WITH")
        values.append(value)
        columns += mentioned
        operators.append(part.text)
    where = words.group().text if words.has("WHERE") else "true"
    return Exclusion(
        table=on.table, values=tuple(values), operators=tuple(operators), columns=tuple(columns), where=where
    )


def element(words: Words) -> tuple[str, tuple[str, ...]]:
    """An index's element without its operator class and order, and the names in it."""
    first = words.next
    if first is not None and first.text == "(":
        inner = words.group()
        value, mentioned = f"({inner.text})", inner.mentioned
    else:
        value = words.qualified()
        mentioned = (first.name,) if first is not None and first.name is not None else ()
        if words.next is not None and words.next.text == "(":
            inner = words.group()
            value, mentioned = f"{value}({inner.text})", inner.mentioned
    if words.has("COLLATE"):
        value = f"({value} COLLATE {words.qualified()})"
    return value, mentioned


def _where(words: Words) -> str:
    """The condition after WHERE, to the end or in parentheses; "true" where there is none."""
    while words:
        if words.has("WHERE"):
            return words.text
        words.take()
    return "true"


def _index(words: Words, *, unique: bool) -> Iterator[Demand]:
    words.has("CONCURRENTLY")
    words.has("IF", "NOT", "EXISTS")
    if not words.has("ON"):
        words.name()
        words.needs("ON")
    only = words.has("ONLY")
    table = words.qualified()
    if words.has("USING"):
        words.name()
    elements = [element(part) for part in words.group().parts()]
    if words.has("INCLUDE"):
        words.group()
    distinct = not words.has("NULLS", "NOT", "DISTINCT")
    where = _where(words)
    values = tuple(value for value, _ in elements)
    columns = tuple(dict.fromkeys(name for _, mentioned in elements for name in mentioned))
    if unique:
        yield Unique(table=table, only=only, values=values, columns=columns, where=where, nulls_distinct=distinct)
    for value, mentioned in elements:
        if "(" in value:
            yield Cast(table=table, only=only, value=value, type="text", columns=mentioned, where=where)


def _partition(words: Words) -> Iterator[Demand]:
    words.has("IF", "NOT", "EXISTS")
    child = words.qualified()
    if words.has("PARTITION", "OF"):
        parent = words.qualified()
        if words.next is not None and words.next.text == "(":
            words.group()
        yield from _bound(words, child, parent, new=True)


def _bound(words: Words, child: str, parent: str, *, new: bool) -> Iterator[Attach]:
    def listed() -> tuple[str, ...]:
        return tuple(part.text for part in words.group().parts())

    if words.has("DEFAULT"):
        yield Attach(table=child, parent=parent, how="default", new=new)
    elif words.has("FOR", "VALUES", "IN"):
        yield Attach(table=child, parent=parent, how="list", bound=(listed(),), new=new)
    elif words.has("FOR", "VALUES", "FROM"):
        lower = listed()
        words.needs("TO")
        yield Attach(table=child, parent=parent, how="range", bound=(lower, listed()), new=new)
    elif words.has("FOR", "VALUES", "WITH"):
        given = {part.take().word: part.text for part in words.group().parts()}
        if given.keys() == {"MODULUS", "REMAINDER"}:
            bound = ((given["MODULUS"], given["REMAINDER"]),)
            yield Attach(table=child, parent=parent, how="hash", bound=bound, new=new)


def _domain(words: Words) -> Iterator[Domain]:
    domain = words.qualified()
    if words.has("SET", "NOT", "NULL"):
        yield Domain(table=domain)
    elif words.has("VALIDATE", "CONSTRAINT"):
        yield Domain(table=domain, constraint=words.name())
    elif words.has("ADD"):
        if words.has("CONSTRAINT"):
            words.name()
        if words.has("CHECK"):
            condition = words.group()
            if not _unchecked(words):
                yield Domain(table=domain, condition=condition)
        elif words.has("NOT", "NULL"):
            yield Domain(table=domain)


def _update(words: Words) -> Write:
    only = words.has("ONLY")
    table = words.qualified()
    words.has("*")
    words.has("AS")
    known = words.has("SET")
    if not known:  # by another name, which its expressions may speak of
        words.name()
        words.needs("SET")
    assigned = words.until("FROM", "WHERE", "RETURNING")
    known = known and not words.has("FROM")
    where = "true"
    if known and words.has("WHERE"):
        with suppress(Unreadable):
            known = False
            where = words.until("RETURNING").text
            known = True
    pairs: list[tuple[str, str | None]] = []
    for part in assigned.parts():
        column = part.name()
        part.needs("=")
        try:
            pairs.append((column, part.text if known else None))
        except Unreadable:  # the place of a parameter
            pairs.append((column, None))
    return Write(table=table, only=only, verb="update", assigned=tuple(pairs), where=where)
