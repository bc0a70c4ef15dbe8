from __future__ import annotations

from neontest.record import History, Revision
from neontest.renderers import running


def history(count: int, message: str = "first") -> History:
    ids = tuple(f"r{number}" for number in range(count))
    return History(pending=ids, revisions=tuple(Revision(id=each, message=message) for each in ids))


def test_it_names_what_is_pending() -> None:
    assert running.render(history(2)).splitlines() == [
        "### ⏳ neontest: running, 2 pending revisions",
        "",
        "- r0 first",
        "- r1 first",
    ]


def test_many_are_counted() -> None:
    lines = running.render(history(300)).splitlines()
    assert lines[-1] == "- and 270 more"
    assert len(lines) == 33


def test_messages_are_only_text() -> None:
    text = running.render(history(1, "<script>|`x` @all [a](b)\n### ::error::\x1b[2J -->"))
    assert len(text.splitlines()) == 3
    for bad in ("<", "@", "`", "](", "\x1b", "-->"):
        assert bad not in text
