"""The downgrade ends with an error: the rollback that one would need in a hurry does not work.

What to do: the finding names the migration's line, the statement and the database's message. Where there is no way
back on purpose, say so with `raise NotImplementedError("…")`; that is the finding `irreversible`, a warning.

A warning where the rows in the way of a whole walk are neontest's own, invented at the newest revision: a column that
got wider, or nullable, takes what the old one cannot. Real rows may do so, too, once the new version of the application
has written them.

What it cannot see: a downgrade that works on today's rows and fails on those that the new version of the application
will have written.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import msgspec

from neontest.postgres.reasons import on_rows
from neontest.record import Record, Walk
from neontest.report import Check, Finding, Level
from neontest.statements import adds_required, mentions
from neontest.walks import STAYS_HINT, down, failures, irreversible, once, stairway_first

INVENTED = "in the way are rows that neontest invented at the newest revision; real ones may be others"

finding = partial(Finding, check="downgrade-fails", level=Level.ERROR)


def run(record: Record) -> Iterator[Finding]:
    yield from once(found(record))


def found(record: Record) -> Iterator[Finding]:
    for walk in stairway_first(record):
        for each in failures(
            msgspec.structs.replace(record, walks=(walk,)),
            down,
            direction="downgrade",
            make=finding,
            fails="the downgrade of {name} fails",
            stays="the downgrade ended without an error, but the version table did not move",
            stays_hint=STAYS_HINT,
            skip=partial(irreversible, record),
        ):
            if only_invented(record, walk):
                yield msgspec.structs.replace(each, level=Level.WARNING, details=(*each.details, INVENTED))
            else:
                yield each


def only_invented(record: Record, walk: Walk) -> bool:
    """What failed the downgrade of a whole walk is a statement over tables whose rows are neontest's own.

    A new column that is NOT NULL without a default fails on every row, whoever wrote it.
    """
    visit = down(walk)
    failure = visit.error if visit else None
    if failure is None or failure.sql is None or not walk.with_rows or walk.kind != "whole":
        return False
    if not on_rows(failure.sqlstate) or adds_required(failure.sql):
        return False
    return any(mentions(failure.sql, each.table) for each in record.filled if each.rows or each.columns)


CHECK = Check(id="downgrade-fails", title="the downgrade applies", run=run)
