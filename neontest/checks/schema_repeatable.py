"""The second upgrade, after a downgrade, ends in another schema than the first.

The usual cause is a downgrade that restores less, or more, than the upgrade changed, and an upgrade written so that it
does not fail on what it finds (`IF NOT EXISTS`). Also an upgrade that depends on the moment: names with a date, or
defaults computed in Python.

What to do: make both directions say exactly what changes.
"""

from __future__ import annotations

from collections.abc import Iterator

from neontest.record import Record
from neontest.report import Check, Finding, Level
from neontest.walks import name, once, place, stairway_first, up, up_again, whose


def run(record: Record) -> Iterator[Finding]:
    yield from once(found(record))


def found(record: Record) -> Iterator[Finding]:
    for walk in stairway_first(record):
        first, second = up(walk), up_again(walk)
        if first is None or second is None or first.error or second.error or not second.moved:
            continue
        different = walk.not_repeated
        if not different:
            continue
        order_only = all(each.change == "order" for each in different)
        revision = whose(record, walk)
        file, line = place(record, revision, "upgrade")
        yield Finding(
            check="schema-repeatable",
            level=Level.INFO if order_only else Level.ERROR,
            message=f"the second upgrade of {name(record, walk)} "
            + (
                "differs from the first only in the order of columns"
                if order_only
                else "does not end where the first did"
            ),
            revision=revision,
            file=file,
            line=line,
            details=tuple(
                each.line(added="only after the second", removed="only after the first") for each in different
            ),
        )


CHECK = Check(id="schema-repeatable", title="the second upgrade ends where the first did", run=run)
