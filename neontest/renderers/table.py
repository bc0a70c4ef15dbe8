"""The table of the walks, in Markdown: a row a walk."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from neontest import walks as reading
from neontest.record import Walk
from neontest.renderers import rollback, words
from neontest.renderers.budget import Item, Section
from neontest.renderers.markup import CLOSING, escaped, name, opening, row
from neontest.report import Finding, Level, Report

ROWS: Final = 15
"""A longer table is folded."""
HEAD: Final = row(("revision", "↑", "↓", "↑", "time", "locks", "rows", "verdict"))
LINE: Final = "| --- " * 8 + "|"


def walks(report: Report, *, folds: bool) -> Iterator[Section]:
    by_revision: defaultdict[str | None, list[Finding]] = defaultdict(list)
    for each in report.findings:
        by_revision[each.revision].append(each)
    items = []
    for walk in report.walks:
        # The whole walk is all revisions at once, so whatever was found is about it.
        mine = by_revision[walk.revision] if walk.kind == "stairway" else report.findings
        weight = 3 if walk.kind == "whole" else 2 if mine or not fine(walk) else 1
        items.append(Item(full=of_walk(report, walk, mine), weight=weight))
    head, foot = f"{HEAD}\n{LINE}", ""
    if folds or len(items) > ROWS:
        head = f"{opening('The walks: ' + words.plural(len(items), 'row'))}\n\n{head}"
        foot = "\n" + CLOSING
    yield Section(noun="revision", items=tuple(items), share=0.16, head=head, foot=foot, between="\n", logged=True)


def of_walk(report: Report, walk: Walk, mine: Sequence[Finding]) -> str:
    title, about = words.title(report, walk)
    cells = [f"{words.duration(visit.seconds)} {words.mark(visit)}" for visit in walk.visits[:3]]
    called = f"**{escaped(title)}**" if walk.kind == "whole" else name(title, 60)
    return row(
        (
            f"{called} {escaped(about, 80)}".rstrip(),
            *(cells + [""] * (3 - len(cells))),
            words.duration(sum(each.seconds for each in walk.visits)),
            locks(walk),
            rows(walk),
            judged(walk, mine),
        )
    )


def locks(walk: Walk) -> str:
    """The lock that held others up for the longest, in whichever visit."""
    found = [(lock, visit) for visit in walk.visits for lock in rollback.blocking(visit)]
    if not found:
        traced = all(each.traced for each in walk.visits)
        return "–" if traced else "not seen"
    lock, visit = max(found, key=lambda each: each[0].held_seconds)
    count = len({each.relation for each, _ in found})
    more = f", {words.plural(count - 1, 'more table')}" * (count > 1)
    return escaped(f"{words.ARROWS[visit.direction]} {rollback.held(lock)}{more}", 120)


def rows(walk: Walk) -> str:
    """What the rollback loses, in its first clause."""
    back = reading.down(walk)
    if walk.data_lost is None or back is None or back.error is not None:
        return "not compared"
    lost = list(rollback.losses(walk.data_lost))
    more = f", {len(lost) - 1} more" * (len(lost) > 1)
    said = f"{lost[0]}{more}" if lost else "as before"
    return escaped(said + " (invented)" * walk.with_rows, 120)


def judged(walk: Walk, mine: Sequence[Finding]) -> str:
    """The findings about the revision, the worst level first; else why its walk is short."""
    counted = words.tally(mine)
    if counted:
        gating = [each.level for each in mine if each.gates]
        icon = "❌" if Level.ERROR in gating else "⚠️" if Level.WARNING in gating else "ℹ️"
        return f"{icon} {', '.join(counted)}"
    if not fine(walk):
        return f"❌ {escaped(walk.note, 80)}" if walk.note else "❌"
    return escaped(walk.note, 80) if walk.note else "✅"


def fine(walk: Walk) -> bool:
    return all(each.error is None and each.moved for each in walk.visits) and reading.up(walk) is not None
