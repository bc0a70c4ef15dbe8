"""A lock that blocks others was taken without a lock_timeout.

Even a statement of a millisecond has to wait for the slowest query before it, and while it waits, everybody who comes
later queues behind it: one long report, and the application stands still. With a lock_timeout the migration gives up
instead, and can be tried again. What counts is the setting in effect when the lock was taken, wherever it was set: in
the revision, in env.py, for the role or for the database. Excused are tables that the pending revisions make
themselves, and those of fewer than `small-table` rows.

What to do: set it, in the revision, or once for all in env.py after the connection is open.

On rows that neontest invented, only statements that take the longer the more rows there are are told, as info.

What it cannot see: whether there is a query to wait for. And where the setting of an autocommit statement was changed
in the same text as the statement, what counted was there for a moment only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from neontest.locks import BLOCKS, Size, Stage, Taken, measured, stages, worst_first
from neontest.record import Record
from neontest.report import Check, Finding, Level
from neontest.statements import brief, shown

ID = "no-lock-timeout"


def run(record: Record) -> Iterator[Finding]:
    for stage in stages(record):
        by_revision: defaultdict[str | None, list[Taken]] = defaultdict(list)
        for taken in stage.taken():
            if not taken.lock.timeout_seconds and told(taken):
                by_revision[taken.statement.revision].append(taken)
        for locks in by_revision.values():
            yield finding(stage, locks)


def told(taken: Taken) -> bool:
    return taken.size is Size.LARGE or (taken.size is Size.INVENTED and taken.slow_by_kind is not None)


def finding(stage: Stage, locks: list[Taken]) -> Finding:
    """One of a revision, with the worst lock of each relation."""
    worst: dict[str, Taken] = {}
    for each in sorted(locks, key=worst_first):
        worst.setdefault(each.lock.relation, each)
    large = [each for each in worst.values() if each.size is Size.LARGE]
    first = min(large or worst.values(), key=lambda each: each.at)
    names = [shown(relation) for relation in worst]
    several = f"{', '.join(names[:5])}{f' and {len(names) - 5} more' if len(names) > 5 else ''}"
    remark = None if large else first.size.remark
    details = [
        f"{each.lock.mode} on {shown(relation)}: {brief(each.statement.sql)}" for relation, each in worst.items()
    ]
    blocked = BLOCKS[min((each.lock.mode for each in worst.values()), key=list(BLOCKS).index)]
    return stage.finding(
        ID,
        stage.level(Level.WARNING, first.size),
        first.statement,
        f"locks that block {blocked} are taken without a lock_timeout on {several}: while they wait for a slow query,"
        " all others wait for them",
        details=(*details, *([remark] if remark else [])),
        hint="set it before the statement, or once in env.py; a migration that gives up can be tried again",
        fix="op.execute(\"SET LOCAL lock_timeout = '5s'\")"
        if first.statement.transaction
        else "op.execute(\"SET lock_timeout = '5s'\")",
    )


CHECK = Check(id=ID, title="who waits for a lock gives up in time", run=run, looked=measured)
