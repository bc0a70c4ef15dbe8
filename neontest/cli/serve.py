"""`neontest serve`: a local Neon API over local Postgres, for neonctl and every other client."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from neontest.cli import secrecy
from neontest.cli.options import both, option, postgres_options
from neontest.cli.signals import stoppable
from neontest.errors import Stopped, UsageError

if TYPE_CHECKING:
    from neontest.local.engine import LocalNeon


SETTLE: Final = 5.0
"""Seconds for which an answer waits for its operations: clients that connect at once find the server running."""

listen_options: Final = both(
    option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Where the API listens."),
    option(
        "--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="Its port; 0 takes a free one."
    ),
    option(
        "--branches-limit",
        default=100,
        show_default=True,
        type=click.IntRange(min=1),
        metavar="N",
        help="Branches that the project may have, as a plan's limit on Neon.",
    ),
)


@click.command()
@listen_options
@postgres_options
def command(
    host: str,
    port: int,
    branches_limit: int,
    postgres: str | None,
    postgres_version: int | None,
    state: str | None,
) -> int:
    """Serve a local Neon: its API, and a real Postgres for each branch.

    Prints three lines to source on standard output, and serves until it is stopped by a signal (Ctrl-C, SIGTERM,
    SIGHUP), which is its normal end: exit code 0. Branches, passwords and the API key are kept in the state folder
    and are there again at the next start.
    """
    secrecy.hide_memory()
    try:
        # The signals' own order first: one that comes while the engine starts ends it too.
        with stoppable() as stop, _engine(host, port, branches_limit, postgres, postgres_version, state) as neon:
            _tell(neon, host)
            while not stop.wait(3600):
                pass
    except Stopped:
        pass  # asked to end, and ended
    click.echo("neontest: stopped; what was served is kept", err=True)
    return 0


def _engine(
    host: str, port: int, branches_limit: int, postgres: str | None, version: int | None, state: str | None
) -> LocalNeon:
    try:
        from neontest.local import account, binaries, engine
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the local engine needs {error.name}, which is not installed", hint="pip install 'neontest[local]'"
        ) from error
    folder = Path(state) if state else account.default_state(os.environ, os.geteuid())
    found = binaries.find(
        wanted_major=version or (None if postgres else engine.kept_version(folder)),
        bindir=Path(postgres) if postgres else None,
        prefer="tls",
        environ=os.environ,
    )
    return engine.LocalNeon(
        folder, found, persistent=True, host=host, port=port, branches_limit=branches_limit, settle=SETTLE
    )


def _tell(neon: LocalNeon, host: str) -> None:
    """The lines to source, in one piece and last: whoever reads them knows that all else is said, on standard error."""
    talk = [f"neontest: a local Neon at {neon.api_host}, project {neon.project_id}, kept in {neon.state}"]
    talk += [f"neontest: {note}" for note in neon.notes]
    if neon.tls:
        talk.append("neontest: its connection strings need TLS (sslmode=require), with a self-signed certificate")
    if not _is_loopback(host):
        talk.append(
            f"neontest: warning: --host {host} lets other machines reach this API without encryption; the databases"
            " themselves listen on 127.0.0.1 only"
        )
    talk += [
        "neontest: Ctrl-C stops it; in another terminal, the three lines that follow and then, for example:",
        '  npx neonctl@5 branches list --project-id "$NEON_PROJECT_ID" --no-analytics',
    ]
    click.echo("\n".join(talk), err=True)
    exports = {"NEON_API_HOST": neon.api_host, "NEON_API_KEY": neon.api_key, "NEON_PROJECT_ID": neon.project_id}
    click.echo("\n".join(f"export {name}={shlex.quote(value)}" for name, value in exports.items()))


def _is_loopback(host: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
