"""A statement wrote a whole table, or a materialized view, anew.

Postgres makes new files, copies every row and builds every index again, under ACCESS EXCLUSIVE: nobody reads or writes
meanwhile, the disk needs room for both, and replicas have to take all of it. A new type that does not store alike, a
default that differs by row, a new storage or tablespace do that. Excused are tables that the pending revisions make
themselves, and those of fewer than `small-table` rows.

What to do: a new column beside the old one, filled in batches, and the two swapped; the finding names the way for the
kind of statement. varchar to text, or a longer varchar, need no rewrite.

What it cannot see: rewrites that a real table needs and the branch's does not, which does not happen for the same
statement. TRUNCATE makes new files, too, but writes no rows: that is for `data-loss`.
"""

from __future__ import annotations

from collections.abc import Iterator

from neontest.locks import Size, Stage, duration, line, measured, stages, table
from neontest.record import Record, Statement
from neontest.report import Check, Finding, Level
from neontest.statements import bare, brief, kind, shown

ID = "table-rewrite"
OTHERWISE = "add what is new beside the old, fill it in batches in a revision of its own, and swap the two"


def run(record: Record) -> Iterator[Finding]:
    for stage in stages(record):
        for statement in stage.visit.statements:
            rewrote = stage.whole(statement, statement.rewrote)
            relations = [each for each in rewrote if stage.size(each) is not Size.EXCUSED]
            if relations and not bare(statement.sql).upper().startswith("TRUNCATE"):
                yield finding(stage, statement, relations)


def finding(stage: Stage, statement: Statement, relations: list[str]) -> Finding:
    """One of a statement: a table's partitions are rewritten together."""
    large = [each for each in relations if stage.size(each) is Size.LARGE]
    size = stage.size((large or relations)[0])
    first = (large or relations)[0]
    more = f" and {len(relations) - 1} more" if len(relations) > 1 else ""
    took = f" in {duration(statement.seconds)}" if size is Size.LARGE else ""
    name = table(stage.relations[first]) if size is Size.LARGE else shown(first)
    what = kind(statement.sql)
    return stage.finding(
        ID,
        stage.level(Level.WARNING, size),
        statement,
        f"{brief(statement.sql)} wrote every row of {name}{more} anew{took}, under ACCESS EXCLUSIVE: it blocks reads"
        " and writes",
        details=(
            line(statement),
            *(f"rewritten: {shown(each)}" for each in relations if more),
            *([size.remark] if size.remark else []),
        ),
        hint=what.safe if what is not None else OTHERWISE,
    )


CHECK = Check(id=ID, title="no table is rewritten", run=run, looked=measured)
