"""`neontest cleanup`: gives back what this machine's ledger still holds."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neontest.cli import options
from neontest.cli.signals import stoppable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from neontest.settings import Settings


@click.command()
@options.root_option
@options.neon_options
@click.option("--state", metavar="DIR", envvar="NEONTEST_STATE", help="Folder of the local engine, swept as well.")
@click.option("--kept", is_flag=True, help="End local branches that `run --keep` has left, too.")
@click.pass_context
def command(ctx: click.Context, /, kept: bool, **_: Any) -> None:
    """Give back the branches of runs that ended without doing so (for an `if: always()` step).

    Reads this machine's ledger. Runs that are alive are named and left alone. Exit code 4: a branch could not be
    given back.
    """
    from contextlib import nullcontext

    from neontest import scratch
    from neontest.cli import secrecy
    from neontest.errors import LocalError, one_line
    from neontest.github import unfinished
    from neontest.github.job import job
    from neontest.lease.cleanup import cleanup
    from neontest.lease.give_back import left_behind
    from neontest.lease.ledger import Ledger, default_folder
    from neontest.neon.client import Neon

    secrecy.hide_memory()
    # The engine of the next run does not matter here: the ledger says of each branch where it was made.
    settings = options.settings(ctx, engine="local", runs=False)
    ledger = Ledger(settings.ledger or default_folder(os.environ))
    local = LocalFolders(settings, kept=kept)
    left, some = [], False
    unswept: LocalError | None = None
    scratch.sweep()
    ended: Iterable[str]
    with stoppable() as stop:
        with Neon(settings.api_key, host=settings.api_host, stop=stop) if settings.api_key else nullcontext() as neon:
            for done in cleanup(ledger, neon, now=lambda: datetime.now(UTC), sweep_local=local.sweep):
                some = True
                click.echo(one_line(f"{done.name}: {done.said}"))
                if done.outcome == "left":
                    left.append(done.given())
        try:
            ended = local.rest()
        except LocalError as error:
            ended, unswept = (), error
    for branch in ended:
        click.echo(f"{branch}: a local branch, removed")
    if not some and not ended and unswept is None:
        click.echo("nothing to give back")
    unfinished.finish(job(os.environ), lambda said: click.echo(f"neontest: {said}", err=True))
    if behind := left_behind(left):
        if unswept is not None:
            click.echo(f"neontest: {unswept.message}", err=True)
        raise behind
    if unswept is not None:
        raise unswept


class LocalFolders:
    """The local engine's folders that were named, each swept once."""

    def __init__(self, settings: Settings, *, kept: bool) -> None:
        self._settings = settings
        self._now = datetime.max.replace(tzinfo=UTC) if kept else None
        self._removed: dict[Path, tuple[str, ...]] = {}

    def sweep(self, folder: Path) -> None:
        from neontest.errors import LocalError, UsageError
        from neontest.local.state_folder import find_state
        from neontest.local.sweep import sweep

        try:
            found = find_state(folder)
            if found is not None and found not in self._removed:
                self._removed[found] = tuple(sweep(found, self._now))
        except UsageError as error:
            raise LocalError(f"the local engine's folder cannot be swept: {error.message}", hint=error.hint) from error
        except OSError as error:
            raise LocalError(f"the local engine's folder {folder} cannot be swept: {error.strerror}") from error

    def rest(self) -> Iterable[str]:
        """Sweep the user's own folder too, and say what went in all of them."""
        from neontest.local.account import default_state

        self.sweep(self._settings.state or default_state(os.environ, os.geteuid()))
        return [branch for each in self._removed.values() for branch in each]
