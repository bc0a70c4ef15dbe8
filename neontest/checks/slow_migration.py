"""A revision took longer than a deploy should wait for it.

The limit is `slow-migration`, 3 minutes by default. Judged is the time of the revision's own upgrade, where it was
walked alone; else the sum of its statements in the whole walk. A rollback is told as info.

What to do: the finding names its slowest statements. Fill rows in batches outside of the deploy, build indexes with
CONCURRENTLY, validate constraints later.

What it cannot see: how fast the real compute is. A branch reads its first pages from storage, so it is often slower;
and a parent with fewer rows than production is faster. Rows that neontest invented are too few: nothing is judged on
them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Final

from neontest.locks import duration, line, lower
from neontest.record import Direction, Record, Statement, Visit, Walk
from neontest.report import Check, Finding, Level
from neontest.walks import down, never, place, up

ID = "slow-migration"
DIRECTIONS: Final[tuple[tuple[Direction, Callable[[Walk], Visit | None]], ...]] = (("upgrade", up), ("downgrade", down))


def run(record: Record) -> Iterator[Finding]:
    limit = record.limits.migration_seconds
    for direction, pick in DIRECTIONS:
        times: dict[str, tuple[float, tuple[Statement, ...]]] = {}
        for walk in record.walks:
            visit = pick(walk)
            if visit is None or walk.with_rows:
                continue
            for revision, (seconds, statements) in by_revision(record, walk, visit).items():
                # What was walked alone is better known than a share of the whole.
                if revision not in times or walk.kind == "stairway":
                    times[revision] = seconds, statements
        for revision, (seconds, statements) in times.items():
            if seconds > limit:
                yield finding(record, revision, direction, seconds, statements)


def by_revision(record: Record, walk: Walk, visit: Visit) -> dict[str, tuple[float, tuple[Statement, ...]]]:
    """How long each revision took in the visit, and its statements."""
    pending = record.history.pending
    alone = walk.revision or (pending[0] if len(pending) == 1 else None)
    if alone is not None:
        return {alone: (visit.seconds, visit.statements)}
    found: defaultdict[str, list[Statement]] = defaultdict(list)
    for each in visit.statements:
        if each.revision is not None:
            found[each.revision].append(each)
    return {revision: (sum(each.seconds for each in its), tuple(its)) for revision, its in found.items()}


def finding(
    record: Record, revision: str, direction: Direction, seconds: float, statements: tuple[Statement, ...]
) -> Finding:
    file, at = place(record, revision, direction)
    slowest = sorted(statements, key=lambda each: -each.seconds)[:3]
    rolling_back = direction == "downgrade"
    return Finding(
        check=ID,
        level=lower(Level.WARNING) if rolling_back else Level.WARNING,
        message=f"{'rolling back: ' * rolling_back}the {direction} of revision {revision} took {duration(seconds)}"
        f" (limit {duration(record.limits.migration_seconds)})",
        revision=revision,
        file=file,
        line=at,
        details=tuple(line(each) for each in slowest),
        hint="fill rows in batches outside of the deploy, build indexes with CONCURRENTLY, validate constraints later",
    )


CHECK = Check(id=ID, title="each revision is quick", run=run, looked=never)
