"""`neontest branches`: lists, makes and deletes neontest's branches in the project."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neontest.cli import options, secrecy
from neontest.cli.signals import stoppable
from neontest.cli.sweep import client, project_id

if TYPE_CHECKING:
    from neontest.neon.models import Branch
    from neontest.whose import Source


@click.group(invoke_without_command=True)
@options.root_option
@options.neon_options
@click.pass_context
def command(ctx: click.Context, /, **_: Any) -> None:
    """List neontest's branches in the Neon project; make one, delete one."""
    secrecy.hide_memory()
    ctx.obj = options.settings(ctx, engine="local", runs=False)
    if ctx.invoked_subcommand is not None:
        return
    from neontest.errors import one_line
    from neontest.lease.sweep import ours

    with stoppable() as stop, client(ctx.obj, stop) as neon:
        found = sorted(ours(neon.branches(project_id(ctx.obj))), key=lambda branch: branch.created_at)
    if not found:
        click.echo("no branches of neontest")
        return
    rows = [["NAME", "ID", "AGE", "EXPIRES", "RUN"]]
    rows += [[one_line(cell) for cell in _row(branch, datetime.now(UTC))] for branch in found]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@command.command()
@click.option("--name", help="Its name.  [default: neontest/<user>/...]")
@click.option(
    "--expires-in", metavar="TIME", default="24h", show_default=True, help="Until it expires, 30 days at most."
)
@click.option("--show-url", is_flag=True, help="Print its connection string, with the password.")
@options.branch_options
@click.option("--lsn", metavar="LSN", help="Make it of the parent at that place of its history.")
@click.option("--time", metavar="TIME", help="Make it of the parent at that moment (RFC 3339).")
@click.option("--schema-only", is_flag=True, help="Make it with the parent's schema, and no rows.")
@click.option(
    "--anonymize", metavar="FILE", type=click.Path(path_type=Path), help="Mask columns, by the rules in this file."
)
@click.pass_context
def create(
    ctx: click.Context,
    /,
    name: str | None,
    expires_in: str,
    show_url: bool,
    parent: str | None,
    database: str | None,
    role: str | None,
    **of: Any,
) -> None:
    """Make a branch like a run's, and leave it until its expiry."""
    import platform

    from neontest.branches import user
    from neontest.config import seconds
    from neontest.errors import UsageError
    from neontest.lease.lease import Leases
    from neontest.lease.ledger import Ledger, default_folder
    from neontest.lease.names import LONGEST_EXPIRY, LONGEST_NAME, Owner, owner
    from neontest.stop import Deadline

    settings, now = ctx.obj, datetime.now(UTC)
    lasts = timedelta(seconds=seconds(expires_in, what="--expires-in"))
    if lasts > LONGEST_EXPIRY - timedelta(minutes=1):
        raise UsageError("--expires-in: Neon lets a branch expire within 30 days", hint="give 719h or less")
    if name is not None and not (name.strip() and len(name) <= LONGEST_NAME):
        raise UsageError(f"--name: a name has 1 to {LONGEST_NAME} characters")
    source = _source(**of)
    who = owner(os.environ, user=user(), host=platform.node(), pid=os.getpid())
    with stoppable() as stop, client(settings, stop) as neon:
        project = project_id(settings)
        deadline = Deadline(300.0, what="making the branch")
        leases = Leases(
            neon,
            Ledger(settings.ledger or default_folder(os.environ)),
            project_id=project,
            parent=_named(neon.branches(project), parent) if parent else neon.default_branch(project),
            owner=Owner(stem=name, annotation=who.annotation) if name else who,
            expires_at=now + lasts,
            stop=stop,
            source=source,
            keep=True,
            rename=name is None,
        )
        try:
            lease = leases.take(deadline=deadline)
            url = None
            if show_url:
                chosen = neon.choose_database_and_role(project, lease.branch.id, database, role, deadline=deadline)
                url = lease.url(*chosen, deadline=deadline)
            leases.keep(lease)
        finally:
            leases.give_back_all()
    click.echo(f"made {lease.name} ({lease.branch.id}) in {lease.ready_seconds:.1f} s", err=True)
    click.echo(f"it expires at {lease.expires_at:%Y-%m-%d %H:%MZ}", err=True)
    click.echo(f"reach it:  neonctl connection-string '{lease.name}' --project-id {project}", err=True)
    click.echo(f"delete it: neontest branches delete '{lease.name}'", err=True)
    click.echo(url if url is not None else lease.branch.id)


@command.command()
@click.argument("name")
@click.pass_context
def delete(ctx: click.Context, /, name: str) -> None:
    """Delete the branch of this name or id, if it is one of neontest's."""
    from neontest.errors import UsageError, one_line
    from neontest.lease.give_back import Claim, give_back, left_behind, refusal
    from neontest.lease.ledger import Ledger, default_folder
    from neontest.lease.sweep import owners
    from neontest.stop import Deadline

    settings = ctx.obj
    with stoppable() as stop, client(settings, stop) as neon:
        project = project_id(settings)
        branch = _named(neon.branches(project), name)
        said = one_line(branch.name)
        if (why := refusal(branch)) is not None:
            raise UsageError(f"branch {said} is not deleted: {why}", hint="use the Neon console, if it must go")
        if branch.annotation.get("lease") in owners(Ledger(settings.ledger or default_folder(os.environ))).alive:
            raise UsageError(f"branch {said} is in use by a run on this machine", hint="stop that run first")
        claim = Claim(name=branch.name, annotation=branch.annotation, expires_at=branch.expires_at, branch_id=branch.id)
        given = give_back(neon, project, claim, Deadline(60.0, what=f"deleting {said}"))
    if error := left_behind([given], cure="try again later"):
        raise error
    click.echo(f"{said}: given back in {given.seconds:.1f} s")


def _source(*, schema_only: bool, anonymize: Path | None, time: str | None, lsn: str | None) -> Source:
    """What the branch is made of beside its parent, as the command line says."""
    from neontest import whose
    from neontest.errors import UsageError

    if why := whose.contradiction(schema_only=schema_only, anonymize=anonymize is not None, time=time, lsn=lsn):
        raise UsageError(why.replace("--parent-", "--"))
    lsn = whose.checked_lsn(lsn, what="--lsn") if lsn else None
    return whose.source(schema_only=schema_only, anonymize=anonymize, time=time, lsn=lsn)


def _named(branches: tuple[Branch, ...], wanted: str) -> Branch:
    from neontest.errors import UsageError

    for branch in branches:
        if wanted in (branch.name, branch.id):
            return branch
    raise UsageError(f"there is no branch {wanted!r}", hint="`neontest branches` lists neontest's, the console all")


def _row(branch: Branch, now: datetime) -> tuple[str, str, str, str, str]:
    facts = branch.annotation
    run = " ".join(filter(None, (facts.get("run"), facts.get("pr") and f"PR {facts['pr']}")))
    expires = f"{branch.expires_at:%Y-%m-%d %H:%MZ}" if branch.expires_at else "never"
    return branch.name, branch.id, _age(now - branch.created_at), expires, run


def _age(age: timedelta) -> str:
    minutes = max(0, int(age.total_seconds() // 60))
    if minutes < 120:
        return f"{minutes}m"
    return f"{minutes // 60}h" if minutes < 48 * 60 else f"{minutes // 1440}d"
