"""Send: a job's summary and the commit status `neontest`.

GitHub is told, never asked: whatever it answers, the run goes on, and what failed is said in the log.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import httpx

from neontest.report import Report

CONTEXT: Final = "neontest"
TIMEOUT_SECONDS: Final = 5.0
DESCRIPTION_LIMIT: Final = 140
"""Characters. Source: https://docs.github.com/en/rest/commits/statuses (2026-11)."""

State = Literal["pending", "success", "failure", "error"]
STATES: Final[dict[str, State]] = {"passed": "success", "failed": "failure", "error": "error", "stopped": "error"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The GitHub Actions job that this run is a step of."""

    repository: str
    sha: str
    """The commit that the pull request shows: its head, not the merge that GitHub checks out."""
    api_url: str = "https://api.github.com"
    run_url: str | None = None
    token: str | None = field(default=None, repr=False)
    summary: Path | None = None


def job(environ: Mapping[str, str]) -> Job | None:
    """The job that the environment describes, or None outside of GitHub Actions."""
    repository, sha = environ.get("GITHUB_REPOSITORY", ""), environ.get("GITHUB_SHA", "")
    if environ.get("GITHUB_ACTIONS") != "true" or not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        return None
    server, run = environ.get("GITHUB_SERVER_URL"), environ.get("GITHUB_RUN_ID")
    summary = environ.get("GITHUB_STEP_SUMMARY")
    return Job(
        repository=repository,
        sha=head_sha(environ.get("GITHUB_EVENT_PATH")) or sha,
        api_url=(environ.get("GITHUB_API_URL") or "https://api.github.com").rstrip("/"),
        run_url=f"{server}/{repository}/actions/runs/{run}" if server and run else None,
        token=environ.get("GITHUB_TOKEN") or None,
        summary=Path(summary) if summary else None,
    )


def head_sha(event_path: str | None) -> str | None:
    """The head commit of the pull request that the event describes."""
    if not event_path:
        return None
    try:
        event: Any = json.loads(Path(event_path).read_text(encoding="utf-8"))
        sha = event["pull_request"]["head"]["sha"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return sha if isinstance(sha, str) and re.fullmatch(r"[0-9a-f]{40,64}", sha) else None


def write_summary(job: Job, text: str, talk: Callable[[str], None]) -> None:
    """Add the text to the job's summary page."""
    if job.summary is None:
        return
    try:
        with job.summary.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        talk(f"the job summary was not written: {error.strerror}")


def set_status(job: Job, state: State, description: str, talk: Callable[[str], None]) -> None:
    """Set the commit status; without a token nothing is sent.

    Source: https://docs.github.com/en/rest/commits/statuses#create-a-commit-status (2026-11).
    """
    if job.token is None or not job.sha:
        return
    if len(description) > DESCRIPTION_LIMIT:
        description = description[: DESCRIPTION_LIMIT - 1] + "…"
    body = {"state": state, "context": CONTEXT, "description": description}
    if job.run_url:
        body["target_url"] = job.run_url
    try:
        answer = httpx.post(
            f"{job.api_url}/repos/{job.repository}/statuses/{job.sha}",
            json=body,
            headers={
                "Authorization": f"Bearer {job.token}",
                "Accept": "application/vnd.github+json",
                "X-GitHub-Api-Version": "2022-11-28",
            },
            timeout=TIMEOUT_SECONDS,
        )
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        talk(f"the commit status was not set: {type(error).__name__} from {job.api_url}")
        return
    if answer.status_code == 403:
        talk(
            "the commit status was not set: the token lacks `statuses: write` (pull requests from forks never have it)"
        )
    elif answer.is_error or answer.is_redirect:
        talk(f"the commit status was not set: {job.api_url} answered {answer.status_code}")


def end_status(job: Job, report: Report, verdict: str, talk: Callable[[str], None]) -> None:
    """Set the status to what the run came to."""
    set_status(job, STATES[report.verdict], verdict, talk)
