"""The findings, the controls that choose among them, and the page of each check that found something."""

from __future__ import annotations

import re
from typing import Final

from neontest import checks
from neontest.renderers import words
from neontest.renderers.html.markup import Markup, join, tag
from neontest.report import Finding, Level, Report

BUDGET: Final = 700_000
"""Characters of all findings together; they come worst first."""
DETAILS: Final = 100
"""Lines of one finding."""


def section(report: Report) -> Markup:
    """All findings with their controls, which only the script shows."""
    if not report.findings:
        return tag("p", "No findings.", class_="dim")
    known = frozenset(checks.ids())
    shown, size = [], 0
    for place, finding in enumerate(report.findings):
        shown.append(article(finding, place, known))
        size += len(shown[-1])
        if size > BUDGET:
            break
    parts = [controls(report.findings[: len(shown)]), *shown]
    if more := len(report.findings) - len(shown):
        parts.append(tag("p", f"{words.plural(more, 'more finding')} not shown here: the JSON report has them."))
    return join(parts)


def controls(findings: tuple[Finding, ...]) -> Markup:
    levels = [
        tag("label", tag("input", type="checkbox", name="level", value=level.value, checked=True),
            f" {level.value} ({count})")
        for level in Level
        if (count := sum(each.level is level for each in findings))
    ]  # fmt: skip
    return tag(
        "form",
        tag("fieldset", tag("legend", "Level"), levels),
        choice("check", "Check", sorted({each.check for each in findings})),
        choice("revision", "Revision", list(dict.fromkeys(each.revision for each in findings if each.revision))),
        tag("label", "Text ", tag("input", type="search", name="text", autocomplete="off", spellcheck="false")),
        tag("button", "Reset", type="reset"),
        tag("output", words.plural(len(findings), "finding"), id="filter-count", role="status"),
        id="filter", hidden=True, aria_label="Filter the findings",
    )  # fmt: skip


def choice(name: str, label: str, values: list[str]) -> Markup | None:
    if len(values) < 2:
        return None
    options = [tag("option", "all", value="")] + [tag("option", each, value=f"={each}") for each in values]
    return tag("label", f"{label} ", tag("select", options, name=name))


def article(finding: Finding, number: int, known: frozenset[str]) -> Markup:
    standing = words.standing(finding)
    check = tag("a", finding.check, href=f"#check-{finding.check}") if finding.check in known else finding.check
    place = words.place(finding.file, finding.line)
    body = [tag("p", finding.message, class_="message")]
    if finding.details:
        body.append(tag("pre", "\n".join(finding.details[:DETAILS])))
    if (more := len(finding.details) - DETAILS) > 0:
        body.append(tag("p", f"and {more:,} more lines: the JSON report has them", class_="dim"))
    if finding.hint:
        body.append(tag("p", tag("b", "What to do: "), finding.hint))
    if finding.fix:
        body += [tag("p", "the line to add:" if "op." in finding.fix else "run:"), tag("pre", finding.fix)]
    return tag(
        "article",
        tag("h3", tag("span", finding.level.value, class_=f"chip {finding.level.value}"), " ", check,
            tag("span", finding.revision, class_="id") if finding.revision else None,
            tag("span", place, class_="place") if place else None),
        tag("p", standing, class_="standing") if standing else None,
        body,
        class_="finding aside" if standing else f"finding {finding.level.value}", id=f"finding-{number}",
        data_level=finding.level.value, data_check=finding.check, data_revision=finding.revision or "",
    )  # fmt: skip


def explanations(report: Report) -> Markup | None:
    """The pages of the checks that found something, as `neontest explain` shows them."""
    known = frozenset(checks.ids())
    found = sorted({each.check for each in report.findings} & known)
    if not found:
        return None
    return join(explanation(each) for each in found)


def explanation(id_: str) -> Markup:
    check = checks.load(id_.replace("-", "_"))
    paragraphs = re.split(r"\n\s*\n", checks.explanation(check).strip())
    return tag(
        "details",
        tag("summary", tag("b", id_), " ", check.title),
        [tag("p", each) for each in paragraphs],
        id=f"check-{id_}",
        class_="explanation",
    )
