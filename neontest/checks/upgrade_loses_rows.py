"""The upgrade deletes rows, or changes values of columns that stay.

That is often meant: a clean-up before a unique index, a normalisation of names. It is told so that whoever deploys it
knows how much it is. The rows of the tables that the revision touches are compared before and after the upgrade, over
the columns that both have; a renamed column is recognised by its number in the catalogs.

What to do: read whether the numbers are what was meant. Deletions are warnings, changed values are for information.

What it cannot see: columns and tables that the upgrade drops (`data-loss` tells what does not come back), tables that
were not read (with `--mode whole` all of a database above 64 MB), and which values are right.
"""

from __future__ import annotations

from collections.abc import Iterator

from neontest.lost import beyond, lines, total
from neontest.postgres.data import DataChange
from neontest.record import Record
from neontest.report import Check, Finding, Level
from neontest.walks import name, once, place, stairway_first, up, whose


def run(record: Record) -> Iterator[Finding]:
    yield from once(found(record))


def found(record: Record) -> Iterator[Finding]:
    seen: list[DataChange | None] = []
    for walk in stairway_first(record):
        upgrade, changed = up(walk), staying(walk.data_changed)
        if walk.kind == "whole":
            changed = beyond(changed, seen)
        told = lines(changed)
        if upgrade is None or upgrade.error is not None or not upgrade.moved or not told:
            continue
        seen.append(changed)
        revision = whose(record, walk)
        file, line = place(record, revision, "upgrade")
        invented = " (rows that neontest invented)" if walk.with_rows else ""
        deleted = changed is not None and any(each.lost for each in changed.tables)
        yield Finding(
            check="upgrade-loses-rows",
            level=Level.WARNING if deleted else Level.INFO,
            message=f"after the upgrade of {name(record, walk)}, {total(changed)}{invented}",
            revision=revision,
            file=file,
            line=line,
            details=told,
        )


def staying(change: DataChange | None) -> DataChange | None:
    """The change without columns and tables that the upgrade drops, and without what sequences and objects do."""
    if change is None:
        return None
    tables = []
    for table in change.tables:
        if table.after is None:
            continue
        columns = tuple(each for each in table.columns if each.after is not None)
        if columns or table.lost or table.rekeyed:
            facts = {field: getattr(table, field) for field in table.__struct_fields__}
            tables.append(type(table)(**{**facts, "columns": columns}))
    return DataChange(tables=tuple(tables))


CHECK = Check(
    id="upgrade-loses-rows",
    title="the upgrade keeps rows and values",
    run=run,
    looked=lambda record: any(walk.data_changed is not None for walk in record.walks),
)
