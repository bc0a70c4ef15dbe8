"""Several projects on one page and in one line."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from neontest.record import History
from neontest.renderers import markdown, several
from neontest.renderers.parts import Part, status, verdict
from neontest.report import Report
from tests.renderers import reports


def part(name: str, report: Report | None) -> Part:
    return Part(name=name, report=report)


def libs() -> Report:
    return reports.skipped()


def test_the_worst_of_all_counts_and_who_is_it_is_named() -> None:
    found = [part("a", reports.clean()), part("b", reports.findings()), part("c", reports.error()), part("d", libs())]
    assert verdict(found) == "failed"
    assert status(found) == "failed: b; error: c; passed: a; skipped: d"
    assert verdict([found[0], found[2]]) == "error"
    assert verdict([found[0], part("e", None)]) == "stopped"
    assert status([found[0], part("e", None)]) == "not run: e; passed: a"
    many = [part(f"p{number}", reports.clean()) for number in range(8)]
    assert status(many) == "passed: p0, p1, p2, p3, p4, and 3 more"


@pytest.mark.parametrize("make", [reports.clean, reports.findings, reports.stopped])
def test_one_alone_is_told_as_ever(make: Callable[[], Report]) -> None:
    assert several.render([part("a", make())]) == markdown.render(make())


@pytest.mark.parametrize("crowds", [1, 3, 40])
def test_the_page_fits_and_small_sections_are_whole(crowds: int) -> None:
    found = [part(f"crowd{number}", reports.crowd(6)) for number in range(crowds)]
    found += [part("small", reports.clean()), part("none", libs())]
    page = several.render(found)
    assert len(page) <= markdown.LIMIT
    assert sum(line.startswith("#### ") for line in page.splitlines()) == len(found)
    assert page.count("<details") == page.count("</details>")
    small = markdown.render(reports.clean(), section="small")
    assert (small in page) == (len(small) < markdown.LIMIT / len(found))
    longer = several.render(found, limit=several.LONGEST)
    assert len(page) <= len(longer) <= several.LONGEST


def test_more_projects_than_have_room_are_counted() -> None:
    page = several.render([part(f"{number:040}", reports.clean()) for number in range(600)])
    told = sum(line.startswith("#### ") for line in page.splitlines())
    assert markdown.LIMIT * 0.9 < len(page) <= markdown.LIMIT
    assert page.endswith(f"\n… and {600 - told} more projects\n")


def test_sections_that_need_all_room_have_as_much_each() -> None:
    page = several.render([part("a", reports.crowd(30)), part("b", reports.crowd(30))])
    a, b = page.index("#### ❌ a"), page.index("#### ❌ b")
    assert abs((b - a) - (len(page) - b)) < 200
    assert len(page) > markdown.LIMIT * 0.7


def test_a_name_is_only_a_name() -> None:
    page = several.render([part("<b>@all\n# x|y", reports.clean()), part("", None)])
    assert "<b>" not in page
    assert "@all" not in page
    assert sum(line.startswith("#") for line in page.splitlines()) == 3


def test_meanwhile_it_says_what_has_ended_what_runs_and_what_comes() -> None:
    found = [part("a", reports.clean()), Part(name="b", history=History(pending=("r1",))), part("c", None)]
    said = several.running(found)
    assert said.splitlines()[0] == "### ⏳ neontest: running, project 2 of 3"
    assert [each.partition(":")[0] for each in said.splitlines()[2:]] == ["- ✅ a", "- ⏳ b", "- c"]
    assert [each[:5] for each in said.splitlines() if several.ended(each)] == ["- ✅ a"]
