from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from neontest.github.files import append, write_outputs, write_summary
from neontest.github.job import folder, job
from tests.github.conftest import FORK_HEAD, HEAD, SHA, Environment, outputs
from tests.github.hub import TOKEN


def test_outside_of_github_there_is_no_job() -> None:
    assert job({}) is None
    assert job({"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "../evil?x"}) is None
    assert job({"GITHUB_REPOSITORY": "acme/shop"}) is None


@pytest.mark.parametrize(
    ("event", "sha", "pull", "fork"),
    [
        ("pull_request", HEAD, 7, False),
        ("fork", FORK_HEAD, 8, True),
        ("push", SHA, None, False),
        ("schedule", SHA, None, False),
        ("workflow_run", SHA, None, False),
    ],
)
def test_the_event_says_commit_and_pull_request(
    environment: Environment, event: str, sha: str, pull: int | None, fork: bool
) -> None:
    found = job(environment(event))
    assert found is not None
    assert (found.sha, found.pull, found.fork) == (sha, pull, fork)
    assert found.run_url == "https://github.com/acme/shop/actions/runs/42/attempts/1"


def test_a_run_that_ended_is_told_by_its_event(environment: Environment) -> None:
    found = job(environment("workflow_run"))
    assert found is not None
    assert found.tested is not None
    assert (found.tested.sha, found.tested.repository, found.tested.branch) == (FORK_HEAD, "mallory/shop", "patch-1")


@pytest.mark.parametrize(
    "event",
    [
        None,
        b"",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"pull_request": null}',
        b'{"pull_request": {"number": true, "head": {"sha": "x"}}}',
        b'{"pull_request": {"number": "7/../8", "head": []}, "workflow_run": {"head_sha": "../x"}}',
    ],
)
def test_a_payload_that_is_none_leaves_the_jobs_own_commit(
    environment: Environment, tmp_path: Path, event: bytes | None
) -> None:
    path = tmp_path / "odd.json"
    if event is not None:
        path.write_bytes(event)
    found = job(environment(GITHUB_EVENT_PATH=str(path)))
    assert found is not None
    assert (found.sha, found.pull, found.tested) == (SHA, None, None)


@pytest.mark.parametrize(("name", "value"), [("GITHUB_JOB", "x"), ("RUNNER_NAME", "x"), ("GITHUB_RUN_ATTEMPT", "2")])
def test_jobs_are_told_apart(environment: Environment, name: str, value: str) -> None:
    one, other, same = job(environment()), job(environment(**{name: value})), job(environment())
    assert one is not None
    assert other is not None
    assert one == same
    assert one.key != other.key


def test_the_token_is_in_no_repr(environment: Environment) -> None:
    assert TOKEN not in repr(job(environment()))


def test_the_summary_is_added_to_and_a_failure_is_only_said(tmp_path: Path) -> None:
    file = tmp_path / "summary.md"
    file.write_text("before\n")
    write_summary(file, "after\n", pytest.fail)
    assert file.read_text() == "before\nafter\n"
    said: list[str] = []
    write_summary(tmp_path / "no" / "summary.md", "x", said.append)
    append(tmp_path, "x", "it failed", said.append)
    assert said == ["the job summary was not written: No such file or directory", "it failed: Is a directory"]
    write_summary(None, "x", pytest.fail)


def test_no_value_of_an_output_can_begin_another(tmp_path: Path) -> None:
    hostile = "x\nEOF\nverdict<<EOF\npassed\n\nneontest_\nreport=/etc/passwd"
    file = tmp_path / "output"
    values: dict[str, Any] = {"verdict": "failed", "branch-id": hostile, "empty": "", "after": "1"}
    write_outputs(file, values, pytest.fail)
    write_outputs(file, {"later": "2"}, pytest.fail)
    assert outputs(file.read_text()) == {**values, "later": "2"}
    ends = [line.partition("<<")[2] for line in file.read_text().splitlines() if "<<neontest_" in line]
    assert len(set(ends)) == 5
    assert json.dumps(values)


@pytest.mark.parametrize(("root", "expected"), [(".", ""), ("services/shop", "services/shop"), ("..", "")])
def test_the_projects_folder_is_told_as_the_repository_has_it(
    environment: Environment, tmp_path: Path, root: str, expected: str
) -> None:
    found = job(environment(GITHUB_WORKSPACE=str(tmp_path / "shop")))
    assert found is not None
    assert folder(found, tmp_path / "shop" / root) == expected
    nowhere = job(environment())
    assert nowhere is not None
    assert folder(nowhere, tmp_path) == ""
