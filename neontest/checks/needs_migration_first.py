"""The new code does not work before its migration.

With `--grid` the tests of the new code are run on the old schema, too. A test that passes on the new schema and fails
on the old one says that the migration has to be deployed before the code, which is usual, and is no fault: it is only
told.

What to do: see to it that the migration is through before the new code gets any traffic.

What it cannot see: in which order your deploy does it.
"""

from __future__ import annotations

from collections.abc import Iterator

from neontest.gridded import broken, lines, told
from neontest.record import Record
from neontest.report import Check, Finding, Level


def run(record: Record) -> Iterator[Finding]:
    for failures in broken(record, "new-old"):
        yield Finding(
            check="needs-migration-first",
            level=Level.INFO,
            message=f"the new code fails on the old schema: {told(failures)}",
            details=lines(failures),
            hint="deploy the migration before the code",
        )


CHECK = Check(
    id="needs-migration-first",
    title="the new code works before its migration",
    run=run,
    looked=lambda record: any(cell.name == "new-old" and cell.note is None for cell in record.cells),
)
