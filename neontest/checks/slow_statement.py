"""One statement ran longer than the limit.

The limit is `slow-statement`, 30 s by default. While it runs it keeps its locks, its rows' locks too, holds back
vacuum, and if it fails, all of it was for nothing. A rollback is told as info.

What to do: change rows in batches that each commit; let the finding's line be a revision of its own, or a job outside
of the deploy.

What it cannot see: statements that the project's own command sent, and a loop of many quick ones, which is for
`slow-migration`. Statements with CONCURRENTLY are left out: they are slow so that nobody has to wait for them. Nothing
is judged on rows that neontest invented.
"""

from __future__ import annotations

from collections.abc import Iterator

from neontest.locks import Stage, duration, line, stages
from neontest.record import Record, Statement
from neontest.report import Check, Finding, Level
from neontest.statements import brief, concurrent, kind, moves_rows
from neontest.walks import never

ID = "slow-statement"
BATCHES = "change the rows in batches that each commit, in a revision of its own or in a job outside of the deploy"
APART = "do that in a revision of its own, which holds no locks of other statements meanwhile, or outside of the deploy"


def run(record: Record) -> Iterator[Finding]:
    for stage in stages(record):
        if stage.walk.with_rows:
            continue
        for statement in stage.visit.statements:
            if statement.seconds > record.limits.statement_seconds and not concurrent(statement.sql):
                yield finding(stage, statement)


def finding(stage: Stage, statement: Statement) -> Finding:
    limit = stage.record.limits.statement_seconds
    changed = f" and changed {statement.rows:,} rows" if statement.rows and moves_rows(statement.sql) else ""
    waited = (
        f", {duration(statement.waited_seconds)} of it for other connections' locks" if statement.waited_seconds else ""
    )
    what = kind(statement.sql)
    return stage.finding(
        ID,
        stage.level(Level.WARNING),
        statement,
        f"{brief(statement.sql)} took {duration(statement.seconds)} (limit {duration(limit)}){waited}{changed}",
        details=(line(statement),),
        hint=BATCHES if moves_rows(statement.sql) else what.safe if what is not None else APART,
    )


CHECK = Check(id=ID, title="each statement is quick", run=run, looked=never)
