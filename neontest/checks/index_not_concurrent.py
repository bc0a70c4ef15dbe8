"""An index is built while nobody can write to its table.

CREATE INDEX takes SHARE: reads go on, and every INSERT, UPDATE and DELETE waits until the index is built and the
transaction has ended. A UNIQUE or PRIMARY KEY constraint builds one under ACCESS EXCLUSIVE, and REINDEX keeps readers
out as well. Excused are tables that the pending revisions make themselves, and those of fewer than `small-table` rows.

What to do: build it with CONCURRENTLY, in an `autocommit_block()`, as the finding writes it. A constraint then takes
the finished index over with USING INDEX. Write such a revision so that it can be run again: an interrupted build leaves
an invalid index behind, which `invalid-index-left` finds.

What it cannot see: how long the build takes on other rows; DROP INDEX, which is quick once it has its lock, and is for
`no-lock-timeout`; and an index on a partitioned table with ON ONLY, which builds nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from neontest.locks import PARTITIONED, Size, Stage, duration, measured, stages, table
from neontest.record import Record, Statement
from neontest.report import Check, Finding, Level
from neontest.statements import Build, builds, shown

ID = "index-not-concurrent"
PLAIN = "build it with CONCURRENTLY in an autocommit_block"
CONSTRAINT = "build the unique index with CONCURRENTLY in an autocommit_block, then ADD CONSTRAINT … USING INDEX"
COLUMN = f"add the column without the constraint; {CONSTRAINT}"


def run(record: Record) -> Iterator[Finding]:
    for stage in stages(record):
        for statement in stage.visit.statements:
            for built in builds(statement.sql):
                relation = target(stage, statement, built)
                if relation is not None and stage.size(relation) is not Size.EXCUSED:
                    yield finding(stage, statement, built, relation)


def target(stage: Stage, statement: Statement, built: Build) -> str | None:
    """The table that the index is on, which the statement may not name."""
    if built.table is not None:
        return stage.named(built.table)
    return next(
        (lock.relation for lock in statement.locks if lock.mode == "SHARE" and lock.relation in stage.relations), None
    )


def finding(stage: Stage, statement: Statement, built: Build, relation: str) -> Finding:
    size, lock = stage.size(relation), stage.relations[relation]
    took = f" in {duration(statement.seconds)}" if size is Size.LARGE else ""
    name = table(lock) if size is Size.LARGE else shown(relation)
    partitioned = stage.splits(built)
    by_constraint = statement.sql.lstrip()[:5].upper() == "ALTER"
    plain = COLUMN if built.with_column else CONSTRAINT if by_constraint else PLAIN
    return stage.finding(
        ID,
        stage.level(Level.WARNING, size),
        statement,
        f"{built.what} is built on {name} without CONCURRENTLY{took}: it blocks {blocked(statement)} until the commit",
        details=(size.remark,) if size.remark else (),
        hint=PARTITIONED if partitioned else plain,
        fix=None if partitioned else built.fix,
    )


def blocked(statement: Statement) -> str:
    """An index that is locked itself cannot even be planned with."""
    alone = statement.sql.lstrip()[:6].upper() == "CREATE"
    return "writes" if alone else "reads and writes"


CHECK = Check(id=ID, title="indexes are built beside the traffic", run=run, looked=measured)
