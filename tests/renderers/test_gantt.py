"""The chart of the walks and the locks is Mermaid, whatever the names are, and only there where it shows something."""

from __future__ import annotations

import re

import pytest

from neontest.renderers import gantt
from tests.renderers.reports import REPORTS, lock, phones, report, stair, statement

LINE = re.compile(
    r"gantt|    dateFormat YYYY-MM-DD HH:mm:ss\.SSS|    axisFormat %[\w%:.]+"
    r"|    section (?:walk|locks,) [^:;#%<>`\"\n]+"
    r"|    [↑↓] [^:;#%<>`\"\n]+ :(?:crit, )?2000-01-\d\d \d\d:\d\d:\d\d\.\d{3}, \d+ms"
)
"""What Mermaid takes for a line of a chart, and no more of it than we mean."""


@pytest.mark.parametrize("which", REPORTS)
def test_every_line_is_what_mermaid_reads(which: str) -> None:
    text, _ = gantt.chart(REPORTS[which]())
    assert not [each for each in text.splitlines() if not LINE.fullmatch(each)]


@pytest.mark.parametrize(
    "text", ["a:b", "x;y", "#q", "%%{init: {}}%%", "click a href", "<b>", "a\nsection b", "\u202ex"]
)
def test_a_name_has_no_sign_of_mermaid(text: str) -> None:
    assert LINE.fullmatch(f"    section walk {gantt.safe(text)}")


def test_the_chart_shows_visits_and_locks_where_they_were() -> None:
    text, short = gantt.chart(REPORTS["data_lost"]())
    assert "    ↓ 2.1 s :2000-01-01 00:00:01.130, 2100ms\n" in text
    assert "section locks, ab12\n    ↓ ACCESS EXCLUSIVE on user :crit, 2000-01-01 00:00:04.390, 1700ms" in text
    assert short > 0


def test_nothing_is_drawn_of_what_nobody_could_see() -> None:
    assert gantt.chart(report(walks=(stair("ab12", phones()),))) == ("", 0)
    assert gantt.chart(report(walks=())) == ("", 0)


def test_a_walk_over_midnight_goes_on() -> None:
    assert gantt.moment(90_061.5) == "2000-01-02 01:01:01.500"


def test_the_longest_bars_stay() -> None:
    up, down, again = phones()
    slow = tuple(statement("UPDATE x", 1.0, lock(f"public.t{at}", held=1.0 + at)) for at in range(60))
    visit = type(up)(direction="upgrade", from_="9f00", to="ab12", seconds=61.0, statements=slow)
    text, short = gantt.chart(report(walks=(stair("ab12", (visit, down, again)),)))
    assert "on t59 :" in text
    assert "on t1 :" not in text
    assert short > 30


@pytest.mark.parametrize("seconds", [-1.0, 86_400.0, 1e300])
def test_made_up_times_draw_nothing(seconds: float) -> None:
    up, down, again = phones()
    visit = type(up)(direction="upgrade", from_="9f00", to="ab12", seconds=seconds, statements=up.statements)
    slow = type(up)(direction="upgrade", from_="9f00", to="ab12", seconds=5.0)
    assert gantt.chart(report(walks=(stair("ab12", (visit, down, again)), stair("ab13", (slow, down, again))))) == (
        "",
        0,
    )
