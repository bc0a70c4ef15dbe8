"""What was done to the schema, and in which objects two moments differ, side by side.

The record holds what each visit changed, a line an object, and of objects that are not as they should be every fact
that differs. It holds no whole schema, so none is shown.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Final

from neontest.postgres import words as names
from neontest.postgres.difference import Difference
from neontest.postgres.names import without_public
from neontest.record import Visit, Walk
from neontest.renderers import words
from neontest.renderers.html.markup import Markup, join, table, tag
from neontest.report import Report

BUDGET: Final = 500_000
"""Characters of the whole section, about."""
MOST: Final = 200
"""Objects of one walk."""


def section(report: Report) -> Markup:
    """Every walk that changed something, and every pair of moments that should be equal and is not."""
    parts: list[Markup | None] = []
    if report.twin:
        parts.append(differences("the same upgrade on two branches", "first", "second", report.twin.different))
    for each in report.interruptions:
        what = f"{each.revision or 'the upgrade'}, cancelled in the middle and run again"
        parts.append(differences(what, "undisturbed", "after the second run", each.different))
    changing = [walk for walk in report.walks if unequal(walk) or any(visit.schema_changes for visit in walk.visits)]
    changing.sort(key=lambda walk: not unequal(walk))
    size = 0
    for place, walk in enumerate(changing):
        if size > BUDGET:
            rest = words.plural(len(changing) - place, "more walk")
            parts.append(tag("p", f"{rest} changed the schema: the JSON report has them.", class_="dim"))
            break
        parts.append(walk_block(report, walk))
        size += len(parts[-1] or "")
    return join(parts) if any(parts) else tag("p", "No visit changed the schema.", class_="dim")


def unequal(walk: Walk) -> int:
    return len(walk.not_restored) + len(walk.not_repeated)


def walk_block(report: Report, walk: Walk) -> Markup:
    name, about = words.title(report, walk)
    wrong = [
        differences("not restored by the downgrade", "before the upgrade", "after the downgrade", walk.not_restored),
        differences("not the same the second time", "after the first upgrade", "after the second", walk.not_repeated),
    ]
    count = unequal(walk)
    return tag(
        "details",
        tag("summary", tag("b", name), " ", about,
            tag("span", words.plural(count, "difference"), class_="bad") if count else None),
        wrong, changes(walk.visits),
        open=bool(count) or walk.kind == "whole",
    )  # fmt: skip


def changes(visits: tuple[Visit, ...]) -> Markup:
    """What each visit did, an object a row, the visits side by side."""
    columns = [by_object(visit) for visit in visits[:3]]
    if len(columns) > 2 and columns[2] == columns[0]:
        columns.pop()
    objects = dict.fromkeys(each for column in columns for each in column)
    heads = ["object", "the upgrade", "the downgrade", "the second upgrade"][: len(columns) + 1]
    rows = [
        tag("tr", tag("th", each, scope="row"), [tag("td", lines(column.get(each, []))) for column in columns])
        for each in list(objects)[:MOST]
    ]
    if (more := len(objects) - MOST) > 0:
        rows.append(tag("tr", tag("td", f"{more:,} more are in the JSON report", colspan=len(heads), class_="dim")))
    return table(heads, rows, class_="changes")


def by_object(visit: Visit) -> dict[str, list[str]]:
    """What happened, by the object that a line names before its first colon."""
    found: dict[str, list[str]] = {}
    for line in visit.schema_changes:
        thing, _, what = line.partition(": ")
        found.setdefault(thing, []).append(what or "changed")
    return found


def lines(texts: list[str]) -> list[Markup]:
    return [tag("div", each) for each in texts]


def differences(title: str, left: str, right: str, found: tuple[Difference, ...]) -> Markup | None:
    """Objects that differ, each fact in two columns."""
    if not found:
        return None
    rows = [row for difference in found[:MOST] for row in difference_rows(difference)]
    return join(
        (
            tag("h4", f"{title}: {words.plural(len(found), 'difference')}"),
            table(("object", "fact", left, right), rows, class_="differences"),
        )
    )


def difference_rows(difference: Difference) -> Iterator[Markup]:
    thing = names.thing(difference.key)
    facts = difference.facts
    if difference.change in ("added", "removed"):
        here = "is there"
        facts = (("", *((None, here) if difference.change == "added" else (here, None))), *facts)
    for place, (name, old, new) in enumerate(facts):
        before, after = side_by_side(old, new)
        head = tag("th", thing, scope="rowgroup", rowspan=len(facts)) if place == 0 else None
        yield tag("tr", head, tag("td", name), tag("td", before), tag("td", after))


def side_by_side(old: str | None, new: str | None) -> tuple[Markup, Markup]:
    """The two values; of those with several lines, the lines that differ are marked."""
    if old is None or new is None or not ("\n" in old or "\n" in new):
        return value(old, "del"), value(new, "ins")
    left, right = old.split("\n"), new.split("\n")
    befores: list[Markup] = []
    afters: list[Markup] = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        befores += [marked(each, "" if kind == "equal" else "del") for each in left[a:b]]
        afters += [marked(each, "" if kind == "equal" else "ins") for each in right[c:d]]
    return tag("pre", befores), tag("pre", afters)


def marked(line: str, name: str) -> Markup:
    return join((tag(name, line) if name else line, "\n"))


def value(text: str | None, name: str) -> Markup:
    return tag("span", "–", class_="dim") if text is None else tag(name, without_public(text))
