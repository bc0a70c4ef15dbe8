"""The upgrade does not apply to a copy of the parent.

The first upgrade of a revision, or of all pending revisions in one go, ended with an error, did not move the version
table, or took longer than its limit. The deploy would have failed in the same way.

What to do: the finding names the migration's line, the statement and the database's message. If the rows are the
reason (a new NOT NULL over nulls, a unique index over duplicates), mend them first, in the same revision.

What it cannot see: failures that need concurrent traffic, such as lock timeouts and deadlocks.
"""

from __future__ import annotations

from collections.abc import Iterator

from neontest.record import Record
from neontest.report import Check, Finding, Level
from neontest.walks import failure_finding, once, stairway_first, up, whose


def run(record: Record) -> Iterator[Finding]:
    yield from once(found(record))


def found(record: Record) -> Iterator[Finding]:
    for walk in stairway_first(record):
        visit = up(walk)
        if visit is None:
            continue
        if visit.error is not None:
            yield failure_finding(
                record, walk, visit.error, direction="upgrade", make=finding, message="the upgrade of {name} fails"
            )
        elif not visit.moved:
            yield finding(
                message="the upgrade ended without an error, but the version table did not move",
                revision=whose(record, walk),
                hint="does env.py swallow errors, or never call context.run_migrations()?",
            )


def finding(**facts: object) -> Finding:
    return Finding(check="upgrade-fails", level=Level.ERROR, **facts)  # type: ignore[arg-type]


CHECK = Check(id="upgrade-fails", title="the upgrade applies", run=run)
