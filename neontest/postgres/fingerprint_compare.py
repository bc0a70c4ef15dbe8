"""What became of the rows between two fingerprints, in numbers. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from neontest.postgres.data import ColumnChange, DataChange, SequenceChange, TableChange
from neontest.postgres.fingerprint_model import (
    EXACT_MASK,
    Hashed,
    Print,
    SequenceValue,
    State,
    counterparts,
    renamed,
    successor,
)


def compare(before: State, after: State) -> DataChange:
    """Every table, column and sequence whose values are not what they were; what either side did not read is left out.

    Rows and columns that were merely added change nothing that was there: a table with new rows shows `added` alone.
    """
    known = {oid: name for oid, name, _ in after.known}
    changes = []
    for each in sorted(before.prints.values(), key=lambda one: one.table.name):
        oid = successor(each.table, known)
        if oid is None:
            if each.rows:
                changes.append(TableChange(table=each.table.name, before=each.rows, lost=each.rows))
        elif oid in after.prints and (change := _table(each, after.prints[oid])) is not None:
            changes.append(change)
    objects = None
    if before.large_objects is not None and after.large_objects is not None:
        objects = (before.large_objects, after.large_objects)
    return DataChange(
        tables=tuple(changes),
        sequences=tuple(_sequences(before.sequences, after.sequences)),
        large_objects=objects if objects and objects[0] != objects[1] else None,
    )


class _Pair(msgspec.Struct, frozen=True, kw_only=True):
    """A column before, and what it is afterwards."""

    before: Hashed
    after: Hashed | None
    comparable: bool


class _Groups(msgspec.Struct, frozen=True, kw_only=True):
    """Two fingerprints' groups, side by side: (place before, place afterwards), None where there is none."""

    before: Print
    after: Print
    both: tuple[tuple[int | None, int | None], ...]

    @classmethod
    def of(cls, before: Print, after: Print) -> _Groups:
        coarser = before.mask & after.mask
        before, after = before.folded(coarser), after.folded(coarser)
        old = {group: place for place, group in enumerate(before.groups)}
        new = {group: place for place, group in enumerate(after.groups)}
        return cls(before=before, after=after, both=tuple((old.get(g), new.get(g)) for g in sorted({*old, *new})))

    @property
    def exact(self) -> bool:
        return self.before.mask == EXACT_MASK and self.before.one_in == 1

    def same(self) -> list[tuple[int, int]]:
        """Groups of the very same rows, as far as they are told apart."""
        b, a = self.before, self.after
        return [
            (i, j)
            for i, j in self.both
            if i is not None and j is not None and b.counts[i] == a.counts[j] and b.keys[i] == a.keys[j]
        ]

    def moved(self) -> tuple[int, int]:
        """Rows that went and rows that came: so many at least."""
        went = came = 0
        for i, j in self.both:
            old = 0 if i is None else self.before.counts[i]
            new = 0 if j is None else self.after.counts[j]
            # As many rows as before, and others: one at least was replaced.
            swapped = i is not None and j is not None and old == new and self.before.keys[i] != self.after.keys[j]
            went += max(old - new, int(swapped))
            came += max(new - old, int(swapped))
        return went, came


def _table(before: Print, after: Print) -> TableChange | None:
    if "count" in (before.how, after.how) or before.one_in != after.one_in:
        return _counted(before, after)
    if before.keyed != after.keyed or not _told_apart_alike(before, after):
        if before.keyed or after.keyed:
            return _rekeyed(before, after)
        return _unpaired(before, after, None)
    groups = _Groups.of(before, after)
    if not before.keyed:
        return _unpaired(before, after, groups)
    same = groups.same()
    if before.rows and before.rows == after.rows and groups.both and not _any_common(groups, same):
        return _rekeyed(before, after)
    lost, added = groups.moved()
    columns = tuple(_columns(groups, same))
    return _change(
        before,
        after,
        # Counts are of all rows, groups may be of a sample.
        lost=max(lost, before.rows - after.rows),
        added=max(added, after.rows - before.rows),
        columns=columns,
        exact=groups.exact,
    )


def _counted(before: Print, after: Print) -> TableChange | None:
    """By the numbers of rows alone."""
    return _change(
        before,
        after,
        lost=max(0, before.rows - after.rows),
        added=max(0, after.rows - before.rows),
        columns=tuple(_gone(before, after)),
        exact=False,
    )


def _rekeyed(before: Print, after: Print) -> TableChange | None:
    """No row can be recognised: by the numbers of rows and values."""
    if not before.rows:
        return _change(before, after, lost=0, added=after.rows, columns=(), exact=True)
    columns = []
    for pair in _pairs(before, after):
        old = pair.before
        if not old.total:
            continue
        new = pair.after.total if pair.after is not None else None
        if new is None or new < old.total:
            columns.append(_column(pair, changed=0 if new is None else old.total - new, exact=False))
    return _change(
        before,
        after,
        lost=max(0, before.rows - after.rows),
        added=max(0, after.rows - before.rows),
        columns=(*columns, *_gone(before, after, keys_only=True)),
        exact=False,
        rekeyed=bool(after.rows),
    )


def _unpaired(before: Print, after: Print, groups: _Groups | None) -> TableChange | None:
    """Without a key: rows as wholes; and each column's values, whatever row they are in.

    None as groups: a column is gone, so that rows as wholes do not compare.
    """
    went, came = groups.moved() if groups else (0, 0)
    columns = []
    unlike = [pair for pair in _pairs(before, after) if _differs(pair)]
    if before.rows == after.rows:
        named = [pair for pair in unlike if pair.comparable and pair.after]
        if groups and len(named) == len(before.columns):
            # No column is as it was: other rows, rather than rows with other values.
            unlike, named = [], []
        for pair in unlike:
            emptied = max(0, pair.before.total - pair.after.total) if pair.after else 0
            # Where one column alone has other values, rows that went are rows in which it changed.
            alone = pair in named and len(named) == 1
            exact = alone and groups is not None and groups.exact and len(unlike) == 1
            changed = max(emptied, int(pair in named), went if alone else 0)
            columns.append(_column(pair, changed=changed, exact=exact or pair.after is None))
        if named:
            went = came = 0
    else:
        # Values went with their rows; what is told of a column is that it is gone, or was not compared.
        columns = [
            _column(pair, changed=0, exact=pair.comparable) for pair in unlike if not pair.after or not pair.comparable
        ]
    return _change(
        before,
        after,
        lost=max(went, before.rows - after.rows),
        added=max(came, after.rows - before.rows),
        columns=tuple(columns),
        exact=groups is not None and groups.exact,
    )


def _columns(groups: _Groups, same: Sequence[tuple[int, int]]) -> Iterator[ColumnChange]:
    """The columns of a table whose rows are recognised by their key."""
    before, after = groups.before, groups.after
    seen: set[tuple[int, int]] = set()
    pairs = list(_pairs(before, after))
    recognised = set(same)
    for pair in pairs:
        old, new = pair.before, pair.after
        if new is None or not pair.comparable:
            if old.total:
                yield _column(pair, changed=max(0, old.total - new.total) if new else 0, exact=new is None)
            continue
        changed = filled = 0
        stayed = before.table.oid == after.table.oid and old.column.number == new.column.number
        for i, j in groups.both:
            if i is None or j is None:
                continue
            fewer = old.filled[i] - new.filled[j]
            if (i, j) in recognised:
                if old.sums[i] != new.sums[j] or fewer:
                    if fewer < 0 and (stayed or (groups.exact and not old.filled[i])):
                        filled -= fewer
                    else:
                        changed += max(1, abs(fewer))
                    seen.add((i, j))
            else:
                # Rows came or went as well: values that are missing beyond those rows'.
                changed += max(0, fewer - max(0, before.counts[i] - after.counts[j]))
        if changed or filled:
            yield _column(pair, changed=changed, filled=filled, exact=groups.exact)
    yield from _somewhere(groups, pairs, [each for each in same if each not in seen])


def _somewhere(groups: _Groups, pairs: Sequence[_Pair], same: Sequence[tuple[int, int]]) -> Iterator[ColumnChange]:
    """What only the digests over whole rows show, where both are over the same columns."""
    before, after = groups.before, groups.after
    alike = len(before.columns) == len(after.columns) == len(pairs) and all(
        pair.comparable and pair.before is before.columns[place] and pair.after is after.columns[place]
        for place, pair in enumerate(pairs)
    )
    if alike and (changed := sum(before.whole[i] != after.whole[j] for i, j in same)):
        yield ColumnChange(
            column="*", before=before.rows, after=after.rows, changed=changed, exact=groups.exact,
            note="rows differ in a column that could not be told",
        )  # fmt: skip


def _pairs(before: Print, after: Print) -> Iterator[_Pair]:
    """The columns before, and what each of them is afterwards; the key's, having no digests, are not among them."""
    same = counterparts(before.table, after.table)
    new = {each.column.number: each for each in after.columns}
    keys = {number for number, _ in after.by} if after.keyed else set()
    for old in before.columns:
        column = same.get(old.column.number)
        if column is None:
            yield _Pair(before=old, after=None, comparable=True)
        elif column.number in new:
            found = new[column.number]
            yield _Pair(before=old, after=found, comparable=found.note is None and found.family == old.family)
        elif column.number in keys:
            # It is a part of the key now, and no value is NULL.
            full = Hashed(column=column, family=old.family, sums=(), filled=(after.rows,))
            yield _Pair(before=old, after=full, comparable=False)


def _gone(before: Print, after: Print, *, keys_only: bool = False) -> Iterator[ColumnChange]:
    """Columns that are there no more, of those that have no digests: all of a table that was counted, or its key's."""
    same = counterparts(before.table, after.table)
    digested = {each.column.number for each in before.columns}
    keys = {number for number, _ in before.by} if before.keyed else set()
    for column in before.table.columns:
        if column.number in same or (keys_only and column.number not in keys):
            continue
        if column.number in keys:
            if before.rows:
                yield ColumnChange(column=column.shown, before=before.rows)
        elif column.number in digested:
            total = next(each.total for each in before.columns if each.column.number == column.number)
            if total:
                yield ColumnChange(column=column.shown, before=total)
        elif before.rows:
            yield ColumnChange(column=column.shown, before=0, note="its values were not counted")


def _column(pair: _Pair, *, changed: int, exact: bool, filled: int = 0) -> ColumnChange:
    old, new = pair.before, pair.after
    note = None
    if new is not None and not pair.comparable:
        note = new.note or f"{old.column.type} became {new.column.type}: its values were only counted"
        exact = False
    return ColumnChange(
        column=old.column.shown,
        became=new.column.shown if new is not None and new.column.name != old.column.name else None,
        before=old.total,
        after=None if new is None else new.total,
        changed=changed,
        filled=filled,
        stamped=new is not None and old.column.stamped and new.column.stamped,
        exact=exact,
        note=note,
    )


def _change(
    before: Print,
    after: Print,
    *,
    lost: int,
    added: int,
    columns: tuple[ColumnChange, ...],
    exact: bool,
    rekeyed: bool = False,
) -> TableChange | None:
    """The change, if it is one."""
    if not (lost or added or columns or rekeyed):
        return None
    return TableChange(
        table=before.table.name,
        became=renamed(before.table, after.table),
        before=before.rows,
        after=after.rows,
        lost=lost,
        added=added,
        columns=columns,
        rekeyed=rekeyed,
        exact=exact,
        one_in=max(before.one_in, after.one_in),
    )


def _told_apart_alike(before: Print, after: Print) -> bool:
    """Equal rows have equal hashes in both: made of the same columns, in the same order, hashed the same way."""
    same = counterparts(before.table, after.table)
    expected = [(same[number].number if number in same else None, family) for number, family in before.by]
    return expected == list(after.by)


def _any_common(groups: _Groups, same: Sequence[tuple[int, int]]) -> bool:
    """A row may be there still: where each has a group of its own, any group that both have."""
    return bool(same) or (groups.exact and any(i is not None and j is not None for i, j in groups.both))


def _differs(pair: _Pair) -> bool:
    old, new = pair.before, pair.after
    if new is None or not pair.comparable:
        return bool(old.total)
    return old.digest != new.digest or old.total != new.total


def _sequences(
    before: tuple[SequenceValue, ...] | None, after: tuple[SequenceValue, ...] | None
) -> Iterator[SequenceChange]:
    if before is None or after is None:
        return
    numbered = {each.oid: each for each in after}
    named = {each.name: each for each in after}
    for old in sorted(before, key=lambda each: each.name):
        new = numbered.get(old.oid) or named.get(old.name)
        if new is None:
            yield SequenceChange(sequence=old.name, before=old.value, gone=True)
        elif (old.last, old.called) != (new.last, new.called):
            unused = not old.called and not new.called
            yield SequenceChange(
                sequence=old.name,
                # Both were set without being used: where they stand is one step before what comes next.
                before=old.last - old.increment if unused else old.value,
                after=new.last - new.increment if unused else new.value,
            )
