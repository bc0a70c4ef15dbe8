"""The verdict and what it rests on, and the walks in one table."""

from __future__ import annotations

from neontest import lost
from neontest.record import Visit, Walk
from neontest.renderers import whose, words
from neontest.renderers.html.markup import Markup, number, table, tag
from neontest.renderers.html.timeline import blocks
from neontest.renderers.html.trace import lock_line
from neontest.report import Report


def header(report: Report) -> Markup:
    """The verdict on top, with why and on what."""
    return tag(
        "header",
        tag("h1", tag("span", report.verdict, class_=f"verdict {report.verdict}"), " neontest"),
        tag("p", words.verdict(report), class_="lead"),
        [
            tag("div", tag("p", tag("b", each.message)), tag("p", each.hint) if each.hint else None, class_="problem")
            for each in report.problems
        ],
        tag("p", " · ".join(filter(None, (words.engine(report), words.scope(report)))), class_="dim"),
        tag("p", f"data: {seen}", class_="dim") if (seen := whose.seen(report)) else None,
        facts(report),
    )


def facts(report: Report) -> Markup:
    """A few numbers, each with its name."""
    left = sum(map(words.left, report.branches))
    kept = sum(each.kept for each in report.branches)
    given = f"{left} NOT given back" if left else f"{kept} kept" if kept else "all given back"
    held = [
        lock
        for walk in report.walks
        for visit in walk.visits
        for statement in visit.statements
        for lock in statement.locks
        if blocks(lock)
    ]
    longest = max(held, key=lambda each: each.held_seconds, default=None)
    shown = [
        ("findings", ", ".join(words.tally(report.findings)) or "none"),
        ("tests", words.counts(report.tests) if report.tests else "not run"),
        ("longest blocking lock", lock_line(longest) if longest else "none"),
        ("branches", f"{len(report.branches)}, {given}" if report.branches else "none"),
        ("took", words.duration(report.seconds["total"]) if "total" in report.seconds else None),
    ]
    return tag("dl", [tag("div", tag("dt", name), tag("dd", said)) for name, said in shown if said], class_="facts")


def walks(report: Report) -> Markup:
    """A row a walk: its three visits with their times, its locks, what became of the rows, its findings."""
    if not report.walks:
        return tag("p", "Nothing was walked.", class_="dim")
    most = max((visit.seconds for walk in report.walks for visit in walk.visits), default=0.0)
    counts: dict[str | None, int] = {}
    for finding in report.findings:
        counts[finding.revision] = counts.get(finding.revision, 0) + 1
    heads = ("revision", "about", "↑ up", "↓ down", "↑ again", "longest blocking lock ↑", "and ↓", "rows", "findings")
    rows = [row(report, walk, most, counts.get(walk.revision, 0)) for walk in report.walks]
    return table(heads, rows, class_="walks")


def row(report: Report, walk: Walk, most: float, findings: int) -> Markup:
    name, about = words.title(report, walk)
    cells = [visit_cell(visit, most) for visit in walk.visits[:3]]
    cells += [tag("td", "–", class_="dim") for _ in range(3 - len(cells))]
    note = tag("div", walk.note, class_="remark") if walk.note else None
    return tag(
        "tr",
        tag("th", name, scope="row"),
        tag("td", about, note),
        cells,
        [tag("td", longest_lock(walk, place)) for place in (0, 1)],
        tag("td", rows_said(walk)),
        number(str(findings) if walk.kind == "stairway" and findings else ""),
    )


def visit_cell(visit: Visit, most: float) -> Markup:
    """The time, whether it went well, and a bar beside the longest of all visits."""
    width = max(1, round(100 * visit.seconds / most)) if most else 1
    bar = tag("svg", tag("rect", width=width, height=4), class_="bar", viewBox="0 0 100 4", aria_hidden="true",
              preserveAspectRatio="none")  # fmt: skip
    bad = words.mark(visit) != "✓"
    return tag(
        "td", f"{words.duration(visit.seconds)} {words.mark(visit)}", bar, class_="visit bad" if bad else "visit"
    )


def longest_lock(walk: Walk, place: int) -> str:
    """The longest lock of a visit that others could have waited for."""
    if len(walk.visits) <= place:
        return "–"
    visit = walk.visits[place]
    if not visit.traced:
        return "not seen"
    found = [lock for statement in visit.statements for lock in statement.locks if blocks(lock)]
    return lock_line(max(found, key=lambda each: each.held_seconds)) if found else "none"


def rows_said(walk: Walk) -> str:
    """What became of the rows over upgrade and downgrade."""
    change = lost.unstamped(walk.data_lost)
    if change is None:
        return "not compared"
    said = lost.total(change) if lost.lines(change, came_back=True) else "came back"
    return f"{said} (invented rows)" if walk.with_rows else said


def contents(sections: list[tuple[str, str, str]]) -> Markup:
    links = [tag("li", tag("a", title, href=f"#{id_}"), f" {count}" if count else "") for id_, title, count in sections]
    return tag("nav", tag("ul", links), aria_label="On this page")
