"""After a visit there is an index that is invalid: it costs every write, and no query uses it.

CREATE INDEX CONCURRENTLY that fails half-way, at a duplicate or at a cancellation, leaves one behind, and since it runs
outside of a transaction nothing takes it back. `IF NOT EXISTS` then finds the name taken, and leaves the index invalid
for ever.

What to do: let the revision drop the index, if it exists, before it builds it; mend what the build failed at. The
finding has the lines.

What it cannot see: indexes that were invalid before. Indexes on partitioned tables, which are invalid until every
partition has its own, are left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from neontest.locks import lower
from neontest.record import Record, Visit, Walk
from neontest.report import Check, Finding, Level
from neontest.statements import shown
from neontest.walks import place, stairway_first, whose

ID = "invalid-index-left"


def run(record: Record) -> Iterator[Finding]:
    told: set[str] = set()
    for walk in stairway_first(record):
        for visit in walk.visits:
            for index in visit.invalid_indexes:
                if index not in told:
                    told.add(index)
                    yield finding(record, walk, visit, index)


def finding(record: Record, walk: Walk, visit: Visit, index: str) -> Finding:
    revision = whose(record, walk, visit.error)
    file, line = place(record, revision, visit.direction)
    if visit.error is not None and visit.error.file:
        file, line = visit.error.file, visit.error.line
    rolling_back = visit.direction == "downgrade"
    how = "that failed " if visit.error is not None else ""
    return Finding(
        check=ID,
        level=lower(Level.ERROR) if rolling_back else Level.ERROR,
        message=f"{'rolling back: ' * rolling_back}the {visit.direction} {how}leaves the index {shown(index)} invalid:"
        " it costs every write, and no query uses it",
        revision=revision,
        file=file,
        line=line,
        details=(visit.error.message,) if visit.error is not None and visit.error.message else (),
        hint="drop the index before it is built, so that the revision can be run again; IF NOT EXISTS would keep it",
        fix="with op.get_context().autocommit_block():\n"
        f"    op.execute({f'DROP INDEX CONCURRENTLY IF EXISTS {shown(index)}'!r})",
    )


CHECK = Check(id=ID, title="no index is left invalid", run=run)
