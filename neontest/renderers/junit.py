"""The report as JUnit XML, for whatever shows tests: a suite for the walks, a suite for the project's tests.

There is no standard; this keeps to what most readers share. Source: https://github.com/testmoapp/junitxml (2026-11).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from typing import Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from neontest.record import SuiteResult, Walk
from neontest.renderers import words
from neontest.report import Finding, Level, Report
from neontest.walks import revision

NO_XML: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""Beyond halves of characters. Source: https://www.w3.org/TR/xml/#charsets (2026-11)."""
TESTS_FAILED: Final = "tests-failed"


def escaped(text: str) -> str:
    """The text without what no XML document can hold; ElementTree escapes the rest."""
    return NO_XML.sub("�", words.clean(text))


def render(report: Report) -> str:
    """Suites whose counts are those of their cases. A finding is a failure where it fails the run; others are told in
    `system-out`."""
    suites = Element("testsuites", name="neontest")
    bad = failing(report)
    theirs = [each for each in report.findings if report.tests is not None and each.check == TESTS_FAILED]
    mine = [each for each in report.findings if report.tests is None or each.check != TESTS_FAILED]
    suites.append(suite("neontest: migrations", migrations(report, mine, bad)))
    if report.tests is not None or report.tests_note:
        suites.append(suite("neontest: the project's tests", tests(report, theirs, bad)))
    count(suites)
    if "total" in report.seconds:
        suites.set("time", f"{report.seconds['total']:.3f}")
    indent(suites)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{tostring(suites, encoding="unicode")}\n'


def failing(report: Report) -> frozenset[Finding]:
    """The findings that fail the run: errors, and warnings where only these can have failed it."""
    if report.verdict == "passed":
        return frozenset()
    gating = [each for each in report.findings if each.gates and each.accepted is None]
    for level in (Level.ERROR, Level.WARNING):
        found = frozenset(each for each in gating if each.level is level)
        if found or report.verdict != "failed":
            return found
    return frozenset()


def suite(name: str, cases: Iterable[Element]) -> Element:
    made = Element("testsuite", name=name)
    made.extend(cases)
    count(made)
    made.set("time", f"{sum(float(each.get('time', 0)) for each in made.iter('testcase')):.3f}")
    return made


def count(parent: Element) -> None:
    """Set how many cases are below, and what became of them."""
    cases = list(parent.iter("testcase"))
    parent.set("tests", str(len(cases)))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        parent.set(attribute, str(sum(each.find(tag) is not None for each in cases)))


def migrations(report: Report, findings: list[Finding], bad: frozenset[Finding]) -> list[Element]:
    """A case a walk; one for each check that found something beside the walks; one for what kept it from testing."""
    cases = [walk_case(report, walk) for walk in report.walks]
    at = {(walk.kind, walk.revision): number for number, walk in reversed([*enumerate(report.walks)])}
    mine: dict[int, list[Finding]] = {}
    own: dict[str, list[Finding]] = {}
    for finding in findings:
        # What no revision's own walk can show stands at the whole walk, else at a case of the check's own.
        number = at.get(("stairway", finding.revision), at.get(("whole", None)))
        (own.setdefault(finding.check, []) if number is None else mine.setdefault(number, [])).append(finding)
    made = [told(each, mine.get(number, []), bad) for number, each in enumerate(cases)]
    made += [told(case("neontest.checks", check), found, bad) for check, found in own.items()]
    if report.problems:
        made.append(case("neontest", "the run"))
    for problem in report.problems:
        trouble(made[-1], "error", problem.message, problem.hint or "", kind=problem.kind)
    if not made:
        made.append(case("neontest", "the pending revisions"))
        trouble(made[-1], "skipped", words.scope(report) or words.verdict(report))
    return made


def walk_case(report: Report, walk: Walk) -> Element:
    """The walk and its seconds, at the place of its revision; skipped where it made no visit."""
    name, about = words.title(report, walk)
    place = revision(report, walk.revision)
    made = case(
        f"neontest.{walk.kind}",
        f"{name}: {about}" if about else name,
        file=place.file if place else None,
        line=place.line if place else None,
        seconds=sum(each.seconds for each in walk.visits),
    )
    if not walk.visits:
        trouble(made, "skipped", walk.note or "not walked")
        return made
    went = (f"{words.ARROWS[each.direction]} {words.duration(each.seconds)} {words.mark(each)}" for each in walk.visits)
    said(made, "  ".join(went) + (f"  ({walk.note})" if walk.note else ""))
    return made


def tests(report: Report, findings: list[Finding], bad: frozenset[Finding]) -> list[Element]:
    """A case for the command, and one for each failed test whose name is known: the passed ones are only counted."""
    result = report.tests
    if result is None:
        made = case("neontest.tests", "the project's tests")
        trouble(made, "skipped", words.tests(report))
        return [made]
    command = case("neontest.tests", shlex.join(words.shown(result)), seconds=result.seconds)
    failed = any(each in bad for each in findings)
    told(command, findings, bad)
    if not failed and result.exit_code != 0:
        trouble(command, "skipped", words.counts(result))
    said(command, f"{words.counts(result)}\n{result.output_tail}".strip())
    return [command, *(named(each, result, failed) for each in result.failures)]


def named(test: str, result: SuiteResult, failed: bool) -> Element:
    module, _, name = test.rpartition("::")
    made = case(module or "neontest.tests", name)
    trouble(made, "failure" if failed else "skipped", f"it failed: {shlex.join(words.shown(result))}")
    return made


def case(
    classname: str, name: str, *, file: str | None = None, line: int | None = None, seconds: float = 0.0
) -> Element:
    made = Element("testcase", classname=escaped(classname), name=escaped(name), time=f"{seconds:.3f}")
    if file:
        made.set("file", escaped(file))
        made.set("line", str(line or 1))
    return made


def told(made: Element, findings: list[Finding], bad: frozenset[Finding]) -> Element:
    """The case with its findings: readers take one failure a case, so all that fail it are in that one."""
    fails = [each for each in findings if each in bad]
    if fails:
        more = f" (and {len(fails) - 1} more)" if len(fails) > 1 else ""
        text = "\n\n".join(map(in_full, fails))
        trouble(made, "failure", fails[0].message + more, text, kind=fails[0].check)
    for each in findings:
        if each not in bad:
            said(made, in_full(each))
    return made


def in_full(finding: Finding) -> str:
    """The finding as a paragraph, a line each thing that it says."""
    head = "  ".join(filter(None, (finding.level.value, finding.check, words.place(finding.file, finding.line))))
    body = (finding.message, words.standing(finding), *finding.details, finding.hint, finding.fix)
    return "\n".join(filter(None, (head, *body)))


def trouble(made: Element, tag: str, message: str, text: str = "", *, kind: str | None = None) -> None:
    """Say why the case did not pass: `tag` is failure, error or skipped."""
    why = Element(tag, message=escaped(message))
    if kind:
        why.set("type", escaped(kind))
    why.text = escaped(text) or None
    # Strict readers want what was printed to come last.
    made.insert(sum(each.tag != "system-out" for each in made), why)


def said(made: Element, text: str) -> None:
    """Add to what the case printed."""
    out = made.find("system-out")
    if out is None:
        out = SubElement(made, "system-out")
    out.text = "\n".join(filter(None, (out.text, escaped(text))))
