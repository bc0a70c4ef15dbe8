"""How two snapshots differ, one difference a line that a person reads. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from msgspec.structs import replace

from neontest.postgres import words
from neontest.postgres.catalog import KINDS
from neontest.postgres.difference import Change, Difference, Fact
from neontest.postgres.grants import PREFIX
from neontest.postgres.implied import RELATIONS, Differences, split
from neontest.postgres.model import Facts, Key, Snapshot

__all__ = ["Change", "Difference", "Fact", "diff"]

_ORDER: Final = {kind.name: {fact: place for place, fact in enumerate(kind.facts)} for kind in KINDS}
_RANK: Final = {kind.name: rank for rank, kind in enumerate(KINDS)}
_COLUMNS: Final = ("column", "attribute")


def diff(before: Snapshot, after: Snapshot) -> tuple[Difference, ...]:
    """Every difference, schemas first, then types, tables, columns and so on; () when nothing differs.

    What comes and goes with another object (a table's columns, a serial's sequence, a constraint's index) is not
    told twice.
    """
    if before is after:
        return ()
    old, new = after.apart(before)
    if old == new:
        return ()
    found = Differences(_raw(old, new), after)
    kept = [*found.told(), *_reordered(old, new)]
    if not kept:
        # Leaving out what others tell must never leave nothing.
        kept = list(found.all)
    result = [piece for difference in kept for piece in _apart(difference)]
    return tuple(sorted(result, key=_place))


def _place(difference: Difference) -> tuple[int, str, str, bool, str]:
    rank = _RANK.get(difference.kind, len(_RANK))
    return rank, difference.on, difference.name, difference.change == "order", difference.change


def _raw(before: Mapping[Key, Facts], after: Mapping[Key, Facts]) -> Iterator[Difference]:
    for key in before.keys() | after.keys():
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        was, now = dict(old or ()), dict(new or ())
        change: Change = "added" if old is None else "removed" if new is None else "changed"
        order = _ORDER.get(key.kind, {})
        facts = tuple(
            (name, was.get(name), now.get(name))
            for name in sorted(dict.fromkeys((*was, *now)), key=lambda name: order.get(name, len(order)))
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


def _reordered(before: Mapping[Key, Facts], after: Mapping[Key, Facts]) -> Iterator[Difference]:
    moved = {key.on for key, facts in after.items() if key.kind in _COLUMNS and before.get(key, facts) != facts}
    old, new = _columns(before, moved), _columns(after, moved)
    for relation in old.keys() & new.keys():
        was, now = old[relation], new[relation]
        if was == now:
            continue
        shared = set(was) & set(now)
        left, right = ([name for name in names if name in shared] for names in (was, now))
        if left == right:
            continue
        schema, name = split(relation)
        for kind in RELATIONS:
            key = Key(kind, schema, name)
            if key in before and key in after:
                if kind.endswith("view") and before[key] != after[key]:
                    continue
                noun = "attributes" if kind == "composite type" else "columns"
                facts = ((noun, ", ".join(left), ", ".join(right)),)
                yield Difference(kind=kind, on=schema, name=name, change="order", facts=facts)


def _columns(objects: Mapping[Key, Facts], relations: Collection[str]) -> dict[str, list[str]]:
    """The names of the columns of these relations in their order."""
    places: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for key, facts in objects.items() if relations else ():
        if key.on in relations and key.kind in _COLUMNS:
            places[key.on].append((int(dict(facts)["position"]), key.name))
    return {relation: [name for _, name in sorted(columns)] for relation, columns in places.items()}
