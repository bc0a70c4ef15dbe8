"""The facts, and the file that keeps them."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from neontest.errors import LocalError
from neontest.local.problem import Problem
from neontest.local.store import KEPT_OPERATIONS, Branch, Project, Role, State, Store

AT = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)


def a_state() -> State:
    return State(project=Project(id="p-q-12345678", name="local", pg_version=18, created_at=AT, account_id="a"))


def a_branch(id: str, name: str, **more: object) -> Branch:
    facts = {"cluster": id, "state_changed_at": AT, "created_at": AT, "updated_at": AT} | more
    return Branch(id=id, name=name, **facts)  # type: ignore[arg-type]


def test_what_is_kept_is_what_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "neon.json"
    store = Store(a_state(), file=file)
    branch = a_branch("br-1", "main", default=True, annotation={"a": "ä"}, expires_at=AT)
    branch.roles.append(Role(name="r", password="secret", created_at=AT, updated_at=AT))
    store.state.branches["br-1"] = branch
    store.add_database(branch, "d", "r")
    store.add_operations("br-1", None, ["create_branch"])
    store.save()
    read = Store.load(file)
    assert read is not None
    assert read.state == store.state


def test_the_file_is_its_owners_alone_and_whole(tmp_path: Path) -> None:
    file = tmp_path / "neon.json"
    (tmp_path / "neon.new").write_text("left by a killed server")
    Store(a_state(), file=file).save()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text())["version"] == 1
    assert [each.name for each in tmp_path.iterdir()] == ["neon.json"]


def test_no_file_means_nothing_is_kept_and_a_bad_one_is_said(tmp_path: Path) -> None:
    assert Store.load(tmp_path / "none.json") is None
    bad = tmp_path / "neon.json"
    for content in ("", "{}", '{"version": 2}'):
        bad.write_text(content)
        with pytest.raises(LocalError, match="not a state that this neontest can read"):
            Store.load(bad)


def test_passwords_are_in_no_repr() -> None:
    role = Role(name="r", password="secret", created_at=AT, updated_at=AT)
    branch = a_branch("br-1", "main", roles=[role])
    assert "secret" not in repr(role) + repr(branch) + str(branch)


def test_a_branch_on_its_way_out_gives_its_name_free() -> None:
    store = Store(a_state())
    store.state.branches["br-1"] = a_branch("br-1", "taken")
    with pytest.raises(Problem) as problem:
        store.check_name("taken")
    assert problem.value.status == 409
    store.check_name("taken", but="br-1")
    store.state.branches["br-1"].pending = "storage_deleted"
    store.check_name("taken")
    assert store.branches() == []
    assert store.branch("br-1").going


def test_old_operations_are_forgotten_and_running_ones_never() -> None:
    store = Store(a_state())
    (first,) = store.add_operations("br-1", None, ["create_branch"])
    (old,) = store.add_operations("br-2", None, ["create_branch"])
    old.status = "finished"
    for _ in range(KEPT_OPERATIONS):
        (each,) = store.add_operations("br-2", None, ["create_branch"])
        each.status = "finished"
    store.save()
    assert first.id in store.state.operations
    assert old.id not in store.state.operations
    assert len(store.state.operations) == KEPT_OPERATIONS
    assert store.busy("br-1")
    assert not store.busy("br-2")
