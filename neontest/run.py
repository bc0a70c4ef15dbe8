"""The whole job, top to bottom: preflight, branch, walks, tests, branch given back, judged."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import msgspec

from neontest import checks
from neontest.acting import Acting
from neontest.config import Settings
from neontest.errors import BranchLeftBehind, Defect, NeontestError, Stopped
from neontest.ground import Context, Ground, ground, known, parent_start, planned_start
from neontest.lease.ledger import Ledger, default_folder
from neontest.migrate import history as histories
from neontest.migrate import project as projects
from neontest.migrate.project import Project
from neontest.record import History, Record
from neontest.redact import Redactor
from neontest.report import Finding, Level, Problem, Report, Verdict, report
from neontest.stop import Deadline, Stop
from neontest.talk import Talk


@dataclass(slots=True)
class Job:
    """What is known so far; it is told even when the run ends early."""

    record: Record
    redactor: Redactor = field(default_factory=Redactor)
    problems: list[NeontestError] = field(default_factory=list)

    def note(self, **facts: object) -> None:
        self.record = msgspec.structs.replace(self.record, **facts)

    def ended(self, acting: Acting) -> None:
        """Take over what the acting leaves to say, once all has been given back."""
        acting.close()
        self.note(notes=(*self.record.notes, *acting.notes))
        if acting.left_behind is not None:
            self.problems.append(acting.left_behind)

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            took = self.record.seconds.get(phase, 0.0) + time.monotonic() - began
            self.note(seconds={**self.record.seconds, phase: round(took, 3)})


def run(settings: Settings, environ: Mapping[str, str], *, stop: Stop, talk: Talk) -> Report:
    """The report of one run. Whatever goes wrong is in it; every branch is given back, or named as left behind."""
    job = Job(
        Record(
            engine=settings.engine,
            engine_why=settings.engine_why,
            project_id=settings.project_id or "",
            heads_allowed=settings.heads,
        )
    )
    job.redactor.add(settings.api_key)
    job.redactor.add(environ.get("GITHUB_TOKEN"))
    with job.timed("total"):
        try:
            work(job, settings, environ, stop, talk)
        except NeontestError as error:
            job.problems.append(error)
        except Exception as error:  # noqa: BLE001 -- told like everything else, once the branches are given back
            talk.show(job.redactor.text(traceback.format_exc()))
            job.problems.append(Defect(f"a defect in neontest: {type(error).__name__}: {error}"))
    with stop.shield():
        return concluded(job, settings.fail_on)


def cut_short(settings: Settings, error: Stopped) -> Report:
    """The report of a run that was stopped before it took anything, or after it gave everything back."""
    record = Record(engine=settings.engine, engine_why=settings.engine_why, project_id=settings.project_id or "")
    return concluded(Job(record, problems=[error]), settings.fail_on)


def work(job: Job, settings: Settings, environ: Mapping[str, str], stop: Stop, talk: Talk) -> None:
    """Everything that acts. What needs no database comes first: a fault found there costs no branch."""
    deadline = Deadline(settings.timeout, what="the run")
    talk.say(f"engine: {settings.engine} ({settings.engine_why})")
    with job.timed("preflight"):
        project = projects.find(
            settings.root, alembic_config=settings.alembic_config, section=settings.alembic_name, environ=environ
        )
        history = histories.read(project)
        job.note(history=history)
        if at_fault(job.record):
            return
        context = Context(settings=settings, environ=environ, project=project, stop=stop, deadline=deadline, talk=talk)
        Ledger(settings.ledger or default_folder(environ)).check()
        start = planned_start(context, history)
        if start is not None and nothing_pending(job, history, start):
            return
    with ExitStack() as stack:
        acting = Acting(context, job.note, job.timed, job.redactor)
        stack.callback(job.ended, acting)
        with job.timed("engine"):
            where = stack.enter_context(ground(context))
        stack.callback(acting.close)
        test_on(job, acting, where, history, start)


def test_on(job: Job, acting: Acting, where: Ground, history: History, start: tuple[str, ...] | None) -> None:
    """Take branches of the parent and do on them all that the settings ask for."""
    job.note(project_id=where.project_id, parent=where.parent.id, parent_name=where.parent.name)
    if start is None:
        with job.timed("parent"):
            start = parent_start(acting.context, where)
        if start is not None and not moved_by_env(acting.context.project):
            known(history, start, where.parent.name)
            if nothing_pending(job, history, start):
                return
    acting.test(where, history, start)


def at_fault(record: Record) -> bool:
    """The graph of revisions itself is wrong: that is the whole report."""
    many = len(record.history.heads) > 1 and record.heads_allowed == "one"
    return bool(record.history.faults) or many


def moved_by_env(project: Project) -> bool:
    """Only running env.py can tell where the revisions are."""
    return "version_locations" in project.env_py.read_text(encoding="utf-8", errors="replace")


def nothing_pending(job: Job, history: History, start: tuple[str, ...]) -> bool:
    """Note start and pending revisions; True if there is nothing to test.

    An empty history is not yet nothing: only env.py may know where the revisions are.
    """
    pending = histories.pending(history, start)
    job.note(history=msgspec.structs.replace(history, start=", ".join(start) or None, pending=pending))
    return not pending and bool(history.revisions)


def concluded(job: Job, fail_on: str) -> Report:
    """The report, with findings, verdict and exit code: signal before 4, 3 (2), 1, 0."""
    findings = checks.judge(job.record)
    problems = sorted(job.problems, key=precedence)
    if problems:
        exit_code = problems[0].exit_code
        verdict: Verdict = "stopped" if isinstance(problems[0], Stopped) else "error"
    else:
        bad = fails(findings, fail_on) or "tests-failed" in {
            each.check for each in findings if each.level is Level.ERROR
        }
        exit_code, verdict = (1, "failed") if bad else (0, "passed")
    told = tuple(Problem(kind=type(each).__name__, message=each.message, hint=each.hint) for each in problems)
    return job.redactor.struct(report(job.record, findings, told, verdict=verdict, exit_code=exit_code))


def precedence(error: NeontestError) -> int:
    return 0 if isinstance(error, Stopped) else 1 if isinstance(error, BranchLeftBehind) else 2


def fails(findings: tuple[Finding, ...], fail_on: str) -> bool:
    """Some finding is at or above the level; `never` fails on none."""
    return fail_on != "never" and any(each.level.rank <= Level(fail_on).rank for each in findings)
