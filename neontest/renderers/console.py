"""The report for a terminal or a log."""

from __future__ import annotations

import io
from typing import Final

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from neontest.record import Visit
from neontest.renderers import whose, words
from neontest.report import Finding, Level, Report

COLORS: Final = {Level.ERROR: "bold red", Level.WARNING: "yellow", Level.INFO: "cyan"}
VERDICTS: Final = {"passed": "bold green", "failed": "bold red", "error": "bold red", "stopped": "bold yellow"}


def render(report: Report, *, width: int = 100, color: bool = False) -> str:
    """The whole report as text; the first line is the engine, the last the verdict."""
    buffer = io.StringIO()
    console = Console(
        file=buffer, width=width, force_terminal=color, color_system="standard" if color else None, markup=False,
        highlight=False, emoji=False, soft_wrap=True, legacy_windows=False,
    )  # fmt: skip
    line(console, words.engine(report))
    if scope := words.scope(report):
        line(console, scope)
    if seen := whose.seen(report):
        line(console, f"data: {seen}")
    if report.walks:
        console.print()
        console.print(Padding(walks(report), (0, 0, 0, 2)))
    if told := words.rows(report):
        console.print()
        for each in told:
            line(console, f"  {each}", "dim")
    if report.walks or report.tests or report.tests_note:
        console.print()
        line(console, f"  tests  {words.tests(report)}", "" if tests_fine(report) else "red")
    if report.cells:
        console.print()
        console.print(Padding(grid(report), (0, 0, 0, 2)))
    for finding in report.findings:
        console.print()
        show_finding(console, finding)
    for problem in report.problems:
        console.print()
        line(console, problem.message, "bold red")
        if problem.hint:
            line(console, f"  {problem.hint}")
    console.print()
    if report.findings and (again := whose.again(report)):
        line(console, f"the same branch again, kept until its expiry: {again}")
    for note in report.notes:
        line(console, f"note: {note}", "cyan")
    for use in report.branches:
        line(console, words.branch(use), "bold red" if words.left(use) else "")
    line(console, words.verdict(report), VERDICTS[report.verdict])
    return "\n".join(words.obeyed_by_nobody(each.rstrip()) for each in buffer.getvalue().splitlines()) + "\n"


def tests_fine(report: Report) -> bool:
    return report.tests is None or (report.tests.exit_code == 0 and not report.tests.timed_out)


def line(console: Console, text: str, style: str = "") -> None:
    """One line, whatever a name or a message in it holds."""
    console.print(Text(words.clean(text.replace("\n", " ")), style=style))


def walks(report: Report) -> Table:
    """A row a walk: its name, its three visits, what it is about."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for walk in report.walks:
        name, about = words.title(report, walk)
        cells = [cell(visit) for visit in walk.visits[:3]]
        cells += [Text("")] * (3 - len(cells))
        tail = f"{about} ({walk.note})" if walk.note else about
        table.add_row(Text(words.clean(name)), *cells, Text(words.clean(tail), style="dim"))
    return table


def grid(report: Report) -> Table:
    """Old and new code on the old and the new schema."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for cells in (("grid", "old schema", "new schema"), *words.grid(report)):
        table.add_row(*(Text(each) for each in cells))
    return table


def cell(visit: Visit) -> Text:
    good = visit.error is None and visit.moved
    text = f"{words.ARROWS[visit.direction]} {words.duration(visit.seconds)} {words.mark(visit)}"
    return Text(text, style="" if good else "red")


def show_finding(console: Console, finding: Finding) -> None:
    head = [finding.level.value, finding.check, finding.revision or "", words.place(finding.file, finding.line)]
    standing = words.standing(finding)
    line(console, "  ".join(filter(None, head)), "dim" if standing else COLORS[finding.level])
    line(console, f"  {finding.message}")
    if standing:
        line(console, f"  {standing}")
    if finding.accepted is not None:
        return
    for detail in finding.details:
        for part in detail.splitlines() or [""]:
            line(console, f"    {part}")
    if finding.hint:
        line(console, f"  {finding.hint}")
    if finding.fix:
        line(console, "  the line to add:" if "op." in finding.fix else "  run:")
        for part in finding.fix.splitlines():
            line(console, f"    {part}", "green")
