"""How two snapshots differ, one difference a line that a person reads. Pure."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from neontest.postgres import words
from neontest.postgres.catalog import KINDS
from neontest.postgres.grants import PREFIX
from neontest.postgres.model import Key, Snapshot

Change = Literal["added", "removed", "changed", "order"]
Fact = tuple[str, str | None, str | None]
"""Its name, the old value and the new; None where there is none."""

_RANK: Final = {kind.name: rank for rank, kind in enumerate(KINDS)}
_RELATIONS: Final = ("table", "foreign table", "view", "materialized view", "composite type")
_COLUMNS: Final = ("column", "attribute")
_CHILDREN: Final = frozenset(
    {*_COLUMNS, "constraint", "index", "trigger", "rule", "policy", "statistics", "domain constraint"}
)
"""Kinds whose `on` is the object that they come and go with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One object that is not as it was.

    `facts` are those that changed; of an added or removed object all that it has, so that it can be made again.
    "order" means that a relation's columns stand in another order, and nothing else.
    Grants are differences of their own: kind "grant", `on` the object in words, `name` the grantee.
    """

    kind: str
    on: str
    name: str
    change: Change
    facts: tuple[Fact, ...] = ()

    @property
    def key(self) -> Key:
        return Key(self.kind, self.on, self.name)

    def line(self, added: str = "added", removed: str = "removed", changed: str = "changed") -> str:
        """One line, such as `index ix_users_age on users: left behind`; the arguments are the words for each change."""
        match self.change:
            case "added":
                said = added
            case "removed":
                said = removed
            case "order":
                said = "columns in another order: " + words.change(*self.facts[0][1:])
            case "changed":
                said = ", ".join(words.fact(self.kind, *fact, changed=changed) for fact in self.facts)
        return words.line(f"{words.thing(self.key)}: {said}")

    def unified(self) -> str:
        """The changed facts that are texts of several lines, as a unified diff; "" where there are none."""
        blocks = []
        for name, old, new in self.facts:
            if self.change == "changed" and any(value is not None and words.is_long(value) for value in (old, new)):
                lines = difflib.unified_diff(
                    (old or "").splitlines(), (new or "").splitlines(), f"{name} before", f"{name} after", lineterm=""
                )
                blocks.append("\n".join(lines))
        return "\n".join(blocks)


def diff(before: Snapshot, after: Snapshot) -> tuple[Difference, ...]:
    """Every difference, schemas first, then types, tables, columns and so on; () when nothing differs.

    What comes and goes with another object (a table's columns, a serial's sequence, a constraint's index) is not
    told twice.
    """
    if before is after or before.objects == after.objects:
        return ()
    found = [*_raw(before.objects, after.objects)]
    kept = [*_without_the_implied(found, before.objects, after.objects), *_reordered(before.objects, after.objects)]
    result = [piece for difference in kept for piece in _apart(difference)]
    return tuple(sorted(result, key=_place))


def _place(difference: Difference) -> tuple[int, str, str, bool, str]:
    rank = _RANK.get(difference.kind, len(_RANK))
    return rank, difference.on, difference.name, difference.change == "order", difference.change


def _raw(before: Mapping[Key, words.Facts], after: Mapping[Key, words.Facts]) -> Iterator[Difference]:
    for key in before.keys() | after.keys():
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        was, now = dict(old or ()), dict(new or ())
        change: Change = "added" if old is None else "removed" if new is None else "changed"
        facts = tuple(
            (name, was.get(name), now.get(name))
            for name in dict.fromkeys((*was, *now))
            # A column's rank moves with its neighbours: `_reordered` judges it.
            if name != "position" and was.get(name) != now.get(name)
        )
        if facts or change != "changed":
            yield Difference(kind=key.kind, on=key.on, name=key.name, change=change, facts=facts)


def _apart(difference: Difference) -> Iterator[Difference]:
    """Each changed grant as a difference of its own."""
    if difference.change != "changed" or difference.kind == "default privileges":
        yield difference
        return
    grants = [fact for fact in difference.facts if fact[0].startswith(PREFIX)]
    rest = tuple(fact for fact in difference.facts if fact not in grants)
    if rest:
        yield replace(difference, facts=rest)
    for name, old, new in grants:
        yield Difference(
            kind="grant",
            on=words.thing(difference.key),
            name=name.removeprefix(PREFIX),
            change="changed",
            facts=(("privileges", old, new),),
        )


def _without_the_implied(
    found: list[Difference], before: Mapping[Key, words.Facts], after: Mapping[Key, words.Facts]
) -> Iterator[Difference]:
    index = {(item.kind, item.on, item.name): item for item in found}
    gone_or_new: dict[tuple[str, Change], Difference] = {
        (f"{item.on}.{item.name}", item.change): item for item in found if item.change in ("added", "removed")
    }
    counts: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for item in found:
        parent = gone_or_new.get((item.on, item.change)) if item.kind in _CHILDREN else None
        if parent is not None and parent.kind not in _CHILDREN:
            counts[item.on, item.change][item.kind] += 1
    for item in found:
        whole = (item.on, item.change)
        if whole in counts and item.kind in _CHILDREN:
            continue
        if _implied(item, index, gone_or_new):
            continue
        inside = counts.get((f"{item.on}.{item.name}", item.change)) if item.kind not in _CHILDREN else None
        if inside:
            numbers = tuple((f"{kind} count", str(number)) for kind, number in sorted(inside.items()))
            added = item.change == "added"
            item = replace(
                item, facts=(*item.facts, *((n, None if added else v, v if added else None) for n, v in numbers))
            )
        yield item


def _implied(
    item: Difference,
    index: Mapping[tuple[str, str, str], Difference],
    gone_or_new: Mapping[tuple[str, Change], Difference],
) -> bool:
    """Whether another difference says the same already."""

    def same(kind: str, on: str, name: str) -> Difference | None:
        other = index.get((kind, on, name))
        return other if other is not None and other.change == item.change else None

    facts = {name: (old, new) for name, old, new in item.facts}
    one = {name: new if old is None else old for name, (old, new) in facts.items()}
    match item.kind:
        case "index":
            constraint = same("constraint", item.on, item.name)
            return constraint is not None and (item.change != "changed" or facts.keys() == {"definition"})
        case "sequence":
            owner = gone_or_new.get((one.get("owned by") or "", item.change))
            return item.change != "changed" and owner is not None and owner.kind == "column"
        case "constraint" | "domain constraint" if item.change != "changed":
            return _told_as_not_null(item, one.get("definition") or "", index)
        case "operator family":
            return same("operator class", item.on, item.name) is not None and item.change != "changed"
        case "user mapping":
            return same("foreign server", "", item.on) is not None and item.change != "changed"
        case "column":
            # A view's columns are its definition.
            views = (index.get((kind, *_split(item.on))) for kind in ("view", "materialized view"))
            return item.change != "changed" and any(
                view is not None and "definition" in {name for name, _, _ in view.facts} for view in views
            )
    return False


def _told_as_not_null(
    item: Difference, definition: str, index: Mapping[tuple[str, str, str], Difference]
) -> bool:  # fmt: skip
    """PostgreSQL 18 keeps NOT NULL as a constraint as well; a column that is now (not) null tells it already."""
    if not definition.startswith("NOT NULL"):
        return False
    for (kind, on, name), other in index.items():
        mine = (kind == "column" and on == item.on) or (kind == "domain" and f"{on}.{name}" == item.on)
        if mine and (
            kind == "domain" or definition.removeprefix("NOT NULL ").split(" N")[0].strip('"') == name.strip('"')
        ):
            flags = {fact: new for fact, _, new in other.facts}
            if other.change == item.change or flags.get("not null", "?") == ("yes" if item.change == "added" else None):
                return True
    return False


def _split(qualified: str) -> tuple[str, str]:
    """The schema and the name of a qualified name, either of which may be quoted."""
    quoted = False
    for place, character in enumerate(qualified):
        if character == '"':
            quoted = not quoted
        elif character == "." and not quoted:
            return qualified[:place], qualified[place + 1 :]
    return "", qualified


def _reordered(before: Mapping[Key, words.Facts], after: Mapping[Key, words.Facts]) -> Iterator[Difference]:
    old, new = _columns(before), _columns(after)
    for relation in old.keys() & new.keys():
        was, now = old[relation], new[relation]
        if was == now:
            continue
        shared = set(was) & set(now)
        left, right = ([name for name in names if name in shared] for names in (was, now))
        if left == right:
            continue
        schema, name = _split(relation)
        for kind in _RELATIONS:
            key = Key(kind, schema, name)
            if key in before and key in after:
                if kind.endswith("view") and before[key] != after[key]:
                    continue
                facts = (("columns", ", ".join(left), ", ".join(right)),)
                yield Difference(kind=kind, on=schema, name=name, change="order", facts=facts)


def _columns(objects: Mapping[Key, words.Facts]) -> dict[str, list[str]]:
    """The names of each relation's columns in their order."""
    places: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for key, facts in objects.items():
        if key.kind in _COLUMNS:
            places[key.on].append((int(dict(facts)["position"]), key.name))
    return {relation: [name for _, name in sorted(columns)] for relation, columns in places.items()}
