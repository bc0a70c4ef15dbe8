"""The local parent, brought to where the pull request found it: prepared, upgraded, seeded."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from msgspec.structs import replace

from neontest import reuse
from neontest.errors import CouldNotTest, UsageError, one_line
from neontest.filling import filling
from neontest.ground import Context, Ground, parent_url
from neontest.migrate import reports
from neontest.migrate.session import Session
from neontest.postgres.connect import advisory_guard, connect_when_ready, execute, mapped
from neontest.postgres.versions import Versions, VersionTables, version_tables
from neontest.record import Failure
from neontest.sessions import Sessions
from neontest.suite import run_to_end
from neontest.trial import failed, guarding


def prepare_parent(context: Context, sessions: Sessions, ground: Ground, start: tuple[str, ...]) -> Ground:
    """Bring the local parent to where the pull request found it, then stop it: copies of it are then plain.

    Where it has nothing to be brought to, or an earlier run has made the same, it was never started. The ground comes
    back with what the report should say of it, and with the parent's version tables, where branches without rows need
    them.
    """
    settings = context.settings
    notes: tuple[str, ...] = ()
    versions: VersionTables = ()
    assert ground.local is not None
    if start or settings.prepare or settings.seed or settings.from_url:
        recipe = reuse.recipe(context, sessions, ground, start)
        if recipe is not None and (at := reuse.begun(context, ground, recipe)) is not None:
            context.talk.say(f"the local parent: kept since {at:%Y-%m-%d %H:%M} UTC")
            return replace(ground, versions=(), made_at=at)
        read: reports.Inputs | None = None
        url = parent_url(ground, context.deadline)
        session = sessions.take(trace=False)  # nobody asks what the parent's own upgrade locks
        environ = sessions.rendered(session, url)
        if settings.prepare:
            fill(context, "prepare", settings.prepare, environ, url)
        with ExitStack() as stack:
            if settings.from_url:
                source = stack.enter_context(filling(context, sessions, ground, url, start))
                source.empty()
            if start:
                upgrade(
                    context, session, url, environ, what="the local parent", to=start, at=start,
                    hint="start lower with --from-revision, or prepare the empty parent with --prepare",
                    inputs=recipe is not None,
                )  # fmt: skip
                if recipe is not None:
                    recipe, read = reuse.read(context, session, recipe, start)
            session.close()
            if settings.from_url:
                source.upgraded()
                notes = tuple(source.notes)
        if settings.seed:
            fill(context, "seed", settings.seed, environ, url)
        if context.source.schema_only:
            with closing(connect_when_ready(url, context.deadline, context.stop)) as connection:
                versions = version_tables(connection)
        for endpoint in ground.neon.endpoints(ground.project_id, ground.parent.id, deadline=context.deadline):
            operations = ground.neon.suspend_endpoint(ground.project_id, endpoint.id, deadline=context.deadline)
            ground.neon.wait_for(ground.project_id, operations, context.deadline)
        if recipe is not None:
            now = reuse.recipe(context, sessions, ground, start)
            reuse.keep(context, sessions, ground, recipe, now, read)
    return replace(ground, versions=versions, notes=notes)


def upgrade(
    context: Context,
    session: Session,
    url: str,
    environ: dict[str, str],
    *,
    what: str,
    to: Sequence[str],
    at: Collection[str],
    hint: str,
    inputs: bool = False,
) -> None:
    """Upgrade `what` to each of `to`, unless the project finds it at the revisions `at` already.

    Raises:
        CouldNotTest: which revision did not apply, where, and why.
    """
    with closing(connect_when_ready(url, context.deadline, context.stop)) as connection, guarding(connection):
        limit = context.deadline.sooner(context.settings.visit_timeout, what=f"upgrading {what}")
        loaded = session.open(url, environ, guard=advisory_guard(connection), deadline=limit, inputs=inputs)
        if loaded.current and set(loaded.current) == set(at):
            return
        session.versions = Versions(connection, version_tables(connection))
        for revision in to:
            context.talk.say(f"{what}: upgrade to {revision}")
            visit = session.visit("upgrade", revision, deadline=limit)
            if failed(visit):
                why = told(visit.error) if visit.error else "the version table did not move"
                raise CouldNotTest(f"{what} could not be upgraded to {revision}: {why}", hint=hint)


def told(failure: Failure) -> str:
    """The failure on one line, with the revision and the place where it happened."""
    place = f"{failure.file}:{failure.line}" if failure.file and failure.line else failure.file or ""
    where = " ".join(filter(None, (f"revision {failure.revision}" if failure.revision else "", place)))
    return one_line(": ".join(filter(None, (where, failure.message))))


def fill(context: Context, what: str, how: str, environment: Mapping[str, str], url: str) -> None:
    """Run a .sql file or a command on the local parent (`--prepare`, `--seed`)."""
    context.talk.say(f"{what}: {how}")
    file = context.settings.root / how
    if how.endswith(".sql"):
        run_sql(context, what, file, url)
        return
    words = shlex.split(how)
    if not words:
        raise UsageError(f"--{what}: the command is empty")
    tail, status, in_time = run_to_end(
        words, what=f"--{what}", cwd=context.settings.root, environment=environment,
        deadline=context.deadline, stop=context.stop, log=context.talk.detail,
    )  # fmt: skip
    if not in_time:
        raise CouldNotTest(f"--{what} was stopped at the deadline of the run: {how}")
    if status != 0:
        raise CouldNotTest(f"--{what} exited with {status}: {how}", hint="\n".join(tail.splitlines()[-8:]) or None)


def run_sql(context: Context, what: str, file: Path, url: str) -> None:
    try:
        sql = file.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--{what}: {file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"--{what}: {file} is not UTF-8: {error}") from error
    connection = connect_when_ready(url, context.deadline, context.stop)
    try:
        with mapped(f"--{what}: {file.name}"):
            execute(connection, sql)
    finally:
        connection.close()
