"""`neontest sweep`: gives back what any dead run left in the project."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from neontest.cli import options
from neontest.cli.signals import stoppable

if TYPE_CHECKING:
    from neontest.neon.client import Neon
    from neontest.settings import Settings
    from neontest.stop import Stop


@click.command()
@options.root_option
@options.neon_options
@click.option("--dry-run", is_flag=True, help="Only say what would go, and why.")
@click.pass_context
def command(ctx: click.Context, /, dry_run: bool, **_: Any) -> None:
    """Give back what dead runs left in the Neon project, on whatever machine they ran.

    Only branches with neontest's annotation are looked at: expired ones, and those whose run is known to be dead.
    Default, protected and parent branches are never touched.
    """
    from neontest.cli import secrecy
    from neontest.errors import one_line
    from neontest.lease.give_back import left_behind
    from neontest.lease.ledger import Ledger, default_folder
    from neontest.lease.sweep import owners, plan, sweep

    secrecy.hide_memory()
    settings = options.settings(ctx, engine="local", runs=False)
    with stoppable() as stop, client(settings, stop) as neon:
        project = project_id(settings)
        known = owners(Ledger(settings.ledger or default_folder(os.environ)))
        planned = plan(neon, project, now=datetime.now(UTC), known=known)
        for each in planned:
            verb = ("would go" if dry_run else "goes") if each.goes else "stays"
            click.echo(one_line(f"{each.branch.name} ({each.branch.id}) {verb}: {each.why}"))
        if not any(each.goes for each in planned):
            click.echo("nothing to give back")
        if dry_run:
            return
        given = []
        for done in sweep(neon, project, planned):
            given.append(done)
            said = f"given back in {done.seconds:.1f} s" if done.proved else f"still there: {done.why}"
            click.echo(one_line(f"{done.name}: {said}"))
    if error := left_behind(given, cure="run `neontest sweep` again"):
        raise error


def client(settings: Settings, stop: Stop) -> Neon:
    """The client for these settings; UsageError where there is no key."""
    from neontest.errors import UsageError
    from neontest.neon.client import Neon

    if not settings.api_key:
        raise UsageError("there is no Neon API key", hint="export NEON_API_KEY")
    return Neon(settings.api_key, host=settings.api_host, stop=stop)


def project_id(settings: Settings) -> str:
    from neontest.errors import UsageError

    if not settings.project_id:
        raise UsageError("no Neon project was named", hint="export NEON_PROJECT_ID, or give --project-id")
    return settings.project_id
