"""`neontest run`: the main job."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from neontest.cli import files, options, output
from neontest.errors import Stopped

if TYPE_CHECKING:
    from neontest.cli.progress import Progress
    from neontest.settings import Settings
    from neontest.stop import Stop

COULD_NOT_TELL: Final = 3
"""The exit code of a run that passed, whose report could not be written."""


@click.command(context_settings={"ignore_unknown_options": False})
@options.run_options
@options.option("--no-tests", is_flag=True, help="Do not run the project's tests.")
@options.option("--keep", is_flag=True, help="Leave the migrated branch until its expiry, and say how to reach it.")
@files.file_options
@options.option("-q", "--quiet", is_flag=True, help="Say nothing while working.")
@options.option("-v", "--verbose", is_flag=True, help="Show what the project prints while it is loaded and migrated.")
@click.argument("test_command", nargs=-1, type=click.UNPROCESSED, metavar="[-- TEST COMMAND]")
@click.pass_context
def command(ctx: click.Context, /, no_tests: bool, keep: bool, quiet: bool, verbose: bool, **_: Any) -> int:
    """Walk the pending revisions on a throw-away branch, run the tests on it, and give it back.

    Exit codes: 0 passed, 1 findings or failed tests, 2 wrong usage or configuration, 3 could not test,
    4 a branch could not be given back, 129/130/143 stopped by a signal.
    """
    from neontest import several
    from neontest.cli import progress, secrecy, signals

    test_command = ctx.params["test_command"]
    if no_tests and test_command:
        raise click.UsageError("--no-tests and a test command contradict each other")
    found = options.projects(ctx, tests=test_command or None, run_tests=False if no_tests else None, keep=keep or None)
    told = {each.name: files.wanted(ctx.params, name=each.name if len(found) > 1 else None) for each in found}
    secrecy.hide_memory()
    codes: dict[str | None, int | None] = {}
    with signals.stoppable() as stop, progress.Progress(quiet=quiet, verbose=verbose) as talk:
        try:
            for settings in found:
                stop.check()
                if settings.name is not None:
                    heading(settings.name, err="-" in told[settings.name].values())
                    if not ctx.params["only"] and several.untouched(settings, ctx.params["root"].resolve(), os.environ):
                        codes[settings.name] = None
                        continue
                codes[settings.name] = one(settings, told[settings.name], stop, talk)
            code = max((each for each in codes.values() if each is not None), default=0)
        except Stopped as error:  # between two projects; inside of one it is in its report
            code = error.exit_code
    if found[0].name is not None:
        last_line(found, codes, err=any("-" in each.values() for each in told.values()))
    return code


def heading(name: str, *, err: bool) -> None:
    output.tell(f"== {name} ==\n", err=err)


def last_line(found: tuple[Settings, ...], codes: Mapping[str | None, int | None], *, err: bool) -> None:
    """What became of each project, in one line."""
    said = []
    for each in found:
        if each.name not in codes:
            said.append(f"{each.name} not run")
        elif (code := codes[each.name]) is None:
            said.append(f"{each.name} skipped (no file of it differs from {each.base})")
        else:
            said.append(f"{each.name} {'passed' if code == 0 else 'failed' if code == 1 else f'exit code {code}'}")
    output.tell(f"projects: {', '.join(said)}\n", err=err)


def one(settings: Settings, told: dict[str, str], stop: Stop, talk: Progress) -> int:
    """Run one project and tell its report; the exit code."""
    from neontest import run
    from neontest.cli import progress
    from neontest.github.job import job
    from neontest.github.sending import Sending

    with Sending(job(os.environ), settings, stop=stop, say=talk.warn, command=output.command) as hub:
        try:
            report = run.run(settings, os.environ, stop=stop, talk=talk, witness=hub)
        except Stopped as error:
            report = run.cut_short(settings, error)
        with stop.shield():
            from neontest import literals

            here = literals.for_oneself(report, settings.redact)
            abroad = literals.for_others(report, settings.redact) if hub.on else here
            written = files.write(told, here, folder=files.folder(settings.root))
            hub.end(abroad, report_file=told.get("json"))
    with stop.shield():
        from neontest.renderers import console

        text = console.render(here, width=progress.terminal_width(), color=colors()) + hub.annotations(abroad)
        written = output.tell(text, err="-" in told.values()) and written
    return report.exit_code if written or report.exit_code else COULD_NOT_TELL


def colors() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
