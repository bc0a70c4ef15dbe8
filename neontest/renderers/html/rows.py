"""What happened to rows and to the size of relations, in tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from neontest import lost
from neontest.postgres.data import DataChange
from neontest.postgres.names import without_public
from neontest.renderers import words
from neontest.renderers.html.markup import Markup, join, number, table, tag
from neontest.renderers.html.timeline import route
from neontest.renderers.html.trace import size
from neontest.report import Report

MOST: Final = 300
"""Rows of one table."""


def section(report: Report) -> Markup:
    """Losses first, then what upgrades changed, then sizes, then how it was read."""
    parts: list[Markup | None] = [tag("ul", [tag("li", each) for each in words.rows(report)])]
    parts += [change_block(report, True), change_block(report, False), sizes(report), read(report), filled(report)]
    if not any(walk.data_lost is not None for walk in report.walks):
        parts.insert(1, tag("p", "No rows were compared.", class_="dim"))
    return join(parts)


def change_block(report: Report, lost_ones: bool) -> Markup | None:
    rows: list[Markup] = []
    for walk in report.walks:
        change = walk.data_lost if lost_ones else walk.data_changed
        if change:
            name = words.title(report, walk)[0]
            rows += change_rows(name + (" (invented rows)" if walk.with_rows else ""), change, lost_ones)
    if not rows:
        return None
    title = "After the downgrade, against before the upgrade" if lost_ones else "After the upgrade, against before it"
    heads = ("walk", "table or column", "before", "after", "gone", "added", "other values", "in words")
    return join((tag("h3", title), table(heads, first(rows, len(heads)), class_="data")))


def change_rows(walk: str, change: DataChange, came_back: bool) -> Iterator[Markup]:
    for each in change.tables:
        said = [*lost.of_table(each, came_back)]
        bound = "" if each.exact else "≥ "
        yield row(walk, each.table, each.before, each.after, bound + f"{each.lost:,}", f"{each.added:,}", "", said)
        for column in each.columns:
            name = f"{each.table}.{column.column}" + (f" → {column.became}" if column.became else "")
            other = ("" if column.exact else "≥ ") + f"{column.changed:,}"
            gone = f"{lost.emptied(each, column):,}"
            yield row(walk, name, column.before, column.after, gone, f"{column.filled:,}", other, [])
    for sequence in change.sequences:
        said = [lost.of_sequence(sequence)] if came_back and lost.goes_back(sequence) else []
        yield row(walk, f"sequence {sequence.sequence}", sequence.before, sequence.after, "", "", "", said)
    if change.large_objects is not None:
        yield row(walk, "large objects", *change.large_objects, "", "", "", [])


def row(
    walk: str, name: str, before: int | None, after: int | None, gone: str, added: str, other: str, said: list[str]
) -> Markup:
    return tag(
        "tr",
        tag("td", walk),
        tag("td", without_public(name)),
        number("–" if before is None else f"{before:,}"),
        number("–" if after is None else f"{after:,}"),
        [number("" if each == "0" else each) for each in (gone, added, other)],
        tag("td", [tag("div", each) for each in said]),
    )


def sizes(report: Report) -> Markup | None:
    """Relations that grew or shrank, by how much, the most first."""
    found = [
        (abs(each.after - each.before), words.title(report, walk)[0], route(visit), each)
        for walk in report.walks
        for visit in walk.visits
        for each in visit.sizes
    ]
    if not found:
        return None
    found.sort(key=lambda each: -each[0])
    rows = [
        tag("tr", tag("td", walk), tag("td", way), tag("td", without_public(each.relation)), number(size(each.before)),
            number(size(each.after)), number(f"{'+' if each.after > each.before else '−'}{size(difference)}"))
        for difference, walk, way, each in found
    ]  # fmt: skip
    heads = ("walk", "visit", "relation", "before", "after", "difference")
    return join((tag("h3", "Sizes"), table(heads, first(rows, len(heads)))))


def read(report: Report) -> Markup | None:
    if not report.read:
        return None
    ways = {"full": "in full", "sample": "by sample", "count": "counted only", "not": "not read"}
    rows = [
        tag("tr", tag("td", without_public(each.table)), tag("td", ways[each.how]),
            number("–" if each.rows is None else f"{each.rows:,}"), tag("td", each.why))
        for each in report.read
    ]  # fmt: skip
    return folded("How rows were read", ("table", "how", "rows", "why"), rows)


def filled(report: Report) -> Markup | None:
    if not report.filled:
        return None
    rows = [
        tag("tr", tag("td", without_public(each.table)), number(f"{each.rows:,}"), tag("td", ", ".join(each.columns)),
            tag("td", each.why))
        for each in report.filled
    ]  # fmt: skip
    return folded("Rows that neontest invented", ("table", "rows", "only these columns", "why not more"), rows)


def folded(title: str, heads: tuple[str, ...], rows: list[Markup]) -> Markup:
    summary = tag("summary", tag("b", title), tag("span", words.plural(len(rows), "table"), class_="dim"))
    return tag("details", summary, table(heads, first(rows, len(heads))))


def first(rows: list[Markup], columns: int) -> list[Markup]:
    """The first of the rows, and a last one that says how many more there are."""
    if len(rows) <= MOST:
        return rows
    more = f"{len(rows) - MOST:,} more rows are in the JSON report"
    return [*rows[:MOST], tag("tr", tag("td", more, colspan=columns, class_="dim"))]
