"""The migration breaks the code that is running while it is deployed.

With `--grid` the tests of the base branch's code are run on the old schema and on the new one. A test that passes on
the old and fails on the new, also when it is run again, names what the running application does and cannot do any
more: from the migration until its new code is out everywhere, and again after a rollback of the code alone.

What to do: deploy the change in steps that each leave the running code working (expand and contract): add what is new
beside what is old, have the code write both and read the new one, and drop the old one in a later release, when no
running code knows it. A test that compares the models with the schema has nothing to say there: skip it where the
variable NEONTEST_CELL is `old-new` or `new-old`.

What it cannot see: what the tests of the old code do not try; how the old code does under concurrent traffic.
"""

from __future__ import annotations

from collections.abc import Iterator

from neontest.gridded import broken, lines, told
from neontest.record import Record
from neontest.report import Check, Finding, Level
from neontest.walks import revision


def run(record: Record) -> Iterator[Finding]:
    for failures in broken(record, "old-new"):
        at = revision(record, failures[0].revision)
        yield Finding(
            check="breaks-running-code",
            level=Level.ERROR,
            message=f"the code of the base branch fails on the new schema: {told(failures)}",
            revision=failures[0].revision,
            file=at.file if at else None,
            line=(at.upgrade_line or at.line) if at else None,
            details=lines(failures),
            hint="deploy it in steps that the running code survives: add first, drop in a later release"
            + ("" if failures[0].revision else "; --bisect says which revision it is"),
        )


CHECK = Check(
    id="breaks-running-code",
    title="the code that runs during the deploy works on the new schema",
    run=run,
    looked=lambda record: any(cell.name == "old-new" and cell.note is None for cell in record.cells),
)
