"""The schema as frozen, comparable data.

Every object of the catalogs is one `Key` with its facts. Equality is generated; nothing is compared by hand.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final, NamedTuple

_DEEP: Final = 8
"""Snapshots made one of the other, after which one has all its objects itself."""


class Key(NamedTuple):
    """What names an object: its kind, what it belongs to, and its own name.

    `on` is the qualified relation for columns, constraints, indexes, triggers, policies and rules
    (`public.user`), the schema for what lives in a schema, and "" for what lives in the database.
    `name` carries the argument types of functions: `add(integer, integer)`.
    """

    kind: str
    on: str
    name: str


Facts = tuple[tuple[str, str], ...]
"""(name, value) pairs in a fixed order; what does not apply is not there. A flag's value is "yes"."""


class Snapshot:
    """All objects of one database at one moment, without what extensions own and without Alembic's version tables.

    What it does not differ in from the one that it was made of, it has from there: most steps change one table of many.
    """

    __slots__ = ("_base", "_depth", "_new", "_objects", "_old", "server_version")

    def __init__(self, *, objects: Mapping[Key, Facts], server_version: int = 0) -> None:
        """`server_version`: such as 180006."""
        self.server_version = server_version
        self._objects: Mapping[Key, Facts] | None = objects
        self._base: Snapshot | None = None
        self._depth = 0
        self._old: Mapping[Key, Facts] = {}
        self._new: Mapping[Key, Facts] = {}

    def renewed(self, old: Collection[Key], new: Mapping[Key, Facts]) -> Snapshot:
        """The same, but for what was read anew: some of its keys, and what there is instead."""
        made = Snapshot(objects={}, server_version=self.server_version)
        made._objects, made._base, made._depth = None, self, self._depth + 1
        found = ((key, self.get(key)) for key in {*old, *new})
        made._old, made._new = {key: facts for key, facts in found if facts is not None}, new
        if made._depth > _DEEP:
            *_, whole = self._line()
            made._objects, made._depth = made.objects, 0
            whole._base, whole._old, whole._new = None, {}, {}  # else nothing would ever be forgotten
        return made

    @property
    def objects(self) -> Mapping[Key, Facts]:
        """Each key with its facts, (name, value) pairs in a fixed order.

        The fact "position" of a column is its rank among the live columns, not its attribute number: that shifts after
        a drop and an add.
        """
        if self._objects is None:
            *made, whole = self._line()
            objects = dict(whole._objects or {})
            for each in reversed(made):
                for key in each._old:
                    objects.pop(key, None)
                objects.update(each._new)
            self._objects = objects
        return self._objects

    def get(self, key: Key) -> Facts | None:
        """The facts of an object; None where there is none."""
        for each in self._line():
            if each._objects is not None:
                return each._objects.get(key)
            if key in each._new:
                return each._new[key]
            if key in each._old:
                return None
        raise AssertionError("unreachable")

    def apart(self, before: Snapshot) -> tuple[Mapping[Key, Facts], Mapping[Key, Facts]]:
        """What can differ between the two, of each: of a relation or a type all that hangs on it, or nothing."""
        return self._since(before) or (before.objects, self.objects)

    def _since(self, before: Snapshot) -> tuple[Mapping[Key, Facts], Mapping[Key, Facts]] | None:
        """The same, if this was made of the other."""
        made = []
        one: Snapshot | None = self
        while one is not None and one is not before:
            made.append(one)
            one = one._base
        if one is None:
            return None
        old: dict[Key, Facts] = {}
        new: dict[Key, Facts] = {}
        seen: set[Key] = set()
        for each in reversed(made):
            old.update((key, facts) for key, facts in each._old.items() if key not in seen)
            seen.update(each._old, each._new)
            for key in each._old:
                new.pop(key, None)
            new.update(each._new)
        return old, new

    def _line(self) -> Iterator[Snapshot]:
        """It, and what it was made of, down to the first one that has all its objects."""
        one = self
        while one._objects is None and one._base is not None:
            yield one
            one = one._base
        yield one

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Snapshot):
            return NotImplemented
        one, two = self._since(other) or other._since(self) or (other.objects, self.objects)
        return one == two

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Snapshot(objects={self.objects!r}, server_version={self.server_version})"
