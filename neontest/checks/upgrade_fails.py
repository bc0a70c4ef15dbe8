"""The upgrade does not apply to a copy of the parent.

The first upgrade of a revision, or of all pending revisions in one go, ended with an error, did not move the version
table, or took longer than its limit. The deploy would have failed in the same way.

What to do: the finding names the migration's line, the statement and the database's message. If the rows are the
reason (a new NOT NULL over nulls, a unique index over duplicates), it says how many they are and names up to ten of
them by key: mend them first, in the same revision. They are counted after the failed upgrade was taken back, so what
the revision had mended before counts too.

What it cannot see: failures that need concurrent traffic, such as lock timeouts and deadlocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import msgspec

from neontest.checks.fails_with_rows import uncounted, violated
from neontest.record import Record
from neontest.report import Check, Finding, Level
from neontest.walks import STAYS_HINT, failures, once, up

finding = partial(Finding, check="upgrade-fails", level=Level.ERROR)


def run(record: Record) -> Iterator[Finding]:
    for each in once(found(record)):
        rows = [
            line
            for refused in record.refused
            if not refused.invented and refused.revision == each.revision
            for line in (*violated(refused), *uncounted(refused))
        ]
        yield msgspec.structs.replace(each, details=(*each.details, *dict.fromkeys(rows))) if rows else each


def found(record: Record) -> Iterator[Finding]:
    yield from failures(
        record,
        up,
        direction="upgrade",
        make=finding,
        fails="the upgrade of {name} fails",
        stays="the upgrade ended without an error, but the version table did not move",
        stays_hint=STAYS_HINT,
    )


CHECK = Check(id="upgrade-fails", title="the upgrade applies", run=run)
