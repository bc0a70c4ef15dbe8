"""`neontest publish`: a saved report, sent to GitHub."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from neontest.cli import options
from neontest.errors import GitHubError, UsageError

if TYPE_CHECKING:
    from neontest.github.job import Job

SECONDS: Final = 60.0


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--sha", metavar="COMMIT", help="The commit of the report.  [default: that of the event]")
@click.option("--pr", type=click.IntRange(min=1), metavar="N", help="The pull request.  [default: found by its head]")
@click.option("--repository", metavar="OWNER/NAME", help="The repository.  [default: GITHUB_REPOSITORY]")
@options.root_option
@options.github_options
@options.redact_option
@click.pass_context
def command(
    ctx: click.Context, /, files: tuple[Path, ...], sha: str | None, pr: int | None, repository: str | None, **_: Any
) -> int:
    """Send what `neontest run --json FILE` saved, of several projects all files: comment, commit status, summary, and,
    where it is of this job's own commit, annotations.

    For a workflow on `workflow_run`, after the run of a pull request from a fork, which cannot send anything itself.
    A file is data of that run: which commit and pull request it goes to is never read from it.

    Exit codes: 0 sent, 2 not a report or wrong usage, 3 GitHub did not take all of it.
    """
    from neontest import literals
    from neontest.cli import output, secrecy
    from neontest.github import publish
    from neontest.github.client import GitHub
    from neontest.github.job import folder
    from neontest.github.patience import Patience
    from neontest.github.sending import source
    from neontest.renderers.annotations import render as annotated
    from neontest.renderers.parts import Part
    from neontest.stop import Deadline

    secrecy.hide_memory()
    projects = options.projects(ctx, engine="local", runs=False)
    settings, roots = projects[0], {each.name or "": each.root for each in projects}
    redact = {each.name or "": each.redact for each in projects}
    here = job(repository, sha)
    if settings.github == "off":
        raise UsageError("publishing is what this command does, and github is off", hint="leave out --github off")
    order = {name: at for at, name in enumerate(roots)}
    # Of a project that there is not, nothing says that its values may be told.
    told = ctx.params["redact"]
    reports = [literals.for_others(each, redact.get(each.project, told)) for each in map(publish.read, files)]
    reports.sort(key=lambda each: order.get(each.project, len(order)))
    parts = [
        Part(name=each.project, report=each, source=source(here, roots.get(each.project, ctx.params["root"])))
        for each in reports
    ]
    assert here.token is not None
    patience = Patience(deadline=Deadline(SECONDS, what="publishing"))
    hub = GitHub(here.api_url, here.token, repository=here.repository, patience=patience)
    try:
        sent = publish.send(hub, here, parts, settings, number=pr or here.pull, say=say)
    finally:
        hub.close()
    if here.tested is None:  # else this job belongs to another commit, and so would what its log annotates
        for report in reports:
            output.tell(annotated(report, folder=folder(here, roots.get(report.project, ctx.params["root"]))))
    return 0 if sent else GitHubError.exit_code


def say(text: str) -> None:
    click.echo(f"neontest: {text}", err=True)


def job(repository: str | None, sha: str | None) -> Job:
    """Where to send: the job's event, and what was said on the command line."""
    import dataclasses

    from neontest.github.job import REPOSITORY, SHA
    from neontest.github.job import job as this_job

    environ = dict(os.environ)
    if repository is not None:
        if not REPOSITORY.fullmatch(repository):
            raise UsageError("--repository is not OWNER/NAME")
        environ |= {"GITHUB_REPOSITORY": repository, "GITHUB_ACTIONS": "true"}
    here = this_job(environ)
    if here is None:
        raise UsageError("this is no job of GitHub Actions", hint="say where to send with --repository and --sha")
    if sha is not None and not SHA.fullmatch(sha):
        raise UsageError("--sha is not a whole commit id of 40 or 64 lower-case hexadecimal digits")
    if repository is not None and repository != os.environ.get("GITHUB_REPOSITORY"):
        # The event is about another repository.
        here = dataclasses.replace(here, tested=None, sha="", pull=None, run_url=None, repository_url=None)
    if here.token is None:
        raise UsageError("GITHUB_TOKEN is not set", hint="give the step GITHUB_TOKEN: ${{ github.token }}")
    tested = here.tested
    if tested is None and sha is None and here.event == "workflow_run" and repository is None:
        raise UsageError(
            "the event does not say which commit of which repository was tested: is the fork gone?",
            hint="say the commit with --sha",
        )
    if sha is not None and tested is not None and sha != tested.sha:
        tested = None
    found = sha or (tested.sha if tested else here.sha)
    if not found:
        raise UsageError("the commit of the report is not known", hint="say it with --sha")
    pull = here.pull if found == here.sha else None
    run_url = tested.url if tested and tested.url else here.run_url
    return dataclasses.replace(here, sha=found, tested=tested, pull=pull, run_url=run_url)
