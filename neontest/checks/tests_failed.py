"""The project's own tests do not pass on the migrated database.

They run after the walk, on a branch at head, with its URL in the environment. No test at all counts as a failure where
the project named its test command: nothing was shown.

What to do: the finding names the tests; run the same command on a branch of your own with `neontest run --keep`.

With `--grid` a test that fails in the old code on the old schema, too, or that passes when it is run again, is told in
a note, and is no finding.

What it cannot see: without `--grid`, whether they failed before the migration, too.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from neontest.gridded import lines
from neontest.record import Record, SuiteResult
from neontest.report import Check, Finding, Level

NO_TESTS_COLLECTED = 5
"""pytest's exit code. Source: https://docs.pytest.org/en/stable/reference/exit-codes.html (2026-11)."""


def run(record: Record) -> Iterator[Finding]:
    result = record.tests
    if result is None or (result.exit_code == 0 and not result.timed_out and not result.failed and not result.errors):
        return
    broken = blamed(record)
    if broken is not None and not broken:
        return
    none_found = result.exit_code == NO_TESTS_COLLECTED and not (result.passed or result.failed or result.errors)
    yield Finding(
        check="tests-failed",
        level=Level.WARNING if none_found and not result.named else Level.ERROR,
        message=sentence(result, none_found),
        details=broken or result.failures or tuple(result.output_tail.splitlines()[-8:]),
        hint="name the project's tests after `--` or in [tool.neontest], or use --no-tests" if none_found else None,
    )


def blamed(record: Record) -> tuple[str, ...] | None:
    """The tests that the pull request broke, and why; None where there is no baseline to know it by."""
    by_name = {cell.name: cell for cell in record.cells}
    base, cell = by_name.get("old-old"), by_name.get("new-new")
    if base is None or cell is None or base.note is not None:
        return None
    broken = [each for each in cell.failures if each.beside != "failed"]
    return lines(broken)


def sentence(result: SuiteResult, none_found: bool) -> str:
    command = shlex.join(result.command)
    if result.timed_out:
        return f"the tests were stopped after {result.seconds:.0f} s: {command}"
    if none_found:
        return f"no tests were found: {command}"
    if result.failed or result.errors:
        parts = [f"{result.failed} failed"] * bool(result.failed) + [f"{result.errors} errors"] * bool(result.errors)
        return f"the tests fail on the migrated database: {', '.join(parts)}, {result.passed} passed"
    how = f"was killed by signal {-result.exit_code}" if result.exit_code < 0 else f"exited with {result.exit_code}"
    return f"the test command {how}: {command}"


CHECK = Check(
    id="tests-failed",
    title="the project's tests pass on the migrated database",
    run=run,
    of_all=True,
    looked=lambda record: record.tests is not None,
)
