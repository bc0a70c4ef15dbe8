"""A lock kept everybody else from reading or writing a table for longer than the limit.

Postgres keeps a lock until its transaction ends, so what counts is the time from the statement that took it to the
commit, with all that ran in between. ACCESS EXCLUSIVE blocks reads and writes; EXCLUSIVE, SHARE ROW EXCLUSIVE and
SHARE block writes. The limit is `lock-budget`, 1 s by default. Excused are tables that the pending revisions make
themselves, and those of fewer than `small-table` rows, 10,000 by default. A rollback is judged one level milder than
a deploy.

What to do: the finding names the statement and the way that does the same without blocking: NOT VALID and VALIDATE,
CONCURRENTLY, a CHECK before SET NOT NULL, batches, or a shorter transaction. `transaction_per_migration=True` in
env.py ends the lock of one revision before the next begins.

On rows that neontest invented, no time is judged. Then only a lock that is held longer the more rows there are is
told, as info: rows that are read in full to prove a constraint, or an UPDATE that follows in the same transaction.
`table-rewrite` and `index-not-concurrent` tell the rest.

What it cannot see: the traffic. A lock of a blink, too, waits for the slowest query before it, and everybody else
queues behind it: that is what `no-lock-timeout` is about. A lock that was seen only before the commit may have been
held for less than is said, which is why it is told one level milder.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from neontest.locks import (
    ABOUT,
    BLOCKS,
    PARTITIONED,
    Size,
    Stage,
    Taken,
    duration,
    line,
    lower,
    stages,
    table,
    worst_first,
)
from neontest.record import Record, Statement
from neontest.report import Check, Finding, Level
from neontest.statements import brief, builds, kind, moves_rows, rewritten, shown
from neontest.walks import never

ID = "blocking-lock"
BATCHES = (
    "move the change of rows into a revision of its own, in batches that each commit: the lock then ends with the"
    " change of the schema"
)
APART = "set transaction_per_migration=True in env.py: the lock then ends with its own revision"
SHORT = (
    "let the transaction end right after the statement that takes the lock, with SET LOCAL lock_timeout before it, and"
    " do the rest in another revision"
)
SEEN = {
    "commit": "at most, since it was seen only before the commit: one of the statements of this transaction took it",
    "sampled": "about, since another connection looked on while the statement ran",
    "inferred": "at most: nobody saw this lock, it is told from the kind of statement",
}


def run(record: Record) -> Iterator[Finding]:
    for stage in stages(record):
        for group in stage.by_transaction().values():
            by_relation: defaultdict[str, list[Taken]] = defaultdict(list)
            for each in group:
                by_relation[each.lock.relation].append(each)
            for taken in by_relation.values():
                yield from found(stage, taken)


def found(stage: Stage, taken: list[Taken]) -> Iterator[Finding]:
    """What is to be said of one relation's locks in one transaction: at most one finding, about the worst."""
    limit = stage.record.limits.lock_seconds
    if taken[0].size is Size.INVENTED:
        grows = [each for each in sorted(taken, key=worst_first) if told_here(each)]
        yield from map(by_kind, grows[:1])
        return
    long = sorted((each for each in taken if each.lock.held_seconds > limit), key=worst_first)
    if long:
        yield measured(long[0], limit)


def told_here(taken: Taken) -> bool:
    """Another check tells of the rewrite, or of the index."""
    return taken.slow_by_kind is not None and not taken.rewrites and next(builds(taken.statement.sql), None) is None


def measured(taken: Taken, limit: float) -> Finding:
    lock, stage = taken.lock, taken.stage
    level = stage.level(Level.ERROR, taken.size)
    held = ABOUT[lock.seen] + duration(lock.held_seconds)
    details = [line(taken.statement)]
    if lock.seen != "statement":
        details.append(SEEN[lock.seen])
    later = sorted(taken.after, key=lambda each: -each.seconds)[:3]
    details += [f"then, in the same transaction: {line(each)}" for each in later if each.seconds * 10 >= limit]
    if taken.size is Size.UNKNOWN:
        details.append(f"how many rows are in {shown(lock.relation)} is not known")
    hint, fix = advice(taken)
    return stage.finding(
        ID,
        lower(level) if lock.seen == "commit" else level,
        taken.statement,
        f"{brief(taken.statement.sql)} held {lock.mode} on {table(lock)} for {held} (limit {duration(limit)}) and"
        f" blocked {BLOCKS[lock.mode]}",
        details=tuple(details),
        hint=hint,
        fix=fix,
    )


def by_kind(taken: Taken) -> Finding:
    lock = taken.lock
    hint, fix = advice(taken)
    return taken.stage.finding(
        ID,
        taken.stage.level(Level.ERROR, taken.size),
        taken.statement,
        f"{brief(taken.statement.sql)} takes {lock.mode} on {shown(lock.relation)} and blocks {BLOCKS[lock.mode]}, the"
        f" longer the more rows there are: {taken.slow_by_kind}",
        details=tuple(filter(None, (line(taken.statement), taken.size.remark))),
        hint=hint,
        fix=fix,
    )


def advice(taken: Taken) -> tuple[str, str | None]:
    """What to do about what takes the time: the statement itself, or one that ran while the lock was held."""
    own, cause = taken.statement, slowest(taken)
    if cause is not own:
        if any(moves_rows(each.sql) and each.seconds * 2 >= cause.seconds for each in taken.after):
            return BATCHES, None
        if cause.revision != own.revision:
            return APART, None
    if any(map(taken.stage.splits, builds(cause.sql))):
        return PARTITIONED, None
    what = kind(cause.sql)
    return (what.safe, rewritten(cause.sql)) if what is not None else (SHORT, None)


def slowest(taken: Taken) -> Statement:
    """By the clock, or on invented rows by what would take its time on real ones."""
    if taken.size is Size.INVENTED:
        return taken.statement if taken.slow_by_itself else taken.slow_later or taken.statement
    return max((taken.statement, *taken.after), key=lambda each: each.seconds)


CHECK = Check(id=ID, title="no lock blocks others for long", run=run, looked=never)
