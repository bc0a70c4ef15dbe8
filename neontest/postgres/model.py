"""The schema as frozen, comparable data.

Every object of the catalogs is one `Key` with its facts. Equality is generated; nothing is compared by hand.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

_NUMBERS: Final = itertools.count(1)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All objects of one database at one moment, without what extensions own and without Alembic's version tables.

    `objects` maps each key to its facts, (name, value) pairs in a fixed order. The fact "position" of a column is
    its rank among the live columns, not its attribute number: that shifts after a drop and an add.
    """

    objects: Mapping[Key, Facts]
    server_version: int = field(default=0, compare=False)
    """Such as 180006."""
    number: int = field(default_factory=_NUMBERS.__next__, compare=False, repr=False)
    """Every one has its own."""
    renewed: tuple[int, Collection[Key]] = field(default=(0, ()), compare=False, repr=False)
    """The number of the one that this is but for what was read anew, and the keys of that, before and now."""

    def apart(self, before: Snapshot) -> tuple[Mapping[Key, Facts], Mapping[Key, Facts]]:
        """What can differ between the two, of each: of a relation or a type all that hangs on it, or nothing."""
        number, keys = self.renewed
        if number != before.number:
            return before.objects, self.objects
        sides = before.objects, self.objects
        old, new = ({key: side[key] for key in keys if key in side} for side in sides)
        return old, new
