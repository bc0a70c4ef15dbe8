"""After the downgrade, the schema is not what it was before the upgrade.

Compared are the catalogs: tables, columns, constraints, indexes, sequences, views, functions, triggers, types,
policies, grants, comments and the rest. What the downgrade left behind, what it lost, what came back different is
named, with the line that would mend it where that is known.

A column that was dropped comes back as the last one: "column order only" is its own, lesser class (info), since no
statement that names its columns can see it.

What it cannot see: rows, since a schema can come back with its values gone; and roles, which belong to the cluster.
"""

from __future__ import annotations

from collections.abc import Iterator

from neontest.checks.downgrade_does_nothing import does_nothing
from neontest.mend import mending
from neontest.record import Record
from neontest.report import Check, Finding, Level
from neontest.walks import down, name, once, place, stairway_first, whose


def run(record: Record) -> Iterator[Finding]:
    yield from once(found(record))


def found(record: Record) -> Iterator[Finding]:
    for walk in stairway_first(record):
        visit = down(walk)
        if visit is None or visit.error is not None or not visit.moved or does_nothing(walk):
            continue
        different = walk.not_restored
        if not different:
            continue
        order_only = all(each.change == "order" for each in different)
        revision = whose(record, walk)
        file, line = place(record, revision, "downgrade")
        count = f"{len(different)} difference{'s' if len(different) > 1 else ''}"
        yield Finding(
            check="schema-restored",
            level=Level.INFO if order_only else Level.ERROR,
            message=f"the downgrade of {name(record, walk)} restores the schema but for the order of columns"
            if order_only
            else f"the downgrade of {name(record, walk)} does not restore the schema: {count}",
            revision=revision,
            file=file,
            line=line,
            details=tuple(
                each.line(added="left behind", removed="lost", changed="came back different") for each in different
            ),
            hint=None if order_only else "undo in downgrade() all that upgrade() did",
            fix="\n".join(dict.fromkeys(filter(None, map(mending, different)))) or None,
        )


CHECK = Check(id="schema-restored", title="the downgrade restores the schema", run=run)
