from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import unquote

import msgspec
import pytest

from neontest.renderers.annotations import render
from neontest.renderers.words import clean
from neontest.report import Finding, Level, Report
from tests.renderers.reports import HOSTILE, REPORTS, report

COMMAND = re.compile(r"::(error|warning|notice) ((?:\w+=[^,:\r\n]+)(?:,\w+=[^,:\r\n]+)*)::([^\r\n]*)")


def read(text: str) -> list[tuple[str, dict[str, str], str]]:
    """Kind, properties and message of each line, as the runner reads them."""
    told = []
    # Not splitlines(): the runner ends lines at \r and \n, not at U+2028.
    for line in text.removesuffix("\n").split("\n") if text else []:
        found = COMMAND.fullmatch(line)
        assert found, line
        pairs = (each.partition("=") for each in found[2].split(","))
        told.append((found[1], {name: unquote(value) for name, _, value in pairs}, unquote(found[3])))
    return told


@pytest.mark.parametrize("make", REPORTS.values(), ids=list(REPORTS))
def test_every_line_is_a_command_and_says_its_text(make: Callable[[], Report]) -> None:
    given = make()
    told = read(render(given))
    for kind in ("error", "warning", "notice"):
        assert sum(each[0] == kind for each in told) <= 10
    messages = "\n".join(each[2] for each in told)
    for finding in given.findings[:5]:
        if finding.accepted is None:
            assert clean(finding.message.replace("\r", "")) in messages


def test_a_finding_stands_at_its_line_with_all_that_it_says() -> None:
    finding = Finding(
        check="data-loss", level=Level.ERROR, message="48,112 values: gone, 100%", revision="ab12", file="v/a,b:c.py",
        line=20, details=("user.phone",), hint="copy\r\nback", fix="op.x()",
    )  # fmt: skip
    assert render(report(findings=(finding,))) == (
        "::error file=v/a%2Cb%3Ac.py,line=20,title=data-loss (ab12)"
        "::48,112 values: gone, 100%25%0Auser.phone%0Acopy%0D%0Aback%0Aop.x()\n"
    )


def test_a_hostile_text_is_one_command_that_says_it() -> None:
    finding = Finding(check="squawk", level=Level.INFO, message=HOSTILE, file=HOSTILE, line=1, revision=HOSTILE)
    ((kind, properties, message),) = read(render(report(findings=(finding,))))
    assert (kind, properties["line"]) == ("notice", "1")
    assert message == properties["file"] == clean(HOSTILE)


def test_accepted_findings_and_clean_runs_are_not_annotated() -> None:
    taken = Finding(check="data-loss", level=Level.ERROR, message="m", accepted="meant", gates=False)
    assert render(report(findings=(taken,))) == render(report()) == ""


def test_of_more_than_ten_the_tenth_says_how_many_there_are() -> None:
    def made(level: Level, count: int) -> tuple[Finding, ...]:
        return tuple(Finding(check="squawk", level=level, message=f"m{number}") for number in range(count))

    told = read(render(report(findings=(*made(Level.WARNING, 31), *made(Level.ERROR, 10)))))
    assert [each[0] for each in told] == ["error"] * 10 + ["warning"] * 10
    assert [each[2] for each in told[:10]] == [f"m{number}" for number in range(10)]
    assert told[-2][2] == "m8"
    assert told[-1][2].startswith("22 more warnings: ")


def test_what_kept_it_from_testing_is_an_error() -> None:
    ((kind, properties, message),) = read(render(REPORTS["error"]()))
    assert (kind, properties) == ("error", {"title": "neontest"})
    assert message.splitlines()[1].startswith("run `neontest sweep`")


def test_a_finding_of_the_base_branch_says_so() -> None:
    old = Finding(check="irreversible", level=Level.WARNING, message="no way back", gates=False)
    assert "no way back%0Aalready on the base branch" in render(report(findings=(old,)))
    many = msgspec.structs.replace(old, details=tuple(f"d{number}" for number in range(40)))
    assert "%0Ad9%0A… and 30 more%0A" in render(report(findings=(many,)))


def test_files_start_where_the_project_lies() -> None:
    inside = Finding(check="squawk", level=Level.ERROR, message="m", file="v/r.py", line=2)
    outside = msgspec.structs.replace(inside, file="/lib/r.py")
    told = read(render(report(findings=(inside, outside)), folder="back/end"))
    assert [each[1]["file"] for each in told] == ["back/end/v/r.py", "/lib/r.py"]
