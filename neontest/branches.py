"""The branches of one run: taken, with the project loaded on them, and given back."""

from __future__ import annotations

import getpass
import os
import platform
import shlex
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from neontest.errors import (
    BranchLeftBehind,
    ComputesBusy,
    DatabaseError,
    DeadlineExceeded,
    NeontestError,
    NoFreeBranch,
    WrongDatabase,
)
from neontest.github.job import head_sha
from neontest.ground import Context, Ground
from neontest.lanes import Lanes
from neontest.lease import names
from neontest.lease.budget import BUDGET, STOPPED_BUDGET
from neontest.lease.give_back import GivenBack, left_behind
from neontest.lease.lease import Lease, LeaseRole, Leases
from neontest.lease.ledger import Ledger, default_folder
from neontest.lease.patience import Patience
from neontest.migrate import git
from neontest.postgres.connect import Connection, advisory_guard, alive, connect_when_ready, server
from neontest.postgres.locks import Observer
from neontest.postgres.snapshot import Reader
from neontest.postgres.versions import Versions, version_tables
from neontest.record import BranchUse, History
from neontest.redact import Redactor
from neontest.rows import Plan, Rows
from neontest.sessions import NONE, Sessions
from neontest.trial import Trial, guarding, load_changes, result
from neontest.whose_data import tell_revisions

KEPT: Final = timedelta(hours=24)
AWAKE: Final = 120.0
"""Seconds for a compute to let somebody in."""
AFTERWARDS: Final = 20.0
"""Seconds for which a run waits at least where it has given back a branch for another: it may still be counted."""


class Branches:
    """What this run holds: each branch from its request to the proof that it is gone.

    `note` takes what became of them for the record.
    """

    def __init__(
        self,
        context: Context,
        ground: Ground,
        sessions: Sessions,
        plan: Plan,
        note: Callable[..., None],
        redactor: Redactor,
        lanes: Lanes,
        parents_server: tuple[str, ...] = (),
    ) -> None:
        self._context = context
        self._ground = ground
        self._parents_server = parents_server
        self._sessions = sessions
        self._plan = plan
        self._note = note
        self._redactor = redactor
        self._lanes = lanes
        self._turn = threading.Lock()
        self._leases = lease_holder(context, ground, seconds=context.deadline.left() + context.relay.seconds)
        self._trials: list[Trial] = []
        self._uses: dict[str, BranchUse] = {}
        self._soon: Future[Lease] | None = None
        self._ready: Future[Trial | None] | None = None
        """For whoever is the first to want a fresh one."""
        self._revisions: frozenset[str] = frozenset()
        self._one_at_a_time = False
        """The project has no second branch for this run."""

    def trial(
        self,
        role: LeaseRole,
        history: History | None = None,
        surroundings: Mapping[str, str] = NONE,
        *,
        lease: Lease | None = None,
        sibling: bool = False,
    ) -> Trial:
        """A branch with the project loaded on it, in `surroundings`; the first call says the history.

        `lease`: that of the branch, and ComputesBusy where others would have to be given back for it.
        `sibling`: another one will be wanted soon, and is asked for as soon as this one is there.
        """
        if history is not None:
            self._revisions = frozenset(each.id for each in history.revisions)
        ground, context = self._ground, self._context
        session = self._sessions.take(surroundings)
        context.talk.say(f"branch: {role} of {ground.parent.name}")
        given, lease = lease, lease or self._lease(role)
        if sibling:
            self._soon = self._leases.take_soon(
                "sibling", parent_lsn=lease.branch.parent_lsn, deadline=context.deadline
            )
        url, connection = self._reached(lease, give_way=given is None)
        guard = advisory_guard(connection)
        reader = Reader(connection, url)
        before = reader.snapshot()
        tables = version_tables(connection, ground.versions or ())
        environ = self._sessions.rendered(session, url, surroundings)
        context.talk.say(f"loading the project on the {role}")
        limit = context.deadline.sooner(context.settings.visit_timeout, what="loading the project")
        try:
            with guarding(connection):
                loaded = session.open(url, environ, guard=guard, deadline=limit)
        except NeontestError:
            with suppress(NeontestError):
                self._note(
                    load_changes=load_changes(before, reader.snapshot(), tables, version_tables(connection, tables))
                )
            raise
        schema, held = reader.snapshot(), version_tables(connection, tables)
        session.versions = Versions(connection, held)
        session.observer = observer = Observer(connection, url)
        version = f"{connection.server_version // 10000}.{connection.server_version % 10000}"
        self._note(server_version=version)
        trial = Trial(
            lease=lease, url=url, guard=guard, environment=environ, connection=connection, reader=reader,
            session=session, observer=observer, loaded=loaded, before=before, schema=schema,
            load_changes=load_changes(before, schema, tables, held),
            start=self._start_of(tables), visit_seconds=context.settings.visit_timeout, deadline=context.deadline,
            rows=Rows(connection, self._plan, forget=observer.forget),
            remedy=ground.local.missing_extension if ground.local else no_remedy,
        )  # fmt: skip
        self._trials.append(trial)
        return trial

    def _reached(self, lease: Lease, *, give_way: bool) -> tuple[str, Connection]:
        """The branch's connection string and the first connection to it, which does not lead to the parent."""
        access, began = self._ground.access, time.monotonic()
        url = lease.url(access.database, access.role, deadline=self._context.deadline)
        self._redactor.add_url(url)
        connection = self._connected(lease, url, give_way=give_way)
        ready = lease.ready_seconds + time.monotonic() - began
        use = BranchUse(
            id=lease.branch.id, name=lease.name, created_at=lease.created_at, ready_seconds=round(ready, 3),
            role=lease.role, expires_at=lease.expires_at,
        )  # fmt: skip
        self._used(use)
        refuse_parent(connection, self._parents_server, lease.name)
        tell_revisions(self._context, self._ground, connection)
        return url, connection

    def prepare(self) -> None:
        """Have the project loaded on the sibling that was asked for soon, if a lane is free for that."""
        soon = self._soon
        if soon is not None and self._lanes.left(1):
            self._ready = self._lanes.start(lambda: self._prepared(soon))

    def _prepared(self, soon: Future[Lease]) -> Trial | None:
        """None where that would need what others have: whoever wants it makes room for it."""
        try:
            lease = result(soon, self._context.deadline, self._tick)
        except NoFreeBranch:
            return None
        with self._turn:
            mine, self._soon = self._soon is soon, None
        try:
            return self.trial("sibling", lease=lease) if mine else None
        except ComputesBusy:
            with self._turn:
                self._soon = soon
            return None

    def fresh(self, old: Trial | None, surroundings: Mapping[str, str] = NONE) -> Trial:
        """A sibling of the same moment, in place of `old`, which is given back at once."""
        if old is not None:
            self.give_back(old)
        ready = None
        if not surroundings:
            with self._turn:
                ready, self._ready = self._ready, None
        trial = None
        if ready is not None:
            self._lanes.until(ready.done)
            trial = ready.result()
        if trial is not None and not trial.ended:
            if alive(trial.connection):
                return trial
            self.give_back(trial)  # a compute that nobody asked anything was suspended meanwhile
        return self.trial("sibling", surroundings=surroundings)

    def give_back(self, trial: Trial) -> None:
        """End what runs on the branch, and give it back unless it is the one to keep."""
        if trial.ended:
            return
        trial.close()
        if trial is not self._trials[0] or not self._context.settings.keep:
            self._give_back(trial.lease)

    def _start_of(self, tables: tuple[tuple[str, tuple[str, ...]], ...]) -> tuple[str, ...]:
        """The revisions in the branch's version tables that are of this history."""
        ids = self._revisions
        mine = [revisions for _, revisions in tables if not ids or not revisions or ids.intersection(revisions)]
        return mine[0] if mine else (tables[0][1] if tables else ())

    def _lease(self, role: LeaseRole) -> Lease:
        """A branch of the same moment as the first.

        At the project's limit nobody may hold a branch while waiting for another, or ten runs with a branch each would
        wait for one another. So a run that has branches gives them back then, and goes on with one at a time: whatever
        it still needed one for can be done on a fresh branch of the same moment.
        """
        handed = self._context.relay.take_over(self._leases, self._ground.access.database)
        if handed is not None and handed[1]:
            self._context.talk.say(f"going on on the branch of the project before: {handed[0].name}")
            return replace(handed[0], ready_seconds=0.0)
        lsn, wait = self._trials[0].lease.branch.parent_lsn if self._trials else None, self._context.settings.wait
        if not self._one_at_a_time and (self._soon is not None or self._held()):
            try:
                return self._another(role, lsn)
            except NoFreeBranch:
                self._context.talk.say("the project has no second branch for this run: it goes on with one at a time")
                self._one_at_a_time = True
        if handed is not None:  # somebody has worked in this database of it
            self._give_back(handed[0])
        if self._give_way() or handed is not None:
            wait = max(wait, AFTERWARDS)
        patience = Patience(seconds=wait, say=self._context.talk.say)
        return self._leases.take(role, parent_lsn=lsn, deadline=self._context.deadline, patience=patience)

    def hand_over(self) -> None:
        """Leave the candidate to the next project, where that can go on on it."""
        trial, relay = self._trials[0], self._context.relay
        if relay.seconds and not trial.ended:
            with self._context.stop.shield():  # or it is said to be left behind
                relay.hand_over(trial.lease, self._leases, self._ground.access.database)
                self._used(msgspec.structs.replace(self._uses[trial.lease.name], passed_on=True))

    def _another(self, role: LeaseRole, lsn: str | None) -> Lease:
        """A branch besides those that are held: the one that was asked for early, or one that is free now."""
        with self._turn:
            soon = self._soon if role == "sibling" else None
            self._soon = None if soon is not None else self._soon
        if soon is not None:
            return result(soon, self._context.deadline, self._tick)
        return self._leases.take(role, parent_lsn=lsn, deadline=self._context.deadline)

    def _held(self) -> list[Trial]:
        """What could be given back before the end: all but the one to keep."""
        kept = 1 if self._context.settings.keep else 0
        return [trial for trial in self._trials[kept:] if not trial.ended]

    def _give_way(self) -> bool:
        """Give back what is held; False where that is nothing. Nobody else is at work on it then."""
        self._lanes.wait_until_alone()
        held = self._held()
        for trial in held:
            self.give_back(trial)
        return bool(held)

    def _connected(self, lease: Lease, url: str, *, give_way: bool) -> Connection:
        """The first connection to the branch. Where too many computes run, this run's others are given back, or not."""
        context, what = self._context, f"connecting to {lease.name}"
        if self._held() or not give_way:
            try:
                return connect_when_ready(url, context.deadline.sooner(AFTERWARDS, what=what), context.stop)
            except (DatabaseError, DeadlineExceeded) as error:
                if isinstance(error, ComputesBusy):
                    if not give_way:
                        raise
                    self._one_at_a_time = True
                    self._give_way()
        limit = context.deadline.sooner(max(AWAKE, context.settings.wait), what=what)
        return connect_when_ready(url, limit, context.stop)

    def _tick(self, seconds: float) -> bool:
        self._context.stop.check()
        return self._context.stop.wait(seconds)

    def keep(self) -> str:
        """Leave the candidate until its expiry; how to reach it and how to delete it."""
        trial = self._trials[0]
        lease, local = trial.lease, self._ground.local
        if local is None:
            how = (
                f"reach it: neonctl connection-string {lease.name} --project-id {self._ground.project_id}"
                f"; delete it: neontest branches delete {lease.name}"
            )
        else:
            file = local.keep(lease.branch.id, lease.expires_at, trial.url)
            settings = self._context.settings
            # What pyproject.toml says, cleanup reads, too.
            where = settings.state if settings.sources.get("state") != "pyproject.toml" else None
            which = f" --state {shlex.quote(str(where))}" if where else ""
            how = f'reach it: psql "$(cat {file})"; delete it: neontest cleanup --kept{which}'
        self._leases.keep(lease)
        self._used(msgspec.structs.replace(self._uses[lease.name], kept=True))
        return how

    def close(self) -> BranchLeftBehind | None:
        """Give every branch back, and say which could not be; no signal interrupts it."""
        # A lane that is still at work ends as its branch goes.
        for trial in self._trials if not self._lanes.busy else ():
            with suppress(Exception):
                trial.observer.close()
            with suppress(Exception):
                trial.reader.close()
        with suppress(Exception):
            self._context.talk.say("giving the branch back")
        given = self._leases.give_back_all(BUDGET, STOPPED_BUDGET)
        for each in given:
            self._ended(each)
        return left_behind(given)

    def _used(self, use: BranchUse) -> None:
        with self._turn:
            self._uses[use.name] = use
            self._note(branches=tuple(self._uses.values()))

    def _give_back(self, lease: Lease) -> None:
        self._ended(self._leases.give_back(lease))

    def _ended(self, given: GivenBack) -> None:
        self._used(ended(given, self._uses.get(given.name)))


def ended(given: GivenBack, use: BranchUse | None = None) -> BranchUse:
    """What became of a branch; `use` is what was known of it."""
    use = use or BranchUse(
        id=given.branch_id or "", name=given.name, created_at=datetime.now(UTC), ready_seconds=0.0,
        expires_at=given.expires_at,
    )  # fmt: skip
    return msgspec.structs.replace(
        use, deleted=given.deleted, proved=given.proved, delete_seconds=round(given.seconds, 3)
    )


def lease_holder(context: Context, ground: Ground, *, seconds: float) -> Leases:
    """Takes branches of the parent in this run's name, that are to be in use for no longer than `seconds`."""
    settings, now = context.settings, datetime.now(UTC)
    sha = head_sha(context.environ.get("GITHUB_EVENT_PATH")) or git.head_commit(
        context.project, environ=context.environ
    )
    owner = names.owner(context.environ, sha=sha or "", user=user(), host=platform.node(), pid=os.getpid())
    return Leases(
        ground.neon,
        Ledger(settings.ledger or default_folder(context.environ)),
        project_id=ground.project_id,
        parent=ground.parent,
        owner=owner,
        expires_at=now + KEPT if settings.keep else names.expiry(seconds, now=now),
        stop=context.stop,
        engine=settings.engine,
        state=ground.state,
        source=context.source,
        parent_endpoints=ground.access.endpoints,
        until=now + timedelta(seconds=seconds),
        keep=settings.keep,
    )


def refuse_parent(connection: Connection, parents_server: tuple[str, ...], name: str) -> None:
    """Raise WrongDatabase where a branch's connection string leads to its parent's server, before anything is run."""
    if not set(parents_server).isdisjoint(server(connection)):
        connection.close()
        raise WrongDatabase(
            f"the connection string of branch {name} leads to the server of its parent; nothing was run there",
            hint="report this",
        )


def no_remedy(extension: str) -> str | None:
    """Neon lists what it has: https://neon.com/docs/extensions/pg-extensions (2026-11)."""
    return f"Neon may not have {extension}, or not for this version of Postgres: see its list of extensions"


def user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a uid without a name, as in some containers
        return str(os.getuid())
