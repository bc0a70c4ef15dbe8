"""Which differences another one tells already: a table's columns when the table is gone, a serial's sequence. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from msgspec.structs import replace

from neontest.postgres.difference import Change, Difference
from neontest.postgres.model import Key, Snapshot
from neontest.postgres.names import quoted

RELATIONS: Final = ("table", "foreign table", "view", "materialized view", "composite type")
CHILDREN: Final = frozenset(
    {"column", "attribute", "constraint", "index", "trigger", "rule", "policy", "statistics", "domain constraint"}
)
"""Kinds whose `on` is the object that they come and go with."""

_INHERITANCE: Final = frozenset({"inherited", "also its own", "attached to", "from the parent"})
"""Facts that say no more than the table's parents do."""

_NOT_NULL: Final = re.compile(r'NOT NULL ("(?:[^"]|"")*"|[^" ]+)')


class Differences:
    """All raw differences, found by what they are about."""

    def __init__(self, found: Iterable[Difference], after: Snapshot) -> None:
        self.all = tuple(found)
        self._by_key = {item.key: item for item in self.all}
        self._wholes: dict[tuple[str, Change], Difference] = {
            (f"{item.on}.{item.name}", item.change): item
            for item in self.all
            if item.kind in (*RELATIONS, "domain") and item.change != "changed"
        }
        self._after = after

    def told(self) -> Iterator[Difference]:
        """Those that no other tells already; an added or removed table counts what went with it among its facts."""
        inside: dict[Key, Counter[str]] = {}
        for item in self.all:
            whole = self._wholes.get((item.on, item.change)) if item.kind in CHILDREN else None
            if whole is not None:
                inside.setdefault(whole.key, Counter())[item.kind] += 1
        for item in self.all:
            if item.kind in CHILDREN and (item.on, item.change) in self._wholes:
                continue
            if not self._implied(item):
                yield _counted(item, inside.get(item.key, Counter()))

    def _implied(self, item: Difference) -> bool:
        if item.change == "changed":
            return self._changed_with_another(item)
        facts = {name: old if new is None else new for name, old, new in item.facts}
        match item.kind:
            case "index" if self._same(item, "constraint", item.on, item.name):
                return True
            case "sequence" if (owner := facts.get("owned by")) is not None:
                return self._belongs_to_a_new_or_gone_column(item, owner)
            case "constraint" | "domain constraint" if (facts.get("definition") or "").startswith("NOT NULL"):
                return self._told_as_not_null(item, facts.get("definition") or "")
            case "operator family":
                return self._same(item, "operator class", item.on, item.name)
            case "user mapping":
                return self._same(item, "foreign server", "", item.on)
            case "column" if self._is_of_a_changed_view(item):
                return True
        # What a parent passes on comes and goes with the parent's own.
        return "also its own" not in facts and bool(facts.keys() & _INHERITANCE)

    def _changed_with_another(self, item: Difference) -> bool:
        names = {name for name, _, _ in item.facts}
        table = self._by_key.get(Key("table", *split(item.on)))
        if names <= _INHERITANCE and table is not None:
            return any(name in ("parents", "partition bound") for name, _, _ in table.facts)
        if item.kind == "index" and names == {"definition"}:
            return self._same(item, "constraint", item.on, item.name)
        if item.kind == "column":
            for parent in self._parents(item.on):
                other = self._by_key.get(Key("column", parent, item.name))
                if other is not None and other.facts == item.facts:
                    return True
        return False

    def _same(self, item: Difference, kind: str, on: str, name: str) -> bool:
        other = self._by_key.get(Key(kind, on, name))
        return other is not None and other.change == item.change

    def _belongs_to_a_new_or_gone_column(self, item: Difference, owner: str) -> bool:
        relation, column = rsplit(owner)
        return self._same(item, "column", relation, column)

    def _told_as_not_null(self, item: Difference, definition: str) -> bool:
        """PostgreSQL 18 keeps NOT NULL as a constraint as well; a column that is now (not) null tells it already."""
        if item.kind == "domain constraint":
            other = self._by_key.get(Key("domain", *split(item.on)))
        else:
            match = _NOT_NULL.match(definition)
            name = match[1] if match else ""
            bare = name[1:-1].replace('""', '"') if name.startswith('"') else name
            other = self._by_key.get(Key("column", item.on, quoted(bare)))
        if other is None:
            return False
        flags = {name: new for name, _, new in other.facts}
        now = "yes" if item.change == "added" else None
        return other.change == item.change or ("not null" in flags and flags["not null"] == now)

    def _is_of_a_changed_view(self, item: Difference) -> bool:
        views = (self._by_key.get(Key(kind, *split(item.on))) for kind in ("view", "materialized view"))
        return any(view is not None and "definition" in {name for name, _, _ in view.facts} for view in views)

    def _parents(self, relation: str) -> list[str]:
        facts = dict(self._after.get(Key("table", *split(relation))) or ())
        return facts["parents"].split(", ") if "parents" in facts else []


def split(qualified: str) -> tuple[str, str]:
    """The schema and the rest of a qualified name, either of which may be quoted."""
    match = re.match(r'("(?:[^"]|"")*"|[^".]*)\.(.*)\Z', qualified, re.DOTALL)
    return (match[1], match[2]) if match else ("", qualified)


def rsplit(qualified: str) -> tuple[str, str]:
    """A qualified name without its last part, and that part."""
    match = re.match(r'(.*)\.("(?:[^"]|"")*"|[^".]*)\Z', qualified, re.DOTALL)
    return (match[1], match[2]) if match else ("", qualified)


def _counted(item: Difference, inside: Counter[str]) -> Difference:
    if not inside:
        return item
    added = item.change == "added"
    counts = ((f"{kind} count", str(number)) for kind, number in sorted(inside.items()))
    facts = tuple((name, None if added else count, count if added else None) for name, count in counts)
    return replace(item, facts=(*item.facts, *facts))
