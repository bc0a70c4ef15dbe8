"""`neontest run`: the main job."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Final

import click

from neontest.cli import options, output
from neontest.errors import Stopped

COULD_NOT_TELL: Final = 3
"""The exit code of a run that passed, whose report could not be written."""


@click.command(context_settings={"ignore_unknown_options": False})
@options.run_options
@options.option("--no-tests", is_flag=True, help="Do not run the project's tests.")
@options.option("--keep", is_flag=True, help="Leave the migrated branch until its expiry, and say how to reach it.")
@options.option("--json", "json_file", metavar="FILE", help="Write the report as JSON; - is stdout.")
@options.option("-q", "--quiet", is_flag=True, help="Say nothing while working.")
@options.option("-v", "--verbose", is_flag=True, help="Show what the project prints while it is loaded and migrated.")
@click.argument("test_command", nargs=-1, type=click.UNPROCESSED, metavar="[-- TEST COMMAND]")
@click.pass_context
def command(
    ctx: click.Context, /, no_tests: bool, keep: bool, json_file: str | None, quiet: bool, verbose: bool, **_: Any
) -> int:
    """Walk the pending revisions on a throw-away branch, run the tests on it, and give it back.

    Exit codes: 0 passed, 1 findings or failed tests, 2 wrong usage or configuration, 3 could not test,
    4 a branch could not be given back, 129/130/143 stopped by a signal.
    """
    from neontest import github, run
    from neontest.cli import progress, secrecy, signals
    from neontest.renderers import console, markdown, words
    from neontest.report import to_json

    test_command = ctx.params["test_command"]
    if no_tests and test_command:
        raise click.UsageError("--no-tests and a test command contradict each other")
    writable(json_file)
    settings = options.settings(
        ctx, tests=test_command or None, run_tests=False if no_tests else None, keep=keep or None
    )
    secrecy.hide_memory()
    job = github.job(os.environ)
    with signals.stoppable() as stop, progress.Progress(quiet=quiet, verbose=verbose) as talk:
        try:
            if job:
                github.set_status(job, "pending", "testing the migrations", talk.show)
            report = run.run(settings, os.environ, stop=stop, talk=talk)
        except Stopped as error:
            report = run.cut_short(settings, error)
        with stop.shield():
            if job:
                github.end_status(job, report, words.status(report), talk.show)
                github.write_summary(job, markdown.render(report), talk.show)
            written = json_file is None or write(json_file, to_json(report))
    with stop.shield():
        text = console.render(report, width=progress.terminal_width(), color=colors())
        written = output.tell(text, err=json_file == "-") and written
    return report.exit_code if written or report.exit_code else COULD_NOT_TELL


def colors() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def writable(file: str | None) -> None:
    """Raise UsageError before any work is done, if the report could not be written."""
    if file in (None, "-"):
        return
    assert file is not None
    path = Path(file)
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise click.UsageError(f"--json: {file} cannot be written: no such folder, or it is one itself")


def write(file: str, text: str) -> bool:
    """Write the report; False, and a sentence, if that fails."""
    if file == "-":
        return output.tell(text)
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        click.echo(f"Error: {file} was not written: {error.strerror}", err=True)
        return False
    return True
