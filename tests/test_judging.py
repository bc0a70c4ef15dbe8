"""What becomes of findings: hand-made records, and findings of checks as they are."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from neontest import checks, judging
from neontest.cells import Cell, CellFailure
from neontest.postgres.diff import Difference
from neontest.record import (
    Acceptance,
    Drift,
    Failure,
    History,
    Interruption,
    Models,
    Record,
    Revision,
    Statement,
    SuiteResult,
    Twin,
    Visit,
    Walk,
)
from neontest.report import Finding, Level, Rules
from neontest.run import fails

LEFT = Difference(kind="index", on="public.users", name="ix_users_age", change="added")
ORDER = Difference(kind="table", on="public", name="users", change="order", facts=(("columns", "a, b", "b, a"),))
DAY = date(2026, 11, 22)


def stairs(id: str, **facts: Any) -> Walk:
    visits = tuple(
        Visit(direction=each, from_=None, to=id, schema_changes=("table users: changed",))
        for each in ("upgrade", "downgrade", "upgrade")
    )
    return Walk(**{"kind": "stairway", "revision": id, "visits": visits, **facts})


def record(*walks: Walk, accepts: tuple[Acceptance, ...] = (), history: Any = None, **facts: Any) -> Record:
    """r1, r2 and r3 are pending; `accepts` are comments in r2."""
    known = tuple(
        Revision(id=f"r{n}", down=(f"r{n - 1}",) if n > 1 else (), file=f"r{n}.py", accepts=accepts if n == 2 else ())
        for n in (1, 2, 3)
    )
    whole = History(heads=("r3",), pending=("r1", "r2", "r3"), revisions=known, **(history or {}))
    return Record(**{"engine": "local", "history": whole, "walks": walks, "today": DAY, **facts})


def accept(check: str = "schema-restored", reason: str = "it is rebuilt each night", **facts: Any) -> Acceptance:
    return Acceptance(**{"check": check, "reason": reason, "revision": "r2", "file": "r2.py", "line": 4, **facts})


def told(findings: tuple[Finding, ...]) -> list[tuple[str, str | None, bool, str | None]]:
    return [(each.check, each.revision, each.gates, each.accepted) for each in findings]


WALKED = (stairs("r1"), stairs("r2", not_restored=(LEFT,)), stairs("r3"))
CLEAN = (stairs("r1"), stairs("r2"), stairs("r3"))


# -- accepting --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("facts", [{}, {"until": DAY}])
@pytest.mark.parametrize("where", ["comment", "file"])
def test_an_accepted_finding_stays_with_its_reason_and_does_not_gate(where: str, facts: dict[str, Any]) -> None:
    mine = (accept(**facts),)
    given = record(*WALKED, accepts=mine) if where == "comment" else record(*WALKED, acceptances=mine)
    findings = checks.judge(given)
    assert told(findings) == [("schema-restored", "r2", False, "it is rebuilt each night")]
    assert not fails(findings, "error")


@pytest.mark.parametrize("revision", [None, "r2"])
def test_an_acceptance_is_of_one_revision_or_of_all(revision: str | None) -> None:
    walks = [stairs(each, not_restored=(LEFT,)) for each in ("r1", "r2", "r3")]
    findings = checks.judge(record(*walks, acceptances=(accept(revision=revision),)))
    assert {each.revision for each in findings if each.accepted} == ({"r1", "r2", "r3"} if revision is None else {"r2"})
    assert fails(findings, "error") is (revision is not None)


DRIFT = Models(tables=1, drift=(Drift(what="add column users.age"),))


BROKEN = CellFailure(test="t::test_x", message="column does not exist", beside="passed")


@pytest.mark.parametrize("check", judging.WHOLE)
def test_a_pending_revision_can_accept_what_is_found_of_the_whole_upgrade(check: str) -> None:
    again = Failure(message="exists", kind="DuplicateTable")
    cut = Interruption(revision=None, statement=Statement(sql="CREATE TABLE t ()"), interrupted=True, again=again)
    facts: dict[str, Any] = {
        "model-drift": {"models": DRIFT},
        "not-deterministic": {"twin": Twin(different=(LEFT,))},
        "interrupted": {"interruptions": (cut,)},
        "breaks-running-code": {"cells": (Cell(name="old-old"), Cell(name="old-new", failures=(BROKEN,)))},
        "needs-migration-first": {"cells": (Cell(name="new-new"), Cell(name="new-old", failures=(BROKEN,)))},
    }[check]
    mine = accept(check=check)
    findings = checks.judge(record(*CLEAN, accepts=(mine,), **facts))
    assert told(findings) == [(check, None, False, mine.reason)]
    # In pyproject.toml it names a revision, and means that one.
    assert {each.accepted for each in checks.judge(record(*CLEAN, acceptances=(mine,), **facts))} == {None}


def test_a_revision_that_is_deployed_accepts_nothing_of_the_whole_upgrade() -> None:
    known = record(accepts=(accept(check="model-drift"),)).history.revisions
    given = Record(engine="local", history=History(revisions=known, pending=("r3",)), walks=CLEAN[2:], models=DRIFT)
    assert told(checks.judge(given)) == [("model-drift", None, True, None)]


def test_a_revision_accepts_what_is_found_of_no_revision_only_where_that_is_of_the_whole() -> None:
    whole = Walk(kind="whole", visits=CLEAN[0].visits, not_restored=(LEFT,))
    findings = {each.check: each for each in checks.judge(record(whole, accepts=(accept(),)))}
    assert findings["schema-restored"].accepted is None


def test_the_beginning_of_an_id_names_a_revision_if_only_one_begins_so() -> None:
    known = tuple(Revision(id=each, file=f"{each}.py") for each in ("ab12", "ab34", "ab"))
    given = Record(engine="local", history=History(revisions=known))
    assert judging.named(given, accept(revision="ab1")) == "ab12"
    assert judging.named(given, accept(revision="ab")) == "ab"
    assert judging.named(given, accept(revision="a")) is None
    assert judging.named(given, accept(revision="")) is None


@pytest.mark.parametrize(
    ("acceptance", "why"),
    [
        (accept(until=date(2026, 11, 21)), "it held until 2026-11-21"),
        (accept(reason=""), "it gives no reason"),
        (accept(reason="  "), "it gives no reason"),
        (accept(check="schema-restore"), 'it names "schema-restore", which is no check'),
        (accept(check=""), "it names no check"),
        (accept(revision="r"), "no one revision here has that id"),
        (accept(revision="zz"), "no one revision here has that id"),
        (accept(revision=""), "no one revision here has that id"),
    ],
)
def test_an_acceptance_that_does_not_count_is_a_finding_and_accepts_nothing(acceptance: Acceptance, why: str) -> None:
    findings = {each.check: each for each in checks.judge(record(*WALKED, acceptances=(acceptance,)))}
    assert set(findings) == {"schema-restored", "stale-acceptance"}
    assert (findings["schema-restored"].accepted, findings["schema-restored"].gates) == (None, True)
    stale = findings["stale-acceptance"]
    assert (stale.level, stale.file, stale.line) == (Level.WARNING, "r2.py", 4)
    assert why in stale.message


@pytest.mark.parametrize(
    ("acceptance", "walks", "early", "stale"),
    [
        (accept(), CLEAN, False, True),
        (accept(revision=None), CLEAN, False, True),
        (accept(check="tests-failed", revision=None), CLEAN, False, False),
        (accept(check="edited-revision"), CLEAN, False, False),
        (accept(), CLEAN, True, False),
        (accept(), (), False, False),
        (accept(), (stairs("r1"),), False, False),
        (accept(revision=None), (stairs("r1"), stairs("r2")), False, False),
        (accept(), (stairs("r2", visits=CLEAN[1].visits[:2]),), False, False),
    ],
    ids=[
        "its revision",
        "any revision",
        "its check had nothing to judge",
        "its check forgets with the merge",
        "the run ended early",
        "nothing was walked",
        "its revision was not walked",
        "not all revisions were walked",
        "its revision was not walked to the end",
    ],
)
def test_an_acceptance_matches_nothing_only_where_all_that_it_is_about_was_seen(
    acceptance: Acceptance, walks: tuple[Walk, ...], early: bool, stale: bool
) -> None:
    findings = checks.judge(record(*walks, acceptances=(acceptance,)), ended_early=early)
    assert [each.check for each in findings] == ["stale-acceptance"] * stale
    if stale:
        assert "it matches no finding of this run" in findings[0].message


def test_an_acceptance_for_a_revision_that_is_not_pending_is_not_stale() -> None:
    given = record(*CLEAN, accepts=(accept(),))
    old = Record(engine="local", history=History(revisions=given.history.revisions, pending=("r3",)), walks=CLEAN[2:])
    assert checks.judge(old) == ()


def test_with_the_whole_walk_alone_all_revisions_are_seen_or_none() -> None:
    whole = Walk(kind="whole", visits=CLEAN[0].visits)
    assert judging.seen_through(record(whole)) == {"r1", "r2", "r3"}
    assert judging.seen_through(record(Walk(kind="whole", visits=whole.visits[:1]))) == frozenset()


# -- levels -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("level", "expected"), [("warning", [Level.WARNING]), ("info", [Level.INFO]), ("off", [])])
def test_a_check_has_the_level_that_the_project_gives_it(level: Any, expected: list[Level]) -> None:
    findings = checks.judge(record(*WALKED), Rules(levels={"schema-restored": level}))
    assert [each.level for each in findings] == expected
    assert not fails(findings, "error")


def test_what_is_for_information_is_not_raised() -> None:
    given = record(stairs("r2", not_restored=(ORDER,)))
    (finding,) = checks.judge(given, Rules(levels={"schema-restored": "error"}))
    assert finding.level is Level.INFO
    assert checks.judge(given, Rules(levels={"schema-restored": "off"})) == ()


def test_an_acceptance_of_a_check_that_is_off_is_not_stale() -> None:
    rules = Rules(levels={"schema-restored": "off"})
    assert checks.judge(record(*WALKED, accepts=(accept(),)), rules) == ()


@pytest.mark.parametrize(
    ("level", "fail_on", "failed"),
    [
        (None, "error", True),
        (None, "never", True),
        ("warning", "error", False),
        ("warning", "warning", True),
        ("warning", "never", False),
        ("off", "warning", False),
    ],
)
def test_failed_tests_fail_the_run_unless_their_level_says_otherwise(level: Any, fail_on: str, failed: bool) -> None:
    given = record(*CLEAN, tests=SuiteResult(command=("pytest",), exit_code=1, seconds=1.0, passed=1, failed=1))
    findings = checks.judge(given, Rules(levels={"tests-failed": level} if level else {}))
    assert fails(findings, fail_on) is failed


# -- gating -----------------------------------------------------------------------------------------------------------

BASE = {"on_base": ("r1", "r2")}


def test_findings_on_the_base_branchs_revisions_do_not_gate_unless_all_do() -> None:
    given = record(*WALKED, history=BASE)
    findings = checks.judge(given)
    assert told(findings) == [("schema-restored", "r2", False, None)]
    assert not fails(findings, "warning")
    assert fails(checks.judge(given, Rules(gate="all")), "error")


def test_an_edited_revision_is_this_branchs_own() -> None:
    findings = checks.judge(record(*WALKED, history={**BASE, "edited": ("r2",)}))
    assert told(findings) == [("schema-restored", "r2", True, None), ("edited-revision", "r2", True, None)]


def test_findings_about_no_revision_and_about_the_whole_gate() -> None:
    whole = Walk(kind="whole", visits=CLEAN[0].visits, not_restored=(LEFT,))
    assert told(checks.judge(record(whole, history=BASE))) == [("schema-restored", None, True, None)]
    history = History(heads=("r1", "r2"), on_base=("r1", "r2"), revisions=record().history.revisions)
    assert told(checks.judge(Record(engine="local", history=history))) == [("single-head", "r2", True, None)]


def test_without_a_base_branch_all_findings_gate() -> None:
    assert [each.gates for each in checks.judge(record(*WALKED))] == [True]


@pytest.mark.parametrize(("on_base", "gates"), [(("r1", "r2"), True), (("r1", "r2", "r3"), False)])
def test_an_upgrade_that_keeps_new_revisions_from_being_tested_gates(on_base: tuple[str, ...], gates: bool) -> None:
    error = Failure(message="boom", kind="UndefinedTable", revision="r2")
    stuck = stairs("r2", visits=(Visit(direction="upgrade", from_="r1", to="r2", error=error, moved=False),))
    findings = checks.judge(record(stairs("r1"), stuck, history={"on_base": on_base}))
    assert told(findings) == [("upgrade-fails", "r2", gates, None)]


def test_what_can_fail_the_run_comes_first() -> None:
    walks = (stairs("r1", not_restored=(LEFT,)), stairs("r2", not_restored=(ORDER,)), stairs("r3"))
    findings = checks.judge(record(*walks, history={"on_base": ("r1",)}))
    assert [(each.revision, each.level, each.gates) for each in findings] == [
        ("r2", Level.INFO, True),
        ("r1", Level.ERROR, False),
    ]
