"""What became of each test, from JUnit files as pytest writes them."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from neontest.outcomes import WHOLE, alike, outcomes
from neontest.record import SuiteResult

FILE = """<testsuites><testsuite>
<testcase classname="tests.test_a" name="test_ok"/>
<testcase classname="tests.test_a" name="test_left_out"><skipped message="no"/></testcase>
<testcase classname="tests.test_a" name="test_sql"><failure
message="sqlalchemy.exc.DBAPIError: (psycopg2.errors.UndefinedColumn) column &quot;age&quot; does not exist&#10;LINE"
>E   more</failure></testcase>
<testcase classname="tests.test_a" name="test_500"><failure message="assert 500 == 200">E  assert</failure>
<system-err>ERROR boom
psycopg.errors.UndefinedTable: relation "users" does not exist
LINE 1</system-err></testcase>
<testcase classname="tests.test_a" name="test_ends"/>
<testcase classname="tests.test_a" name="test_ends"><error message="failed on teardown with &quot;x&quot;"/></testcase>
<testcase classname="tests.test_a" name="test_boot"><error message="failed on setup"/>
<system-out>Error: Can't locate revision identified by 'r7'</system-out></testcase>
</testsuite></testsuites>"""


def result(code: int, tail: str = "", *, timed_out: bool = False) -> SuiteResult:
    return SuiteResult(command=("x",), exit_code=code, seconds=3.0, output_tail=tail, timed_out=timed_out)


def test_each_test_is_told_by_its_name_with_the_databases_error_wherever_it_stands() -> None:
    found = outcomes(result(1), ElementTree.fromstring(FILE))
    assert found.passed == {"tests.test_a::test_ok", WHOLE}
    assert found.failed == {
        "tests.test_a::test_sql": '(psycopg2.errors.UndefinedColumn) column "age" does not exist',
        "tests.test_a::test_500": 'psycopg.errors.UndefinedTable: relation "users" does not exist',
        "tests.test_a::test_ends": 'failed on teardown with "x"',
        "tests.test_a::test_boot": "failed on setup",
    }
    assert found.not_located == {"r7"}
    assert [found.of(f"tests.test_a::test_{each}") for each in ("ok", "sql", "left_out", "new")] == [
        "passed", "failed", "not run", "not run",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "timed_out", "why"),
    [(0, False, None), (1, False, "exit code 1"), (2, False, "exit code 2"), (0, True, "stopped after 3 s")],
)
def test_a_command_without_a_junit_file_is_one_test(code: int, timed_out: bool, why: str | None) -> None:
    found = outcomes(result(code, timed_out=timed_out), None)
    assert (found.failed.get(WHOLE), found.of(WHOLE)) == (why, "failed" if why else "passed")


def test_a_suite_that_was_not_collected_fails_as_a_whole() -> None:
    found = outcomes(result(2), ElementTree.fromstring(FILE))
    assert found.of(WHOLE) == "failed"


def test_a_command_that_failed_before_excuses_no_other_end_of_it() -> None:
    passes = ElementTree.fromstring('<testsuite><testcase classname="t" name="test_ok"/></testsuite>')
    before = outcomes(result(1), passes)
    assert alike(outcomes(result(1), passes), before)
    assert not alike(outcomes(result(1), None), before)
    assert not alike(outcomes(result(7), passes), before)
    assert not alike(outcomes(result(1, timed_out=True), passes), before)
