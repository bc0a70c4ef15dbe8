from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from neontest.github.client import GitHub
from neontest.github.patience import Patience
from neontest.stop import Deadline
from tests.conftest import environment as surroundings
from tests.github.hub import REPOSITORY, TOKEN, Hub, serving

SHA, HEAD, FORK_HEAD = "a" * 40, "b" * 40, "c" * 40


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving() as hub:
        yield hub


@pytest.fixture
def client(hub: Hub) -> Iterator[GitHub]:
    client = GitHub(hub.url, TOKEN, repository=REPOSITORY, patience=patience(20))
    yield client
    client.close()


def patience(seconds: float, **more: Any) -> Patience:
    return Patience(deadline=Deadline(seconds, what="the test"), **more)


Environment = Callable[..., dict[str, str]]


def payload(event: str) -> dict[str, Any]:
    """The parts of GitHub's payloads that anybody could read."""

    def side(sha: str, repository: str) -> dict[str, Any]:
        return {"sha": sha, "ref": "x", "repo": {"full_name": repository, "fork": repository != REPOSITORY}}

    repository = {"full_name": REPOSITORY, "default_branch": "main"}
    match event:
        case "pull_request":
            pull = {"number": 7, "head": side(HEAD, REPOSITORY), "base": side(SHA, REPOSITORY)}
            return {"action": "synchronize", "number": 7, "pull_request": pull, "repository": repository}
        case "fork":
            pull = {"number": 8, "head": side(FORK_HEAD, "mallory/shop"), "base": side(SHA, REPOSITORY)}
            return {"action": "opened", "number": 8, "pull_request": pull, "repository": repository}
        case "workflow_run":
            run = {
                "id": 5,
                "event": "pull_request",
                "conclusion": "failure",
                "head_sha": FORK_HEAD,
                "head_branch": "patch-1",
                "head_repository": {"full_name": "mallory/shop"},
                "html_url": "https://github.com/acme/shop/actions/runs/5",
                "pull_requests": [],
            }
            return {"action": "completed", "workflow_run": run, "repository": repository}
        case "push":
            return {"ref": "refs/heads/main", "after": SHA, "repository": repository}
        case _:
            return {"schedule": "0 0 * * *", "repository": repository}


@pytest.fixture
def environment(hub: Hub, tmp_path: Path) -> Environment:
    """The variables and files that GitHub's runner gives to a step."""

    def make(event: str = "pull_request", **more: str) -> dict[str, str]:
        files = tmp_path / "runner"
        files.mkdir(exist_ok=True)
        (files / "event.json").write_text(json.dumps(payload(event)))
        for name in ("summary", "output", "env", "path"):
            (files / name).touch()
        return {
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_SHA": SHA,
            "GITHUB_REF": {"pull_request": "refs/pull/7/merge", "fork": "refs/pull/8/merge"}.get(
                event, "refs/heads/main"
            ),
            "GITHUB_EVENT_NAME": "pull_request" if event == "fork" else event,
            "GITHUB_EVENT_PATH": str(files / "event.json"),
            "GITHUB_API_URL": hub.url,
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_RUN_ID": "42",
            "GITHUB_RUN_ATTEMPT": "1",
            "GITHUB_JOB": "migrations",
            "RUNNER_NAME": "GitHub Actions 3",
            "GITHUB_TOKEN": TOKEN,
            "GITHUB_STEP_SUMMARY": str(files / "summary"),
            "GITHUB_OUTPUT": str(files / "output"),
            "GITHUB_ENV": str(files / "env"),
            "GITHUB_PATH": str(files / "path"),
            **more,
        }

    return make


def outputs(text: str) -> dict[str, str]:
    """What the runner makes of a step's file of outputs."""
    found, lines = {}, iter(text.splitlines())
    for line in lines:
        name, _, end = line.partition("<<")
        assert end, line
        value = []
        for each in lines:
            if each == end:
                break
            value.append(each)
        else:
            raise AssertionError(f"the value of {name} does not end")
        found[name] = "\n".join(value)
    return found


@dataclass
class Step:
    """One step's shell, and its log."""

    process: subprocess.Popen[str]
    log: Path

    def ended(self) -> int:
        return self.process.wait(timeout=120)

    def shown(self) -> tuple[str, set[str]]:
        """What the runner shows of the log, and what it was told to mask: a secret before its mask is a failure."""
        masks: set[str] = set()
        shown, text = [], self.log.read_text()
        for line in text.splitlines():
            if line.startswith("::add-mask::"):
                value = line.removeprefix("::add-mask::")
                masks.add(value.replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%"))
            else:
                shown.append(line)
        return "\n".join(shown), masks


Start = Callable[..., Step]


@pytest.fixture
def step(environment: Environment, local_state: Path, tmp_path: Path) -> Iterator[Start]:
    """Begin a step: `bash -e SCRIPT`, as GitHub does on Linux, with `neontest` in front of the arguments."""
    begun: list[Step] = []
    (tmp_path / "temp").mkdir()

    def start(root: Path, *args: str, event: str = "pull_request", shell: str = "exec ", **more: str) -> Step:
        log, script = tmp_path / f"log{len(begun)}", tmp_path / f"step{len(begun)}.sh"
        script.write_text(f"{shell}{shlex.join([sys.executable, '-m', 'neontest', *args])}\n")
        github = environment(event, RUNNER_TEMP=str(tmp_path / "temp"), MARK=str(tmp_path / "mark"), **more)
        with log.open("w") as out:
            process = subprocess.Popen(
                ["bash", "-e", str(script)],
                cwd=root,
                env=surroundings(local_state, github | {"SEEN": str(tmp_path / "seen")}),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        begun.append(Step(process, log))
        return begun[-1]

    yield start
    for each in begun:
        if each.process.poll() is None:
            os.killpg(each.process.pid, signal.SIGKILL)
            each.process.wait()


def until(done: Callable[[], object], what: Step) -> None:
    end = time.monotonic() + 60
    while not done():
        assert what.process.poll() is None, what.log.read_text()
        assert time.monotonic() < end, what.log.read_text()
        time.sleep(0.02)
