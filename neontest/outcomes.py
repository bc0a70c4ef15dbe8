"""What became of each of the project's tests, as its JUnit file says, and of the command as a whole. Pure."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection
from typing import Final, Literal

import msgspec

from neontest.record import SuiteResult

WHOLE: Final = "the test command"
"""The name of the command as if it was a test: it passes where it ran through, whatever single tests did."""
LONGEST: Final = 300
"""Characters of a message."""
SQL_ERROR: Final = re.compile(
    r"\((?:psycopg2?|pg8000|sqlalchemy\.dialects\.postgresql)\b[\w.]*\) [^\n]+"
    r"|\b(?:psycopg2?|asyncpg|pg8000)\.[\w.]*\w: [^\n]+"
)
"""As SQLAlchemy tells an error of the driver, and as a traceback does."""
UNKNOWN_REVISION: Final = re.compile(r"Can't locate revision identified by '([^']+)'")
"""What Alembic says where a database is at a revision that it has no file of."""


class Outcomes(msgspec.Struct, frozen=True, kw_only=True):
    """The tests of one run of the command, by `classname::name`, and WHOLE among them."""

    passed: frozenset[str]
    failed: dict[str, str] = msgspec.field(default_factory=dict)
    """With the first line of why."""
    not_located: frozenset[str] = frozenset()
    """Revisions that the tests' own Alembic found in the database, and has no file of."""
    ended: str = ""
    """How the command as a whole ended, where it failed."""

    def of(self, test: str) -> Literal["passed", "failed", "not run"]:
        return "failed" if test in self.failed else "passed" if test in self.passed else "not run"


def outcomes(result: SuiteResult, root: ElementTree.Element | None) -> Outcomes:
    """By the JUnit file's root, where there is one, else by the exit code alone."""
    passed: set[str] = set()
    failed: dict[str, str] = {}
    not_located: set[str] = set()
    why = ""
    for case in root.iter("testcase") if root is not None else ():
        test = name(case)
        bad = [child for child in case if child.tag in ("failure", "error")]
        if bad:
            said = [*(each.get("message", "") for each in bad), *(each.text or "" for each in case)]
            failed.setdefault(test, message(said))
            not_located.update(found[1] for each in said for found in UNKNOWN_REVISION.finditer(each))
        elif case.find("skipped") is None:
            passed.add(test)
    if ran_through(result, failed):
        passed.add(WHOLE)
    else:
        tail = result.output_tail
        why = f"stopped after {result.seconds:.0f} s" if result.timed_out else f"exit code {result.exit_code}"
        found = SQL_ERROR.search(tail)
        failed[WHOLE] = f"{why}: {found[0][:LONGEST]}" if found else why
        not_located.update(found[1] for found in UNKNOWN_REVISION.finditer(tail))
    return Outcomes(
        passed=frozenset(passed - failed.keys()), failed=failed, not_located=frozenset(not_located), ended=why
    )


def alike(here: Outcomes, there: Outcomes) -> bool:
    """The command failed in the same way both times, and not so that no test passes any more."""
    return here.ended == there.ended and (bool(here.passed) or not there.passed)


def ran_through(result: SuiteResult, failed: Collection[str]) -> bool:
    """The command did what it should; that tests failed, is said by these."""
    return not result.timed_out and (result.exit_code == 0 or (result.exit_code == 1 and bool(failed)))


def name(case: ElementTree.Element) -> str:
    return f"{case.get('classname', '')}::{case.get('name', '')}".removeprefix("::")


def message(said: Collection[str]) -> str:
    """The first error of the database's driver, else the first line that says anything."""
    for each in said:
        if found := SQL_ERROR.search(each):
            return found[0].strip()[:LONGEST]
    lines = (line.strip() for each in said for line in each.splitlines())
    return next(filter(None, lines), "")[:LONGEST]
