"""What a visit did to indexes: those that it left invalid, and new foreign keys that none of them serves. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import Final

import msgspec

from neontest.postgres.implied import split
from neontest.postgres.model import Facts, Key, Snapshot

_FOREIGN_KEY: Final = re.compile(r"FOREIGN KEY \((?P<columns>.*?)\) REFERENCES (?P<parent>.*?)\(")
_METHOD: Final = re.compile(r" USING (?:btree|hash) \(")
"""Access methods that can look a key up; the others are not for equality alone."""
_NAME: Final = re.compile(r'"(?:[^"]|"")*"|[^\s"(),]+')
_NOT_NULL: Final = re.compile(r'\((?P<column>"(?:[^"]|"")*"|[^\s"()]+) IS NOT NULL\)')
_OF_PARTITIONS: Final = " ON ONLY "
"""Postgres writes so of every index on a partitioned table, and of no other."""


class UnindexedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A foreign key whose columns no index begins with. Names are as Postgres writes them."""

    table: str
    """Qualified."""
    name: str
    columns: tuple[str, ...]
    references: str
    """The qualified table that it points to."""


def newly_invalid(before: Snapshot, after: Snapshot) -> tuple[str, ...]:
    """Qualified names of indexes that are invalid and were not so before.

    An index on a partitioned table is left out: it is invalid until each partition has its own, often on purpose.
    """
    found = []
    old, new = after.apart(before)
    for key, facts in new.items():
        if key.kind == "index" and _invalid(facts) and not _invalid(old.get(key, ())):
            schema, _ = split(key.on)
            if _OF_PARTITIONS not in dict(facts).get("definition", ""):
                found.append(f"{schema}.{key.name}")
    return tuple(sorted(found))


def newly_unindexed(before: Snapshot, after: Snapshot) -> tuple[UnindexedKey, ...]:
    """New foreign keys without an index that begins with their columns, by table and name.

    A key that was only renamed, or whose table was, is not new.
    """
    if before is after:
        return ()
    sides = after.apart(before)
    gone = {key: facts for key, facts in sides[0].items() if key.kind == "constraint" and key not in sides[1]}
    known = {(key.on, _definition(facts)) for key, facts in gone.items()}
    known |= {(key.name, _definition(facts)) for key, facts in gone.items()}
    new = []
    for key, facts in sides[1].items():
        if key.kind != "constraint" or key in sides[0]:
            continue
        definition = _definition(facts)
        match = _FOREIGN_KEY.match(definition)
        if match is None or {(key.on, definition), (key.name, definition)} & known:
            continue
        if not _only_inherited(facts):
            columns = tuple(_NAME.findall(match["columns"].replace("PERIOD ", "")))
            new.append(UnindexedKey(table=key.on, name=key.name, columns=columns, references=match["parent"]))
    if not new:
        return ()
    serving = _lookups(after.objects, {key.table for key in new})
    unserved = (key for key in new if not any(_serves(index, key.columns) for index in serving[key.table]))
    return tuple(sorted(unserved, key=lambda key: (key.table, key.name)))


def _lookups(objects: Mapping[Key, Facts], tables: Collection[str]) -> Mapping[str, list[tuple[str, ...]]]:
    """The leading plain columns of every index that can look them up, by table, of these."""
    found: defaultdict[str, list[tuple[str, ...]]] = defaultdict(list)
    for key, facts in objects.items():
        if key.on not in tables or key.kind != "index":
            continue
        if _invalid(facts) and _OF_PARTITIONS not in _definition(facts):
            continue
        start = _METHOD.search(_definition(facts))
        if start is None:
            continue
        items, rest = _list(_definition(facts)[start.end() :])
        columns = tuple(_leading(items))
        _, conditional, condition = rest.partition(" WHERE ")
        only = _NOT_NULL.fullmatch(condition)
        # A search for a value is a search for what is not null: such a condition does no harm to its own column.
        if not conditional or (only is not None and only["column"] in columns[:1]):
            found[key.on].append(columns)
    return found


def _serves(index: tuple[str, ...], columns: tuple[str, ...]) -> bool:
    return set(index[: len(columns)]) == set(columns)


def _list(text: str) -> tuple[list[str], str]:
    """The items up to the parenthesis that closes, split at the commas that stand in no other one; and what follows."""
    items, depth, begin, in_name, in_text = [], 0, 0, False, False
    for place, character in enumerate(text):
        if character == '"' and not in_text:
            in_name = not in_name
        elif character == "'" and not in_name:
            in_text = not in_text
        elif in_name or in_text:
            continue
        elif character == "(":
            depth += 1
        elif character == ")" and depth:
            depth -= 1
        elif character in ",)" and not depth:
            items.append(text[begin:place].strip())
            begin = place + 1
            if character == ")":
                return items, text[place + 1 :]
    return items, ""


def _leading(items: list[str]) -> Iterator[str]:
    """The columns, up to the first expression."""
    for item in items:
        match = _NAME.match(item)
        if match is None or item[match.end() :].startswith("("):
            return
        yield match[0]


def _definition(facts: Facts) -> str:
    return dict(facts).get("definition", "")


def _invalid(facts: Facts) -> bool:
    return ("invalid", "yes") in facts


def _only_inherited(facts: Facts) -> bool:
    names = {name for name, _ in facts}
    return "inherited" in names and "also its own" not in names
