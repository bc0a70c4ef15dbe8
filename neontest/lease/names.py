"""How a run names its branches, and how it marks them as its own.

In CI `neontest/pr-42/<short sha>/<run id>-<attempt>`, on a laptop `neontest/<user>/<short sha>/<random>`. A name is
for people; what proves ownership is the annotation, which only the creation of a branch can set.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

MARK: Final = "neontest"
MARK_VERSION: Final = "1"
LONGEST_NAME: Final = 256
LONGEST_EXPIRY: Final = timedelta(days=30)
MARGIN: Final = timedelta(minutes=30)
"""How long a branch outlives the deadline of its run, at most: time to clean up, and for clocks to differ."""

_PULL = re.compile(r"refs/pull/(\d+)/")
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Who takes branches: the stem of their names, and what is annotated on each."""

    stem: str
    annotation: Mapping[str, str] = msgspec.field(default_factory=dict)

    def name(self, suffix: str = "") -> str:
        """A branch's name; the suffix tells siblings apart."""
        tail = f"-{plain(suffix)}" if suffix else ""
        return self.stem[: LONGEST_NAME - len(tail)] + tail


def owner(
    env: Mapping[str, str],
    *,
    sha: str = "",
    user: str = "",
    host: str = "",
    pid: int = 0,
    token: str | None = None,
) -> Owner:
    """The owner that this environment tells of (`GITHUB_*` in GitHub's jobs), else a person at a laptop.

    `sha` is the commit under test; without it `GITHUB_SHA`, which on pull requests is the merge commit.
    """
    in_ci = bool(env.get("GITHUB_ACTIONS") and env.get("GITHUB_RUN_ID"))
    sha = sha or (env.get("GITHUB_SHA", "") if in_ci else "")
    if in_ci:
        run = f"{env['GITHUB_RUN_ID']}-{env.get('GITHUB_RUN_ATTEMPT') or '1'}"
        pull = _PULL.match(env.get("GITHUB_REF", ""))
        pr = pull.group(1) if pull else ""
        who = f"pr-{pr}" if pr else env.get("GITHUB_REF_NAME", "") or "ci"
    else:
        run, pr, who = token or secrets.token_hex(4), "", user
    facts = {
        MARK: MARK_VERSION,
        "run": run,
        "pr": pr,
        "sha": sha,
        "repository": env.get("GITHUB_REPOSITORY", "") if in_ci else "",
        "job": env.get("GITHUB_JOB", "") if in_ci else "",
        "host": host,
        "pid": str(pid) if pid else "",
    }
    stem = "/".join((MARK, plain(who)[:60] or "someone", plain(sha)[:7] or "no-commit", plain(run)[:60]))
    return Owner(stem=stem, annotation={key: value[:200] for key, value in facts.items() if value})


def plain(text: str) -> str:
    """The text as one part of a name: letters, digits, `.`, `_` and `-` only."""
    return _UNFIT.sub("-", text).strip("-.")


def expiry(run_seconds: float, *, now: datetime | None = None, margin: timedelta = MARGIN) -> datetime:
    """When a branch of a run that may take so long expires: its deadline and a margin, 30 days at most."""
    now = now or datetime.now(UTC)
    # A little under the API's limit: its clock may be behind ours.
    longest = LONGEST_EXPIRY - timedelta(minutes=5)
    return now + min(longest, timedelta(seconds=min(run_seconds, longest.total_seconds())) + margin)
