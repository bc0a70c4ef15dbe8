"""A statement with CONCURRENTLY ran inside a transaction, where Postgres refuses it.

Alembic opens a transaction around every migration. CREATE INDEX CONCURRENTLY, its DROP and REINDEX, and DETACH
PARTITION CONCURRENTLY work in several transactions of their own, and fail with SQLSTATE 25001 inside another.

What to do: put the statement into `with op.get_context().autocommit_block():`, alone in its `op.execute`, since several
statements in one text are a transaction, too. What stands before the block in the revision is committed by it.

What it cannot see: a refusal that the migration catches itself.
"""

from __future__ import annotations

from collections.abc import Iterator

from neontest.locks import lower
from neontest.record import Failure, Record, Walk
from neontest.report import Check, Finding, Level
from neontest.statements import bare, brief, concurrent, exact
from neontest.walks import once, place, stairway_first, whose

ID = "concurrent-in-transaction"
REFUSED = "25001"
"""active_sql_transaction. Source: https://www.postgresql.org/docs/current/errcodes-appendix.html (2026-11)."""


def run(record: Record) -> Iterator[Finding]:
    for direction in ("upgrade", "downgrade"):
        yield from once(found(record, direction))


def found(record: Record, direction: str) -> Iterator[Finding]:
    for walk in stairway_first(record):
        for visit in walk.visits:
            error = visit.error
            if error is None or visit.direction != direction:
                continue
            if error.sqlstate == REFUSED and concurrent(error.sql or ""):
                yield finding(record, walk, error, direction)


def finding(record: Record, walk: Walk, error: Failure, direction: str) -> Finding:
    sql = (error.sql or "").strip()
    several, alone = ";" in bare(sql).rstrip("; "), exact(sql)
    revision = whose(record, walk, error)
    file, line = (error.file, error.line) if error.file else place(record, revision, direction)
    rolling_back = direction == "downgrade"
    return Finding(
        check=ID,
        level=lower(Level.ERROR) if rolling_back else Level.ERROR,
        message=f"{'rolling back: ' * rolling_back}{brief(sql)} cannot run inside a transaction",
        revision=revision,
        file=file,
        line=line,
        details=(error.message,),
        hint="give each statement an op.execute of its own, inside the block"
        if several
        else "put it into an autocommit_block, which ends the transaction for it",
        fix="with op.get_context().autocommit_block():" + (f"\n    op.execute({alone!r})" if alone else ""),
    )


CHECK = Check(id=ID, title="CONCURRENTLY runs outside of transactions", run=run)
