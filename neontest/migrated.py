"""A branch of the parent, upgraded to head, for tests to use: nothing is walked, nothing judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from typing import Final

from msgspec.structs import replace

from neontest import whose_data
from neontest.branches import lease_holder
from neontest.errors import UsageError
from neontest.ground import Context, Ground, ground, parent_seen, planned_start
from neontest.lease.budget import BUDGET, STOPPED_BUDGET
from neontest.lease.give_back import left_behind
from neontest.lease.lease import Leases
from neontest.lease.ledger import Ledger, default_folder
from neontest.lease.patience import Patience
from neontest.lent import Lent
from neontest.migrate import history as histories
from neontest.migrate import project as projects
from neontest.parent import prepare_parent, upgrade
from neontest.postgres.connect import connect_when_ready
from neontest.record import History
from neontest.redact import Redactor
from neontest.relay import Relay
from neontest.sessions import Sessions
from neontest.settings import Settings
from neontest.stop import Deadline, Stop
from neontest.talk import Talk

LASTS: Final = 6 * 3600.0
"""Seconds for which tests may use the branch, after which it expires: as long as a job of GitHub may take.
Source: https://docs.github.com/actions/reference/limits (2026-11)."""


@contextmanager
def migrated(settings: Settings, environ: Mapping[str, str], *, stop: Stop, talk: Talk) -> Iterator[Lent]:
    """A branch of the settings' parent at head; it is given back at the end of the block, whatever happens.

    `settings.timeout` bounds the making of it.

    Raises:
        NeontestError: it cannot be made or upgraded; at the end BranchLeftBehind, or a note on the block's own error.
    """
    project = projects.find(
        settings.root, alembic_config=settings.alembic_config, section=settings.alembic_name, environ=environ
    )
    deadline = Deadline(settings.timeout, what="making the branch")
    context = Context(
        settings=settings, environ=environ, project=project, stop=stop, deadline=deadline, talk=talk,
        source=whose_data.source(settings), relay=Relay(stop, talk.show),
    )  # fmt: skip
    history = histories.read(project)
    refuse_faults(history, settings)
    Ledger(settings.ledger or default_folder(environ)).check()
    start = planned_start(context, history)
    with ExitStack() as stack:
        with stop.shield():
            sessions = Sessions(context, Redactor())
            stack.callback(sessions.end)
        stop.check()
        where = stack.enter_context(ground(context))
        if where.local is not None:
            where = prepare_parent(context, sessions, where, start or ())
        elif context.source.schema_only:
            where = replace(where, versions=parent_seen(context, where).versions)
        leases = lease_holder(context, where, seconds=LASTS)
        try:
            lent = at_head(context, sessions, where, leases, history)
            sessions.close(stopped=False)
            yield lent
        except BaseException as error:
            sessions.end()
            if (left := left_behind(leases.give_back_all(BUDGET, STOPPED_BUDGET))) is not None:
                error.add_note(left.message)
            raise
        if (left := left_behind(leases.give_back_all(BUDGET, STOPPED_BUDGET))) is not None:
            raise left


def refuse_faults(history: History, settings: Settings) -> None:
    """Raise UsageError where the revisions have no head to upgrade to: that costs no branch."""
    for fault in history.faults:
        raise UsageError(f"the revisions have no head to upgrade to: {fault.message}", hint="`neontest run` says more")
    if len(history.heads) > 1 and settings.heads == "one":
        raise UsageError(
            f"there are {len(history.heads)} heads: {', '.join(history.heads)}",
            hint='merge them, or set heads = "many" in [tool.neontest] if they are meant',
        )


def at_head(context: Context, sessions: Sessions, where: Ground, leases: Leases, history: History) -> Lent:
    """A new branch, upgraded."""
    context.talk.say(f"branch of {where.parent.name}")
    session = sessions.take(trace=False)
    patience = Patience(seconds=context.settings.wait, say=context.talk.say)
    lease = leases.take(deadline=context.deadline, patience=patience)
    url = lease.url(where.access.database, where.access.role, deadline=context.deadline)
    environ = sessions.rendered(session, url)
    if context.source.schema_only:
        with closing(connect_when_ready(url, context.deadline, context.stop)) as connection:
            whose_data.tell_revisions(context, where, connection)
    upgrade(
        context, session, url, environ, what="the branch", at=histories.effective_heads(history),
        to=("heads" if context.settings.heads == "many" else "head",), hint="`neontest run` says more",
    )  # fmt: skip
    return sessions.lent(session, lease, url, environ)
