"""The downgrade says that there is no way back.

It raises, as `raise NotImplementedError("…")` does, before it touched the database. That is honest, and may be right;
whoever deploys it should know that a rollback means restoring a copy. The walk goes on upward.

What to do: nothing, if it is meant. Else write the downgrade.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from neontest.record import Record
from neontest.report import Check, Finding, Level
from neontest.walks import down, failure_finding, irreversible, once, stairway_first

finding = partial(Finding, check="irreversible", level=Level.WARNING)


def run(record: Record) -> Iterator[Finding]:
    yield from once(found(record))


def found(record: Record) -> Iterator[Finding]:
    for walk in stairway_first(record):
        visit = down(walk)
        if visit is not None and visit.error is not None and irreversible(record, visit):
            yield failure_finding(
                record,
                walk,
                visit.error,
                direction="downgrade",
                make=finding,
                message="{name} cannot be rolled back: its downgrade raises " + visit.error.kind,
            )


CHECK = Check(id="irreversible", title="there is a way back", run=run)
