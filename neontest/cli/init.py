"""`neontest init`: sets neontest up for a project."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from neontest.cli import options

if TYPE_CHECKING:
    from neontest.setup.look import Seen
    from neontest.setup.plan import Change


@click.command()
@options.root_option
@click.option("--alembic-config", metavar="FILE", help="The alembic.ini, pyproject.toml or migrations folder.")
@click.option("--alembic-name", "-n", metavar="NAME", help="Section of the ini file.  [default: alembic]")
@click.option("-y", "--yes", is_flag=True, help="Write without asking.")
@click.option("--force", is_flag=True, help="Also replace a workflow that is there and differs.")
def command(root: Path, alembic_config: str | None, alembic_name: str | None, yes: bool, force: bool) -> None:
    """Write [tool.neontest] and a workflow for GitHub Actions that fit the project here.

    Reads the project's files and runs none of them. Shows first, as a diff, what it would write, and asks; without a
    terminal it only shows, unless --yes is given. A setting that is there is never changed.
    """
    from neontest.setup import look, plan

    root = root.resolve()
    config = root / alembic_config if alembic_config else None
    seen = look.look(root, alembic_config=config, section=alembic_name, environ=os.environ)
    told_so = alembic_config and not look.found_anyway(seen.project, os.environ)
    chosen = {"alembic-config": alembic_config} if told_so else {}
    files = plan.planned(seen, os.environ, chosen=chosen)
    for line in told(seen, settled=not any(each.name == "pyproject.toml" for each in files)):
        click.echo(line, err=True)
    changes = [each for each in files if each.changes]
    for each in changes:
        if each.overwrites and not force:
            click.echo(f"{each.name} is there and differs: it stays, unless --force is given", err=True)
    wanted = [each for each in changes if force or not each.overwrites]
    if not wanted:
        click.echo("nothing to write: all is as init would have it" if not changes else "nothing was written", err=True)
        return
    click.echo("".join(each.diff() for each in wanted), nl=False)
    if agreed(wanted, yes=yes):
        for each in wanted:
            each.write()
            click.echo(f"{each.name} written", err=True)
        click.echo("next: neontest doctor", err=True)


def agreed(changes: Sequence[Change], *, yes: bool) -> bool:
    """Whether to write: told so, or asked."""
    if yes:
        return True
    if not sys.stdin.isatty():
        click.echo("nothing was written, as nobody could be asked: give --yes to write this", err=True)
        return False
    if click.confirm(f"Write {' and '.join(each.name for each in changes)}?", default=True, err=True):
        return True
    click.echo("nothing was written", err=True)
    return False


def told(seen: Seen, *, settled: bool) -> list[str]:
    """What was seen, a line a thing; `settled`: there is no pyproject.toml, and no need of one."""
    from neontest.errors import one_line

    project = seen.project
    kind = "Flask-Migrate" if project.kind == "flask" else "Alembic"
    config = project.name(project.config) if project.config else ""
    section = f", section [{project.section}]" if project.section != "alembic" else ""
    read = [f"{each.name} ({each.file}:{each.line})" for each in seen.read]
    if read:
        url = "read from " + ", ".join(read)
    elif seen.ini_url:
        url = f"written in {config}; a run puts the branch's in its place"
    else:
        url = "not found: if it is read from another variable than DATABASE_URL, name that in [tool.neontest.env]"
    lines = [
        ("migrations", f"{kind}, {project.name(project.script_location)} ({config}{section})"),
        ("driver", f"{seen.driver} (from {seen.driver_from})" if seen.driver else "none found in the requirements"),
        ("database", url),
        ("tests", f"pytest ({seen.tests})" if seen.tests else "none found"),
    ]
    if settled:
        lines.append(("settings", "the defaults fit, so no pyproject.toml is made"))
    return [f"{name:<10}  {one_line(said)}" for name, said in lines]
