"""`neontest run`: the main job."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from neontest.cli import files, options, output
from neontest.errors import Stopped

if TYPE_CHECKING:
    from neontest.cli.progress import Progress
    from neontest.github.sending import Sending
    from neontest.relay import Relay
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
    from neontest.github.job import job
    from neontest.github.sending import Sending
    from neontest.relay import Relay

    test_command = ctx.params["test_command"]
    if no_tests and test_command:
        raise click.UsageError("--no-tests and a test command contradict each other")
    found = options.projects(ctx, tests=test_command or None, run_tests=False if no_tests else None, keep=keep or None)
    told = [files.wanted(ctx.params, name=each.name if len(found) > 1 else None) for each in found]
    if len(found) > 1:
        files.refuse_shared(told)
    aside = any("-" in each.values() for each in told)
    secrecy.hide_memory()
    codes: list[int] = []
    with (
        signals.stoppable() as stop,
        progress.Progress(quiet=quiet, verbose=verbose) as talk,
        Sending(job(os.environ), found, stop=stop, say=talk.warn, command=output.command) as hub,
    ):
        try:
            skipped = [not ctx.params["only"] and several.untouched(each, os.environ) for each in found]
            with Relay(stop, talk.warn) as relay:
                for at, settings in enumerate(found):
                    stop.check()
                    hub.project(at)
                    if settings.name is not None:
                        output.tell(f"== {settings.name} ==\n", err=aside)
                    later = [each for each, idle in zip(found[at + 1 :], skipped[at + 1 :], strict=True) if not idle]
                    turn = None if skipped[at] else relay.turn(settings, later)
                    codes.append(one(settings, told[at], stop, talk, hub, turn))
        except Stopped as error:  # between two projects; inside of one it is in its report
            codes.append(error.exit_code)
        with stop.shield():
            hub.end()
    if len(found) > 1:
        output.tell(f"projects: {hub.line}\n", err=aside)
    return max(codes)


def one(settings: Settings, told: dict[str, str], stop: Stop, talk: Progress, hub: Sending, relay: Relay | None) -> int:
    """Run one project, or skip it where there is no turn for it, and tell its report; the exit code."""
    from neontest import run
    from neontest.cli import progress

    try:
        if relay is None:
            report = run.skipped(settings, f"none of its files differ from {settings.base}")
        else:
            report = run.run(settings, os.environ, stop=stop, talk=talk, witness=hub, relay=relay)
    except Stopped as error:
        report = run.cut_short(settings, error)
    with stop.shield():
        from neontest import literals
        from neontest.renderers import console

        here = literals.for_oneself(report, settings.redact)
        abroad = literals.for_others(report, settings.redact) if hub.on else here
        written = files.write(told, here, folder=files.folder(settings.root))
        text = console.render(here, width=progress.terminal_width(), color=colors())
        text += hub.ended(abroad, report_file=told.get("json"))
        written = output.tell(text, err="-" in told.values()) and written
    return report.exit_code if written or report.exit_code else COULD_NOT_TELL


def colors() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
