from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest
from jsonschema import Draft202012Validator, FormatChecker

from neontest import checks
from neontest.record import Acceptance
from neontest.renderers import sarif
from neontest.report import Finding, Level, Report
from tests.renderers.conftest import FOLDER
from tests.renderers.reports import FIRST, HOSTILE, REPORTS, report

SCHEMA = Path(__file__).parent.parent / "contract" / "sarif-2.1.0.json"
"""OASIS's schema, as it is in the npm package @microsoft/sarif-multitool 5.7.0 (MIT; 2026-11-22)."""

formats = FormatChecker()


@formats.checks("uri-reference")
def uri_reference(text: object) -> bool:
    """Only what RFC 3986 allows in a URI, with nothing that is a scheme by mistake."""
    return bool(re.fullmatch(r"(?:[A-Za-z0-9._~!$&'()*+;=@/?#-]|%[0-9A-Fa-f]{2}|(?<=file):)*", str(text)))


@cache
def validator() -> Draft202012Validator:
    return Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")), format_checker=formats)


def run(given: Report) -> dict[str, Any]:
    log = json.loads(sarif.render(given))
    validator().validate(log)
    (only,) = log["runs"]
    assert isinstance(only, dict)
    return only


def result(finding: Finding, **facts: Any) -> dict[str, Any]:
    (only,) = run(report(findings=(finding,), **facts))["results"]
    assert isinstance(only, dict)
    return only


def lost(**facts: Any) -> Finding:
    return Finding(**{"check": "data-loss", "level": Level.ERROR, "message": "gone", "revision": "ab12", **facts})


def place(told: dict[str, Any]) -> tuple[str, int]:
    physical = told["locations"][0]["physicalLocation"]
    return physical["artifactLocation"]["uri"], physical["region"]["startLine"]


def test_the_schema_can_refuse() -> None:
    log = json.loads(sarif.render(REPORTS["data_lost"]()))
    assert validator().is_valid(log)
    log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] = "a b"
    assert not validator().is_valid(log)
    assert not validator().is_valid({"version": "2.1.0", "runs": [{"tool": {"driver": {}}}]})


@pytest.mark.parametrize("make", REPORTS.values(), ids=list(REPORTS))
def test_every_report_is_valid_and_holds_every_finding_once(make: Callable[[], Report]) -> None:
    given = make()
    told = run(given)
    assert len(told["results"]) == len(given.findings)
    ids = [each["id"] for each in told["tool"]["driver"]["rules"]]
    for each, finding in zip(told["results"], given.findings, strict=True):
        assert ids[each["ruleIndex"]] == each["ruleId"] == finding.check
        assert len(each["locations"]) == 1
    prints = [each["partialFingerprints"]["neontestFinding/v1"] for each in told["results"]]
    assert len(set(prints)) == len(prints)


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.sarif")), ids=lambda file: file.name)
def test_the_golden_files_are_valid(file: Path) -> None:
    validator().validate(json.loads(file.read_bytes()))


def test_a_rule_is_its_checks_page() -> None:
    (rule,) = run(report(findings=(lost(),)))["tool"]["driver"]["rules"]
    assert rule["shortDescription"]["text"] == "the downgrade brings the data back"
    assert rule["fullDescription"]["text"].startswith("After upgrade and downgrade, rows or values")
    assert "What to do: keep what" in rule["help"]["text"]


def test_the_pages_are_markdown_that_says_the_same() -> None:
    for check in checks.every():
        outside = re.sub(r"`[^`]*`", "", checks.explanation(check))
        assert not re.search(r"[<>\[\]*#]|\b_|_\b|^\s{4}|^\d+\.", outside, re.MULTILINE), check.id


def test_a_check_that_this_version_has_not_is_a_rule_without_a_page() -> None:
    told = run(report(findings=(lost(check="from-the-future"),)))
    assert told["tool"]["driver"]["rules"] == [{"id": "from-the-future"}]


@pytest.mark.parametrize("level", Level)
def test_a_level_is_sarifs(level: Level) -> None:
    expected = {"error": "error", "warning": "warning", "info": "note"}[level.value]
    assert result(lost(level=level))["level"] == expected


def test_a_result_stands_at_its_line() -> None:
    told = result(lost(file="a b/ü#%?.py", line=20))
    assert place(told) == ("a%20b/%C3%BC%23%25%3F.py", 20)
    assert told["locations"][0]["physicalLocation"]["artifactLocation"]["uriBaseId"] == "%SRCROOT%"


def test_a_result_of_the_whole_run_stands_somewhere_all_the_same() -> None:
    assert place(result(lost())) == (FIRST.file, 8)
    assert place(result(lost(revision=None))) == ("migrations/versions/cd34_index.py", 8)
    empty = msgspec.structs.replace(report().history, revisions=())
    assert place(result(lost(revision=None), history=empty)) == ("pyproject.toml", 1)
    outside = result(lost(file="/site packages/x.py", line=0))
    assert place(outside) == ("file:///site%20packages/x.py", 1)
    assert "uriBaseId" not in outside["locations"][0]["physicalLocation"]["artifactLocation"]


def test_of_several_projects_each_has_a_category_of_its_own() -> None:
    assert run(report()).get("automationDetails") is None
    named = report(project="shop")
    assert run(named)["automationDetails"] == {"id": "neontest/shop/"}


def test_files_start_where_the_project_lies() -> None:
    log = json.loads(sarif.render(report(findings=(lost(file="v/r.py", line=2),)), folder="back end"))
    assert place(log["runs"][0]["results"][0]) == ("back%20end/v/r.py", 2)


def test_a_fingerprint_outlives_measures_and_lines_but_not_another_finding() -> None:
    def printed(**facts: Any) -> str:
        told: str = result(lost(**{"file": "v.py", **facts}))["partialFingerprints"]["neontestFinding/v1"]
        return told

    first = printed(message="held a lock on user for 1.7 s (51,000 rows)", line=20, details=("a",))
    assert first == printed(message="held a lock on user for 2 m 05 s (48 rows)", line=99, level=Level.WARNING)
    others = [
        printed(message="held a lock on order for 1.7 s (51,000 rows)"), printed(revision="cd34"),
        printed(file="w.py"), printed(check="squawk"), printed(),
    ]  # fmt: skip
    assert len({first, *others}) == 6


def test_two_findings_that_differ_in_numbers_alone_have_fingerprints_of_their_own() -> None:
    told = run(report(findings=(lost(message="lost user_1"), lost(message="lost user_2"))))["results"]
    first, second = (each["partialFingerprints"]["neontestFinding/v1"] for each in told)
    assert (first[:-2], first[-2:], second[-2:]) == (second[:-2], ":1", ":2")


def test_an_accepted_finding_is_suppressed_with_its_reason_and_by_whom() -> None:
    taken = lost(accepted="copied to s3", gates=False)
    assert result(taken)["suppressions"] == [
        {"kind": "external", "status": "accepted", "justification": "copied to s3"}
    ]
    comment = Acceptance(check="data-loss", reason="copied to s3")
    history = report().history
    marked = msgspec.structs.replace(history, revisions=(msgspec.structs.replace(FIRST, accepts=(comment,)),))
    assert result(taken, history=marked)["suppressions"][0]["kind"] == "inSource"
    assert result(lost())["suppressions"] == []


@pytest.mark.parametrize(
    ("name", "successful", "code"),
    [("clean", True, 0), ("data_lost", True, 1), ("error", False, 3), ("stopped", False, 143)],
)
def test_the_invocation_says_how_it_ended(name: str, successful: bool, code: int) -> None:
    (told,) = run(REPORTS[name]())["invocations"]
    assert (told["executionSuccessful"], told["exitCode"]) == (successful, code)
    assert bool(told["toolExecutionNotifications"]) == (name in ("error", "stopped"))


def test_a_message_holds_all_that_a_finding_says_and_no_link() -> None:
    told = result(lost(details=("text[] (5)", "[a](javascript:b)"), hint="copy it", fix="op.x()"))
    assert told["message"]["text"] == "gone\ntext[] (5)\n\\[a](javascript:b)\ncopy it\nop.x()"


def test_hostile_text_comes_back_as_text() -> None:
    told = result(lost(message=HOSTILE, file=HOSTILE, revision=HOSTILE))
    assert "<script>alert(1)</script>" in told["message"]["text"]
    assert not re.search(r"[\x00\x1b\u202e]|(?<!\\)\[a\]", told["message"]["text"])
    assert unquote(place(told)[0]) == sarif.words.clean(HOSTILE)
