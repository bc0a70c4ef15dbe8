"""The sentences that every format shares."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Sequence
from typing import Final

from neontest.cells import Cell
from neontest.postgres.names import without_public
from neontest.record import BranchUse, SuiteResult, Visit, Walk
from neontest.report import Finding, Level, Report
from neontest.walks import revision

ARROWS: Final = {"upgrade": "↑", "downgrade": "↓"}
CONTROL: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)

_COMMAND: Final = re.compile(r"^\s*::|##\[")


def clean(text: str) -> str:
    """The text without characters that could move a terminal's cursor, end or turn its lines, or not be encoded."""
    return CONTROL.sub("�", text)


def obeyed_by_nobody(line: str) -> str:
    """The line so that it is no command to GitHub's runner, which reads this in its log.

    Source: https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands (2026-11).
    """
    return _COMMAND.sub(lambda found: found[0][:-1] + " " + found[0][-1], line)


def engine(report: Report) -> str:
    """Which engine ran, and why: the first line of every report."""
    where = "the local engine" if report.engine == "local" else f"Neon project {report.project_id}"
    postgres = f", Postgres {report.server_version}" if report.server_version else ""
    return f"neontest on {where}{postgres} ({report.engine_why})"


def scope(report: Report) -> str:
    """What was to be tested; "" where nobody came to know it."""
    history = report.history
    if not history.pending:
        if report.skipped or report.problems or report.findings:
            return ""
        return f"nothing pending at {history.start or 'base'}"
    start, head = history.start or "base", ", ".join(history.heads)
    return f"{plural(len(history.pending), 'pending revision')}: {start} → {head}"


def plural(count: int, noun: str, many: str | None = None) -> str:
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def duration(seconds: float) -> str:
    """Such as `0.04 s`, `12.3 s`, `2 m 05 s`."""
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} m {int(seconds) % 60:02d} s"


def mark(visit: Visit) -> str:
    return "✓" if visit.error is None and visit.moved else "✗"


def place(file: str | None, line: int | None) -> str:
    return "" if file is None else file if line is None else f"{file}:{line}"


def standing(finding: Finding) -> str:
    """Why a finding cannot fail the run; "" where it can."""
    if finding.accepted is not None:
        return f"accepted: {finding.accepted}"
    return "" if finding.gates else "already on the base branch"


def tally(findings: Sequence[Finding]) -> list[str]:
    """How many findings of each level, and how many of them cannot fail the run: `2 warnings (1 accepted)`."""
    told: list[str] = []
    for level in Level:
        mine = [each for each in findings if each.level is level]
        accepted = sum(each.accepted is not None for each in mine)
        theirs = sum(each.accepted is None and not each.gates for each in mine)
        apart = [f"{accepted} accepted"] * bool(accepted) + [f"{theirs} on the base branch"] * bool(theirs)
        if mine:
            count = f"{len(mine):,} info" if level is Level.INFO else plural(len(mine), level.value)
            told.append(f"{count} ({', '.join(apart)})" if apart else count)
    return told


def title(report: Report, walk: Walk) -> tuple[str, str]:
    """A walk's name and what it is about."""
    if walk.kind == "whole":
        count = len(report.history.pending)
        return "whole", f"all {count} revisions at once" if count > 1 else "as it is deployed"
    found = revision(report, walk.revision)
    return walk.revision or "", found.message if found else ""


def tests(report: Report) -> str:
    """How the project's tests went, or why there were none."""
    result = report.tests
    if result is None:
        return f"not run: {report.tests_note}" if report.tests_note else "not run"
    return f"{counts(result)} in {duration(result.seconds)} ({shlex.join(shown(result))})"


def shown(result: SuiteResult) -> tuple[str, ...]:
    """The command as a person would type it: the interpreter without its folder."""
    first = result.command[0].rpartition("/")[2] if result.command else ""
    if result.command[1:3] == ("-m", "pytest"):
        return ("pytest", *result.command[3:])
    return (first, *result.command[1:])


def counts(result: SuiteResult) -> str:
    if result.timed_out:
        return "stopped at its limit"
    if result.passed is None:
        return "passed" if result.exit_code == 0 else f"exit code {result.exit_code}"
    parts = [
        (result.passed, "passed"),
        (result.failed, "failed"),
        (result.errors, "errors"),
        (result.skipped, "skipped"),
    ]
    return ", ".join(f"{count} {word}" for count, word in parts if count or word == "passed")


def rows(report: Report) -> tuple[str, ...]:
    """What was invented and what was read of the rows, and why not all of it, a line each."""
    invented = [each for each in report.filled if each.rows]
    lines = []
    if invented:
        count = sum(each.rows for each in invented)
        lines.append(f"{plural(count, 'row')} invented in {plural(len(invented), 'table')}")
    if scant := [f"{without_public(each.table)} ({each.why})" for each in report.filled if each.why]:
        lines.append(f"not all rows could be invented: {listed(scant)}")
    by = {how: [each for each in report.read if each.how == how] for how in ("full", "sample", "count", "not")}
    ways = (("full", "read in full"), ("sample", "by sample"), ("count", "counted only"), ("not", "not read"))
    if report.read:
        lines.append("rows of tables compared: " + ", ".join(f"{len(by[how])} {said}" for how, said in ways if by[how]))
    if less := [f"{without_public(each.table)} ({each.why})" for how in ("sample", "count", "not") for each in by[how]]:
        lines.append(f"not read in full: {listed(less)}")
    return tuple(lines)


def listed(texts: list[str], most: int = 5) -> str:
    """The first of them, and how many more there are."""
    more = len(texts) - most
    return ", ".join(texts[:most]) + (f", and {more} more" if more > 0 else "")


def left(use: BranchUse) -> bool:
    """It should have been given back, and was not."""
    return not (use.deleted or use.kept or use.passed_on)


def branch(use: BranchUse) -> str:
    """What became of a branch."""
    if use.kept:
        until = f" until {use.expires_at:%Y-%m-%d %H:%M}Z" if use.expires_at else ""
        return f"branch {use.id} ({use.name}) kept{until}"
    if use.passed_on:
        return f"branch {use.id} ({use.name}) goes on to the next project"
    if use.deleted:
        how = f" in {duration(use.delete_seconds)}" if use.delete_seconds is not None else ""
        return f"branch {use.id} given back{how}" + (", deletion proved" if use.proved else ", deletion accepted")
    expiry = f"; it expires {use.expires_at:%Y-%m-%d %H:%M}Z" if use.expires_at else ""
    return f"branch {use.id or '(id unknown)'} ({use.name}) NOT given back{expiry}: run `neontest cleanup`"


ERRORS: Final = {
    2: "wrong usage or configuration",
    3: "could not test",
    4: "tested, but a branch could not be given back",
}


def status(report: Report) -> str:
    """The verdict for where there is only one line: an error with its reason."""
    return f"{report.verdict}: {report.problems[0].message}" if report.problems else verdict(report)


def verdict(report: Report) -> str:
    """The last line: the verdict, and what it rests on."""
    took = f" in {duration(report.seconds['total'])}" if "total" in report.seconds else ""
    if report.skipped:
        return f"skipped: {report.skipped}"
    if report.verdict == "stopped" and report.problems:
        return report.problems[0].message
    if report.verdict == "error":
        if report.exit_code == 4 and len(report.problems) > 1:
            return "error: could not test, and a branch could not be given back"
        return f"error: {ERRORS.get(report.exit_code, 'could not test')}"
    if not report.history.pending and not report.findings:
        return "passed: nothing to test"
    parts = [plural(len(report.history.pending), "revision")]
    kinds = list(dict.fromkeys(walk.kind for walk in report.walks))
    if kinds:
        parts.append(f"{' and '.join(kinds)} walk{'s' if len(kinds) > 1 else ''}")
    if report.tests is not None:
        parts.append(f"tests {counts(report.tests)}")
    parts += tally(report.findings)
    return f"{report.verdict}: {', '.join(parts)}{took}"


def located(file: str, folder: str) -> str:
    """The file as its repository has it, where the project lies in that folder of it."""
    return file if file.startswith("/") or not folder else posixpath.normpath(f"{folder.strip('/')}/{file}")


def grid(report: Report) -> tuple[tuple[str, str, str], ...]:
    """Whose code, how its tests went on the old schema, and how on the new: two rows, or none."""
    cells: dict[str, Cell] = {each.name: each for each in report.cells}
    return tuple(
        (f"{whose} code", cell(cells.get(f"{whose}-old")), cell(cells.get(f"{whose}-new")))
        for whose in ("old", "new") * bool(cells)
    )


def cell(seen: Cell | None) -> str:
    """How the tests of one cell went."""
    if seen is None or seen.exit_code is None:
        return "not run"
    if seen.passed is None:
        said = "passed" if seen.exit_code == 0 else f"exit code {seen.exit_code}"
    else:
        parts = ((seen.passed, "passed"), (seen.failed, "failed"), (len(seen.flaky), "of them flaky"))
        said = ", ".join(f"{count} {word}" for count, word in parts if count or word == "passed")
    return f"{said} (says nothing)" if seen.note else said
