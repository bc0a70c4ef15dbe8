"""The downgrade moves the version table and leaves the schema as the upgrade made it.

`def downgrade(): pass` over an upgrade that changed the schema. A rollback seems to work, and the next upgrade fails
or runs on a schema that nobody expects.

What to do: undo what the upgrade did; or, where there is no way back, `raise NotImplementedError("…")`.

What it cannot see: upgrades that change only rows, whose downgrade may rightly do nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from neontest.record import Record, Walk
from neontest.report import Check, Finding, Level
from neontest.walks import down, name, once, place, stairway_first, up, whose


def does_nothing(walk: Walk) -> bool:
    """The upgrade changed the schema, and the downgrade, without an error, changed nothing of it."""
    upgrade, downgrade = up(walk), down(walk)
    return (
        upgrade is not None
        and downgrade is not None
        and upgrade.error is None
        and downgrade.error is None
        and downgrade.moved
        and bool(upgrade.schema_changes)
        and not downgrade.schema_changes
    )


def run(record: Record) -> Iterator[Finding]:
    yield from once(found(record))


def found(record: Record) -> Iterator[Finding]:
    for walk in stairway_first(record):
        if not does_nothing(walk):
            continue
        revision = whose(record, walk)
        file, line = place(record, revision, "downgrade")
        yield Finding(
            check="downgrade-does-nothing",
            level=Level.ERROR,
            message=f"the downgrade of {name(record, walk)} changes nothing of what its upgrade changed",
            revision=revision,
            file=file,
            line=line,
            details=tuple(each.line(added="left behind", removed="lost") for each in walk.not_restored),
            hint='undo the upgrade in downgrade(), or raise NotImplementedError("…") if there is no way back',
        )


CHECK = Check(id="downgrade-does-nothing", title="the downgrade does something", run=run)
