"""The GitHub Actions job around us: whether a cancelled one reaches us, and what its token may do."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from neontest.errors import GitHubDenied, GitHubError
from neontest.examination.finding import Finding, Not, attempt
from neontest.github import job as github
from neontest.github.client import GitHub
from neontest.github.job import Job, repository
from neontest.github.patience import Patience
from neontest.stop import Deadline

SECONDS: Final = 5.0
SHELLS: Final = frozenset({"bash", "sh", "dash", "zsh", "ksh", "ash", "busybox"})
WITHOUT_EXEC: Final = re.compile(
    r"(?m)^(?:\s*-?\s*run:\s*|\s*|.*(?:&&|;)\s*)"
    r"(?:(?:uv|poetry|pdm|pipenv|hatch)\s+run\s+|(?:[\w./-]*/)?python[\d.]*\s+-m\s+)?(?:[\w./-]*/)?neontest\s+run\b"
)
"""A line of a workflow that runs neontest below a shell that stays."""


def job(environ: Mapping[str, str], parent: int, root: Path) -> Iterator[Finding]:
    """The findings about GitHub; outside of a job there is little to see. `parent` is our parent process."""
    inside, here = environ.get("GITHUB_ACTIONS") == "true", github.job(environ)
    yield attempt("exec", lambda: _exec(parent, root, inside=inside))[0]
    if not inside:
        yield Finding(what="token", state="not needed", said="this is no job of GitHub Actions")
    elif here is None:
        said, todo = "GITHUB_REPOSITORY names no repository", "nothing will be written there"
        yield Finding(what="token", state="warning", said=said, todo=todo)
    elif here.token is None:
        todo = "to have it, give the step GITHUB_TOKEN: ${{ github.token }}"
        yield Finding(what="token", state="not set", said="no commit status and no comment will be written", todo=todo)
    else:
        token = here.token
        yield attempt("token", lambda: _token(here, token))[0]


def _exec(parent: int, root: Path, *, inside: bool) -> tuple[str, None]:
    todo = "write `exec neontest run`: a shell passes a cancelled job's signal on to nobody"
    if inside:
        program = _program(parent)
        if program in SHELLS:
            raise Not("warning", f"neontest runs below {program}, without `exec`", todo)
        return f"the step's process is neontest's own (started by {program or 'a process that cannot be seen'})", None
    for file in _workflows(root):
        text = file.read_text(encoding="utf-8", errors="replace")
        if match := WITHOUT_EXEC.search(text):
            line = text.count("\n", 0, match.end()) + 1
            raise Not("warning", f"{file.name}:{line} runs neontest without `exec`", todo)
    raise Not("not needed", "this is no job of GitHub Actions")


def _program(pid: int) -> str:
    """The name of a process's program; empty where that is not to be had."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        name = words[0].decode("utf-8", "replace")
    except OSError:
        try:
            done = subprocess.run(
                ["ps", "-o", "comm=", "-p", str(pid)], capture_output=True, text=True, timeout=5, check=False
            )
        except (OSError, subprocess.SubprocessError):
            return ""
        name = done.stdout.strip()
    return name.rpartition("/")[2].lstrip("-")


def _workflows(root: Path) -> list[Path]:
    folder = (repository(root) or root) / ".github" / "workflows"
    return sorted(each for each in folder.glob("*.y*ml") if each.is_file())


def _token(here: Job, token: str) -> tuple[str, None]:
    """What reading tells: GitHub says of no token what it may write, until it writes."""
    if here.fork:
        raise Not(
            "warning", "a pull request from a fork: GitHub's token may only read", "see the job's summary instead"
        )
    top = f"/repos/{here.repository}"
    paths = {
        "the repository": (top, {}),
        "commit statuses": (f"{top}/commits/{here.sha or 'HEAD'}/statuses", {"per_page": 1}),
        "pull requests": (f"{top}/pulls", {"per_page": 1}),
    }
    refused, scopes = [], None
    patience = Patience(deadline=Deadline(SECONDS, what="asking GitHub"))
    try:
        with closing(GitHub(here.api_url, token, repository=here.repository, patience=patience)) as hub:
            for what, (path, query) in paths.items():
                try:
                    answer = hub.send("GET", path, query=query)
                except GitHubDenied as error:
                    if error.status == 401:
                        todo = "give the step GITHUB_TOKEN: ${{ github.token }}"
                        raise Not("warning", f"{here.api_url} does not take it", todo) from None
                    refused.append(f"{what} ({error.status})")
                else:
                    scopes = answer.headers.get("x-oauth-scopes", scopes)
    except GitHubError as error:
        raise Not("not known", error.message, "the run goes on without a status") from None
    if refused:
        raise Not(
            "warning",
            f"it may not read {', '.join(refused)}",
            "give the job `permissions: {contents: read, statuses: write, pull-requests: write}`",
        )
    if scopes:
        return f"taken, with the scopes {scopes}", None
    return "taken; whether it may write the status and the comment, only writing shows", None
