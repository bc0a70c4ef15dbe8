"""A saved report of a run that could not send it itself, such as that of a pull request from a fork.

The report is made by code that nobody has looked at. So nothing of where it goes to is read from it: the commit and the
repository come from the event, or from whoever runs `neontest publish`, and the pull request from GitHub. What it says
is only told, through the renderers, which let no text be anything but text.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from neontest import report as reports
from neontest.errors import GitHubDenied, GitHubError, UsageError
from neontest.github import files, sending, status
from neontest.github.client import GitHub
from neontest.github.comment import Sticky
from neontest.github.job import Job
from neontest.github.models import Pull
from neontest.renderers import parts
from neontest.renderers.parts import Part
from neontest.report import Report
from neontest.settings import Settings

LARGEST: Final = 32 * 1024 * 1024
"""Bytes; a report of 300 revisions with all their statements has a few."""

MOST: Final = 5_000
"""Walks, revisions and tables of a report that is sent: each takes a line, and they are compared with each other."""


def read(file: Path) -> Report:
    """The report in the file.

    Raises:
        UsageError: it is no plain file, too large, or not a report of version 1.
    """
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise UsageError(f"{file} is not a plain file")
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    report = reports.read(file, largest=LARGEST)
    if max(map(len, (report.walks, report.history.revisions, report.history.pending, report.read))) > MOST:
        raise UsageError(f"{file} tells of more than {MOST:,} revisions, walks or tables: that cannot be shown")
    return report


def send(
    hub: GitHub, job: Job, found: Sequence[Part], settings: Settings, *, number: int | None, say: Callable[[str], None]
) -> bool:
    """Send one run's reports to the job's commit and its pull request; False, and sentences, if not all was taken.

    Raises:
        UsageError: the pull request of this number is another one's. Then nothing is sent.
    """
    all_sent, pull, name = True, None, sending.configuration(settings)
    try:
        if name != "off":
            pull, why_not = pull_request(hub, job, job.sha, number)
            if pull is None:
                say(f"the comment was not written: {why_not}")
    except GitHubError as error:
        say(sending.complaint(error, "pull-requests", fork=False))
        all_sent = False
    files.write_summary(job.summary, sending.told(found, summary=True), say)
    try:
        if own := others(hub, job):
            say(f"the commit status was not set: {job.sha[:12]} is the head of {hub.repository}'s own #{own}, too")
        else:
            state, context = status.STATES[parts.verdict(found)], sending.context(settings)
            status.set_status(hub, job.sha, state, parts.status(found), url=job.run_url, context=context)
    except GitHubError as error:
        say(sending.complaint(error, "statuses", fork=False))
        all_sent = False
    try:
        if pull is not None:
            Sticky(hub, pull, name).write(sending.told(found))
    except GitHubError as error:
        say(sending.complaint(error, "pull-requests", fork=False))
        all_sent = False
    return all_sent


def pull_request(hub: GitHub, job: Job, sha: str, number: int | None) -> tuple[int | None, str]:
    """The open pull request whose head is the commit, or None and why there is none to write to.

    Raises:
        UsageError: the number that was given is of another pull request. GitHubError: GitHub does not say.
    """
    if number is not None:
        try:
            pull = hub.get(f"/repos/{hub.repository}/pulls/{number}", Pull)
        except GitHubDenied as denied:
            if denied.status != 404:
                raise
            raise UsageError(f"{hub.repository} has no pull request #{number}") from denied
        if pull.head.sha != sha:
            raise UsageError(
                f"pull request #{number} is at {pull.head.sha[:12]}, and the report is of {sha[:12]}",
                hint="a newer commit has its own run; or --pr or --sha is wrong",
            )
        return number, ""
    found = dict.fromkeys(each.number for each in candidates(hub, job, sha) if fits(each, hub.repository, job, sha))
    match list(found):
        case [only]:
            return only, ""
        case []:
            return None, f"no open pull request of {hub.repository} has {sha[:12]} as its head"
        case more:
            named = ", ".join(f"#{each}" for each in more)
            return None, f"{sha[:12]} is the head of {named}: say which with --pr"


def others(hub: GitHub, job: Job) -> int | None:
    """The repository's own open pull request with this head, where the report is a fork's: its run has the secrets.

    Whoever pushes the same commit to a fork could else put the fork's verdict in the place of that run's.
    """
    if job.tested is None or job.tested.repository.lower() == hub.repository.lower():
        return None
    here = replace(job, tested=None)
    for pull in candidates(hub, here, job.sha):
        of = pull.head.repo.full_name.lower() if pull.head.repo is not None else ""
        if of == hub.repository.lower() and fits(pull, hub.repository, here, job.sha):
            return pull.number
    return None


def candidates(hub: GitHub, job: Job, sha: str) -> Iterator[Pull]:
    """Pull requests that GitHub connects with the commit.

    `workflow_run.pull_requests` is empty for forks, and so can be the list by commit, whose commit lies in the fork;
    the list by branch has them. What a branch is called is its owner's choice: whatever comes back is looked at again.
    Source: https://docs.github.com/en/rest/commits/commits#list-pull-requests-associated-with-a-commit (2026-11).
    """
    try:
        yield from hub.pages(f"/repos/{hub.repository}/commits/{sha}/pulls", Pull)
    except GitHubDenied as denied:
        if denied.status not in (404, 409, 422):
            raise
    if job.tested is not None and job.tested.branch:
        owner = job.tested.repository.partition("/")[0]
        head = f"{owner}:{job.tested.branch}"
        yield from hub.pages(f"/repos/{hub.repository}/pulls", Pull, state="open", head=head)


def fits(pull: Pull, repository: str, job: Job, sha: str) -> bool:
    """It is open, merges into this repository, has the commit as its head, and that from where the run was."""
    if pull.state != "open" or pull.head.sha != sha or pull.base.repo is None:
        return False
    if pull.base.repo.full_name.lower() != repository.lower():
        return False
    if job.tested is None:
        return True
    return pull.head.repo is not None and pull.head.repo.full_name.lower() == job.tested.repository.lower()
