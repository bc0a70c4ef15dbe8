"""The report as GitHub shows it, in a comment on the pull request and in a job's summary.

A verdict, what a rollback would cost, a table of the walks, the findings, and the rest behind lines that open it.
What has no room is first shortened, then counted, and the page says so and where it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from neontest.renderers import findings, gantt, rollback, whose, words
from neontest.renderers.budget import MOST, Item, Section, fitted
from neontest.renderers.markup import CLOSING, code, escaped, fence_for, folded, link, name, opening, row
from neontest.renderers.source import Source, usable
from neontest.renderers.table import walks
from neontest.report import Report

ICONS: Final = {"passed": "✅", "failed": "❌", "error": "⚠️", "stopped": "⏹️"}
SKIPPED: Final = "⏭️"
LIMIT: Final = 60_000
"""Characters; GitHub refuses comments of more than 65,536, and the sender adds a mark of its own."""
OPEN: Final = 10
"""Rollback cards that stand open."""
LINE: Final = 300
"""Characters of a line of the verdict, and of other single lines."""


def render(report: Report, *, source: Source | None = None, section: str = "", limit: int = LIMIT) -> str:
    """The whole report in at most `limit` characters, if its heading has room; with a source, files are linked to it.

    As a `section` of a page it is headed by that name.
    """
    return fitting(report, source=source, section=section)(limit)


def fitting(report: Report, *, source: Source | None = None, section: str = "") -> Callable[[int], str]:
    """What renders the same report in any number of characters: to make its parts takes the time."""
    top = "<br>\n".join(verdict(report, source))
    heading = f"{'####' if section else '###'} {icon(report)} {section or 'neontest'}: "
    heading += escaped(words.verdict(report), LINE)
    if report.skipped:
        return lambda limit: heading + "\n"
    told = sections(report, source)
    if brief(report):
        told = [each for each in told if each.noun in ("finding", "revision")]

    def fit(limit: int) -> str:
        return "\n\n".join((heading, top, *fitted(told, limit - len(heading) - len(top) - 10, log(source)))) + "\n"

    return fit


def icon(report: Report) -> str:
    return SKIPPED if report.skipped else ICONS[report.verdict]


def brief(report: Report) -> bool:
    """Nothing could be tested, or not to the end: there is only the reason to tell, and what was seen until then."""
    return report.verdict == "stopped" or (report.verdict == "error" and report.exit_code != 4)


def log(source: Source | None) -> str:
    """The log of the job, linked where its page is known: it has what the console shows."""
    return link("the log of the job", source.job if source is not None and usable(source.job) else None)


def sections(report: Report, source: Source | None) -> list[Section]:
    return [
        *cards(report),
        *walks(report, folds=brief(report)),
        *findings.sections(report, source),
        *schema(report),
        *timeline(report),
        *tests(report),
        *grid(report),
        *run(report),
    ]


def verdict(report: Report, source: Source | None) -> Iterator[str]:
    """At most five lines, below the heading: what was wrong, what was tested, on what, the tests, the branches."""
    for problem in report.problems[:1]:
        said = f"**{escaped(problem.message, LINE)}** " if problem.message != words.verdict(report) else ""
        more = f" (and {words.plural(len(report.problems) - 1, 'more problem')})" * (len(report.problems) > 1)
        if told := f"{said}{escaped(problem.hint or '', LINE)}{more}".strip():
            yield told
    if scope := words.scope(report):
        through = report.walks and all(len(each.visits) > 2 for each in report.walks)
        yield f"{escaped(scope, LINE)}{', walked up, down and up again' * bool(through)}"
    parent = f", a branch of {escaped(report.parent_name, LINE)}" if report.parent_name and report.branches else ""
    fork = f", as a run of the fork {escaped(source.fork, LINE)} reports" if source is not None and source.fork else ""
    data = f"; data: {escaped(seen, LINE)}" if (seen := whose.seen(report)) else parent
    yield escaped(words.engine(report), LINE) + fork + data
    if report.walks or report.tests or report.tests_note:
        yield f"tests {escaped(words.tests(report), LINE)}"
    if report.branches:
        yield branches(report)


def branches(report: Report) -> str:
    """In one line: whether all of them are given back, and the first that is not."""
    here = [each for each in report.branches if words.left(each)]
    told = here or [each for each in report.branches if each.kept] or list(report.branches)
    others = len(report.branches) - 1
    if not here and others and all(each.proved for each in report.branches):
        return f"all {len(report.branches)} branches given back, deletion proved"
    said = escaped(words.branch(told[0]), LINE)
    return (f"**{said}**" if here else said) + f" (and {words.plural(others, 'more branch', 'more branches')})" * bool(
        others
    )


def cards(report: Report) -> Iterator[Section]:
    """What a rollback would cost; where the revisions are many, the gravest stand open and the others are folded."""
    found = rollback.cards(report) if report.walks else ()
    gravest = sorted(range(len(found)), key=lambda at: not found[at].grave)[:OPEN]
    others = [each for at, each in enumerate(found) if at not in gravest]
    shown = tuple(card(found[at]) for at in sorted(gravest))
    yield Section(noun="rollback", items=shown, share=0.1, between="\n")
    if others:
        grave = sum(each.grave for each in others)
        said = f": {grave} of them lose or lock something, or cannot be done" * bool(grave)
        yield Section(
            noun="rollback",
            items=tuple(map(card, others)),
            share=0.08,
            head=opening(words.plural(len(others), "more rollback") + said) + "\n",
            foot="\n" + CLOSING,
            between="\n",
        )


def card(found: rollback.Card) -> Item:
    before, after = found.lead
    called = "all pending revisions" if found.revision is None else name(found.revision, 80)
    icon = "⏪" if not found.grave else "⚠️" if found.state == "measured" else "⛔"
    clauses = escaped(", ".join(found.clauses))
    start = f"- {icon} {before}{called}{after}"
    return Item(full=start + clauses, short=start + escaped(", ".join(found.clauses), 120), weight=1 + found.grave)


def schema(report: Report) -> Iterator[Section]:
    """What the pending revisions do to the schema."""
    whole = next((each.visits[0] for each in report.walks if each.kind == "whole" and each.visits), None)
    ups = [each.visits[0] for each in report.walks if each.kind == "stairway" and each.visits]
    visits = [whole] if whole is not None and whole.error is None else ups
    lines = [line for visit in visits for change in visit.schema_changes for line in diff_line(change).splitlines()]
    if lines:
        fence = fence_for("\n".join(lines))
        yield Section(
            noun="change",
            items=tuple(Item(full=each) for each in lines[:MOST]),
            more=("",) * len(lines[MOST:]),
            share=0.1,
            head=f"{opening('Schema: ' + words.plural(len(lines), 'change'))}\n\n{fence}diff",
            foot=f"{fence}\n\n{CLOSING}",
            between="\n",
        )


def diff_line(change: str) -> str:
    """With the sign that colors it."""
    sign = "+" if change.endswith(": added") else "-" if change.endswith(": removed") else "!"
    text = words.clean(" ".join(change.split()))
    return f"{sign} {text[:LINE]}{'…' * (len(text) > LINE)}"


def timeline(report: Report) -> Iterator[Section]:
    text, short = gantt.chart(report)
    if text:
        said = "The walks, one after the other, and the locks that hold others up"
        said += f" ({words.plural(short, 'short one')} left out)" * bool(short)
        yield Section(noun="timeline", items=(Item(full=folded(said, code(text, "mermaid"))),), share=0.06)


def tests(report: Report) -> Iterator[Section]:
    """The names of the tests that failed, and the end of what they said."""
    result = report.tests
    if result is None or (result.exit_code == 0 and not result.timed_out):
        return
    items = [Item(full=f"- {name(each, LINE)}", weight=2) for each in result.failures]
    if result.output_tail.strip():
        last = result.output_tail.strip("\n").splitlines()
        short = code("\n".join(each[:200] for each in last[-10:]))
        items.append(Item(full="\n" + code("\n".join(each[:1_000] for each in last)), short="\n" + short))
    if items:
        head = opening(f"Tests: {escaped(words.counts(result))}") + "\n"
        yield Section(noun="part", items=tuple(items), share=0.1, head=head, foot="\n" + CLOSING, between="\n")


def grid(report: Report) -> Iterator[Section]:
    """Old and new code on the old and the new schema."""
    if report.cells:
        lines = (row(("", "old schema", "new schema")), "| --- | --- | --- |", *map(row, words.grid(report)))
        yield Section(noun="grid", items=(Item(full="\n".join(lines)),), share=0.02)


def run(report: Report) -> Iterator[Section]:
    """Of the run itself: further problems, rows, notes, branches."""
    lines = [f"{each.message}. {each.hint or ''}" for each in report.problems[1:]]
    again = whose.again(report) if report.findings else ""
    lines += [f"the same branch again, kept until its expiry: {again}"] * bool(again)
    lines += [*words.rows(report), *report.notes, *map(words.branch, report.branches)]
    if lines:
        yield Section(
            noun="note",
            items=tuple(Item(full=f"- {escaped(each)}", short=f"- {escaped(each, 120)}") for each in lines[:MOST]),
            more=("",) * len(lines[MOST:]),
            share=0.06,
            head=opening("The run: rows, notes, branches") + "\n",
            foot="\n" + CLOSING,
            between="\n",
            logged=True,
        )
