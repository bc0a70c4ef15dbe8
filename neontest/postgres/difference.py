"""One difference between two snapshots, and how it reads. Pure."""

from __future__ import annotations

import difflib
from typing import Literal

import msgspec

from neontest.postgres import words
from neontest.postgres.model import Key

Change = Literal["added", "removed", "changed", "order"]
Fact = tuple[str, str | None, str | None]
"""Its name, the old value and the new; None where there is none."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
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
                said = f"{self.facts[0][0]} in another order: " + words.change(*self.facts[0][1:])
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
