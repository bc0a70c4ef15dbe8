"""The findings as GitHub shows them beside the lines of a pull request: a workflow command each.

Source: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands (2026-11).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from neontest.renderers import words
from neontest.report import Finding, Level, Problem, Report

Kind = Literal["error", "warning", "notice"]

KINDS: Final[dict[Level, Kind]] = {Level.ERROR: "error", Level.WARNING: "warning", Level.INFO: "notice"}
MOST: Final = 10
"""Annotations of a kind that GitHub shows of one step. Source: https://github.com/orgs/community/discussions/26680
(2026-11)."""
DETAILS: Final = 10
"""Lines of one finding; the others are in the report."""


def escaped(text: str, *, value: bool = False) -> str:
    """The text so that it stays the message of its command, or the value of one of its properties.

    Source: https://github.com/actions/toolkit/blob/main/packages/core/src/command.ts (2026-11).
    """
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    if value:
        text = text.replace(":", "%3A").replace(",", "%2C")
    return words.clean(text)


def render(report: Report, *, folder: str = "") -> str:
    """A line an annotation, worst first; "" where nothing is to be said. Accepted findings are not.

    GitHub looks for files from the top of the repository: `folder` is where in it the project lies.
    """
    told: dict[Kind, list[str]] = {kind: [] for kind in KINDS.values()}
    for problem in report.problems:
        told["error"].append(command("error", "neontest", trouble(problem)))
    for finding in report.findings:
        if finding.accepted is None:
            told[KINDS[finding.level]].append(annotation(finding, folder))
    return "".join(f"{line}\n" for kind, lines in told.items() for line in shown(kind, lines))


def shown(kind: Kind, lines: list[str]) -> Iterator[str]:
    """As many lines as GitHub shows; where there are more, the last one says how many."""
    if len(lines) <= MOST:
        yield from lines
        return
    yield from lines[: MOST - 1]
    left = words.plural(len(lines) - MOST + 1, f"more {kind}")
    yield command(kind, "neontest", f"{left}: GitHub shows {MOST} annotations of a kind; the report has all of them")


def annotation(finding: Finding, folder: str) -> str:
    file = None if finding.file is None else words.located(finding.file, folder)
    title = f"{finding.check} ({finding.revision})" if finding.revision else finding.check
    return command(KINDS[finding.level], title, message(finding), file=file, line=finding.line)


def message(finding: Finding) -> str:
    lines = [finding.message, *finding.details[:DETAILS]]
    if len(finding.details) > DETAILS:
        lines.append(f"… and {len(finding.details) - DETAILS} more")
    lines += filter(None, (words.standing(finding), finding.hint, finding.fix))
    return "\n".join(lines)


def trouble(problem: Problem) -> str:
    return "\n".join(filter(None, (problem.message, problem.hint)))


def command(kind: Kind, title: str, text: str, *, file: str | None = None, line: int | None = None) -> str:
    """`::error file=…,line=…,title=…::text`."""
    values = {"file": file, "line": None if file is None or line is None else str(line), "title": title}
    properties = ",".join(f"{name}={escaped(each, value=True)}" for name, each in values.items() if each)
    return f"::{kind} {properties}::{escaped(text)}"
