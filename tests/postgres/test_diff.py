"""Differences of hand-made snapshots: what is said, what is left out, and in which order."""

from __future__ import annotations

import pytest

from neontest.postgres.diff import diff
from neontest.postgres.model import Facts, Key, Snapshot

TABLE = Key("table", "public", "users")


def made(*entries: tuple[Key, Facts]) -> Snapshot:
    return Snapshot(objects=dict(entries))


def column(name: str, position: int, table: str = "public.users", **facts: str) -> tuple[Key, Facts]:
    pairs = (("type", "integer"), *((fact.replace("_", " "), value) for fact, value in facts.items()))
    return Key("column", table, name), (*pairs, ("position", str(position)))


def lines(before: Snapshot, after: Snapshot) -> list[str]:
    return [difference.line("left behind", "lost") for difference in diff(before, after)]


def test_equal_snapshots_do_not_differ() -> None:
    assert diff(made(column("a", 1)), made(column("a", 1))) == ()


def test_an_added_column_does_not_put_the_others_out_of_order() -> None:
    before = made((TABLE, ()), column("a", 1), column("b", 2))
    after = made((TABLE, ()), column("x", 1), column("a", 2), column("b", 3))
    assert lines(before, after) == ["column users.x: left behind"]


def test_another_order_is_its_own_class() -> None:
    before = made((TABLE, ()), column("a", 1), column("b", 2))
    after = made((TABLE, ()), column("b", 1), column("a", 2))
    (found,) = diff(before, after)
    assert (found.kind, found.on, found.name, found.change) == ("table", "public", "users", "order")
    assert found.line() == "table users: columns in another order: a, b → b, a"


def test_a_lost_table_is_one_line_and_counts_what_went_with_it() -> None:
    index = (Key("index", "public.users", "ix"), (("definition", "CREATE INDEX ix"),))
    serial = (Key("sequence", "public", "users_a_seq"), (("owned by", "public.users.a"),))
    (found,) = diff(made((TABLE, (("owner", "me"),)), column("a", 1), index, serial), made())
    assert found.line("left behind", "lost") == "table users: lost"
    assert found.facts == (("owner", "me", None), ("column count", "1", None), ("index count", "1", None))


def test_a_constraint_tells_of_its_index() -> None:
    constraint = (Key("constraint", "public.users", "uq"), (("definition", "UNIQUE (a)"),))
    index = (Key("index", "public.users", "uq"), (("definition", "CREATE UNIQUE INDEX uq"),))
    assert lines(made((TABLE, ())), made((TABLE, ()), constraint, index)) == ["constraint uq on users: left behind"]


def test_an_index_left_behind_reads_well() -> None:
    index = (Key("index", "public.users", "ix_users_age"), (("definition", "CREATE INDEX ix_users_age"),))
    assert lines(made(), made(index)) == ["index ix_users_age on users: left behind"]


def test_what_others_tell_never_leaves_nothing() -> None:
    """A column that only its parent explains is told where the parent does not."""
    assert lines(made((TABLE, ()), column("a", 1, inherited="yes")), made((TABLE, ()))) == ["column users.a: lost"]


def test_each_changed_grant_is_a_difference() -> None:
    before = made((TABLE, (("owner", "me"), ("grant to app", "SELECT, INSERT"))))
    after = made((TABLE, (("owner", "you"), ("grant to app", "SELECT"), ("grant to b c", "SELECT"))))
    assert lines(before, after) == [
        "table users: owner me → you",
        "grant on table users to app: SELECT, INSERT → SELECT",
        'grant on table users to "b c": none → SELECT',
    ]


@pytest.mark.parametrize("evil", ["a\nb", "a\rb", "a\x1b[31mb", "a\u2028b", "a\u202eb", "a\x85b", "a\x00b"])
def test_no_name_and_no_value_breaks_the_line(evil: str) -> None:
    found = [
        *lines(made(), made((Key("table", "public", evil), ()))),
        *lines(made((TABLE, (("comment", "x"),))), made((TABLE, (("comment", evil),)))),
        *lines(made((TABLE, (("grant to app", evil),))), made((TABLE, ()))),
    ]
    assert len(found) == 3
    assert all(line.isprintable() for line in found)


def test_a_long_text_is_said_to_have_changed_and_shown_on_request() -> None:
    key = Key("function", "public", "f(integer)")
    (found,) = diff(made((key, (("body", "one\ntwo\n"),))), made((key, (("body", "one\n2\n"),))))
    assert found.line() == "function f(integer): body changed"
    assert found.unified().splitlines()[2:] == ["@@ -1,2 +1,2 @@", " one", "-two", "+2"]


def test_lines_are_cut_never_silently() -> None:
    (found,) = diff(made((TABLE, (("comment", "x"),))), made((TABLE, (("comment", "y" * 500),))))
    assert found.line().endswith("…")
    assert len(found.line()) < 200


def test_schemas_come_before_types_and_types_before_tables() -> None:
    after = made(
        (Key("index", "public.users", "ix"), ()),
        (Key("function", "public", "f()"), ()),
        (Key("enum", "public", "mood"), ()),
        (TABLE, ()),
        (Key("schema", "", "s"), ()),
    )
    assert [difference.kind for difference in diff(made(), after)] == ["schema", "enum", "table", "function"]


def test_public_inside_a_text_stays() -> None:
    before = made((TABLE, (("comment", "see public.users"),)))
    assert lines(before, made((TABLE, ()))) == ["table users: comment 'see public.users' → none"]
