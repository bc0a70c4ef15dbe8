"""A page that fits: sections that first are whole, then shorter, then counted, and say so. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

SENTENCE: Final = 500
"""Characters that are kept for saying what was left out of a section."""
IN_FULL: Final = 0.5
"""The part of a section's room for what is told in full, where not everything has room even in short."""


MOST: Final = 500
"""Things of one kind that are worth writing down at all: no page has room for more."""


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a section tells."""

    full: str
    short: str = ""
    """The same in fewer words; "" where there are none."""
    kind: str = ""
    """What it is counted as."""
    weight: int = 1
    """The heaviest stay where there is no room for all."""


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """Things of one kind, between a head and a foot."""

    noun: str
    """One of them, in words: `finding`."""
    items: tuple[Item, ...]
    share: float
    """Of the page, where not everything has room."""
    head: str = ""
    foot: str = ""
    between: str = "\n\n"
    more: tuple[str, ...] = ()
    """What those are counted as that were not even written down, because there are too many."""
    logged: bool = False
    """The job's log has it, too."""

    def whole(self) -> str:
        return self._joined([each.full for each in self.items])

    def write(self, room: int, log: str) -> str:
        """As much of it as has room, and what has none, in numbers."""
        if not self.more and self.size <= room:
            return self.whole()
        return self._with_rest(self._chosen(room - SENTENCE - len(self.head) - len(self.foot) - 4), log)

    def _chosen(self, room: int) -> dict[int, str]:
        """What is told of which item: the heaviest first, all of them in short if that has room."""
        order = sorted(range(len(self.items)), key=lambda at: -self.items[at].weight)
        gap = len(self.between)
        brief = [each.short or each.full for each in self.items]
        extra = room - sum(len(each) + gap for each in brief)
        told = dict(enumerate(brief)) if extra >= 0 else {}
        used = 0
        for at in order:
            full = self.items[at].full
            if extra >= 0:
                growth = len(full) - len(brief[at])
                if growth <= extra:
                    told[at], extra = full, extra - growth
                continue
            for text, most in ((full, room * IN_FULL), (brief[at], room)):
                if used + len(text) + gap <= most:
                    told[at], used = text, used + len(text) + gap
                    break
        return told

    @property
    def size(self) -> int:
        return len(self.whole())

    def _with_rest(self, told: dict[int, str], log: str) -> str:
        where = f"{log} and the JSON report" if self.logged else "the JSON report"
        left = [*(item.kind for at, item in enumerate(self.items) if at not in told), *self.more]
        parts = [self._joined([told[at] for at in sorted(told)])] if told else []
        shorter = sum(told[at] != self.items[at].full for at in told)
        if left:
            more = f"{' more' if told else ''} {self.noun}{'' if len(left) == 1 else 's'}"
            parts.append(f"… {len(left):,}{more}{kinds(left)} left out here: in {where}.")
        if shorter:
            parts.append(f"… {shorter:,} {self.noun}{'' if shorter == 1 else 's'} shortened here: in full in {where}.")
        return "\n\n".join(parts)

    def _joined(self, texts: Sequence[str]) -> str:
        return self.between.join(filter(None, (self.head, *texts, self.foot)))


def kinds(found: Sequence[str], most: int = 6) -> str:
    """Such as ` (4,000 data-loss, 2 irreversible)`; "" where they have no kind."""
    counted = Counter(filter(None, found)).most_common()
    told = [f"{count:,} {kind}" for kind, count in counted[:most]]
    others = sum(count for _, count in counted[most:])
    told += [f"{others:,} others"] * bool(others)
    return f" ({', '.join(told)})" if told else ""


def fitted(sections: Sequence[Section], room: int, log: str) -> list[str]:
    """The sections in their order, whole where all of them have room, else each in its share and what others leave.

    `log` is how the page calls the job's log.
    """
    sections = [each for each in sections if each.items]
    sizes = [each.size + 2 + SENTENCE * bool(each.more) for each in sections]
    if sum(sizes) <= room and not any(each.more for each in sections):
        return [each.whole() for each in sections]
    rooms = shared(sizes, [each.share for each in sections], room)
    return [each.write(own - 2, log) for each, own in zip(sections, rooms, strict=True)]


def shared(sizes: Sequence[int], shares: Sequence[float], room: int) -> list[int]:
    """How much room each gets: what it needs where that is no more than its share of what the others leave."""
    rooms = dict(enumerate(sizes))
    tight = list(rooms)
    while tight:
        left = room - sum(rooms[at] for at in rooms if at not in tight)
        given = {at: int(left * shares[at] / sum(shares[each] for each in tight)) for at in tight}
        content = [at for at in tight if sizes[at] <= given[at]]
        if not content:
            rooms.update(given)
            break
        tight = [at for at in tight if at not in content]
    return list(rooms.values())
