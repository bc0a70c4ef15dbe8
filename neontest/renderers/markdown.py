"""The report as GitHub shows it in a job's summary."""

from __future__ import annotations

import re
from typing import Final

from neontest.renderers import words
from neontest.report import Finding, Level, Report

ICONS: Final = {"passed": "✅", "failed": "❌", "error": "⚠️", "stopped": "⏹️"}
LEVELS: Final = {Level.ERROR: "❌", Level.WARNING: "⚠️", Level.INFO: "ℹ️"}
LIMIT: Final = 60_000
"""Characters; GitHub takes 1 MiB in a summary, but nobody reads that."""


def escaped(text: str) -> str:
    """The text so that Markdown and HTML in it are only text, on one line."""
    one_line = words.clean(" ".join(text.split()))
    return re.sub(r"([\\`*_{}\[\]()#+!|<>&~@$])", lambda found: f"&#{ord(found[1])};", one_line)


def code(text: str) -> str:
    """The text as a code block, whatever backticks are in it."""
    text = words.clean(text)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return f"{fence}\n{text}\n{fence}"


def render(report: Report) -> str:
    """A verdict, a table of the walks, the findings, the tests, the branches."""
    parts = [
        f"### {ICONS[report.verdict]} neontest: {escaped(words.verdict(report))}",
        ". ".join(escaped(each) for each in (words.engine(report), words.scope(report)) if each) + ".",
    ]
    parts += [f"**{escaped(each.message)}** {escaped(each.hint or '')}".rstrip() for each in report.problems]
    if report.walks:
        parts.append(walks(report))
    parts += [finding_block(each) for each in report.findings]
    if report.walks or report.tests or report.tests_note:
        parts.append(f"Tests: {escaped(words.tests(report))}")
    closing = [escaped(each) for each in (*report.notes, *map(words.branch, report.branches))]
    if closing:
        parts.append("\n".join(f"- {each}" for each in closing))
    return fitted(parts)


def walks(report: Report) -> str:
    rows = ["| walk | ↑ | ↓ | ↑ | |", "| --- | --- | --- | --- | --- |"]
    for walk in report.walks:
        name, about = words.title(report, walk)
        cells = [f"{words.duration(visit.seconds)} {words.mark(visit)}" for visit in walk.visits[:3]]
        cells += [""] * (3 - len(cells))
        note = f"{about} ({walk.note})" if walk.note else about
        rows.append(f"| {escaped(name)} | {' | '.join(cells)} | {escaped(note)} |")
    return "\n".join(rows)


def finding_block(finding: Finding) -> str:
    where = words.place(finding.file, finding.line)
    lines = [
        f"{LEVELS[finding.level]} **{finding.check}** {escaped(where)}".rstrip() + f"<br>{escaped(finding.message)}"
    ]
    if finding.details:
        lines.append(code("\n".join(finding.details)))
    if finding.hint:
        lines.append(escaped(finding.hint))
    if finding.fix:
        lines.append(code(finding.fix))
    return "\n\n".join(lines)


def fitted(parts: list[str]) -> str:
    """The parts, as many as fit, and how many did not."""
    kept: list[str] = []
    size = 0
    for part in parts:
        size += len(part) + 2
        if size > LIMIT:
            kept.append(f"… {len(parts) - len(kept)} more parts are in the job's log and in the JSON report.")
            break
        kept.append(part)
    return "\n\n".join(kept) + "\n"
