"""The action in a clone as actions/checkout leaves it: one commit deep, the base branch not in it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml

from neontest.report import Report, from_json
from tests.github.runner import Machine
from tests.github.test_action import FILE
from tests.test_grid import HEAD, NAME, NO_PHONE, PHONE, by_check, cells, commit, git, project, revision

NEWER = revision(2, "CREATE TABLE newer (id int PRIMARY KEY)", "DROP TABLE newer").replace('"r2"', '"newer"')


class Hosted:
    """A repository that is fetched from, with a pull request that GitHub has merged, and a base that moved on."""

    def __init__(self, folder: Path) -> None:
        root = project(
            folder / "repository" / "shop", {"test_users.py": HEAD + NAME + PHONE},
            {"migrations/versions/r2.py": NO_PHONE, "test_users.py": HEAD + NAME},
        ).parent  # fmt: skip
        self.head = self.sha(root, "HEAD")
        git(root, "checkout", "-q", "main")
        commit(root, "moved", {"README": "merged since the pull request was opened"})
        git(root, "merge", "-q", "--no-ff", "-m", "GitHub's own", "change")
        self.merge = self.sha(root, "HEAD")
        git(root, "checkout", "-q", "moved^")
        # What came to the base branch since is neither the pull request's doing nor what it is to be deployed on.
        first = (root / "shop/migrations/versions/r1.py").read_text()
        edited = {"shop/migrations/versions/newer.py": NEWER, "shop/migrations/versions/r1.py": first + "X = 1\n"}
        git(root, "branch", "-q", "-D", "main")
        commit(root, "main", edited)
        git(root, "update-ref", "refs/pull/7/merge", self.merge)
        self.root = root

    @staticmethod
    def sha(root: Path, ref: str) -> str:
        return git(root, "rev-parse", ref).strip()


@pytest.fixture
def hosted(tmp_path: Path) -> Hosted:
    return Hosted(tmp_path)


@pytest.fixture
def machine(hosted: Hosted, local_state: Path, tmp_path: Path) -> Machine:
    """A job for a pull request, with the neontest of this environment installed in it."""
    script = tmp_path / "neontest"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m neontest "$@"\n')
    script.chmod(0o755)
    made = Machine(
        folder=tmp_path / "machine",
        origin=hosted.root,
        github={
            "token": "", "base_ref": "main", "ref": "refs/pull/7/merge", "sha": hosted.merge,
            "event_name": "pull_request",
        },
        env={
            "NEONTEST_STATE": str(local_state), "NEONTEST_LEDGER": str(tmp_path / "ledger"), "NEONTEST_GITHUB": "off",
            "NEONTEST_LINT": "false", "NEONTEST_MODE": "whole", "PYTHONPATH": str(FILE.parents[3]),
        },
        replaced={"Install neontest": f'mkdir -p "$RUNNER_TEMP/neontest/bin"; ln -s {script} "$_/neontest"'},
    )  # fmt: skip
    made.setup_python({})
    made.stand_ins["actions/checkout"] = lambda given: checkout(made, hosted, given)
    return made


def checkout(machine: Machine, hosted: Hosted, given: Mapping[str, str]) -> dict[str, str]:
    """As actions/checkout does it: one commit, by its id; then the place that it came from may change."""
    where = machine.workspace
    git(where, "init", "-q")
    git(where, "remote", "add", "origin", f"file://{hosted.root}")
    ref = given.get("ref") or hosted.merge
    git(where, "fetch", "-q", "--no-tags", "--depth=1", "origin", f"+{ref}:refs/remotes/pull/7/merge")
    git(where, "checkout", "-q", "--force", "refs/remotes/pull/7/merge")
    git(where, "remote", "set-url", "origin", given.get("afterwards") or f"file://{hosted.root}")
    target = where / ".github" / "actions" / "neontest"
    target.mkdir(parents=True)
    (target / "action.yml").write_text(FILE.read_text(encoding="utf-8"))
    (where / ".git" / "info" / "exclude").write_text(".github\n")
    return {}


def used(machine: Machine, tmp_path: Path, checked_out: Mapping[str, str], **given: str) -> tuple[str, Report]:
    """The result of a job with the action, and its report."""
    steps = [
        {"name": "Check out", "uses": "actions/checkout@v6", "with": dict(checked_out)},
        {"name": "Use it", "uses": "$/.github/actions/neontest", "with": {"root": "shop", **given}},
    ]
    file = tmp_path / "workflow.yml"
    file.write_text(yaml.safe_dump({"jobs": {"job": {"steps": steps}}}))
    result = machine.run_job(file, "job")
    report = machine.folder / "temp" / "neontest-report.json"
    assert report.is_file(), machine.log
    return result, from_json(report.read_bytes())


@pytest.mark.parametrize("checked_out", ["merge", pytest.param("head", marks=pytest.mark.thorough)])
def test_what_the_clone_lacks_is_fetched_and_the_grid_is_on(
    machine: Machine, hosted: Hosted, tmp_path: Path, checked_out: str
) -> None:
    result, report = used(machine, tmp_path, {"ref": hosted.head} if checked_out == "head" else {})
    assert cells(report.cells) == {"old-old": (3, 0), "old-new": (1, 2), "new-new": (1, 0), "new-old": (1, 0)}
    assert by_check(report.findings, "breaks-running-code")
    # The base branch's own revisions: no newer one, and none that the pull request would have edited.
    assert (report.history.start, report.history.pending, report.history.edited) == ("r1", ("r2",), ())
    assert not by_check(report.findings, "edited-revision")
    assert result == "failure"
    # Of the base branch it has what was needed, and nothing is checked out or left of the grid.
    assert git(machine.workspace, "status", "--porcelain") == ""
    assert not (machine.workspace / ".git" / "worktrees").exists()
    shallow = "true" if checked_out == "merge" else "false"
    assert git(machine.workspace, "rev-parse", "--is-shallow-repository").strip() == shallow


@contextmanager
def closed_door() -> Iterator[str]:
    """A server on loopback that lets nobody fetch without a password."""

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="GitHub"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://x-token:s3same@127.0.0.1:{server.server_address[1]}/o/r"
        finally:
            server.shutdown()
            thread.join()


def test_without_credentials_a_line_says_so_and_nothing_fails(machine: Machine, tmp_path: Path) -> None:
    with closed_door() as url:
        result, report = used(machine, tmp_path, {"afterwards": url}, rows="0", **{"from-revision": "r1"})
    assert result == "success", machine.log
    (note,) = [each for each in report.notes if each.startswith("no grid of old and new code")]
    assert "git knows no main, neither here nor on a remote: this clone is shallow; fetching failed: " in note
    assert "fetch-depth: 0" in note
    assert "s3same" not in note + machine.log
    assert report.cells == ()
