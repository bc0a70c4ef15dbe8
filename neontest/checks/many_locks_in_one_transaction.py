"""One transaction held locks that block others on more tables than the limit, all at once.

Locks are kept until the commit. A transaction that collects them on many tables stops the application as a whole, and
when the application takes the same tables in another order, one of the two ends with a deadlock. The limit is
`many-locks`, 5 tables by default. A partitioned table is one with all its partitions. Not counted are tables that the
pending revisions make themselves, and those of fewer than `small-table` rows.

What to do: change fewer tables in a revision, and set `transaction_per_migration=True` in env.py, so that each revision
is a transaction of its own: without it, all that a deploy brings is one.

What it cannot see: the order in which the application takes its tables. Rows that neontest invented stand for a table's
own, but then it is told as info.
"""

from __future__ import annotations

from collections.abc import Iterator

from neontest.locks import BLOCKS, Size, Stage, Taken, line, measured, stages
from neontest.record import Record
from neontest.report import Check, Finding, Level
from neontest.statements import shown

ID = "many-locks-in-one-transaction"


def run(record: Record) -> Iterator[Finding]:
    limit = record.limits.many_locks
    for stage in stages(record):
        for (transaction, _), taken in stage.by_transaction().items():
            first: dict[str, Taken] = {}
            for each in taken:
                if each.size in (Size.LARGE, Size.INVENTED):
                    first.setdefault(each.lock.part_of[-1] if each.lock.part_of else each.lock.relation, each)
            if transaction and len(first) > limit:
                yield finding(stage, list(first.values()), limit)


def finding(stage: Stage, held: list[Taken], limit: int) -> Finding:
    """At the statement that went beyond the limit."""
    large = sum(each.size is Size.LARGE for each in held)
    size = Size.LARGE if large > limit else Size.INVENTED
    revisions = list(dict.fromkeys(each.statement.revision for each in held))
    worst = BLOCKS[min((each.lock.mode for each in held), key=list(BLOCKS).index)]
    of = f", of {len(revisions)} revisions" if len(revisions) > 1 else ""
    return stage.finding(
        ID,
        stage.level(Level.WARNING, size),
        held[limit].statement,
        f"one transaction{of} held locks on {len(held)} tables at once (limit {limit}), which block {worst}",
        details=(
            *(f"{each.lock.mode} on {shown(each.lock.relation)}: {line(each.statement)}" for each in held[:20]),
            *([f"{len(held) - 20} more"] if len(held) > 20 else []),
            *([size.remark] if size.remark else []),
        ),
        hint="set transaction_per_migration=True in env.py"
        if len(revisions) > 1
        else "change fewer tables in a revision",
    )


CHECK = Check(id=ID, title="a transaction locks few tables", run=run, looked=measured)
