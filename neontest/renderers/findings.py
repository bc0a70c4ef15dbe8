"""The findings, in Markdown: those that can fail the run in full, the others behind a line that opens them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from neontest.renderers import words
from neontest.renderers.budget import MOST, Item, Section
from neontest.renderers.markup import CLOSING, code, cut, escaped, folded, link, name, opening
from neontest.renderers.source import Source
from neontest.report import Finding, Level, Report

LEVELS: Final = {Level.ERROR: "❌", Level.WARNING: "⚠️", Level.INFO: "ℹ️"}
OPEN: Final = 6
"""Findings that stand open; of those after them only the sentence does."""
SENTENCES: Final = 20
"""Findings whose sentence stands open; those after them are folded."""
DETAILS: Final = 20
"""Lines of a finding's details."""
WIDTH: Final = 300
"""Characters of a line of them."""
FIX: Final = 3_000
"""Characters: what mends is given whole or not at all."""


def sections(report: Report, source: Source | None) -> Iterator[Section]:
    gating: list[Finding] = []
    others: list[Finding] = []
    for each in report.findings:
        (gating if each.gates and each.level is not Level.INFO else others).append(each)
    items = [item(each, source, folds=OPEN <= at < SENTENCES) for at, each in enumerate(gating[:MOST])]
    yield Section(noun="finding", items=tuple(items[:SENTENCES]), share=0.35, logged=True)
    if gating[SENTENCES:]:
        yield Section(
            noun="finding",
            items=tuple(items[SENTENCES:]),
            more=checks(gating[MOST:]),
            share=0.2,
            head=opening(words.plural(len(gating) - SENTENCES, "more finding")),
            foot=CLOSING,
            logged=True,
        )
    if others:
        told = f"{words.plural(len(others), 'finding')} that cannot fail the run: {', '.join(words.tally(others))}"
        yield Section(
            noun="finding",
            items=tuple(item(each, source, folds=False) for each in others[:MOST]),
            more=checks(others[MOST:]),
            share=0.12,
            head=opening(escaped(told)),
            foot=CLOSING,
            logged=True,
        )


def checks(findings: Sequence[Finding]) -> tuple[str, ...]:
    return tuple(escaped(each.check, 60) for each in findings)


def item(finding: Finding, source: Source | None, *, folds: bool) -> Item:
    short = f"- {title(finding, source)}: {escaped(finding.message, 160)}"
    sentence = f"{title(finding, source)}<br>\n{escaped(finding.message)}"
    if standing := words.standing(finding):
        sentence += f"<br>\n{escaped(standing)}"
    rest = "\n\n".join(evidence(finding)) if finding.accepted is None else ""
    if rest and folds:
        rest = folded("what was seen, and what to do", rest)
    full = "\n\n".join(filter(None, (sentence, rest)))
    return Item(full=full, short=short, kind=escaped(finding.check, 60), weight=3 - finding.level.rank)


def title(finding: Finding, source: Source | None) -> str:
    """Which check, of which revision, where: `❌ **data-loss** ab12 versions/ab12.py:20`."""
    where = escaped(words.place(finding.file, finding.line), 200)
    url = source.link(finding.file, finding.line) if source is not None else None
    revision = name(finding.revision, 60) if finding.revision else ""
    return " ".join(
        filter(None, (LEVELS[finding.level], f"**{escaped(finding.check, 60)}**", revision, link(where, url)))
    )


def evidence(finding: Finding) -> Iterator[str]:
    """What was seen as a block, what to do in words, and the lines that mend it as another."""
    if finding.details:
        yield code("\n".join(lines(finding.details)))
    if finding.hint:
        yield escaped(finding.hint)
    if finding.fix and len(finding.fix) <= FIX:
        yield code(finding.fix, "python" if "op." in finding.fix else "shell")
    elif finding.fix:
        count = words.plural(len(finding.fix.splitlines()), "line")
        yield f"What mends it has {count}, too long for here: in the log of the job and the JSON report."


def lines(details: Sequence[str]) -> Iterator[str]:
    every = [part for detail in details for part in detail.splitlines() or [""]]
    yield from (cut(each, WIDTH) for each in every[:DETAILS])
    if len(every) > DETAILS:
        yield f"… {len(every) - DETAILS:,} more lines: in the log of the job and the JSON report"
