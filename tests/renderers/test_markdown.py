"""The comment and the job's summary: what they say, that they fit, and that no name in them becomes markup."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from neontest.renderers import markdown, rollback
from neontest.renderers.budget import Item, Section, fitted
from neontest.renderers.markup import code, escaped, name
from neontest.renderers.source import Source
from neontest.report import Finding, Level, Problem, Report
from tests.renderers import reports
from tests.renderers.conftest import Golden
from tests.renderers.reports import FIRST, HOSTILE, REPORTS, crowd, phones, report, stair, whole

SOURCE = Source(
    url="https://github.com/o/r", sha="0a1b2c3d4e5f60718293a4b5c6d7e8f901234567", folder="backend",
    job="https://github.com/o/r/actions/runs/7/job/8",
)  # fmt: skip
OURS = {"<details>", "</details>", "<summary>", "</summary>", "<br>", "<code>", "</code>"}
UNSEEN = "\u200b"
"""Blanks that keep mentions and addresses apart."""
TRAPS = re.compile(r"@\w|#\d|\bGH-\d|://|\bwww\.|:boom:", re.IGNORECASE)
"""What GitHub links or replaces in text that is no code."""


def parsed(text: str) -> list[Token]:
    """Every token, those within lines as well, as GitHub's Markdown has them."""
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return [one for token in parser.parse(text) for one in (token, *(token.children or ()))]


def tags(tokens: list[Token]) -> set[str]:
    """HTML in the text."""
    return {tag for each in tokens if each.type.startswith("html_") for tag in re.findall(r"<[^>]*>?", each.content)}


def opened(tokens: list[Token]) -> int:
    return sum(each.content.count("<details>") for each in tokens if each.type == "html_block")


def closed(tokens: list[Token]) -> int:
    return sum(each.content.count("</details>") for each in tokens if each.type == "html_block")


def plain(text: str) -> str:
    """What a reader sees of Markdown that is one paragraph."""
    return "".join(each.content for each in parsed(text) if each.type == "text").replace(UNSEEN, "")


@pytest.mark.parametrize("which", REPORTS)
def test_the_page_is_as_somebody_saw_it_last(which: str, golden: Golden) -> None:
    golden(f"{which}.md", markdown.render(REPORTS[which](), source=SOURCE))


@pytest.mark.parametrize("which", [each for each in REPORTS if each != "skipped"])
def test_the_verdict_has_at_most_six_lines(which: str) -> None:
    heading, blank, rest = markdown.render(REPORTS[which]()).split("\n", 2)
    assert heading.startswith("### ")
    assert not blank
    assert 1 <= len(rest.split("\n\n")[0].splitlines()) <= 5


@pytest.mark.parametrize("which", ["nothing_pending", "error", "stopped"])
def test_where_nothing_was_tested_to_the_end_the_page_is_short(which: str) -> None:
    text = markdown.render(REPORTS[which]())
    assert len(text) < 1_000
    assert "```" not in text


@pytest.mark.parametrize("with_source", [True, False])
def test_no_text_of_a_project_becomes_markup(with_source: bool) -> None:
    text = markdown.render(REPORTS["hostile"](), source=SOURCE if with_source else None)
    tokens = parsed(text)
    assert tags(tokens) <= OURS
    assert not [each for each in tokens if each.type in ("image", "em_open", "s_open", "blockquote_open", "hr")]
    assert sum(each.type == "heading_open" for each in tokens) == 1
    links = [str(each.attrs["href"]) for each in tokens if each.type == "link_open"]
    assert all(each.startswith("https://github.com/o/r/") for each in links)
    assert not [each.content for each in tokens if each.type == "text" and TRAPS.search(each.content)]
    assert opened(tokens) == closed(tokens) > 3
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u2028-\u202e\u2066-\u2069]", text)


def test_a_name_in_the_table_stays_in_its_cell() -> None:
    tokens = parsed(markdown.render(REPORTS["hostile"]()))
    assert sum(each.type == "tr_open" for each in tokens) == 1 + len(REPORTS["hostile"]().walks)
    assert sum(each.type == "td_open" for each in tokens) == 8 * len(REPORTS["hostile"]().walks)
    rows = [each for each in markdown.render(REPORTS["hostile"]()).splitlines() if each.startswith("| ")]
    assert {each.count("|") for each in rows} == {9}


@pytest.mark.parametrize(
    "text",
    [
        *("- x", "+ x", "* x", "1. x", "2) x", "# x", "=== x", "---", "- - -", "> x", "| a | b |", ":--- x", "```"),
        *("<!-- x", "<b>", "</details>", "&lt;", "&#64;", "[x]: http://h", "[a](b)", "![a](b)", "\\*", "`a`", "~~~"),
        *("snake_case_name", "f(x)_", "$x$", "0.42 s", "a\\", "a  ", "x #", "<http://h>", "*", "_a_ __b__", "~~a~~"),
        *("user@host.example", "::x::", "www.h.example", "#1", "GH-1", ":boom:", "https://h/x"),
        HOSTILE[:150],
    ],
)  # fmt: skip
def test_escaped_text_reads_as_it_was(text: str) -> None:
    seen = re.sub(r"[\x00-\x08\x1b\u202a-\u202e\u200f\u2067]", "�", " ".join(text.split()))
    assert plain(escaped(text)) == seen
    assert [each.type for each in parsed(escaped(text))][:1] == ["paragraph_open"]
    assert plain(f"a<br>\n{escaped(text)}") == "a" + seen
    assert tags(parsed(f"x {name(text)} y")) <= OURS


@pytest.mark.parametrize("text", ["```", "a\n````\nb", "~~~", "</details>", "\x1b[2J\r\n\u202ex", "`"])
def test_a_block_of_code_ends_where_it_should(text: str) -> None:
    fences = [each for each in parsed(f"{code(text)}\n\nafter") if each.type != "inline"]
    assert fences[0].type == "fence"
    assert [each.content for each in fences if each.type == "text"] == ["after"]


def findings_left(text: str) -> int:
    return sum(int(each.replace(",", "")) for each in re.findall(r"… ([\d,]+) (?:more )?findings? \(", text))


def test_three_hundred_revisions_with_fifty_findings_each_have_room() -> None:
    made = crowd(300, 50)
    text = markdown.render(made, source=SOURCE)
    assert 40_000 < len(text) <= 60_000
    assert len(re.findall(r"(?m)^(?:- )?[❌⚠ℹ]\ufe0f? \*\*", text)) + findings_left(text) == 300 * 50
    assert "left out here: in [the log of the job](https://github.com/o/r/actions/runs/7/job/8) and the JSON" in text
    assert re.search(r"… \d+ more revisions left out here", text)
    assert re.search(r"… \d+ findings? shortened here", text)
    tokens = parsed(text)
    assert tags(tokens) <= OURS
    assert opened(tokens) == closed(tokens) > 3
    assert not [each for each in tokens if each.type == "fence" and "<details>" in each.content]


def swollen(**facts: Any) -> Report:
    return msgspec.structs.replace(REPORTS["hostile"](), **facts)


def long_finding(number: int) -> Finding:
    return Finding(
        check=HOSTILE, level=Level.ERROR, message=HOSTILE * 3, revision=HOSTILE, file=HOSTILE, line=number,
        details=(HOSTILE * 3,) * 12, hint=HOSTILE * 3, fix="op." + HOSTILE * 9,
    )  # fmt: skip


@pytest.mark.parametrize(
    "facts",
    [
        {"findings": tuple(map(long_finding, range(400)))},
        {"findings": tuple(msgspec.structs.replace(long_finding(at), gates=False) for at in range(400))},
        {"notes": (HOSTILE * 5,) * 900},
        {"tests": reports.tests(exit_code=1, failures=(HOSTILE,) * 50, output_tail=(HOSTILE + "\n") * 900)},
        {"tests": reports.tests(command=("x" * 90_000,), exit_code=1, output_tail="x" * 90_000)},
        {"walks": (whole(phones(3.0)), *(stair(HOSTILE * 3, phones(2.0), note=HOSTILE) for _ in range(400)))},
        {"problems": (Problem(kind="x", message="@|" * 90_000, hint="<" * 90_000),) * 90},
        {"engine_why": "`" * 90_000, "parent_name": "[" * 90_000},
        {"findings": tuple(map(long_finding, range(300))), "verdict": "error", "exit_code": 3},
    ],
    ids=["findings", "others", "notes", "tests", "long lines", "walks", "problems", "engine", "error"],
)  # fmt: skip
def test_no_report_is_too_long_for_a_comment(facts: dict[str, Any]) -> None:
    text = markdown.render(swollen(**facts), source=SOURCE)
    assert len(text) <= 60_000
    assert tags(parsed(text)) <= OURS
    assert "left out here" in text or "shortened here" in text or "…" in text


def test_thousands_of_changes_are_counted_and_none_is_forgotten() -> None:
    up, down, again = phones()
    wide = msgspec.structs.replace(up, schema_changes=tuple(f"table t{at}: added" for at in range(5_000)))
    walk = stair("ab12", (wide, down, again))
    text = markdown.render(report(walks=(walk,), notes=tuple(f"note {at}" for at in range(3_000))), source=SOURCE)
    assert len(text) <= 60_000
    assert "Schema: 5,000 changes" in text
    left = re.search(r"… ([\d,]+) more changes? left out here: in the JSON report\.", text)
    assert left
    assert len(re.findall(r"(?m)^\+ table t", text)) + int(left[1].replace(",", "")) == 5_000
    assert re.search(r"… 2,[\d]+ more notes left out here: in \[the log of the job\]", text)


def test_what_is_too_long_is_shortened_before_it_is_counted() -> None:
    items = tuple(
        Item(full=f"{at}" + "f" * 300, short=f"{at}s", kind=f"k{at % 2}", weight=1 + (at == 7)) for at in range(10)
    )
    section = Section(noun="thing", items=items, share=1.0)
    assert fitted([section], 5_000, "log") == [section.whole()]
    shorter = fitted([section], 1_500, "log")[0]
    assert "7f" in shorter
    assert "9s\n\n… 7 things shortened here: in full in the JSON report." in shorter
    counted = fitted([without_short_forms(section)], 1_200, "the log")[0]
    assert "… 8 more things (4 k1, 4 k0) left out here: in the log and the JSON report." in counted


def without_short_forms(section: Section) -> Section:
    """The same without short forms, and told in the log."""
    items = tuple(Item(full=each.full, kind=each.kind, weight=each.weight) for each in section.items)
    return Section(noun=section.noun, items=items, share=section.share, logged=True)


def test_a_file_is_linked_to_its_line_in_the_commit() -> None:
    at = f"https://github.com/o/r/blob/{SOURCE.sha}/backend/{FIRST.file}#L20"
    assert f"[{FIRST.file}:20]({at})" in markdown.render(REPORTS["data_lost"](), source=SOURCE)
    bare = markdown.render(REPORTS["data_lost"]())
    assert f"{FIRST.file}:20<br>" in bare
    assert "](" not in bare


@pytest.mark.parametrize(
    ("file", "line", "link"),
    [
        ("a b/ü?#(x).py", 3, f"https://github.com/o/r/blob/{SOURCE.sha}/backend/a%20b/%C3%BC%3F%23%28x%29.py#L3"),
        ("a.py", None, f"https://github.com/o/r/blob/{SOURCE.sha}/backend/a.py"),
        ("../a.py", 3, None), ("/etc/passwd", 3, None), ("a/./b.py", 1, None), ("", 1, None), (None, None, None),
    ],
)  # fmt: skip
def test_only_files_of_the_repository_have_a_link(file: str | None, line: int | None, link: str | None) -> None:
    assert SOURCE.link(file, line) == link


@pytest.mark.parametrize("facts", [{"url": "javascript:x"}, {"url": "https://h/) [a"}, {"sha": "main) x"}, {"sha": ""}])
def test_a_source_that_is_no_commit_of_the_web_links_nothing(facts: dict[str, str]) -> None:
    assert Source(**{"url": SOURCE.url, "sha": SOURCE.sha, **facts}).link("a.py", 1) is None


def said(of: Report) -> dict[str | None, str]:
    return {each.revision: each.lead[1].strip() + " " + ", ".join(each.clauses) for each in rollback.cards(of)}


def test_a_rollback_is_told_with_its_time_its_locks_and_its_losses() -> None:
    text = markdown.render(REPORTS["data_lost"]())
    assert (
        "if you roll `ab12` back: 1.8 s, ACCESS EXCLUSIVE on user for 1.7 s, 48,112 values of user.phone lost" in text
    )
    assert "if you roll `cd34` back: 0.10 s, ACCESS EXCLUSIVE on order for 0.02 s, nothing is lost" in text


def test_a_rollback_that_cannot_be_is_told_as_such() -> None:
    told = said(REPORTS["no_way_back"]())
    assert told["ab12"] == "cannot be rolled back: its downgrade raises NotImplementedError: the numbers are gone"
    assert told["cd34"].startswith("cannot be rolled back: its downgrade fails, UndefinedObject: ")
    assert told["ef56"] == "back would do is not known: its upgrade fails, UniqueViolation"
    assert None not in told


def test_invented_rows_are_said_to_be_so() -> None:
    told = said(REPORTS["invented"]())
    assert told["ab12"].endswith("nothing is lost, measured on rows that neontest invented")
    assert told["cd34"].endswith("it was not walked on its own")


def test_nothing_is_lost_only_where_rows_were_compared() -> None:
    walk = stair("ab12", phones())
    assert said(report(walks=(walk,)))["ab12"].endswith("nothing is lost")
    unread = msgspec.structs.replace(walk, data_lost=None)
    assert said(report(walks=(unread,)))["ab12"].endswith("is not known, for they were not compared")
    assert said(report(walks=(walk,), read=()))["ab12"].endswith("there were no rows to compare")
    read = REPORTS["clean"]().read
    some = (msgspec.structs.replace(read[0], how="sample"), read[1])
    assert said(report(walks=(walk,), read=some))["ab12"].endswith("as far as rows were read (not all of user)")
    other = (read[0], msgspec.structs.replace(read[1], how="not"))
    assert said(report(walks=(walk,), read=other))["ab12"].endswith("nothing is lost")


def test_a_downgrade_that_moves_nothing_is_no_way_back() -> None:
    up, down, _ = phones()
    walk = stair("ab12", (up, msgspec.structs.replace(down, moved=False)))
    assert "cannot be rolled back: its downgrade ends, but" in said(report(walks=(walk,)))["ab12"]


def text_nodes(text: str) -> Iterator[str]:
    yield from (each.content for each in parsed(text) if each.type == "text")


def test_a_long_fix_is_given_whole_or_not_at_all() -> None:
    finding = Finding(check="x", level=Level.ERROR, message="m", fix="op.f()\n" * 900)
    text = markdown.render(report(findings=(finding,)))
    assert "op.f()" not in text
    assert "What mends it has 900 lines" in text


def test_many_details_are_counted() -> None:
    finding = Finding(check="x", level=Level.ERROR, message="m", details=("d",) * 50)
    text = markdown.render(report(findings=(finding,)))
    assert text.count("\nd\n") == text.count("… 30 more lines:") * 10 == 10
    assert any("m" in each for each in text_nodes(text))


def test_what_is_many_is_folded() -> None:
    made = crowd(30, 1)
    text = markdown.render(made)
    before, _, rest = text.partition("<details><summary>21 more rollbacks: 21 of them lose or lock something")
    assert before.count("\n- ⚠️ if you roll ") == markdown.OPEN
    assert rest.count("\n- ⚠️ if you roll ") == 31 - markdown.OPEN
    assert "<details><summary>The walks: 31 rows</summary>\n\n| revision |" in rest
    assert "<details><summary>10 more findings</summary>" in rest
    assert "left out here" not in text
    assert "shortened here" not in text
