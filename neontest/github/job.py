"""The GitHub Actions job that neontest is a step of, as the runner's environment and the event's payload describe it.

Source: https://docs.github.com/actions/reference/workflows-and-actions/variables and
https://docs.github.com/webhooks/webhook-events-and-payloads (2026-11).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

REPOSITORY: Final = re.compile(r"[\w-]+/(?!\.{1,2}$)[\w.-]+", re.ASCII)
SHA: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
API_URL: Final = "https://api.github.com"
LARGEST_EVENT: Final = 32 * 1024 * 1024
"""Bytes; GitHub's own payloads end at 25 MB."""


class Tested(msgspec.Struct, frozen=True, kw_only=True):
    """The run that a `workflow_run` event tells the end of."""

    event: str
    """What that run was for, such as `pull_request`."""
    sha: str
    branch: str
    """Of the head; whoever opened the pull request chose its name."""
    repository: str
    """Where the head lies: a fork, or the repository itself."""
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job of GitHub Actions."""

    repository: str
    sha: str
    """The commit that people look at: a pull request's head, not the merge that GitHub checks out."""
    event: str = ""
    pull: int | None = None
    """The pull request's number, where the event is about one."""
    fork: bool = False
    """The pull request comes from another repository, so that the token can usually read only."""
    tested: Tested | None = None
    api_url: str = API_URL
    repository_url: str | None = None
    run_url: str | None = None
    token: str | None = field(default=None, repr=False)
    summary: Path | None = None
    output: Path | None = None
    workspace: Path | None = None
    """Where the repository is checked out."""
    temp: Path | None = None
    """The runner's folder for temporary files, which are gone when the job has ended."""
    key: str = ""
    """Tells this job from every other one, those of the same run too."""


def job(environ: Mapping[str, str]) -> Job | None:
    """The job that the environment describes, or None outside of GitHub Actions."""
    repository = environ.get("GITHUB_REPOSITORY", "")
    if environ.get("GITHUB_ACTIONS") != "true" or not REPOSITORY.fullmatch(repository):
        return None
    event = payload(environ.get("GITHUB_EVENT_PATH"))
    server, run = environ.get("GITHUB_SERVER_URL", "").rstrip("/"), environ.get("GITHUB_RUN_ID")
    attempt, sha = environ.get("GITHUB_RUN_ATTEMPT"), environ.get("GITHUB_SHA", "")
    summary, output, temp, workspace = (
        Path(found) if (found := environ.get(each)) else None
        for each in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT", "RUNNER_TEMP", "GITHUB_WORKSPACE")
    )
    run_url = f"{server}/{repository}/actions/runs/{run}" if server and run else None
    return Job(
        repository=repository,
        sha=head(event) or (sha if SHA.fullmatch(sha) else ""),
        event=environ.get("GITHUB_EVENT_NAME", ""),
        pull=number(event),
        fork=from_fork(event),
        tested=finished_run(event),
        api_url=(environ.get("GITHUB_API_URL") or API_URL).rstrip("/"),
        repository_url=f"{server}/{repository}" if server else None,
        run_url=f"{run_url}/attempts/{attempt}" if run_url and attempt and attempt.isdigit() else run_url,
        token=environ.get("GITHUB_TOKEN", "").strip() or None,
        summary=summary,
        output=output,
        temp=temp,
        workspace=workspace,
        key=key(environ),
    )


def folder(job: Job, root: Path) -> str:
    """Where in the repository the project lies, with `/`; "" at its top, or where nobody knows."""
    if job.workspace is None:
        return ""
    root, top = root.resolve(), job.workspace.resolve()
    return "" if root == top or not root.is_relative_to(top) else root.relative_to(top).as_posix()


def repository(root: Path) -> Path | None:
    """The top of the git repository that the folder is in: GitHub looks for workflows there, and paths begin there."""
    return next((each for each in (root, *root.parents) if (each / ".git").exists()), None)


def key(environ: Mapping[str, str]) -> str:
    """A short digest of what differs between any two jobs; a matrix's share all but the runner at one time."""
    names = ("GITHUB_REPOSITORY", "GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT", "GITHUB_JOB", "RUNNER_NAME")
    told = "\0".join(environ.get(each, "") for each in names)
    return hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def payload(event_path: str | None) -> dict[str, Any]:
    """The event's payload; empty where there is none to read."""
    if not event_path:
        return {}
    try:
        with Path(event_path).open("rb") as file:
            event: Any = json.loads(file.read(LARGEST_EVENT))
    except (OSError, ValueError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}


def head_sha(event_path: str | None) -> str | None:
    """The head commit of the pull request that the event describes."""
    return head(payload(event_path))


def head(event: Mapping[str, Any]) -> str | None:
    return matching(SHA, at(event, "pull_request", "head", "sha"))


def number(event: Mapping[str, Any]) -> int | None:
    found = at(event, "pull_request", "number")
    return found if type(found) is int and found > 0 else None


def from_fork(event: Mapping[str, Any]) -> bool:
    """The head lies in another repository, or in one that is gone."""
    if not isinstance(at(event, "pull_request", "head"), dict):
        return False
    there, here = (at(event, "pull_request", side, "repo", "full_name") for side in ("head", "base"))
    return bool(there != here)


def finished_run(event: Mapping[str, Any]) -> Tested | None:
    """What a `workflow_run` event says of the run that ended."""
    run = at(event, "workflow_run")
    sha = matching(SHA, at(run, "head_sha"))
    repository = matching(REPOSITORY, at(run, "head_repository", "full_name"))
    branch, url = at(run, "head_branch"), at(run, "html_url")
    if sha is None or repository is None:
        return None
    return Tested(
        event=str(at(run, "event")),
        sha=sha,
        branch=branch if isinstance(branch, str) else "",
        repository=repository,
        url=url if isinstance(url, str) and url.startswith("https://") else None,
    )


def at(value: Any, *names: str) -> Any:
    """What lies there in JSON, or None."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def matching(pattern: re.Pattern[str], value: Any) -> str | None:
    return value if isinstance(value, str) and pattern.fullmatch(value) else None
