"""How checks read the cells of the grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from neontest.cells import CellFailure, CellName
from neontest.record import Record

BESIDE: Final[dict[CellName, CellName]] = {"old-new": "old-old", "new-new": "old-old", "new-old": "new-new"}
"""The cell to compare a cell with: a test that fails there, too, says nothing here."""
NAMED: Final = 50
"""Tests that a finding names."""


def broken(record: Record, name: CellName) -> tuple[tuple[CellFailure, ...], ...]:
    """The tests that fail in a cell because of its schema, by the revision that did it, as far as that is known."""
    cells = {cell.name: cell for cell in record.cells}
    cell, other = cells.get(name), cells.get(BESIDE[name])
    if cell is None or other is None or cell.note is not None or other.note is not None:
        return ()
    groups: dict[str | None, list[CellFailure]] = {}
    for each in cell.failures:
        if each.beside == "passed":
            groups.setdefault(each.revision, []).append(each)
    return tuple(map(tuple, groups.values()))


def told(failures: Sequence[CellFailure]) -> str:
    """How many tests, and what the first of them says."""
    count = f"{len(failures)} test{'s' * (len(failures) > 1)}"
    first = next((each.message for each in failures if each.message), "")
    return f"{count}: {first}" if first else count


def lines(failures: Sequence[CellFailure]) -> tuple[str, ...]:
    """Each test, and what it says, as far as there is room."""
    named = [f"{each.test}: {each.message}" if each.message else each.test for each in failures[:NAMED]]
    return (*named, *[f"and {len(failures) - NAMED} more"] * (len(failures) > NAMED))
