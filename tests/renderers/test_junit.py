from __future__ import annotations

from collections.abc import Callable
from xml.etree.ElementTree import Element, fromstring

import pytest

from neontest.record import Walk
from neontest.renderers import junit
from neontest.report import Finding, Level, Report
from tests.renderers import reports
from tests.renderers.conftest import FOLDER
from tests.renderers.reports import HOSTILE, REPORTS, phones, report, stair, whole


def read(given: Report) -> Element:
    return fromstring(junit.render(given))


def outcome(case: Element) -> str:
    return next((each.tag for each in case if each.tag in ("failure", "error", "skipped")), "passed")


def outcomes(given: Report) -> dict[str, str]:
    return {f"{each.get('classname')} {each.get('name')}": outcome(each) for each in read(given).iter("testcase")}


def problem(level: Level = Level.ERROR, revision: str | None = "ab12", **facts: object) -> Finding:
    return Finding(**{"check": "data-loss", "level": level, "message": "gone", "revision": revision, **facts})  # type: ignore[arg-type]


@pytest.mark.parametrize("make", REPORTS.values(), ids=list(REPORTS))
def test_the_counts_are_those_of_the_cases(make: Callable[[], Report]) -> None:
    root = read(make())
    assert root.tag == "testsuites"
    assert all(each.tag == "testsuite" for each in root)
    for parent in (root, *root):
        cases = list(parent.iter("testcase"))
        assert cases
        for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(parent.get(attribute, "")) == sum(each.find(tag) is not None for each in cases)
        assert int(parent.get("tests", "")) == len(cases)
        for case in cases:
            assert float(case.get("time", "")) >= 0
            assert sum(each.tag in ("failure", "skipped") for each in case) <= 1
            assert "system-out" not in [each.tag for each in case][:-1]


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.junit.xml")), ids=lambda file: file.name)
def test_the_golden_files_are_xml(file: object) -> None:
    assert fromstring(file.read_bytes()).tag == "testsuites"  # type: ignore[attr-defined]


@pytest.mark.parametrize("make", REPORTS.values(), ids=list(REPORTS))
def test_something_fails_exactly_where_the_run_failed(make: Callable[[], Report]) -> None:
    given = make()
    bad = {"failure", "error"} & set(outcomes(given).values())
    assert bool(bad) == (given.verdict != "passed")


def test_a_case_is_a_revision_and_its_walk_with_its_seconds_and_place() -> None:
    case = read(report()).find(".//testcase[@name='ab12: Phone of users']")
    assert case is not None
    assert case.attrib == {
        "classname": "neontest.stairway", "name": "ab12: Phone of users", "time": "0.180",
        "file": "migrations/versions/ab12_phone.py", "line": "8",
    }  # fmt: skip
    assert case.findtext("system-out") == "↑ 0.03 s ✓  ↓ 0.12 s ✓  ↑ 0.03 s ✓"


def test_a_finding_fails_its_revisions_own_walk_else_the_whole_walk_else_a_case_of_its_check() -> None:
    failed = report(verdict="failed", exit_code=1, findings=(problem(), problem(revision="zz", check="single-head")))
    assert outcomes(failed) == {
        "neontest.whole whole: all 2 revisions at once": "failure",
        "neontest.stairway ab12: Phone of users": "failure",
        "neontest.stairway cd34: Index orders by date": "passed",
        "neontest.tests pytest -q": "passed",
    }
    alone = report(verdict="failed", exit_code=1, walks=(stair("ab12", phones()),), findings=(problem(revision=None),))
    assert outcomes(alone)["neontest.checks data-loss"] == "failure"
    once = report(verdict="failed", exit_code=1, walks=(whole(phones()),), findings=(problem(),))
    assert outcomes(once)["neontest.whole whole: all 2 revisions at once"] == "failure"


def test_several_findings_of_a_walk_are_one_failure_that_says_them_all() -> None:
    found = (problem(details=("a", "b"), hint="copy"), problem(message="slow", check="slow-statement"))
    case = read(report(verdict="failed", exit_code=1, findings=found)).find(".//failure")
    assert case is not None
    assert case.attrib == {"message": "gone (and 1 more)", "type": "data-loss"}
    assert case.text == "error  data-loss\ngone\na\nb\ncopy\n\nerror  slow-statement\nslow"


def test_where_findings_were_not_to_fail_the_run_none_is_a_failure() -> None:
    """`--fail-on never`."""
    assert read(report(findings=(problem(),))).get("failures") == "0"


def test_what_cannot_fail_the_run_is_told_and_fails_nothing() -> None:
    taken = problem(accepted="copied to s3", gates=False)
    old = problem(gates=False)
    root = read(report(findings=(taken, old, problem(level=Level.WARNING))))
    assert root.get("failures") == "0"
    text = root.findtext(".//testcase[@classname='neontest.stairway']/system-out") or ""
    assert text.count("gone") == 3
    assert "accepted: copied to s3" in text
    assert "already on the base branch" in text


def test_warnings_are_failures_where_only_they_can_have_failed_the_run() -> None:
    warned = (problem(level=Level.WARNING),)
    assert read(report(verdict="failed", exit_code=1, findings=warned)).get("failures") == "1"
    assert read(report(verdict="failed", exit_code=1, findings=(*warned, problem()))).get("failures") == "1"
    assert read(report(verdict="error", exit_code=3, findings=warned)).get("failures") == "0"


def test_failed_tests_are_cases_of_their_own() -> None:
    failed = reports.tests(
        exit_code=1, failed=1, failures=("tests.test_user.TestUser::test_phone",), output_tail="E   boom"
    )
    found = (problem(check="tests-failed", revision=None, message="the tests fail"),)
    root = read(report(verdict="failed", exit_code=1, tests=failed, findings=found))
    suite = root[1]
    assert [(each.get("classname"), each.get("name"), outcome(each)) for each in suite] == [
        ("neontest.tests", "pytest -q", "failure"),
        ("tests.test_user.TestUser", "test_phone", "failure"),
    ]
    assert suite.findtext("testcase/system-out") == "118 passed, 1 failed, 2 skipped\nE   boom"
    assert root[0].get("failures") == "0"


def test_failed_tests_that_were_accepted_are_skipped() -> None:
    failed = reports.tests(exit_code=1, failed=1, failures=("a::b",))
    taken = problem(check="tests-failed", accepted="flaky", gates=False)
    assert set(outcomes(report(tests=failed, findings=(taken,))).values()) == {"passed", "skipped"}


def test_no_tests_are_one_skipped_case_with_the_reason() -> None:
    suite = read(report(tests=None, tests_note="--no-tests"))[1]
    assert [each.get("message") for each in suite.iter("skipped")] == ["not run: --no-tests"]


def test_nothing_pending_is_a_skipped_case_not_an_empty_file() -> None:
    assert outcomes(REPORTS["nothing_pending"]()) == {"neontest the pending revisions": "skipped"}


def test_a_walk_without_a_visit_is_skipped_with_its_note() -> None:
    root = read(report(walks=(Walk(kind="stairway", revision="ab12", note="no branch was left"),)))
    assert [each.get("message") for each in root[0].iter("skipped")] == ["no branch was left"]


def test_hostile_text_comes_back_as_text() -> None:
    given = report(verdict="failed", exit_code=1, findings=(problem(message=HOSTILE + "\ufffe\udce9]]>\tend"),))
    case = read(given).find(".//failure")
    assert case is not None
    for text in (case.text or "", case.get("message", "")):
        assert "<script>alert(1)</script>" in text
        assert "]]>" in text
        assert "�" in text
        assert text.endswith("\tend")
        assert not set(text) & set("\x00\x1b\ufffe\udce9")
