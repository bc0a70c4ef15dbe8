"""`neontest cleanup` gives back what this machine still owes."""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from neontest.cli import cleanup
from neontest.errors import LocalError
from neontest.github import unfinished
from neontest.lease.ledger import Entry, Hold, Ledger
from tests.conftest import environment, run_neontest
from tests.test_run import ENV_PY

MARK = {"neontest": "1", "lease": "x"}


@pytest.fixture
def note(tmp_path: Path, fake_neon: Any) -> Callable[..., Hold]:
    def write(**more: Any) -> Hold:
        now = datetime.now(UTC)
        settings: dict[str, Any] = {
            "name": "neontest/a",
            "project_id": fake_neon.main["project_id"],
            "api_host": fake_neon.url,
            "expires_at": now + timedelta(hours=1),
            "created_at": now - timedelta(minutes=1),
            "annotation": MARK,
            "pid": 4711,
        }
        return Ledger(tmp_path / "ledger").write(Entry(**(settings | more)))

    return write


def test_nothing_to_give_back_is_success(on_neon: Any) -> None:
    said = on_neon("cleanup")
    assert (said.code, said.out) == (0, "nothing to give back\n")


def test_a_branch_of_a_dead_run_is_given_back(on_neon: Any, fake_neon: Any, note: Any) -> None:
    left = fake_neon.branch("neontest/a", annotation=MARK)
    note(branch_id=left["id"]).release()
    said = on_neon("cleanup")
    assert said.code == 0
    assert said.out.startswith("neontest/a: given back in ")
    assert left["id"] not in fake_neon.branches
    assert on_neon("cleanup").out == "nothing to give back\n"


def test_a_living_run_is_named_and_left_alone(on_neon: Any, fake_neon: Any, note: Any) -> None:
    alive = fake_neon.branch("neontest/a", annotation=MARK)
    hold = note(branch_id=alive["id"])
    said = on_neon("cleanup")
    hold.remove()
    assert said.code == 0
    assert said.out == "neontest/a: its run is alive (pid 4711)\n"
    assert alive["id"] in fake_neon.branches


def test_what_cannot_be_given_back_is_named_with_its_expiry_and_ends_with_4(
    on_neon: Any, fake_neon: Any, note: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = fake_neon.branch("neontest/a", annotation=MARK)
    hold = note(branch_id=left["id"])
    hold.release()
    monkeypatch.delenv("NEON_API_KEY")
    said = on_neon("cleanup")
    assert said.code == 4
    for part in ("neontest/a", left["id"], "NEON_API_KEY", f"{hold.entry.expires_at:%Y-%m-%d %H:%M}"):
        assert part in said.err
    assert left["id"] in fake_neon.branches


def test_the_host_in_the_ledger_never_gets_the_key_of_another(on_neon: Any, fake_neon: Any, note: Any) -> None:
    note(api_host="https://elsewhere.test/api/v2").release()
    said = on_neon("cleanup")
    assert said.code == 4
    assert "--api-host https://elsewhere.test/api/v2" in said.out
    assert not fake_neon.requests


def test_an_entry_of_a_local_engine_whose_folder_is_gone_is_forgotten(
    on_neon: Any, note: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note(engine="local", state=str(tmp_path / "gone")).release()
    monkeypatch.delenv("NEON_API_KEY")
    assert on_neon("cleanup").code == 0
    assert on_neon("cleanup").out == "nothing to give back\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="root only")
def test_another_users_link_in_the_place_of_the_local_state_is_not_followed(on_neon: Any, tmp_path: Path) -> None:
    left = tmp_path / "target" / "new" / "left"
    for name in ("b", "kept", "lock", "new"):
        (tmp_path / "target" / name).mkdir(parents=True)
    left.mkdir()
    (tmp_path / "local").symlink_to(tmp_path / "target")
    os.chown(tmp_path / "local", 65534, 65534, follow_symlinks=False)
    said = on_neon("cleanup")
    assert said.code == 3
    assert "another user's link" in said.err
    assert left.is_dir()


def test_a_stop_ends_the_cleanup_and_keeps_the_rest(on_neon: Any, fake_neon: Any, note: Any) -> None:
    left = fake_neon.branch("neontest/a", annotation=MARK)
    note(branch_id=left["id"]).release()
    fake_neon.fault("DELETE", "", status=423, times=99, call=lambda: os.kill(os.getpid(), signal.SIGTERM))
    said = on_neon("cleanup")
    assert said.code == 128 + signal.SIGTERM
    fake_neon.faults.clear()
    assert on_neon("cleanup").code == 0
    assert left["id"] not in fake_neon.branches


def test_the_status_ends_though_the_local_state_cannot_be_swept(
    on_neon: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unswept(self: object) -> list[str]:
        raise LocalError("the state cannot be swept")

    finished: list[object] = []
    monkeypatch.setattr(cleanup.LocalFolders, "rest", unswept)
    monkeypatch.setattr(unfinished, "finish", lambda job, say: finished.append(job))
    said = on_neon("cleanup")
    assert (said.code, finished) == (3, [None])
    assert "the state cannot be swept" in said.err
    assert "nothing to give back" not in said.out


def test_the_command_that_a_kept_branch_is_told_to_be_deleted_by_deletes_it(tmp_path: Path, local_state: Path) -> None:
    state, root = local_state.parent / "a state", tmp_path / "shop"
    versions = root / "migrations" / "versions"
    versions.mkdir(parents=True)
    (root / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/migrations\n")
    (root / "migrations" / "env.py").write_text(ENV_PY)
    (versions / "r1.py").write_text(
        "from alembic import op\nrevision = 'r1'\ndown_revision = None\n\n\ndef upgrade():\n"
        "    op.execute('CREATE TABLE a (id int PRIMARY KEY)')\n\n\ndef downgrade():\n    op.execute('DROP TABLE a')\n"
    )
    environ = {name: value for name, value in environment(local_state).items() if name != "NEONTEST_STATE"}
    words = ["run", "--local", "--keep", "--no-tests", "--mode", "whole", "--state", str(state)]
    ran = run_neontest(*words, cwd=root, environ=environ, json=tmp_path / "report.json")
    (note,) = [each for each in ran.report.notes if "delete it: neontest " in each]
    assert list((state / "b").iterdir())
    command = shlex.split(note.rpartition("delete it: neontest ")[2])
    done = run_neontest(*command, cwd=root, environ=environ, json=None)
    assert done.code == 0, done.out + done.err
    assert not list((state / "b").iterdir())


@pytest.mark.parametrize(
    "line", ['parent-time = "2026-11-01T00:00:00Z"', 'from = "env:NOT_HERE"', "schema-only = true"]
)
def test_what_only_a_run_needs_keeps_nothing_from_being_given_back(
    tmp_path: Path, local_state: Path, line: str
) -> None:
    (tmp_path / "pyproject.toml").write_text(f'[tool.neontest]\nseed = "x"\n{line}\n')
    ran = run_neontest(
        "cleanup", "--ledger", str(tmp_path / "ledger"), cwd=tmp_path, environ=environment(local_state), json=None
    )
    assert (ran.code, ran.out) == (0, "nothing to give back\n"), ran.err
