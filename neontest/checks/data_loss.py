"""After upgrade and downgrade, rows or values that were there before are gone or changed.

A rollback is not done when the schema is back: a column that is dropped and added again is empty, a backfill that was
undone the wrong way leaves other values. The rows of every table that a revision touches are counted and digested on
the server, column by column, before the upgrade and after the downgrade; values themselves are never read or told.

What to do: keep what the upgrade takes away until nobody needs it (rename the column, copy it into another table, drop
it in a later release), and copy it back in the downgrade. Where the loss is meant, accept it with the reason:
`# neontest: accept data-loss: REASON` in the revision's file.

What it cannot see: tables that were not read (the report names them, with the reason), rows that the new version of
the application will write, and values that are equal for Postgres (1.0 and 1.00, keys of a jsonb in another order, the
blanks and repeated keys of a json).
Columns that a trigger of the table sets at each UPDATE, such as `updated_at`, only count where they are emptied.
A column that stays and whose NULLs are filled has lost nothing; in a table of more than 2,000 rows, other values of it
that were changed at the same time may go unseen.
"""

from __future__ import annotations

from collections.abc import Iterator

from neontest.lost import beyond, lines, total, unstamped
from neontest.postgres.data import DataChange
from neontest.record import Record
from neontest.report import Check, Finding, Level
from neontest.walks import down, name, once, place, stairway_first, whose


def run(record: Record) -> Iterator[Finding]:
    yield from once(found(record))


def found(record: Record) -> Iterator[Finding]:
    told: list[DataChange | None] = []
    for walk in stairway_first(record):
        downgrade, change = down(walk), unstamped(walk.data_lost)
        if walk.kind == "whole":
            change = beyond(change, told, walk.data_changed)
        lost = lines(change, came_back=True)
        if downgrade is None or downgrade.error is not None or not downgrade.moved or not lost:
            continue
        told.append(change)
        revision = whose(record, walk)
        file, line = place(record, revision, "downgrade")
        invented = " (rows that neontest invented)" if walk.with_rows else ""
        yield Finding(
            check="data-loss",
            level=Level.ERROR,
            message=f"after the downgrade of {name(record, walk)}, {total(change)}{invented}",
            revision=revision,
            file=file,
            line=line,
            details=lost,
            hint="keep what the upgrade takes away, and copy it back in downgrade(); or accept it, with a reason:"
            " # neontest: accept data-loss: REASON",
        )


CHECK = Check(
    id="data-loss",
    title="the downgrade brings the data back",
    run=run,
    looked=lambda record: any(walk.data_lost is not None for walk in record.walks),
)
