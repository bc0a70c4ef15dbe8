"""After the rollback, the same upgrade fails: a second deploy would be stuck.

Usually the downgrade left something behind that the upgrade creates again: an enum type is the classic, since
dropping the table or the column that uses it does not drop it.

What to do: let the downgrade remove all that the upgrade made; `schema-restored` names what was left, with the line
to add.

What it cannot see: an upgrade that only fails after another revision's downgrade; walk more revisions for that.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from neontest.record import Record
from neontest.report import Check, Finding, Level
from neontest.walks import failures, once, up_again

finding = partial(Finding, check="reupgrade-fails", level=Level.ERROR)


def run(record: Record) -> Iterator[Finding]:
    yield from once(found(record))


def found(record: Record) -> Iterator[Finding]:
    yield from failures(
        record,
        up_again,
        direction="upgrade",
        make=finding,
        fails="after its downgrade, the upgrade of {name} fails",
        stays="the second upgrade ended without an error, but the version table did not move",
    )


CHECK = Check(id="reupgrade-fails", title="the upgrade applies again after a downgrade", run=run)
