"""A walk and its locks as a Mermaid chart, where something lasted long enough to be seen. Pure.

Source: https://mermaid.js.org/syntax/gantt.html (2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from neontest.locks import BLOCKS, judged
from neontest.record import Visit
from neontest.renderers import words
from neontest.report import Report
from neontest.statements import shown

SEEN_SECONDS: Final = 0.5
"""Nothing is drawn unless a visit or a lock lasted so long."""
PART: Final = 100
"""A bar shorter than this part of the whole is a hair, and is left out."""
MOST: Final = 24
"""Bars of visits, and as many of locks."""
_SIGN: Final = re.compile(r"[^\w .,/()↑↓-]|_{2,}")
"""Colons, semicolons, signs of comments and of HTML mean something to Mermaid."""


LONGEST_SECONDS: Final = 86_400.0
"""What lasts a day is no picture any more, but a report that somebody has made up."""


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    section: str
    name: str
    start: float
    seconds: float
    critical: bool = False


def chart(report: Report) -> tuple[str, int]:
    """The text of the chart, and how many bars were left out as too short; "" where nothing lasted."""
    visits, locks = bars(report)
    longest = max((each.seconds for each in (*visits, *locks)), default=0.0)
    if not SEEN_SECONDS <= longest < LONGEST_SECONDS or min(each.seconds for each in (*visits, *locks)) < 0:
        return "", 0
    shortest = max((each.start + each.seconds for each in visits), default=0.0) / PART
    kept = [*longest_of(visits, shortest), *longest_of(locks, shortest)]
    if not kept:
        return "", 0
    end = max(each.start + each.seconds for each in kept)
    lines = [
        "gantt",
        "    dateFormat YYYY-MM-DD HH:mm:ss.SSS",
        f"    axisFormat {'%H:%M:%S' if end >= 3600 else '%M:%S' if end >= 10 else '%S.%L'}",
    ]
    section = None
    for bar in kept:
        if bar.section != section:
            section = bar.section
            lines.append(f"    section {safe(section)}")
        lines.append(f"    {safe(bar.name)} :{'crit, ' * bar.critical}{moment(bar.start)}, {bar.seconds * 1000:.0f}ms")
    return "\n".join(lines), len(visits) + len(locks) - len(kept)


def longest_of(bars: list[Bar], shortest: float) -> list[Bar]:
    """The longest of them, in their order."""
    found = sorted((each for each in bars if each.seconds >= shortest), key=lambda each: -each.seconds)[:MOST]
    kept = set(map(id, found))
    return [each for each in bars if id(each) in kept]


def bars(report: Report) -> tuple[list[Bar], list[Bar]]:
    """Those of visits, one after the other, and those of the locks that hold others up."""
    visits: list[Bar] = []
    locks: list[Bar] = []
    start = 0.0
    for walk in report.walks:
        title = words.title(report, walk)[0]
        for visit in walk.visits:
            arrow = words.ARROWS[visit.direction]
            bad = visit.error is not None or not visit.moved
            said = f"{arrow} {words.duration(visit.seconds)}{' failed' * bad}"
            visits.append(Bar(section=f"walk {title}", name=said, start=start, seconds=visit.seconds, critical=bad))
            locks += held(visit, start, f"locks, {title}", arrow, report.limits.lock_seconds)
            start += visit.seconds
    return visits, locks


def held(visit: Visit, start: float, section: str, arrow: str, limit: float) -> Iterator[Bar]:
    """A lock begins with its statement; of what ran between the statements only the sum is known."""
    for statement in visit.statements:
        for lock in statement.locks:
            if lock.mode in BLOCKS and judged(lock.kind) and lock.existed:
                yield Bar(
                    section=section, name=f"{arrow} {lock.mode} on {shown(lock.relation)}", start=start,
                    seconds=lock.held_seconds, critical=lock.held_seconds > limit,
                )  # fmt: skip
        start += statement.seconds


def moment(seconds: float) -> str:
    """A moment of a day without a change of clocks, which is shown as it is written wherever the reader lives."""
    at = datetime(2000, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}"


def safe(text: str) -> str:
    """The text without a sign that means something to Mermaid; what begins a line is always a word of ours."""
    one_line = _SIGN.sub("·", words.clean(" ".join(text.split())))
    return one_line if len(one_line) <= 48 else one_line[:47] + "…"
