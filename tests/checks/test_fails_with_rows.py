"""What is told of an upgrade that rows stood in the way of, from hand-made records."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from neontest import checks
from neontest.postgres.data import Violation
from neontest.record import Failure, Record, Refused
from neontest.report import Finding, Level
from tests.checks.test_checks import BOOM, record, stairs, visits, whole

NULLS = Failure(
    message='column "phone" of relation "user" contains null values',
    kind="NotNullViolation",
    revision="r1",
    sqlstate="23502",
    sql='ALTER TABLE "user"\n ADD COLUMN phone VARCHAR NOT NULL',
    file="versions/r1.py",
    line=9,
)


def violation(**facts: Any) -> Violation:
    keys = tuple(f"id={number}" for number in range(1, 11))
    usual = {"kind": "not null", "table": "public.user", "columns": ("phone",), "count": 20, "rows": 20, "keys": keys}
    return Violation(**{**usual, **facts})


def refused(*violations: Violation, **facts: Any) -> Refused:
    return Refused(**{"revision": "r1", "failure": NULLS, "invented": True, "violations": violations, **facts})


def only(given: Record) -> Finding:
    (finding,) = checks.judge(given)
    return finding


def test_a_new_column_that_every_row_violates_is_an_error_with_numbers_and_keys() -> None:
    finding = only(record(refused=(refused(violation()),)))
    assert (finding.check, finding.level, finding.revision) == ("fails-with-rows", Level.ERROR, "r1")
    assert (finding.file, finding.line) == ("versions/r1.py", 9)
    assert finding.message == (
        "the upgrade of revision r1 works on empty tables and fails on filled ones: "
        "20 of 20 rows of user violate NOT NULL (phone)"
    )
    assert finding.details == (
        (
            "20 of 20 rows of user violate NOT NULL (phone): "
            "id=1, id=2, id=3, id=4, id=5, id=6, id=7, id=8, id=9, id=10 and 10 more"
        ),
        'column "phone" of relation "user" contains null values',
        'in: ALTER TABLE "user" ADD COLUMN phone VARCHAR NOT NULL',
        "these rows were invented by neontest",
    )
    assert "server_default" in (finding.hint or "")


@pytest.mark.parametrize(
    ("facts", "level", "said"),
    [
        ({"count": 3, "keys": ()}, Level.WARNING, "3 of 20 rows of user violate NOT NULL (phone)"),
        ({"kind": "cast"}, Level.ERROR, "20 of 20 rows of user cannot be cast (phone)"),
        ({"kind": "cast", "count": 19}, Level.WARNING, "19 of 20 rows of user cannot be cast (phone)"),
        ({"kind": "unique"}, Level.WARNING, "20 of 20 rows of user violate UNIQUE (phone)"),
        ({"kind": "check", "count": 1, "columns": ()}, Level.INFO, "1 of 20 rows of user violates CHECK"),
        ({"kind": "foreign key", "table": "app.user"}, Level.WARNING, "rows of app.user violate FOREIGN KEY (phone)"),
        ({"kind": "exclusion", "count": 1, "rows": 1}, Level.WARNING, "1 of 1 row of user violates EXCLUDE (phone)"),
        ({"kind": "unique", "count": 0, "keys": ()}, Level.WARNING, "do not keep UNIQUE (phone) of user"),
        ({"count": 0, "rows": 0}, Level.WARNING, "do not keep NOT NULL (phone) of user"),
        ({"count": 48_112, "rows": 51_000}, Level.WARNING, "48,112 of 51,000 rows of user"),
    ],
)
def test_the_level_says_whether_real_rows_could_pass(facts: dict[str, Any], level: Level, said: str) -> None:
    finding = only(record(refused=(refused(violation(**facts)),)))
    assert finding.level is level
    assert said in finding.message
    assert ("real ones may be others" in finding.details[-1]) is (level is not Level.ERROR)
    assert finding.hint


def test_several_violations_are_told_in_one_finding_the_worst_deciding() -> None:
    both = refused(violation(kind="unique", columns=("email",), count=2, keys=()), violation())
    finding = only(record(refused=(both, both)))
    assert finding.level is Level.ERROR
    assert [each.split(" violate ")[-1].split(":")[0] for each in finding.details[:2]] == [
        "UNIQUE (email)",
        "NOT NULL (phone)",
    ]
    assert (finding.hint or "").count(";") == 1


def test_where_nothing_could_be_counted_the_databases_words_are_told() -> None:
    finding = only(record(refused=(refused(revision=None, failure=BOOM),)))
    assert finding.message.endswith("of revision r1 works on empty tables and fails on filled ones: boom")
    assert finding.level is Level.WARNING
    assert finding.details == ("in: ALTER TABLE x", "these rows were invented by neontest; real ones may be others")
    assert (finding.file, finding.line) == ("versions/r1.py", 7)
    assert finding.hint == "if your own rows are others, give some of them (--seed), or have none invented (--rows 0)"


def test_a_guard_of_the_migrations_own_is_told_in_its_words() -> None:
    guard = Failure(message="clean up first", kind="RuntimeError", revision="r1", file="versions/r1.py", line=5)
    finding = only(record(refused=(refused(failure=guard),)))
    assert finding.message.endswith("works on empty tables and fails on filled ones: clean up first")
    assert (finding.level, finding.file, finding.line) == (Level.WARNING, "versions/r1.py", 5)
    assert finding.details == ("these rows were invented by neontest; real ones may be others",)


def test_a_table_that_is_altered_while_its_triggers_wait_is_an_error() -> None:
    finding = only(record(refused=(refused(failure=msgspec.structs.replace(BOOM, sqlstate="55006")),)))
    assert finding.level is Level.ERROR
    assert finding.details[-1] == "these rows were invented by neontest"


def test_the_parents_own_rows_are_told_with_the_upgrade_that_fails_and_not_twice() -> None:
    walks = (whole(visits=visits(up=NULLS)), stairs(visits=visits(up=NULLS)))
    own = refused(violation(count=3, keys=("id=1",)), invented=False)
    finding = only(record(*walks, refused=(own, own)))
    assert (finding.check, finding.level) == ("upgrade-fails", Level.ERROR)
    assert finding.details == (
        NULLS.message,
        'in: ALTER TABLE "user" ADD COLUMN phone VARCHAR NOT NULL',
        "3 of 20 rows of user violate NOT NULL (phone): id=1 and 2 more",
    )


@pytest.mark.parametrize("invented", [True, False])
def test_rows_that_there_was_no_time_to_count_are_said_not_to_be_counted(invented: bool) -> None:
    walks = () if invented else (stairs(visits=visits(up=NULLS)),)
    finding = only(record(*walks, refused=(refused(invented=invented, uncounted=True),)))
    assert finding.check == ("fails-with-rows" if invented else "upgrade-fails")
    assert any("were not counted in time" in line for line in finding.details)


@pytest.mark.parametrize("facts", [{"revision": "r2"}, {"invented": True, "revision": "r2"}])
def test_an_upgrade_that_fails_is_not_told_with_another_revisions_rows(facts: dict[str, Any]) -> None:
    other = refused(violation(), **{"invented": False, **facts})
    findings = checks.judge(record(stairs(visits=visits(up=NULLS)), refused=(other,), revisions=2))
    (fails,) = [each for each in findings if each.check == "upgrade-fails"]
    assert len(fails.details) == 2
    assert len(findings) == (2 if facts.get("invented") else 1)
