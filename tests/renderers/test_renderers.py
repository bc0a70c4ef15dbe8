from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from neontest.errors import UsageError
from neontest.record import BranchUse, Failure, History, Revision, SuiteResult, Visit, Walk
from neontest.renderers import console, markdown, words
from neontest.report import Finding, Level, Problem, Report, from_json, to_json

HOSTILE = "x|y`z` <script>alert(1)</script> ::error::\x1b[2J\u202e [a](javascript:b) @everyone %0A\nnext"
AT = datetime(2026, 11, 22, 14, 5, tzinfo=UTC)


def report(**facts: Any) -> Report:
    visits = tuple(Visit(direction=d, from_=None, to="r1", seconds=0.25) for d in ("upgrade", "downgrade", "upgrade"))
    history = History(heads=("r1",), pending=("r1",), revisions=(Revision(id="r1", message="first"),))
    return Report(
        **{
            "verdict": "passed",
            "exit_code": 0,
            "engine": "local",
            "engine_why": "NEON_API_KEY is not set",
            "server_version": "18.6",
            "history": history,
            "walks": (Walk(kind="whole", visits=visits), Walk(kind="stairway", revision="r1", visits=visits)),
            "tests": SuiteResult(
                command=("/x/python", "-m", "pytest", "-q"),
                exit_code=0,
                seconds=2.0,
                passed=3,
                failed=0,
                errors=0,
                skipped=1,
            ),
            "branches": (
                BranchUse(
                    id="br-a",
                    name="neontest/x",
                    created_at=AT,
                    ready_seconds=0.1,
                    expires_at=AT,
                    deleted=True,
                    proved=True,
                    delete_seconds=0.2,
                ),
            ),
            "seconds": {"total": 61.5},
            **facts,
        }
    )


def hostile() -> Report:
    failed = Visit(direction="upgrade", from_=None, to=HOSTILE, error=Failure(message=HOSTILE, kind=HOSTILE))
    finding = Finding(
        check="schema-restored", level=Level.ERROR, message=HOSTILE, revision=HOSTILE, file=HOSTILE, line=3,
        details=(HOSTILE,), hint=HOSTILE, fix=f"op.{HOSTILE}",
    )  # fmt: skip
    taken = msgspec.structs.replace(finding, accepted=HOSTILE, gates=False)
    return report(
        verdict="failed",
        exit_code=1,
        findings=(finding, taken),
        notes=(HOSTILE,),
        walks=(Walk(kind="stairway", revision=HOSTILE, visits=(failed,), note=HOSTILE),),
        problems=(Problem(kind="X", message=HOSTILE, hint=HOSTILE),),
    )


def test_the_first_line_is_the_engine_and_the_last_the_verdict() -> None:
    lines = console.render(report()).splitlines()
    assert lines[0] == "neontest on the local engine, Postgres 18.6 (NEON_API_KEY is not set)"
    assert lines[1] == "1 pending revision: base → r1"
    assert "branch br-a given back in 0.20 s, deletion proved" in lines
    assert "  tests  3 passed, 1 skipped in 2.0 s (pytest -q)" in lines
    assert lines[-1] == "passed: 1 revision, whole and stairway walks, tests 3 passed, 1 skipped in 1 m 01 s"


def test_plain_text_has_no_escapes_and_color_has() -> None:
    assert "\x1b" not in console.render(report())
    assert "\x1b[" in console.render(report(), color=True)


def test_hostile_text_can_move_no_cursor() -> None:
    text = console.render(hostile())
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e]", text)


def test_a_finding_says_where_what_and_the_line_to_add() -> None:
    finding = Finding(
        check="schema-restored", level=Level.ERROR, message="it does not", revision="r1", file="v/r1.py", line=11,
        details=("index a on b: left behind",), hint="undo it", fix="op.drop_index('a')",
    )  # fmt: skip
    text = console.render(report(verdict="failed", exit_code=1, findings=(finding,)))
    block = [
        "error  schema-restored  r1  v/r1.py:11",
        "  it does not",
        "    index a on b: left behind",
        "  undo it",
        "  the line to add:",
        "    op.drop_index('a')",
    ]
    assert "\n".join(block) in text
    assert ", 1 error in " in text.splitlines()[-1]


def findings() -> tuple[Finding, ...]:
    """One that gates, two that were accepted, and one of the base branch."""

    def finding(level: Level, **facts: Any) -> Finding:
        return Finding(check="irreversible", level=level, message="no way back", details=("why",), hint="go", **facts)

    reason = "copied | to *s3*"
    return (
        finding(Level.WARNING),
        finding(Level.ERROR, gates=False, accepted=reason),
        finding(Level.WARNING, gates=False, accepted=reason),
        finding(Level.WARNING, gates=False),
    )


def test_an_accepted_finding_is_told_briefly_with_its_reason() -> None:
    text = console.render(report(findings=findings()[1:2]))
    assert "error  irreversible\n  no way back\n  accepted: copied | to *s3*\n\n" in text
    assert "why" not in text
    marked = markdown.render(report(findings=findings()[1:2]))
    assert "<br>\naccepted: copied &#124; to &#42;s3&#42;\n" in marked
    assert "why" not in marked


def test_a_finding_of_the_base_branch_is_marked_and_told_in_full() -> None:
    text = console.render(report(findings=findings()[3:]))
    assert "warning  irreversible\n  no way back\n  already on the base branch\n    why\n  go\n" in text
    marked = markdown.render(report(findings=findings()[3:]))
    assert "<br>\nalready on the base branch\n\n```\nwhy\n```" in marked


def test_the_verdict_counts_what_cannot_fail_the_run_apart() -> None:
    told = ", 1 error (1 accepted), 3 warnings (1 accepted, 1 on the base branch) in 1 m 01 s"
    given = report(findings=findings())
    assert console.render(given).splitlines()[-1].endswith(told)
    assert words.verdict(given) == words.status(given)
    assert words.tally(()) == []


def test_a_branch_left_behind_is_said_with_its_expiry_and_the_command() -> None:
    left = BranchUse(id="br-a", name="neontest/x", created_at=AT, ready_seconds=0.1, expires_at=AT)
    problem = Problem(
        kind="BranchLeftBehind", message="branch br-a could not be given back", hint="run `neontest cleanup`"
    )
    text = console.render(report(verdict="error", exit_code=4, branches=(left,), problems=(problem,)))
    assert "branch br-a (neontest/x) NOT given back; it expires 2026-11-22 14:05Z: run `neontest cleanup`" in text
    assert "branch br-a could not be given back\n  run `neontest cleanup`" in text
    assert text.splitlines()[-1] == "error: tested, but a branch could not be given back"


def test_what_could_not_be_tested_is_not_said_to_be_because_a_branch_was_left() -> None:
    left = Problem(kind="BranchLeftBehind", message="branch br-a could not be given back", hint=None)
    both = (left, Problem(kind="Unauthorized", message="401", hint=None))
    text = console.render(report(verdict="error", exit_code=4, problems=both))
    assert text.splitlines()[-1] == "error: could not test, and a branch could not be given back"


def test_nothing_to_test_is_the_verdict_where_nothing_is_pending() -> None:
    empty = report(history=History(heads=("r1",), start="r1"), walks=(), tests=None, branches=())
    assert console.render(empty).splitlines()[1:] == ["nothing pending at r1", "", "passed: nothing to test"]
    assert "nothing to test" in markdown.render(empty)


@pytest.mark.parametrize("given", [report(), hostile()], ids=["clean", "hostile"])
def test_json_comes_back_as_it_went(given: Report) -> None:
    assert from_json(to_json(given)) == given


@pytest.mark.parametrize("line", ["::error::x", "  ::add-mask::x", "##[error]x", "a ##[endgroup]"])
def test_no_line_is_a_command_to_githubs_runner(line: str) -> None:
    told = Finding(check="data-loss", level=Level.ERROR, message=line, details=(line,), hint=line, fix=line)
    text = console.render(report(notes=(line,), findings=(told,)))
    assert re.search(r"^\s*::|##\[", text, re.MULTILINE) is None
    assert line.strip(" :#[")[-5:] in text


@pytest.mark.parametrize("seconds", ["1.7e308", "-1.7e308", "1e9"])
def test_a_report_with_a_time_that_cannot_be_is_refused(seconds: str) -> None:
    text = to_json(report())
    assert text.count('"seconds": 0.25') > 1
    with pytest.raises(UsageError, match=r"not a neontest report: .*seconds"):
        from_json(text.replace('"seconds": 0.25', f'"seconds": {seconds}', 1))
