"""Every statement that was seen, in tables: what the picture shows, to read."""

from __future__ import annotations

from itertools import groupby
from typing import Final

from neontest.postgres.names import without_public
from neontest.record import Lock, Visit
from neontest.renderers import words
from neontest.renderers.html.markup import Markup, join, number, table, tag
from neontest.renderers.html.timeline import Placed, Timeline, route, strongest, weight
from neontest.report import Report

BUDGET: Final = 1_000_000
"""Characters, about, of all rows together."""
LONGEST: Final = 1_500
"""Characters of one statement."""
LOCKS: Final = 12
PRINTED: Final = 300
"""Statements; a longer list stays closed on paper."""


def listed(laid: Timeline) -> frozenset[int]:
    """The numbers of the statements that have a row: all, or as many of those that weigh most as the page can hold."""
    left, found = BUDGET, set()
    for each in sorted(laid.placed, key=lambda each: weight(each.statement), reverse=True):
        names = sum(len(lock.relation) + 60 for lock in list(strongest(each.statement))[:LOCKS])
        left -= 260 + min(len(each.statement.sql), LONGEST) + names + len(each.statement.file or "")
        if left < 0:
            break
        found.add(each.number)
    return frozenset(found)


def tables(report: Report, laid: Timeline, rows: frozenset[int]) -> list[Markup]:
    """A folded list of the statements of each walk."""
    made = []
    long = len(rows) > PRINTED
    by_walk = {walk: list(group) for walk, group in groupby(laid.placed, key=lambda each: each.walk)}
    spans = {walk: list(group) for walk, group in groupby(enumerate(laid.spans), key=lambda each: each[1].walk)}
    for walk_number, walk in enumerate(report.walks):
        name, about = words.title(report, walk)
        mine = by_walk.get(walk_number, [])
        by_visit = {visit: list(group) for visit, group in groupby(mine, key=lambda each: each.visit)}
        parts = [visit_table(span.visit, by_visit.get(place, []), rows) for place, span in spans.get(walk_number, ())]
        head = tag(
            "summary", tag("b", name), " ", about, tag("span", words.plural(len(mine), "statement"), class_="dim")
        )
        made.append(tag("details", head, parts, class_="walk long" if long else "walk"))
    return made


def visit_table(visit: Visit, placed: list[Placed], rows: frozenset[int]) -> Markup:
    """One visit: its way, its time, its error, its statements."""
    wal = f", {size(visit.wal_bytes)} of WAL" if visit.wal_bytes else ""
    head = tag("h4", f"{route(visit)}  {words.mark(visit)} {words.duration(visit.seconds)}{wal}")
    shown = [each for each in placed if each.number in rows]
    parts = [head]
    if visit.error is not None:
        parts.append(tag("p", f"{visit.error.kind}: {visit.error.message}", class_="bad"))
    if not visit.moved and visit.error is None:
        parts.append(tag("p", "the version table did not change as it should", class_="bad"))
    if not visit.traced:
        parts.append(tag("p", "the project's own command ran: its statements were not seen", class_="dim"))
    elif not placed:
        parts.append(tag("p", "no statements", class_="dim"))
    if shown:
        heads = ("tx", "time", "statement", "locks", "where")
        parts.append(table(heads, [row(each) for each in shown], class_="statements"))
    if missing := len(placed) - len(shown):
        parts.append(
            tag("p", f"{words.plural(missing, 'quicker statement')} not listed here: the JSON report has them",
                class_="dim")
        )  # fmt: skip
    return join(parts)


def row(placed: Placed) -> Markup:
    statement = placed.statement
    sql = statement.sql.strip()
    cut = f" … {len(sql) - LONGEST:,} more characters" if len(sql) > LONGEST else ""
    remarks = [f"rewrote {without_public(each)}" for each in statement.rewrote]
    remarks += [f"read {without_public(each)} whole" for each in statement.scanned]
    if statement.waited_seconds:
        remarks.append(f"waited {words.duration(statement.waited_seconds)} for others' locks")
    locks = list(strongest(statement))
    more = f"and {len(locks) - LOCKS} more" if len(locks) > LOCKS else None
    return tag(
        "tr",
        tag("td", str(statement.transaction) if statement.transaction else "auto"),
        number(words.duration(statement.seconds)),
        tag("td", tag("code", sql[:LONGEST], cut), [tag("div", each, class_="remark") for each in remarks]),
        tag("td", [tag("div", lock_line(each)) for each in locks[:LOCKS]], tag("div", more) if more else None),
        tag("td", words.place(statement.file, statement.line)),
        id=f"s{placed.number}",
        tabindex=-1,
    )


def lock_line(lock: Lock) -> str:
    """Such as `ACCESS EXCLUSIVE on user, 1.7 s`."""
    about = {"commit": "at most ", "sampled": "about ", "inferred": "at most "}.get(lock.seen, "")
    new = " (new)" if not lock.existed else ""
    return f"{lock.mode} on {without_public(lock.relation)}{new}, {about}{words.duration(lock.held_seconds)}"


def size(count: int) -> str:
    """Bytes as a person says them."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if abs(value) < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TB"
