"""`neontest`: finds the commands beside it, and turns errors into a sentence and an exit code."""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
from contextlib import suppress
from typing import Any, Final

import click

import neontest
import neontest.cli
from neontest.cli import output
from neontest.errors import Defect, NeontestError, Stopped, UsageError

NOT_COMMANDS: Final = frozenset({"files", "main", "moving", "options", "output", "progress", "secrecy", "signals"})
ORDER: Final = ("run", "cleanup", "sweep", "branches", "serve", "report", "publish", "explain", "config")

CANNOT_TELL: Final = 3
"""Nobody heard the answer: the disk behind standard output is full."""
READER_GONE: Final = 141
"""As shells count SIGPIPE: nobody reads the output, such as after `| head`."""


class Commands(click.Group):
    """Every module of `neontest.cli` that is not named in NOT_COMMANDS is a command of its own name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        found = {each.name for each in pkgutil.iter_modules(neontest.cli.__path__)} - NOT_COMMANDS
        return sorted(found, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command = importlib.import_module(f"neontest.cli.{cmd_name}").command
        assert isinstance(command, click.Command), cmd_name
        return command


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=True,
)
@click.version_option(neontest.__version__, prog_name="neontest")
def neontest_group() -> None:
    """Test Alembic migrations on a throw-away branch of the real database.

    Takes a Neon branch (or a copy of a local Postgres), walks the pending revisions up, down and up again, compares
    what it saw, runs the project's tests on the result, and always gives the branch back.
    """


def main(args: list[str] | None = None) -> None:
    """Run the command line and exit with its code; see the README for what each code means."""
    output.open_closed()
    output.forgive_encodings()
    code = run(args)
    output.settle()
    os._exit(code)  # nothing is left to end, and to take down all that was read and imported takes a tenth of a second


def run(args: list[str] | None = None) -> int:
    """The exit code of one command line. Commands give theirs by returning an int."""
    try:
        refuse_nowhere()
        result: Any = neontest_group.main(args, prog_name="neontest", standalone_mode=False)
    except click.ClickException as error:  # no arguments at all are one, too
        with suppress(OSError):
            error.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        return interrupted()
    except Stopped as error:
        return stopped(error)
    except NeontestError as error:
        complain(error)
        return error.exit_code
    except BrokenPipeError:
        output.silence(sys.stdout.fileno())
        return READER_GONE
    except Exception as error:  # noqa: BLE001 -- Python's own exit code 1 would blame the migrations
        cause = error.__cause__
        if isinstance(cause, KeyboardInterrupt):  # it came while a class was made, in an import
            return interrupted()
        if isinstance(cause, Stopped):  # so did this
            return stopped(cause)
        if isinstance(error, OSError) and (why := output.full()):
            say(f"Error: standard output cannot be written: {why}")
            return CANNOT_TELL
        import traceback

        from neontest.redact import Redactor

        say(Redactor().text(traceback.format_exc()))
        complain(Defect(f"a defect in neontest: {type(error).__name__}"))
        return 3
    return result if isinstance(result, int) else 0


def stopped(error: Stopped) -> int:
    say(f"neontest: {error.message}")
    return error.exit_code


def interrupted() -> int:
    say("Error: stopped by SIGINT")
    return 130


def refuse_nowhere() -> None:
    """Raise UsageError where the current folder was deleted: every relative path would fail in its own way."""
    try:
        os.getcwd()  # noqa: PTH109 -- pathlib's is the same, slower
    except OSError as error:
        raise UsageError(f"the current folder cannot be used: {error.strerror}", hint="cd into the project") from error


def say(text: str) -> None:
    """Others' words on standard error, obeyed by nobody; a full disk behind it changes no exit code."""
    with suppress(OSError):
        click.echo(output.plain(text), err=True)


def complain(error: NeontestError) -> None:
    for each in (
        f"Error: {error.message}",
        *(f"  {more}" for more in (error.hint, *getattr(error, "__notes__", ())) if more),
    ):
        say(each)
