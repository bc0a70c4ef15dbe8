"""Whole runs inside of a job as GitHub's runner makes it: its variables and files, its shell, its way to cancel."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from neontest.github.comment import marker
from neontest.report import from_json
from tests.github.conftest import FORK_HEAD, HEAD, SHA, Start, outputs, until
from tests.github.hub import TOKEN, Fault, Hub

KEY = "napi_sesame0open0sesame"

ENV_PY = """
import os
from alembic import context
from sqlalchemy import create_engine

print("the URL is", os.environ["DATABASE_URL"], os.environ.get("PGPASSWORD"))
engine = create_engine(os.environ["DATABASE_URL"])
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
TEST = """
import os
def test_it():
    open(os.environ["SEEN"], "w").write("\\n".join(f"{n}={v}" for n, v in os.environ.items()))
    print(os.environ["DATABASE_URL"], os.environ["PGPASSWORD"])
    assert not "this fails, so that what it prints is told"
"""
HANGING = """
import os, time
def test_it():
    open(os.environ["MARK"], "w").write(f"{os.getpid()}\\n")
    time.sleep(600)
"""


def project(root: Path, *, test: str = TEST, heads: int = 1) -> Path:
    versions = root / "migrations" / "versions"
    versions.mkdir(parents=True)
    (root / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/migrations\n")
    (root / "migrations" / "env.py").write_text(ENV_PY)
    (root / "test_it.py").write_text(test)
    for number in range(1, heads + 1):
        (versions / f"r{number}_it.py").write_text(
            f'"""revision <{number}> @everyone"""\nfrom alembic import op\nrevision = "r{number}"\n'
            "down_revision = None\n\n\n"
            "def upgrade():\n    op.execute('CREATE TABLE a (id int PRIMARY KEY)')\n\n\n"
            "def downgrade():\n    op.execute('DROP TABLE a')\n"
        )
    return root


def test_a_pull_request_has_comment_status_summary_outputs_and_no_secret(hub: Hub, step: Start, tmp_path: Path) -> None:
    root = project(tmp_path / "project")
    said = step(root, "run", "--local", "--json", "report.json", "-v", NEON_API_KEY=KEY)
    assert said.ended() == 1, said.log.read_text()
    assert [sha for sha, _ in hub.statuses] == [HEAD, HEAD]
    assert hub.states() == ["pending", "failure"]
    (comment,) = hub.bodies(7)
    assert comment.startswith(marker("default") + "\n### ❌ neontest: failed")
    assert "@everyone" not in comment
    runner = tmp_path / "runner"
    report = from_json((root / "report.json").read_bytes())
    assert outputs((runner / "output").read_text()) == {
        "verdict": "failed",
        "branch-id": report.branches[0].id,
        "report": str(root / "report.json"),
        "pending": "1",
        "findings": str(len(report.findings)),
    }
    shown, masks = said.shown()
    assert any(each.startswith("postgresql://") for each in masks)
    assert KEY in masks
    seen = dict(line.partition("=")[::2] for line in (tmp_path / "seen").read_text().splitlines())
    assert seen["PGPASSWORD"] in masks
    assert seen["PGPASSWORD"] in seen["DATABASE_URL"]
    assert not {"NEON_API_KEY", "GITHUB_TOKEN", "GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH"} & set(seen)
    told = [shown, comment, str(hub.statuses), (root / "report.json").read_text()]
    told += [(runner / name).read_text() for name in ("summary", "output")]
    for text in told:
        assert not [each for each in {*masks, TOKEN} if each in text]
    assert "the URL is" in shown
    assert TOKEN not in said.log.read_text()
    assert not list((tmp_path / "temp").iterdir())


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_cancelled_run_ends_status_and_comment_after_the_branch_is_given_back(
    hub: Hub, step: Start, tmp_path: Path, signum: int
) -> None:
    root = project(tmp_path / "project", test=HANGING)
    said = step(root, "run", "--json", "report.json")
    until((tmp_path / "mark").exists, said)
    assert hub.states() == ["pending"]
    assert "running, 1 pending revision" in hub.bodies(7)[0]
    began = time.monotonic()
    said.process.send_signal(signum)
    assert said.ended() == 128 + signum
    assert time.monotonic() - began < 7
    assert hub.states() == ["pending", "error"]
    assert "running" not in hub.bodies(7)[0]
    assert "stopped by SIG" in hub.bodies(7)[0]
    report = from_json((root / "report.json").read_bytes())
    assert report.branches
    assert all(each.deleted for each in report.branches)
    assert hub.sent("POST", "/statuses")[-1].at > began
    assert outputs((tmp_path / "runner" / "output").read_text())["verdict"] == "stopped"


def test_without_exec_the_run_is_killed_and_cleanup_ends_its_status(hub: Hub, step: Start, tmp_path: Path) -> None:
    root = project(tmp_path / "project", test=HANGING)
    # A second command, or bash would put neontest in its own place.
    said = step(root, "run", shell="true; ")
    said.process.poll()
    until((tmp_path / "mark").exists, said)
    until(lambda: hub.bodies(7), said)
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        said.process.send_signal(signum)
        time.sleep(0.3)
    # What GitHub does last: no process of the step is left.
    os.killpg(said.process.pid, signal.SIGKILL)
    said.ended()
    assert hub.states() == ["pending"]
    assert "running" in hub.bodies(7)[0]
    after = step(root, "cleanup")
    assert after.ended() == 0, after.log.read_text()
    assert hub.states() == ["pending", "error"]
    assert "killed before it could end" in hub.bodies(7)[0]
    again = len(hub.requests)
    assert step(root, "cleanup").ended() == 0
    assert len(hub.requests) == again


@pytest.mark.parametrize("event", ["push", "schedule", "workflow_run"])
def test_without_a_pull_request_there_is_a_status_and_no_comment(
    hub: Hub, step: Start, tmp_path: Path, event: str
) -> None:
    said = step(project(tmp_path / "project"), "run", "--from-revision", "r1", event=event)
    assert said.ended() == 0, said.log.read_text()
    assert (hub.states()[-1], hub.statuses[-1][0]) == ("success", SHA)
    assert hub.statuses[-1][1]["description"] == "passed: nothing to test"
    assert not hub.sent("GET")
    assert outputs((tmp_path / "runner" / "output").read_text())["pending"] == "0"


def test_a_fork_gets_its_verdict_by_exit_code_and_summary_and_is_told_the_rest(
    hub: Hub, step: Start, tmp_path: Path
) -> None:
    hub.faults = [Fault("POST", "/repos", status=403, message="Resource not accessible by integration", times=99)]
    said = step(project(tmp_path / "project", heads=2), "run", event="fork")
    assert said.ended() == 1
    shown, _ = said.shown()
    assert shown.count("send with `neontest publish` afterwards") == 2
    assert "single-head" in (tmp_path / "runner" / "summary").read_text()
    assert {each.path.split("/")[-1] for each in hub.sent("POST", "/statuses")} == {FORK_HEAD}


def test_where_github_is_down_the_run_passes_all_the_same(hub: Hub, step: Start, tmp_path: Path) -> None:
    said = step(
        project(tmp_path / "project"), "run", "--from-revision", "r1", "-q", GITHUB_API_URL="http://127.0.0.1:1"
    )
    assert said.ended() == 0, said.log.read_text()
    assert "the commit status was not set: http://127.0.0.1:1 gave no answer" in said.log.read_text()
    assert hub.requests == []
