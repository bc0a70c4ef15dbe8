"""The downgrade ends with an error: the rollback that one would need in a hurry does not work.

What to do: the finding names the migration's line, the statement and the database's message. Where there is no way
back on purpose, say so with `raise NotImplementedError("…")`; that is the finding `irreversible`, a warning.

What it cannot see: a downgrade that works on today's rows and fails on those that the new version of the application
will have written.
"""

from __future__ import annotations

from collections.abc import Iterator

from neontest.record import Record
from neontest.report import Check, Finding, Level
from neontest.walks import down, failure_finding, irreversible, once, stairway_first, whose


def run(record: Record) -> Iterator[Finding]:
    yield from once(found(record))


def found(record: Record) -> Iterator[Finding]:
    for walk in stairway_first(record):
        visit = down(walk)
        if visit is None or irreversible(record, visit):
            continue
        if visit.error is not None:
            yield failure_finding(
                record, walk, visit.error, direction="downgrade", make=finding, message="the downgrade of {name} fails"
            )
        elif not visit.moved:
            yield finding(
                message="the downgrade ended without an error, but the version table did not move",
                revision=whose(record, walk),
                hint="does env.py swallow errors, or never call context.run_migrations()?",
            )


def finding(**facts: object) -> Finding:
    return Finding(check="downgrade-fails", level=Level.ERROR, **facts)  # type: ignore[arg-type]


CHECK = Check(id="downgrade-fails", title="the downgrade applies", run=run)
