"""The checks judge hand-made records; tests/cases has the real projects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from neontest import checks
from neontest.postgres.diff import Difference
from neontest.record import Failure, Fault, History, Record, Revision, SuiteResult, Visit, Walk
from neontest.report import Finding, Level

CASES = Path(__file__).parent.parent / "cases"

LEFT = Difference(kind="index", on="public.users", name="ix_users_age", change="added")
LOST = Difference(kind="index", on="public.users", name="ix_users_email", change="removed")
ORDER = Difference(kind="table", on="public", name="users", change="order", facts=(("columns", "a, b", "b, a"),))
BOOM = Failure(message="boom", kind="UndefinedTable", revision="r1", sqlstate="42P01", sql="ALTER TABLE x")


def revision(id: str, down: str | None = None, **facts: Any) -> Revision:
    return Revision(
        id=id,
        down=(down,) if down else (),
        file=f"versions/{id}.py",
        line=3,
        upgrade_line=7,
        downgrade_line=11,
        **facts,
    )


def visits(*, up: Any = None, down: Any = None, again: Any = None, changes: bool = True) -> tuple[Visit, ...]:
    """Three visits, of which those given fail with that error (or are False: did not move), up to the first failure."""
    said = ("table users: changed",) if changes else ()
    made = []
    for direction, fault in (("upgrade", up), ("downgrade", down), ("upgrade", again)):
        error = fault if isinstance(fault, Failure) else None
        made.append(
            Visit(direction=direction, from_=None, to="r1", error=error, moved=fault is not False, schema_changes=said)
        )
        if fault is not None:
            break
    return tuple(made)


def record(*walks: Walk, revisions: int = 1, **facts: Any) -> Record:
    known = tuple(revision(f"r{n}", f"r{n - 1}" if n > 1 else None) for n in range(1, revisions + 1))
    history = History(heads=(known[-1].id,), pending=tuple(each.id for each in known), revisions=known)
    return Record(**{"engine": "local", "history": history, "walks": walks, **facts})


def stairs(**facts: Any) -> Walk:
    return Walk(**{"kind": "stairway", "revision": "r1", "visits": visits(), **facts})


def whole(**facts: Any) -> Walk:
    return Walk(**{"kind": "whole", "visits": visits(), **facts})


def found(given: Record) -> dict[str, Finding]:
    findings = checks.judge(given)
    by_check = {each.check: each for each in findings}
    assert len(by_check) == len(findings), findings
    return by_check


def test_every_check_has_a_page_and_cases() -> None:
    for check in checks.every():
        page = checks.explanation(check)
        assert "What " in page, check.id
        assert len(page.split()) > 25, check.id
        for kind in ("bad", "good"):
            assert (CASES / check.id / kind).is_dir(), f"{check.id} has no {kind} project"


def test_a_clean_record_has_no_findings() -> None:
    assert checks.judge(record(whole(), stairs())) == ()


def test_a_fault_of_one_revision_is_told_once_though_both_walks_saw_it() -> None:
    both = record(whole(not_restored=(LEFT,)), stairs(not_restored=(LEFT,)), revisions=2)
    (finding,) = checks.judge(both)
    assert (finding.check, finding.revision, finding.line) == ("schema-restored", "r1", 11)
    assert finding.details == ("index ix_users_age on users: left behind",)
    assert finding.fix == "op.drop_index('ix_users_age', table_name='users')"


def test_what_only_the_whole_walk_saw_is_told_of_all_revisions() -> None:
    (finding,) = checks.judge(record(whole(not_restored=(LEFT, LOST)), stairs(not_restored=(LEFT,)), revisions=2))[:1]
    assert finding.revision in ("r1", None)
    both = checks.judge(record(whole(not_restored=(LEFT, LOST)), stairs(not_restored=(LEFT,)), revisions=2))
    assert [each.revision for each in both] == ["r1", None]
    assert "all 2 pending revisions" in both[1].message


@pytest.mark.parametrize(
    ("check", "walk"),
    [
        ("upgrade-fails", stairs(visits=visits(up=BOOM))),
        ("downgrade-fails", stairs(visits=visits(down=BOOM))),
        ("reupgrade-fails", stairs(visits=visits(again=BOOM))),
        ("upgrade-fails", stairs(visits=visits(up=False))),
        ("downgrade-fails", stairs(visits=visits(down=False))),
        ("reupgrade-fails", stairs(visits=visits(again=False))),
        ("schema-restored", stairs(not_restored=(LOST,))),
        ("schema-repeatable", stairs(not_repeated=(LEFT,))),
        ("upgrade-fails", whole(visits=visits(up=BOOM))),
    ],
)
def test_each_fault_is_one_error_of_its_own_check(check: str, walk: Walk) -> None:
    (only,) = found(record(walk)).values()
    assert (only.check, only.level, only.revision) == (check, Level.ERROR, "r1")


def test_a_failure_carries_the_databases_words_and_the_statement() -> None:
    finding = found(record(stairs(visits=visits(up=BOOM))))["upgrade-fails"]
    assert finding.details == ("boom", "in: ALTER TABLE x")
    assert (finding.file, finding.line) == ("versions/r1.py", 7)


@pytest.mark.parametrize("kind", ["NotImplementedError", "RuntimeError"])
def test_a_downgrade_that_says_there_is_no_way_back_is_a_warning(kind: str) -> None:
    error = Failure(message="no way", kind=kind, revision="r1")
    given = record(stairs(visits=visits(down=error)))
    raising = record(stairs(visits=visits(down=error)))
    if kind == "RuntimeError":
        history = History(heads=("r1",), pending=("r1",), revisions=(revision("r1", downgrade_raises=True),))
        raising = record(stairs(visits=visits(down=error)), history=history)
        assert "downgrade-fails" in found(given)
    finding = found(raising)["irreversible"]
    assert finding.level is Level.WARNING


def test_a_downgrade_that_does_nothing_is_not_also_told_as_not_restoring() -> None:
    idle = (
        Visit(direction="upgrade", from_=None, to="r1", schema_changes=("index: added",)),
        Visit(direction="downgrade", from_="r1", to=None),
        Visit(direction="upgrade", from_=None, to="r1"),
    )
    assert set(found(record(stairs(visits=idle, not_restored=(LEFT,))))) == {"downgrade-does-nothing"}


def test_a_downgrade_that_does_nothing_is_right_where_the_upgrade_changed_no_schema() -> None:
    assert checks.judge(record(stairs(visits=visits(changes=False)))) == ()


def test_column_order_alone_is_for_information() -> None:
    given = record(stairs(not_restored=(ORDER,), not_repeated=(ORDER,)))
    assert {each.level for each in checks.judge(given)} == {Level.INFO}
    worse = record(stairs(not_restored=(ORDER, LOST)))
    assert found(worse)["schema-restored"].level is Level.ERROR


def test_two_heads_are_an_error_unless_meant() -> None:
    history = History(heads=("a", "b"), revisions=(revision("a"), revision("b")))
    assert set(found(record(history=history))) == {"single-head"}
    assert checks.judge(record(history=history, heads_allowed="many")) == ()


def test_faults_of_the_graph_are_told_and_heads_are_not_judged_then() -> None:
    fault = Fault(kind="missing-parent", message="r2 wants r1", revision="r2", file="versions/r2.py", line=4)
    history = History(heads=("a", "b"), faults=(fault,))
    finding = found(record(history=history))["revision-graph"]
    assert (finding.message, finding.file, finding.line) == ("r2 wants r1", "versions/r2.py", 4)


def suite(**facts: Any) -> SuiteResult:
    return SuiteResult(**{"command": ("python", "-m", "pytest"), "exit_code": 0, "seconds": 1.0, **facts})


@pytest.mark.parametrize(
    ("tests", "level", "words"),
    [
        (suite(exit_code=1, passed=3, failed=2, errors=0), Level.ERROR, "2 failed, 3 passed"),
        (suite(exit_code=5, passed=0, failed=0, errors=0), Level.ERROR, "no tests were found"),
        (suite(exit_code=5, passed=0, failed=0, errors=0, named=False), Level.WARNING, "no tests were found"),
        (suite(exit_code=-9), Level.ERROR, "killed by signal 9"),
        (suite(exit_code=2), Level.ERROR, "exited with 2"),
        (suite(exit_code=0, timed_out=True, seconds=60.0), Level.ERROR, "stopped after 60 s"),
        (suite(exit_code=0, passed=1, failed=1), Level.ERROR, "1 failed"),
    ],
)
def test_tests_that_show_nothing_good_are_findings(tests: SuiteResult, level: Level, words: str) -> None:
    finding = found(record(tests=tests))["tests-failed"]
    assert finding.level is level
    assert words in finding.message


def test_passing_tests_are_none() -> None:
    assert checks.judge(record(tests=suite(passed=3))) == ()


def test_findings_come_worst_first_and_then_in_the_order_of_the_revisions() -> None:
    walks = [
        Walk(kind="stairway", revision="r1", visits=visits(), not_restored=(ORDER,)),
        Walk(kind="stairway", revision="r2", visits=visits(), not_restored=(LEFT,)),
        Walk(kind="stairway", revision="r3", visits=visits(), not_restored=(LOST,)),
    ]
    findings = checks.judge(record(*walks, revisions=3))
    assert [each.revision for each in findings] == ["r2", "r3", "r1"]


def test_a_stray_module_among_the_checks_raises() -> None:
    with pytest.raises(ModuleNotFoundError):
        checks.load("nothing_here")


# -- what is seen without a database ----------------------------------------------------------------------------------


def written(id: str, down: str | None = None, **facts: Any) -> Revision:
    return revision(id, down, **{"downgrade_empty": True, **facts})


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({}, "has an empty downgrade()"),
        ({"downgrade_line": 0, "downgrade_empty": False}, "has no downgrade()"),
        ({"downgrade_empty": False}, None),
        ({"upgrade_empty": True}, None),
    ],
)
def test_an_empty_downgrade_is_a_warning_where_the_upgrade_does_something(
    facts: dict[str, Any], message: str | None
) -> None:
    made = msgspec.structs.replace(written("r1"), **facts)
    findings = checks.judge(record(history=History(heads=("r1",), pending=("r1",), revisions=(made,))))
    assert [(each.check, each.level) for each in findings] == [("empty-downgrade", Level.WARNING)] * bool(message)
    assert not message or message in findings[0].message


def test_an_empty_downgrade_is_not_told_where_a_walk_measured_it_or_nobody_asks() -> None:
    history = History(heads=("r1",), pending=("r1",), revisions=(written("r1"),))
    assert checks.judge(record(stairs(), history=history)) == ()
    assert checks.judge(record(whole(), history=history)) == ()
    assert set(found(record(stairs(visits=visits(up=BOOM)), history=history))) == {"upgrade-fails"}
    old = msgspec.structs.replace(history, pending=())
    assert checks.judge(record(history=old)) == ()
    assert checks.judge(record(history=msgspec.structs.replace(old, on_base=("r1",)))) == ()
    new = msgspec.structs.replace(old, on_base=())
    assert set(found(record(history=new))) == {"empty-downgrade"}


def graph(*links: tuple[str, str | None], **facts: Any) -> History:
    known = tuple(revision(id, down) for id, down in links)
    parents = {down for _, down in links}
    return History(heads=tuple(id for id, _ in links if id not in parents), revisions=known, **facts)


def test_a_new_revision_before_one_of_the_base_branch_is_an_error() -> None:
    history = graph(("a", None), ("n", "a"), ("m", "n"), ("b", "m"), on_base=("a", "b"), edited=("b",))
    findings = checks.judge(record(history=history))
    assert [(each.check, each.revision, each.level) for each in findings] == [
        ("revision-after-merge-base", "n", Level.ERROR),
        ("revision-after-merge-base", "m", Level.ERROR),
    ]
    assert all("stands before b, which the base branch already has" in each.message for each in findings)


@pytest.mark.parametrize("needs", ["n", "shop"])
def test_a_new_revision_that_one_of_the_base_branch_depends_on_is_an_error(needs: str) -> None:
    known = (
        revision("a"),
        msgspec.structs.replace(revision("n", "a"), labels=("shop",)),
        msgspec.structs.replace(revision("b", "a"), depends_on=(needs,)),
    )
    history = History(heads=("b",), revisions=known, on_base=("a", "b"), edited=("b",))
    assert set(found(record(history=history))) == {"revision-after-merge-base"}


def test_new_revisions_after_those_of_the_base_branch_are_right() -> None:
    history = graph(("a", None), ("b", "a"), ("n", "b"), on_base=("a", "b"), merged_heads=("n",))
    assert checks.judge(record(history=history)) == ()
    assert checks.judge(record(history=msgspec.structs.replace(history, on_base=None))) == ()


def test_two_heads_after_a_merge_with_the_base_branch_are_an_error_of_the_new_one() -> None:
    history = graph(("a", None), ("n", "a"), on_base=("a", "b"), merged_heads=("n", "b"))
    finding = found(record(history=history))["single-head"]
    assert (finding.revision, finding.gates) == ("n", True)
    assert finding.details == ("head n in versions/n.py", "head b on the base branch")
    assert checks.judge(record(history=history, heads_allowed="many")) == ()


def test_two_heads_of_the_base_branch_itself_are_not_this_branchs_fault() -> None:
    history = graph(("a", None), on_base=("a", "b", "c"), merged_heads=("b", "c"))
    assert checks.judge(record(history=history)) == ()
