"""The grid: the tests of old and new code, each on the old and on the new schema, a sibling each.

Old code on the old schema is the baseline: what fails there blames nobody. Old code on the new schema is what runs
while the migration is deployed, and after a rollback of the code; new code on the old schema, what is out before its
migration. New code on the new schema is the run's own tests.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Final, Literal

import msgspec

from neontest.cells import Cell, CellFailure, CellName
from neontest.errors import UsageError
from neontest.gridded import BESIDE
from neontest.ground import Context
from neontest.lanes import Lanes
from neontest.old_code import checked_out, left_out
from neontest.outcomes import WHOLE, alike
from neontest.sessions import Sessions
from neontest.testing import Code, Ran, Tests
from neontest.trial import Trial, failed

ORDER: Final[tuple[CellName, ...]] = ("old-old", "old-new", "new-new", "new-old")
MOST: Final = 500
"""Failures of a cell that are kept."""
NAMED: Final = 5
"""Tests that a note names."""


class Seen(msgspec.Struct, kw_only=True):
    """What is known of one cell."""

    ran: Ran | None = None
    note: str | None = None
    flaky: frozenset[str] = frozenset()
    together: frozenset[str] = frozenset()
    """What fails only beside the other tests, whose rows, say, stand in its way."""
    revisions: dict[str, str] = msgspec.field(default_factory=dict)
    """By test of the old code, the revision that broke it."""

    def failures(self) -> dict[str, str]:
        """What failed, and did not pass when it was run again."""
        found = self.ran.outcomes.failed if self.ran is not None else {}
        return {test: why for test, why in found.items() if test not in self.flaky}

    def of(self, test: str) -> Literal["passed", "failed", "not run"]:
        """What became of the test in the end."""
        return "not run" if self.ran is None else "passed" if test in self.flaky else self.ran.outcomes.of(test)


class Grid:
    """The grid of one run. `fresh` takes a sibling, `done` gives it back."""

    def __init__(
        self,
        context: Context,
        sessions: Sessions,
        tests: Tests,
        lanes: Lanes,
        *,
        fresh: Callable[[], Trial],
        done: Callable[[Trial], None],
        target: str,
    ) -> None:
        self.notes: list[str] = []
        self._context = context
        self._tests = tests
        self._lanes = lanes
        self._fresh = fresh
        self._done = done
        self._target = target
        self._turn = threading.Lock()
        self._cells: dict[CellName, Seen] = {}
        self._waiting: list[CellName] = []
        self._at_work: list[CellName] = []
        self._old: Code | None = None
        try:
            context.talk.say(f"checking out the old code: {context.settings.base}")
            self._old = checked_out(context, sessions)
            self._waiting.extend(each for each in ORDER if each != "new-new")
        except UsageError as error:
            self.notes.append(left_out(error))

    @property
    def waiting(self) -> int:
        """Cells that no lane has taken yet."""
        return len(self._waiting)

    def work(self) -> None:
        """Run cells until none is left; others may do so at the same time."""
        while True:
            with self._turn:
                if not self._waiting:
                    return
                name = next(filter(self._undisturbed, self._waiting), self._waiting[0])
                self._waiting.remove(name)
                self._at_work.append(name)
            self.seen(name, self._run(name))
            with self._turn:
                self._at_work.remove(name)

    def _undisturbed(self, name: CellName) -> bool:
        """No tests run in the folder of the cell's code, nor soon will."""
        code = self._code(name)
        return not self._tests.busy(code) and all(self._code(each).root != code.root for each in self._at_work)

    def seen(self, name: CellName, ran: Ran | None) -> None:
        """Take over what a cell's tests did; None where there is no branch for them."""
        if self._old is None:
            return
        cell = Seen(ran=ran, note="a fresh branch could not be upgraded" if ran is None else self._says_nothing(ran))
        with self._turn:
            self._cells[name] = cell

    def end(self, pending: tuple[str, ...]) -> tuple[Cell, ...]:
        """The cells, once what failed was run again; nothing where there is no old code."""
        if self._old is None or "new-new" not in self._cells:
            return ()
        base = self._cells["old-old"]
        if base.note is None and base.ran is not None and not base.ran.outcomes.passed:
            why = base.ran.outcomes.failed.get(WHOLE, "none of them passes")
            base.note = f"the tests cannot be run there ({why}), so nothing is compared with them"
        self._again("new-new")  # first: what is flaky there passes, where the next is compared with it
        with self._lanes.beside(lambda: self._again("new-old")):
            self._again("old-new")
        self._find_revisions(pending)
        self._say()
        return tuple(self._recorded(name) for name in ORDER)

    def _run(self, name: CellName, only: Iterable[str] = (), *, to: str | None = None) -> Ran | None:
        """The tests of a cell; with `to` on the schema of that revision. None where it cannot be upgraded to."""
        trial = self._fresh()
        if name.endswith("-new") and failed(trial.visit("upgrade", to or self._target)):
            return None
        ran = self._tests.run(trial, self._code(name), name, only=frozenset(only))
        self._done(trial)
        return ran

    def _code(self, name: CellName) -> Code:
        assert self._old is not None
        return self._old if name.startswith("old-") else self._tests.here()

    def _says_nothing(self, ran: Ran) -> str | None:
        """Why the result proves nothing about the migration, where that is so."""
        result, found = ran.result, ran.outcomes
        if found.not_located:
            return (
                f"the tests migrate the database themselves, and know no revision {min(found.not_located)}: have them"
                " leave that out where NEONTEST is set"
            )
        if ran.void is not None:
            return f"{ran.void}: it proves nothing about the migration"
        if result.timed_out:
            return f"the tests were stopped after {result.seconds:.0f} s"
        return None

    def _judged(self, name: CellName) -> dict[str, str]:
        """The failures of a cell of tests that pass in the cell beside it."""
        cell, other = self._cells[name], self._cells[BESIDE[name]]
        if cell.note is not None or other.note is not None:
            return {}
        return {test: why for test, why in cell.failures().items() if other.of(test) == "passed"}

    def _beside(self, name: CellName, test: str) -> Literal["passed", "failed", "not run"]:
        """What became of the test in the cell beside it; a command that ended in another way did not fail there."""
        cell, other = self._cells[name], self._cells[BESIDE[name]] if name in BESIDE else Seen()
        became = other.of(test)
        if test != WHOLE or became != "failed" or cell.ran is None or other.ran is None:
            return became
        return became if alike(cell.ran.outcomes, other.ran.outcomes) else "not run"

    def _again(self, name: CellName) -> None:
        """Run once more, on a fresh sibling, what a cell is about to blame; what passes then is flaky.

        A test that passes alone has to pass with the others, too: that it fails there every time is no mood of its.
        """
        cell = self._cells[name]
        suspected = cell.failures() if name == "new-new" else self._judged(name)
        if cell.note is not None or not suspected:
            return
        alone = () if WHOLE in suspected else suspected
        ran = self._run(name, alone)
        passed = frozenset(suspected) & ran.outcomes.passed if ran is not None else frozenset[str]()
        if passed and alone:
            ran = self._run(name)
            cell.together = passed - ran.outcomes.passed if ran is not None else passed
        cell.flaky = passed - cell.together

    def _find_revisions(self, pending: tuple[str, ...]) -> None:
        """Which revision broke a test of the old code: the only one there is, or on request by trying."""
        broken = frozenset(self._judged("old-new"))
        if len(pending) == 1 or self._context.settings.bisect:
            self._narrow(pending, 0, len(pending), broken)

    def _narrow(self, pending: tuple[str, ...], passes: int, fails: int, broken: frozenset[str]) -> None:
        """These tests pass after the first so many revisions, and fail after so many: halve what is between.

        Each try has a sibling of its own: rows that the tests leave could stand in the way of the next revision.
        """
        if not broken:
            return
        if fails - passes == 1:
            self._cells["old-new"].revisions |= dict.fromkeys(broken, pending[passes])
            return
        middle = (passes + fails) // 2
        whole = broken & {WHOLE, *self._cells["old-new"].together}
        ran = self._run("old-new", () if whole else broken, to=pending[middle - 1])
        if ran is None:
            self.notes.append(f"--bisect: no fresh branch could be upgraded to {pending[middle - 1]}")
            return
        early = broken & ran.outcomes.failed.keys()
        self._narrow(pending, passes, middle, early)
        self._narrow(pending, middle, fails, broken - early)

    def _say(self) -> None:
        """The notes: what blames nobody, and which cells say nothing."""
        for name in ORDER:
            cell = self._cells[name]
            whose, _, where = name.partition("-")
            if cell.note is not None:
                self.notes.append(f"{whose} code on the {where} schema: {cell.note}")
            if cell.flaky:
                self.notes.append(
                    f"flaky, and blamed on nobody: {tests(cell.flaky)} failed in {whose} code on the {where} schema,"
                    " and passed when run again"
                )
        base, ran = self._cells["old-old"], self._cells["new-new"]
        failures = ran.failures() if base.note is None else ()
        both = [test for test in failures if self._beside("new-new", test) == "failed"]
        if both:
            self.notes.append(f"failed before the pull request, too, and blamed on nobody: {tests(both)}")

    def _recorded(self, name: CellName) -> Cell:
        cell = self._cells[name]
        if cell.ran is None:
            return Cell(name=name, note=cell.note)
        failures = [
            CellFailure(test=test, message=why, beside=self._beside(name, test), revision=cell.revisions.get(test))
            for test, why in cell.failures().items()
        ]
        failures.sort(key=lambda each: (each.beside != "passed", each.test))
        result = cell.ran.result
        return Cell(
            name=name, branch=cell.ran.branch, seconds=round(result.seconds, 3), exit_code=result.exit_code,
            passed=result.passed, skipped=result.skipped,
            failed=None if result.failed is None else result.failed + (result.errors or 0),
            failures=tuple(failures[:MOST]), flaky=tuple(sorted(cell.flaky)), note=cell.note,
        )  # fmt: skip


def tests(names: Iterable[str]) -> str:
    """Some of them by name, without the parameters, which are values."""
    found = sorted({each.partition("[")[0] for each in names})
    more = len(found) - NAMED
    return ", ".join(found[:NAMED]) + (f" and {more} more" if more > 0 else "")
