"""The whole job, top to bottom: preflight, branch, walks, tests, branch given back, judged."""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from neontest import checks, several, whose_data
from neontest.errors import BranchLeftBehind, Defect, NeontestError, Stopped
from neontest.ground import Context, Ground, beside_base, ground, known, moved_by_env, parent_seen, planned_start
from neontest.lease.give_back import left_behind
from neontest.lease.ledger import Ledger, default_folder
from neontest.migrate import environment
from neontest.migrate import history as histories
from neontest.migrate import project as projects
from neontest.record import Acceptance, History, Limits, Record
from neontest.redact import Redactor
from neontest.relay import Relay
from neontest.report import Finding, Level, Problem, Report, Rules, Verdict, report
from neontest.sessions import Sessions
from neontest.settings import Settings
from neontest.stop import Deadline, Stop
from neontest.talk import Nobody, Talk, Witness

if TYPE_CHECKING:
    from neontest.acting import Acting


@dataclass(slots=True)
class Job:
    """What is known so far; it is told even when the run ends early."""

    record: Record
    redactor: Redactor = field(default_factory=Redactor)
    problems: list[NeontestError] = field(default_factory=list)
    witness: Witness = field(default_factory=Nobody)
    _turn: threading.RLock = field(default_factory=threading.RLock)

    def note(self, **facts: object) -> None:
        with self._turn:
            self.record = msgspec.structs.replace(self.record, **facts)
        if "history" in facts and self.record.history.pending:
            self.witness.pending(self.record.history)

    def ended(self, acting: Acting) -> None:
        """Take over what the acting leaves to say, once all has been given back."""
        acting.close()
        self.note(notes=(*self.record.notes, *acting.notes))
        if acting.left_behind is not None:
            self.problems.append(acting.left_behind)

    def untaken(self, relay: Relay) -> None:
        """Give back the branch that the project before has left for this one, which had no need of it."""
        if not (given := relay.unused()):
            return
        from neontest.branches import ended

        self.note(branches=(*self.record.branches, *map(ended, given)))
        if (error := left_behind(given)) is not None:
            self.problems.append(error)

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            with self._turn:
                took = self.record.seconds.get(phase, 0.0) + time.monotonic() - began
                self.note(seconds={**self.record.seconds, phase: round(took, 3)})


def run(
    settings: Settings,
    environ: Mapping[str, str],
    *,
    stop: Stop,
    talk: Talk,
    witness: Witness | None = None,
    relay: Relay | None = None,
) -> Report:
    """The report of one run. Whatever goes wrong is in it; every branch is given back, or named as left behind.

    The `relay` is between this run and those of other projects.
    """
    witness, relay = witness or Nobody(), relay or Relay(stop, talk.show)
    job = Job(blank(settings), redactor=Redactor(witness.secret), witness=witness)
    if settings.api_key:
        job.redactor.add(settings.api_key)
        witness.secret(settings.api_key)
    job.redactor.add(environ.get("GITHUB_TOKEN"))
    with job.timed("total"):
        try:
            work(job, settings, environ, stop, talk, relay)
        except NeontestError as error:
            job.problems.append(error)
        except Exception as error:  # noqa: BLE001 -- told like everything else, once the branches are given back
            talk.show(job.redactor.text(traceback.format_exc()))
            job.problems.append(Defect(f"a defect in neontest: {type(error).__name__}: {error}"))
    with stop.shield():
        job.untaken(relay)
        return concluded(job, settings)


def cut_short(settings: Settings, error: Stopped) -> Report:
    """The report of a run that was stopped before it took anything, or after it gave everything back."""
    return concluded(Job(blank(settings), problems=[error]), settings)


def skipped(settings: Settings, why: str) -> Report:
    """The report of a run that has nothing to do."""
    record = msgspec.structs.replace(blank(settings), skipped=why)
    return report(record, (), (), verdict="passed", exit_code=0)


def blank(settings: Settings) -> Record:
    """The record of a run that has seen nothing yet, with all that was asked of it."""
    return Record(
        engine=settings.engine,
        engine_why=settings.engine_why,
        project=settings.name or "",
        project_id=settings.project_id or "",
        heads_allowed=settings.heads,
        acceptances=acceptances(settings),
        today=datetime.now(UTC).date(),
        limits=Limits(
            lock_seconds=settings.lock_budget,
            small_table=settings.small_table,
            migration_seconds=settings.slow_migration,
            statement_seconds=settings.slow_statement,
            many_locks=settings.many_locks,
        ),
    )


def work(job: Job, settings: Settings, environ: Mapping[str, str], stop: Stop, talk: Talk, relay: Relay) -> None:
    """Everything that acts. What needs no database comes first: a fault found there costs no branch."""
    if settings.top is None:  # else that was done for the file
        several.refuse_unknown_checks(settings.root / "pyproject.toml", settings, "[tool.neontest]")
    environment.check(settings.env, settings.files)
    source = whose_data.source(settings)
    deadline = Deadline(settings.timeout, what="the run")
    talk.say(f"engine: {settings.engine} ({settings.engine_why})")
    with ExitStack() as stack:
        with job.timed("preflight"):
            project = projects.find(
                settings.root, alembic_config=settings.alembic_config, section=settings.alembic_name, environ=environ
            )
            context = Context(
                settings=settings, environ=environ, project=project, stop=stop, deadline=deadline, talk=talk,
                source=source, relay=relay,
            )  # fmt: skip
            with stop.shield():  # or it has a folder and a process that nobody ends
                # It imports Alembic, which takes longer than all that we have to do before it is needed.
                sessions = Sessions(context, job.redactor)
                stack.callback(sessions.end)
                from neontest import old_code  # only now: it imports much, while the project's Python imports Alembic
            stop.check()
            context, said = old_code.based(context)
            history, notes = beside_base(context, histories.read(project))
            job.note(history=history, notes=(*job.record.notes, *settings.put_aside, *said, *notes))
            if at_fault(job.record):
                return
            Ledger(settings.ledger or default_folder(environ)).check()
            start = planned_start(context, history)
            if start is not None and nothing_pending(job, history, start):
                return
        with stop.shield():  # others' modules may take a stop in an import for an import that failed
            from neontest.acting import Acting

            acting = Acting(context, job.note, job.timed, job.redactor, sessions)
            stack.callback(job.ended, acting)
        stop.check()
        with job.timed("engine"):
            where = stack.enter_context(ground(context))
        stack.callback(acting.close)
        test_on(job, acting, where, history, start)


def test_on(job: Job, acting: Acting, where: Ground, history: History, start: tuple[str, ...] | None) -> None:
    """Take branches of the parent and do on them all that the settings ask for."""
    job.note(project_id=where.project_id, parent=where.parent.id, parent_name=where.parent.name)
    its_server: tuple[str, ...] = ()
    if start is None:
        with job.timed("parent"):
            seen = parent_seen(acting.context, where)
        start, its_server, where = seen.start, seen.server, msgspec.structs.replace(where, versions=seen.versions)
        if start is not None and not moved_by_env(acting.context.project):
            known(history, start, f"branch {where.parent.name}")
            if nothing_pending(job, history, start):
                return
    acting.test(where, history, start, parents_server=its_server)


def acceptances(settings: Settings) -> tuple[Acceptance, ...]:
    """Those of pyproject.toml, as the record has them."""
    file = (settings.top or settings.root) / "pyproject.toml"
    named = Path(os.path.relpath(file, settings.root)).as_posix()
    return tuple(
        Acceptance(check=each.check, reason=each.reason, revision=each.revision, until=each.until, file=named)
        for each in settings.accept
    )


def at_fault(record: Record) -> bool:
    """The graph of revisions itself is wrong: that is the whole report."""
    many = len(record.history.heads) > 1 and record.heads_allowed == "one"
    return bool(record.history.faults) or many


def nothing_pending(job: Job, history: History, start: tuple[str, ...]) -> bool:
    """Note start and pending revisions; True if there is nothing to test.

    An empty history is not yet nothing: only env.py may know where the revisions are.
    """
    pending = histories.pending(history, start)
    job.note(history=msgspec.structs.replace(history, start=", ".join(start) or None, pending=pending))
    return not pending and bool(history.revisions)


def concluded(job: Job, settings: Settings) -> Report:
    """The report, with findings, verdict and exit code: signal before 4, 3 (2), 1, 0."""
    rules = Rules(levels=settings.levels, gate=settings.gate)
    findings = checks.judge(job.record, rules, ended_early=bool(job.problems))
    problems = sorted(job.problems, key=precedence)
    if problems:
        exit_code = problems[0].exit_code
        verdict: Verdict = "stopped" if isinstance(problems[0], Stopped) else "error"
    else:
        # Whatever was accepted: where the revisions' own graph is at fault, nothing was tested.
        bad = fails(findings, settings.fail_on) or (at_fault(job.record) and settings.fail_on != "never")
        exit_code, verdict = (1, "failed") if bad else (0, "passed")
    told = tuple(Problem(kind=type(each).__name__, message=each.message, hint=each.hint) for each in problems)
    return job.redactor.struct(report(job.record, findings, told, verdict=verdict, exit_code=exit_code))


def precedence(error: NeontestError) -> int:
    return 0 if isinstance(error, Stopped) else 1 if isinstance(error, BranchLeftBehind) else 2


def fails(findings: tuple[Finding, ...], fail_on: str) -> bool:
    """Some finding that gates is at or above the level; `never` fails on none but the project's own tests."""
    gating = [each for each in findings if each.gates and each.accepted is None]
    if any(each.check == "tests-failed" and each.level is Level.ERROR for each in gating):
        return True
    return fail_on != "never" and any(each.level.rank <= Level(fail_on).rank for each in gating)
