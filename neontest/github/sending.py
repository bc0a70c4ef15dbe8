"""What GitHub is told of a run, from its beginning to its end.

All requests are made one after another by one thread: the run waits for none of them, until it has ended, and then no
longer than it may. GitHub is told, never asked: whatever it answers, the run goes on, and what failed is said once.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from neontest.errors import GitHubDenied, GitHubError
from neontest.github import commands, files, status, unfinished
from neontest.github.comment import Sticky
from neontest.github.job import Job, folder
from neontest.github.patience import Patience
from neontest.record import History
from neontest.renderers import parts
from neontest.renderers.parts import Part
from neontest.renderers.source import Source
from neontest.report import Report
from neontest.settings import Settings
from neontest.stop import Deadline, Stop

if TYPE_CHECKING:
    from neontest.github.client import GitHub

BEGIN_SECONDS: Final = 60.0
"""For all that is sent while the run goes on; nobody waits for it."""
BEGIN_REQUEST_SECONDS: Final = 5.0
"""For one such request: what is sent at the end waits for the one that is under way."""
END_SECONDS: Final = 30.0
STOPPED_SECONDS: Final = 7.0
"""From the signal on: GitHub kills a cancelled step 10 s after it, and the branch was given back first."""
LEAST_SECONDS: Final = 1.5
"""For a stopped run that has nothing left of the 7 s: still before the kill."""

Task = Callable[["GitHub"], None]


def configuration(settings: Settings) -> str:
    """The name that this configuration's comment goes by; `off` for no comment. Several projects are one."""
    if settings.among and settings.comment != "off":
        named = "/".join(filter(None, (settings.comment, settings.among)))
        return f"only/{named}" if named in ("off", "default") else named  # projects may be called like that
    if settings.comment or settings.name is not None:
        return settings.comment or "default"
    file = settings.alembic_config
    inside = file is not None and file.is_relative_to(settings.root)
    where = "" if file is None else file.relative_to(settings.root).as_posix() if inside else file.name
    name = "" if settings.alembic_name == "alembic" else settings.alembic_name
    return ":".join(each for each in (where, name) if each) or "default"


def context(settings: Settings) -> str:
    """What the commit status is called; configurations with names of their own do not hide each other's failures."""
    comment = settings.comment if settings.comment != "off" else None
    return "/".join(filter(None, (status.CONTEXT, comment, settings.among)))


def source(job: Job, root: Path) -> Source | None:
    """Where a page's links go: to the job's repository and commit only."""
    if job.repository_url is None or not job.sha:
        return None
    by = job.tested.repository if job.tested is not None else job.repository
    return Source(
        url=job.repository_url,
        sha=job.sha,
        folder=folder(job, root),
        job=job.run_url,
        fork=by if by.lower() != job.repository.lower() else None,
    )


def told(found: Sequence[Part], *, summary: bool = False) -> str:
    """The reports as they stand in the comment, or in the summary, which is longer where there are several."""
    from neontest.renderers import several
    from neontest.renderers.markdown import LIMIT

    try:
        limit = min(several.LONGEST, LIMIT * len(found)) if summary else LIMIT
        return several.render(found, limit=limit)
    except Exception as error:  # noqa: BLE001 -- no page is no reason for a run to fail, or for a status to stay
        defect = f"this page could not be written: a defect in neontest ({type(error).__name__})"
        return f"### neontest: {parts.verdict(found)}\n\n{defect}; the job's log has the report.\n"


class Sending:
    """Tells GitHub of the projects of one run, in the background; outside of a job, or with `github = "off"`, it does
    nothing. The first project's settings say so, and what comment and status are called: they are alike in all.

    As a context manager it sees to it that a status which was begun ends, whatever happens.
    `say` takes a sentence for the log, `command` lines for the runner.
    """

    def __init__(
        self,
        job: Job | None,
        projects: Sequence[Settings],
        *,
        stop: Stop,
        say: Callable[[str], None],
        command: Callable[[str], object],
    ) -> None:
        self._job = job
        self._on = job is not None and projects[0].github == "on"
        self._name, self._context = configuration(projects[0]), context(projects[0])
        self._roots = [each.root for each in projects]
        self._parts = [
            Part(name=each.name or "", source=source(job, each.root) if job is not None else None) for each in projects
        ]
        self._files: list[str] = []
        self._at = 0
        self._stop, self._say_once, self._command = stop, Once(say), command
        self._tasks: queue.SimpleQueue[tuple[Task, Patience, str] | None] = queue.SimpleQueue()
        self._hurry = threading.Event()
        """Set at the end: what was to be sent before that is sent no more."""
        self._sticky: Sticky | None = None
        self._thread: threading.Thread | None = None
        self._note: unfinished.Note | None = None
        self._opened = self._ended = self._told = self._lost = False

    def __enter__(self) -> Sending:
        with self._stop.shield():  # what is begun here ends in __exit__
            if self._on and self._job is not None:
                self._note = unfinished.note(self._job, self._name, self._context)
            self._later(lambda hub: self._status(hub, "pending", "testing the migrations"), self._soon, "statuses")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._on and not self._ended:
            with self._stop.shield():
                self._finish("error", "neontest ended without a report", None)

    @property
    def on(self) -> bool:
        """GitHub is told: only then need anything be made for it."""
        return self._on

    def secret(self, text: str) -> None:
        """Have the runner mask it; sending may be off, the log is there all the same."""
        if self._job is not None:
            self._command(commands.masks(text))

    def pending(self, history: History) -> None:
        """Open the comment, or begin it anew: it runs, and this is pending."""
        if self._parts[self._at].history is not None or not self._comments:
            return
        self._opened = True
        self._parts[self._at] = replace(self._parts[self._at], history=history)
        from neontest.renderers import several

        found = tuple(self._parts)
        self._later(lambda hub: self._comment(hub, several.running(found), ends=False), self._soon, "pull-requests")

    def project(self, at: int) -> None:
        """What comes now is of the project that is the `at`-th."""
        self._at = at

    def ended(self, report: Report, *, report_file: str | None = None) -> str:
        """The project has ended like this; what to print of it in the log."""
        self._parts[self._at] = replace(self._parts[self._at], report=report)
        if self._job is None or not self._on:
            return ""
        from neontest.renderers.annotations import render

        self._files += [report_file] if report_file and report_file != "-" else []
        return render(report, folder=folder(self._job, self._roots[self._at]))

    @property
    def line(self) -> str:
        """What became of each project."""
        return parts.status(self._parts, most=len(self._parts))

    def end(self) -> None:
        """Leave outputs and summary, end status and comment, as far as the time goes that is left."""
        if self._job is None or not self._on:
            return
        verdict = parts.verdict(self._parts)
        reports = [each.report for each in self._parts if each.report is not None]
        files.write_outputs(self._job.output, files.outputs(verdict, reports, self._files), self._say_once)
        files.write_summary(self._job.summary, told(self._parts, summary=True), self._say_once)
        self._finish(status.STATES[verdict], parts.status(self._parts), told(self._parts))

    @property
    def _soon(self) -> Patience:
        """For what is sent while the run goes on."""
        limit = Deadline(BEGIN_SECONDS, what="telling GitHub")
        return Patience(deadline=limit, request_seconds=BEGIN_REQUEST_SECONDS, hurry=self._hurry)

    @property
    def _comments(self) -> bool:
        return self._on and self._job is not None and self._job.pull is not None and self._name != "off"

    def _finish(self, state: status.State, description: str, text: str | None) -> None:
        self._ended = True
        self._hurry.set()
        limit = max(LEAST_SECONDS, STOPPED_SECONDS - self._stop.age()) if self._stop else END_SECONDS
        patience = Patience(deadline=Deadline(limit, what="telling GitHub"))
        self._later(lambda hub: self._status(hub, state, description), patience, "statuses")
        if self._comments and (text is not None or self._opened):
            body = text or "### ⚠️ neontest ended without a report\n"
            self._later(lambda hub: self._comment(hub, body, ends=True), patience, "pull-requests")
        if self._thread is None:
            return
        self._later(self._all_told, patience, "statuses")
        self._tasks.put(None)
        began = time.monotonic()
        while self._thread.is_alive() and not self._late(time.monotonic() - began):
            self._thread.join(0.05)
        if self._told:
            unfinished.forget(self._note)
        if self._thread.is_alive():
            self._say_once("GitHub was too slow to be told all: the status or the comment may still say that it runs")

    def _late(self, spent: float) -> bool:
        """The end has taken as long as it may; a signal meanwhile shortens that."""
        if self._stop:
            return spent >= LEAST_SECONDS and self._stop.age() >= STOPPED_SECONDS
        return spent >= END_SECONDS

    def _status(self, hub: GitHub, state: status.State, description: str) -> None:
        assert self._job is not None
        status.set_status(hub, self._job.sha, state, description, url=self._job.run_url, context=self._context)

    def _comment(self, hub: GitHub, text: str, *, ends: bool) -> None:
        assert self._job is not None
        assert self._job.pull is not None
        self._sticky = self._sticky or Sticky(hub, self._job.pull, self._name)
        self._sticky.write(text, key=None if ends else self._job.key)

    def _all_told(self, hub: GitHub) -> None:
        self._told = not self._lost

    def _later(self, task: Task, patience: Patience, permission: str) -> None:
        """Have the thread do it, after all that it was given before."""
        if not self._on or self._job is None or self._job.token is None or not self._job.sha:
            return
        if self._thread is None:
            # A daemon: where GitHub hangs, the process ends all the same.
            self._thread = threading.Thread(target=self._work, name="github", daemon=True)
            self._thread.start()
        self._tasks.put((task, patience, permission))

    def _work(self) -> None:
        assert self._job is not None
        assert self._job.token is not None
        from neontest.github.client import GitHub

        hub: GitHub | None = None
        while (each := self._tasks.get()) is not None:
            task, patience, permission = each
            if patience.hurry.is_set():
                continue
            try:
                hub = hub or GitHub(
                    self._job.api_url, self._job.token, repository=self._job.repository, patience=patience
                )
                hub.patience = patience
                task(hub)
            except GitHubError as error:
                self._lost |= patience.hurry is not self._hurry and not isinstance(error, GitHubDenied)
                if not patience.hurry.is_set():  # else what comes next says it, or mends it
                    self._say_once(complaint(error, permission, fork=self._job.fork))
            except Exception as error:  # noqa: BLE001 -- a defect here is no reason for a run to fail
                self._lost |= patience.hurry is not self._hurry
                self._say_once(f"GitHub was not told: a defect in neontest: {type(error).__name__}")
        if hub is not None:
            hub.close()


WHAT: Final = {"statuses": "the commit status was not set", "pull-requests": "the comment was not written"}


def complaint(error: GitHubError, permission: str, *, fork: bool) -> str:
    """What was not sent, why, and what to do, in one sentence; `permission` is the one that it needs."""
    told = f"{WHAT[permission]}: {error.message}"
    if not isinstance(error, GitHubDenied) or error.status not in (401, 403, 404):
        return told
    if error.status == 401:
        return f"{told}; give the step GITHUB_TOKEN: ${{{{ github.token }}}}"
    if fork:
        return f"{told}; the token of a pull request from a fork only reads: send with `neontest publish` afterwards"
    return f"{told}; give the job `permissions: {permission}: write`"


class Once:
    """Says each sentence once."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._said: set[str] = set()

    def __call__(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._say(text)
