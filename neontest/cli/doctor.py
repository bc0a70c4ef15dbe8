"""`neontest doctor`: examines what a run would need here."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from neontest.cli import options
from neontest.cli.signals import stoppable

if TYPE_CHECKING:
    from neontest.errors import UsageError
    from neontest.examination.finding import Finding
    from neontest.settings import Settings

CANNOT: Final = 2


@click.command()
@options.run_options
@click.pass_context
def command(ctx: click.Context, /, **_: Any) -> int:
    """Say what a run would find here: what is right, what is wrong, and what to do; of several projects for each.

    Takes the settings of `neontest run`. No branch is made and no code of the project runs. Exit code 2: a run could
    not work like this.
    """
    from neontest.cli import secrecy
    from neontest.examination.examination import examine

    secrecy.hide_memory()
    found, problem = whatever(ctx)
    wrong = 0
    with stoppable() as stop:
        for settings in found:
            if settings.name is not None:
                click.echo(f"== {settings.name} ==")
            for each in examine(settings, problem, os.environ, parent=os.getppid(), stop=stop):
                click.echo(told(each, hidden=(settings.api_key, os.environ.get("GITHUB_TOKEN"))))
                wrong += each.state == "wrong"
    things = f"{wrong} thing{'' if wrong == 1 else 's'}"
    click.echo(f"\n`neontest run` cannot work: {things} to mend" if wrong else "\n`neontest run` can work here")
    return CANNOT if wrong else 0


def whatever(ctx: click.Context) -> tuple[tuple[Settings, ...], UsageError | None]:
    """The settings of each project; where a run would refuse them, as much as can be known, and the refusal."""
    from neontest.errors import UsageError
    from neontest.settings import API_HOST, Settings

    try:
        return options.projects(ctx), None
    except UsageError as error:
        problem = error
    key = os.environ.get("NEON_API_KEY") or None
    on_neon = (ctx.params.get("engine") or os.environ.get("NEONTEST_ENGINE") or ("neon" if key else "local")) == "neon"
    engine: Literal["neon", "local"] = "neon" if on_neon else "local"
    try:
        found = options.projects(ctx, engine="local")
    except UsageError:
        root, host = Path(ctx.params["root"]).resolve(), ctx.params["api_host"] or API_HOST
        project = ctx.params["project_id"] or None
        bare = Settings(root=root, engine=engine, engine_why="", api_key=key, project_id=project, api_host=host)
        return (bare,), problem
    # Of a key or a project that is missing, the lines about Neon say it.
    missing = on_neon and not all(each.api_key and each.project_id for each in found)
    wanted = (dataclasses.replace(each, engine=engine, engine_why="it was asked for") for each in found)
    return tuple(wanted), None if missing else problem


def told(finding: Finding, *, hidden: tuple[str | None, ...]) -> str:
    """The line of a finding, and what to do below it."""
    from neontest.errors import one_line
    from neontest.redact import Redactor

    redactor = Redactor()
    for each in hidden:
        redactor.add(each)
    said = one_line(redactor.text(finding.said))
    line = f"{finding.what:<12} {finding.state:<10}  {said}".rstrip()
    if finding.todo is None or finding.state == "ok":
        return line
    return f"{line}\n{'':<25}→ {one_line(redactor.text(finding.todo))}"
