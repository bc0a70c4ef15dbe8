"""Several projects of one run, as far as they have come, and what became of them in one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from neontest.record import History
from neontest.renderers import words
from neontest.renderers.source import Source
from neontest.report import Report, Verdict

WORST_FIRST: Final[tuple[Verdict, ...]] = ("failed", "error", "stopped", "passed")


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One project, as far as its run has come."""

    name: str = ""
    history: History | None = None
    """What is about to be tested, once that is known."""
    report: Report | None = None
    """None before its run has ended, and where it never began."""
    source: Source | None = None


def verdict(parts: Sequence[Part]) -> Verdict:
    """The worst of all; a project that was not run was stopped."""
    return min((each.report.verdict if each.report else "stopped" for each in parts), key=WORST_FIRST.index)


def status(parts: Sequence[Part], *, most: int = 5) -> str:
    """One line: which projects failed, and what became of the others; it names at most so many of each."""
    if len(parts) == 1:
        return words.status(parts[0].report) if parts[0].report is not None else "not run"
    named: dict[str, list[str]] = {each: [] for each in ("failed", "error", "stopped", "not run", "passed", "skipped")}
    for each in parts:
        named[became(each)].append(each.name)
    return "; ".join(f"{what}: {words.listed(names, most)}" for what, names in named.items() if names)


def became(part: Part) -> str:
    if part.report is None:
        return "not run"
    return "skipped" if part.report.skipped else part.report.verdict
