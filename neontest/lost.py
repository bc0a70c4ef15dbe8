"""What became of rows, in sentences with numbers. Pure; no value of a row is ever known here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product

import msgspec

from neontest.postgres.data import ColumnChange, DataChange, SequenceChange, TableChange
from neontest.postgres.names import without_public


def lines(change: DataChange | None, *, came_back: bool = False) -> tuple[str, ...]:
    """A line for each loss, such as `48,112 of 51,000 non-null values of user.phone did not come back`.

    With `came_back`, of a change over an upgrade and its downgrade; else over an upgrade alone. What was only added is
    no loss.
    """
    if change is None:
        return ()
    found = [line for table in change.tables for line in of_table(table, came_back)]
    if came_back:
        found += [of_sequence(each) for each in change.sequences if goes_back(each)]
        if change.large_objects is not None and change.large_objects[1] < change.large_objects[0]:
            before, after = change.large_objects
            found.append(f"{before - after:,} of {before:,} large objects did not come back")
    return tuple(found)


def beyond(
    change: DataChange | None, told: Iterable[DataChange | None], upgraded: DataChange | None = None
) -> DataChange | None:
    """What the change has that none of those has: other tables, columns and sequences.

    `upgraded` is what the upgrade alone changed: it knows what tables and columns are called in between. The numbers
    need not agree: of rows that several revisions delete, the whole walk has the sum.
    """
    if change is None:
        return None
    others = [each for each in told if each is not None]
    tables = [table for each in others for table in each.tables]
    gone = {name for table in tables if table.after is None for name in names(table)}
    fewer = gone | {name for table in tables if table.lost for name in names(table)}
    rekeyed = {name for table in tables if table.rekeyed for name in names(table)}
    columns = {
        (name, said) for table in tables for name in names(table) for each in table.columns for said in names_of(each)
    }
    sequences = {each.sequence for other in others for each in other.sequences if goes_back(each)}
    between = {table.table: table for table in upgraded.tables} if upgraded is not None else {}
    left = []
    for table in change.tables:
        as_it_was = between.get(table.table, table)
        called = {*names(table), *names(as_it_was)}
        if table.after is None and called & gone:
            continue
        renamed = {each.column: each.became for each in as_it_was.columns if each.became}
        left.append(
            msgspec.structs.replace(
                table,
                lost=0 if called & fewer else table.lost,
                rekeyed=table.rekeyed and not called & rekeyed,
                columns=tuple(
                    each
                    for each in table.columns
                    if columns.isdisjoint(product(called, (each.column, renamed.get(each.column, each.column))))
                ),
            )
        )
    return DataChange(
        tables=tuple(left),
        sequences=tuple(each for each in change.sequences if each.sequence not in sequences),
        large_objects=None if any(each.large_objects for each in others) else change.large_objects,
    )


def unstamped(change: DataChange | None) -> DataChange | None:
    """The change without the columns, still full, that a trigger sets at each UPDATE: any backfill renews them."""
    if change is None:
        return None
    tables = (
        msgspec.structs.replace(
            table,
            columns=tuple(
                each for each in table.columns if not each.stamped or each.after is None or each.after < each.before
            ),
        )
        for table in change.tables
    )
    return msgspec.structs.replace(change, tables=tuple(tables))


def names(table: TableChange) -> Iterator[str]:
    yield table.table
    if table.became:
        yield table.became


def names_of(column: ColumnChange) -> Iterator[str]:
    """Of a column that was only filled, none: no value of it is told to be another."""
    if column.changed or column.after is None:
        yield column.column
        if column.became:
            yield column.became


def total(change: DataChange | None) -> str:
    """The whole of it in a clause: `3 rows are gone and 48,112 values are not what they were in 2 tables`."""
    assert change is not None
    rows = sum(table.lost for table in change.tables)
    gone = sum(emptied(table, column) for table in change.tables for column in table.columns)
    values = sum(
        column.changed - emptied(table, column)
        for table in change.tables
        for column in table.columns
        if column.after is not None
    )
    places = [without_public(table.table) for table in change.tables if any(of_table(table, came_back=False))]
    where = places[0] if len(places) == 1 else f"{len(places)} tables"
    parts = [f"{rows:,} row{'s are' if rows > 1 else ' is'} gone"] * bool(rows)
    parts += [f"{gone:,} value{'s are' if gone > 1 else ' is'} gone"] * bool(gone)
    parts += [
        f"{values:,} value{'s are' if values > 1 else ' is'} not what {'they were' if values > 1 else 'it was'}"
    ] * bool(values)
    if parts:
        return " and ".join(parts) + f" in {where}"
    if any(table.rekeyed for table in change.tables):
        return f"the keys of {where} are not what they were"
    return "the data are not what they were"


def of_table(table: TableChange, came_back: bool) -> Iterator[str]:
    name, at_least = without_public(table.table), "" if table.exact else "at least "
    gone = "did not come back" if came_back else "are gone"
    sampled = f" (of the one row in {table.one_in} that was read)" if table.one_in > 1 else ""
    if table.after is None:
        yield f"table {name} {'did not come back' if came_back else 'is gone'}, with its {table.before:,} rows"
        return
    if table.rekeyed:
        yield f"the keys of {name} changed: its {table.before:,} rows cannot be told apart any more"
    if table.lost:
        yield f"{at_least}{table.lost:,} of {table.before:,} rows of {name} {gone}{sampled}"
    for column in table.columns:
        yield from of_column(f"{name}.{column.column}", column, emptied(table, column), gone, sampled)


def of_column(name: str, column: ColumnChange, lost: int, gone: str, sampled: str) -> Iterator[str]:
    became = f" (now {column.became})" if column.became else ""
    if lost:
        yield f"{lost:,} of {column.before:,} non-null values of {name}{became} {gone}{sampled}"
    others = column.changed - lost if column.after is not None else 0
    if others:
        at_least = "" if column.exact else "at least "
        said = "values of {} are not what they were" if others > 1 else "value of {} is not what it was"
        yield f"{at_least}{others:,} {said.format(name + became)}{sampled}"
    if column.note and (lost or others):
        yield f"{name}: {column.note}"


def emptied(table: TableChange, column: ColumnChange) -> int:
    """Values, of rows that are still there, that are null now, or gone with their column."""
    if column.after is None:
        return column.before
    # Where rows went as well, nobody knows whose values those were.
    return min(column.changed, max(0, column.before - column.after)) if not table.lost else 0


def goes_back(sequence: SequenceChange) -> bool:
    """It will give numbers that it gave before, or is not there to give any."""
    return sequence.before is not None and (sequence.gone or (sequence.after or 0) < sequence.before)


def of_sequence(sequence: SequenceChange) -> str:
    name = without_public(sequence.sequence)
    if sequence.gone:
        return f"sequence {name} did not come back; its last value was {sequence.before:,}"
    return f"sequence {name} is back at {sequence.after or 'its start'} from {sequence.before:,}: it will repeat itself"
