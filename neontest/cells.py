"""The cells of the grid, as the record has them."""

from __future__ import annotations

from typing import Literal

import msgspec

from neontest.seconds import Seconds

CellName = Literal["old-old", "old-new", "new-new", "new-old"]
"""Whose code ran on which schema."""


class CellFailure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A test that failed in a cell, and failed again where it was run again."""

    test: str
    """As JUnit names it, `classname::name`; or the command, where it failed as a whole."""
    message: str = ""
    """The first error of the database's driver that it shows, else the first line of what it says."""
    beside: Literal["passed", "failed", "not run"] = "not run"
    """The same test in the cell to compare with: that of the old code on the old schema; for the new code on the old
    schema, that of the new code on the new one."""
    revision: str | None = None
    """The revision after which it fails, where that is known."""


class Cell(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The project's tests, as the old or the new code has them, on the old or the new schema."""

    name: CellName
    branch: str = ""
    """The id of the branch it ran on."""
    seconds: Seconds = 0.0
    exit_code: int | None = None
    passed: int | None = None
    failed: int | None = None
    skipped: int | None = None
    failures: tuple[CellFailure, ...] = ()
    """At most 500, those that pass in the cell beside it first."""
    flaky: tuple[str, ...] = ()
    """Tests that failed, and passed when they were run again."""
    note: str | None = None
    """Why its result says nothing."""
