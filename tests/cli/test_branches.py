"""`neontest branches` lists, makes and deletes neontest's own branches, and no others."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from neontest.data_seen import DataSeen
from neontest.renderers import whose
from neontest.report import Report

MARK = {"neontest": "1", "run": "77-1", "pr": "42", "lease": "x"}


def test_the_list_names_ours_with_age_expiry_and_run(on_neon: Any, fake_neon: Any) -> None:
    assert on_neon("branches").out == "no branches of neontest\n"
    ours = fake_neon.branch("neontest/a", annotation=MARK, expires_at="2999-01-01T00:00:00Z")
    fake_neon.branch("neontest/foreign")
    head, line = on_neon("branches").out.splitlines()
    assert head.split() == ["NAME", "ID", "AGE", "EXPIRES", "RUN"]
    assert line.split()[:2] == ["neontest/a", ours["id"]]
    assert line.endswith("2999-01-01 00:00Z  77-1 PR 42")


def test_a_branch_is_made_kept_and_deleted_by_its_name(on_neon: Any, fake_neon: Any) -> None:
    said = on_neon("branches", "create", "--name", "my-copy", "--expires-in", "2h")
    assert said.code == 0, said.err
    branch = fake_neon.branches[said.out.strip()]
    assert branch["name"] == "my-copy"
    assert fake_neon.annotations[branch["id"]]["keep"] == "1"
    assert "neontest branches delete 'my-copy'" in said.err
    assert "neonctl connection-string 'my-copy'" in said.err
    assert "postgresql://" not in said.out + said.err
    assert "stays: kept on purpose" in on_neon("sweep").out
    assert on_neon("cleanup").out == "nothing to give back\n"
    gone = on_neon("branches", "delete", "my-copy")
    assert gone.code == 0
    assert gone.out.startswith("my-copy: given back in")
    assert branch["id"] not in fake_neon.branches


def test_the_branch_of_a_report_is_made_again(on_neon: Any, fake_neon: Any) -> None:
    data = DataSeen(kind="copy", lsn="0/1E88D48")
    report = Report(engine="neon", verdict="failed", exit_code=1, parent_name="main", data=data)
    said = on_neon(*shlex.split(whose.again(report))[1:])
    assert said.code == 0, said.err
    assert fake_neon.sent("POST")[0].body["branch"]["parent_lsn"] == "0/1E88D48"
    bare = on_neon("branches", "create", "--schema-only")
    assert fake_neon.branches[bare.out.strip()]["init_source"] == "schema-only"


def test_the_connection_string_is_shown_only_when_asked_for(on_neon: Any, fake_neon: Any) -> None:
    said = on_neon("branches", "create", "--show-url", "--parent", "main")
    assert said.out.startswith("postgresql://neondb_owner:")
    assert "postgresql://" not in said.err


def test_a_branch_that_cannot_be_reached_is_not_left_behind(on_neon: Any, fake_neon: Any) -> None:
    fake_neon.databases = [("a", "x"), ("b", "x")]
    said = on_neon("branches", "create", "--show-url")
    assert said.code == 2
    assert "a, b" in said.err
    assert list(fake_neon.branches) == [fake_neon.main["id"]]


@pytest.mark.parametrize(
    "args",
    [
        ("--expires-in", "720h"),
        ("--expires-in", "soon"),
        ("--name", ""),
        ("--name", "n" * 257),
        ("--parent", "nobody"),
        ("--lsn", "here"),
        ("--time", "yesterday"),
        ("--lsn", "0/1A", "--time", "2026-01-31T12:00:00Z"),
        ("--anonymize", "nothing.toml"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(on_neon: Any, fake_neon: Any, args: tuple[str, ...]) -> None:
    said = on_neon("branches", "create", *args)
    assert said.code == 2
    assert not fake_neon.sent("POST")


def test_a_taken_name_is_said_and_left_alone(on_neon: Any, fake_neon: Any) -> None:
    taken = fake_neon.branch("my-copy")
    said = on_neon("branches", "create", "--name", "my-copy")
    assert said.code == 3
    assert "already exists" in said.err
    assert taken["id"] in fake_neon.branches


@pytest.mark.parametrize("kind", ["foreign", "default", "protected"])
def test_other_branches_are_not_deleted(on_neon: Any, fake_neon: Any, kind: str) -> None:
    more = {} if kind == "foreign" else {kind: True}
    fake_neon.branch("theirs", annotation={} if kind == "foreign" else MARK, **more)
    said = on_neon("branches", "delete", "theirs")
    assert said.code == 2
    assert not fake_neon.sent("DELETE")
    assert on_neon("branches", "delete", "nobody").code == 2


def test_names_are_one_printable_line(on_neon: Any, fake_neon: Any) -> None:
    odd = "\n::error::a\x1b[31m\r::error::b\u202e"
    facts = MARK | {"run": odd, "pid": odd, "until": "2026-01-01T00:00:00Z"}
    fake_neon.branch(odd, annotation=facts, expires_at="2999-01-01T00:00:00Z")
    fake_neon.branch(odd + "2", annotation=facts, protected=True)
    fake_neon.fault("DELETE", "", status=403, message=odd, times=9)
    for args in (("branches",), ("branches", "delete", odd), ("branches", "delete", odd + "2"), ("sweep",)):
        said = on_neon(*args)
        lines = (said.out + said.err).splitlines()
        assert "error::a" in "".join(lines)
        assert all(line.isprintable() and not line.strip().startswith("::") for line in lines), lines
