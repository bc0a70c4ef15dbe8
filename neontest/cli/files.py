"""The files that a run writes its report into: an option a format."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from neontest import renderers
from neontest.cli import options, output

if TYPE_CHECKING:
    from neontest.report import Report

F = TypeVar("F", bound=Callable[..., Any])

ON_STDOUT: Final = "console"
"""The format that every run tells; it goes to stderr where another one is asked for on stdout."""


def formats() -> tuple[str, ...]:
    """The formats that go into files."""
    return tuple(each for each in renderers.formats() if each != ON_STDOUT)


def parameter(form: str) -> str:
    return f"{form}_file"


def file_options(function: F) -> F:
    """`--json FILE` and its like, one for each format that there is a renderer for."""
    return options.both(
        *(
            options.option(
                f"--{each}", parameter(each), metavar="FILE", help=f"Write the report as {each}; - is stdout."
            )
            for each in formats()
        )
    )(function)


def wanted(parameters: Mapping[str, Any], *, name: str | None = None) -> dict[str, str]:
    """The file of each format that was asked for; `name` is put into its name, for one of several projects.

    Raises:
        UsageError: where one could not be written, or two would go to the same place: before any work is done.
    """
    files = {each: parameters[parameter(each)] for each in formats() if parameters.get(parameter(each))}
    if name is not None:
        files = {form: named(file, name, form) for form, file in files.items()}
    taken: dict[str, str] = {}
    for form, file in files.items():
        place = file if file == "-" else str(Path(file).absolute())
        if place in taken and (file == "-" or not special(file)):
            where = "stdout" if file == "-" else file
            raise click.UsageError(f"--{taken[place]} and --{form} cannot both go to {where}: give one another file")
        taken[place] = form
        writable(f"--{form}", file)
    return files


def named(file: str, name: str, form: str) -> str:
    """`report-NAME.json` for `report.json`: each of several projects has a file of its own."""
    if file == "-":
        raise click.UsageError(f"--{form} -: several projects cannot share stdout: name a file, or use --only")
    path = Path(file)
    return file if special(file) else str(path.with_name(f"{path.stem}-{name}{path.suffix}"))


def special(file: str) -> bool:
    """It is there and no regular file, such as /dev/null, which holds all that one likes."""
    return Path(file).exists() and not Path(file).is_file()


def writable(option: str, file: str) -> None:
    """Raise UsageError if the report could not be written there."""
    path = Path(file)
    if file == "-":
        return
    try:
        facts = path.stat()
    except FileNotFoundError:
        facts = None
    except OSError as error:
        raise click.UsageError(f"{option}: {file} cannot be written: {error.strerror}") from error
    if (facts is not None and stat.S_ISDIR(facts.st_mode)) or not path.absolute().parent.is_dir():
        raise click.UsageError(f"{option}: {file} cannot be written: no such folder, or it is one itself")
    if not os.access(path if facts is not None else path.absolute().parent, os.W_OK):
        raise click.UsageError(f"{option}: {file} cannot be written: permission denied")
    if facts is not None and stat.S_ISFIFO(facts.st_mode):
        refuse_unread(option, file)


def refuse_unread(option: str, file: str) -> None:
    """Raise UsageError for a pipe that nobody reads: at the end of the run it would be waited for without end."""
    try:
        # It stays open until this process ends: whoever reads would take a close for the end.
        os.open(file, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        raise click.UsageError(f"{option}: {file} cannot be written: it is a pipe that nobody reads") from error


def refuse_shared(told: Sequence[Mapping[str, str]]) -> None:
    """Raise UsageError where what is put into a file's name for one project makes it that of another's file."""
    taken: set[str] = set()
    for form, file in (each for files in told for each in files.items()):
        place = str(Path(file).absolute())
        if place in taken and not special(file):
            raise click.UsageError(f"--{form}: two projects' reports would go to {file}: give one format another file")
        taken.add(place)


def write(files: Mapping[str, str], report: Report, **surroundings: Any) -> bool:
    """Write the report in each format; False, and a sentence for each that failed, if one could not be."""
    # Each of them is tried, whatever became of the one before.
    written = [write_one(form, file, report, surroundings) for form, file in files.items()]
    return all(written)


def write_one(form: str, file: str, report: Report, surroundings: Mapping[str, Any]) -> bool:
    try:
        text = renderers.rendered(report, form, **surroundings)
    except Exception as error:  # noqa: BLE001 -- the other formats, and the run's own result, are still to be told
        import traceback

        from neontest.redact import Redactor

        click.echo(output.plain(Redactor().text(traceback.format_exc())), err=True)
        click.echo(f"Error: {file} was not written: a defect in neontest: {type(error).__name__}", err=True)
        return False
    return put(file, text)


def put(file: str, text: str) -> bool:
    """Write the text; False, and a sentence, if that fails."""
    if file == "-":
        return output.tell(text)
    try:
        with open(file, "w", encoding="utf-8", opener=promptly) as opened:
            opened.write(text)
    except OSError as error:
        click.echo(f"Error: {file} was not written: {error.strerror}", err=True)
        return False
    return True


def promptly(file: str, flags: int) -> int:
    """Open it without waiting for somebody who reads a pipe: he may have gone since."""
    descriptor = os.open(file, flags | os.O_NONBLOCK, 0o666)
    os.set_blocking(descriptor, True)
    return descriptor


def folder(root: Path) -> str:
    """Where in its repository the project lies, with `/`; "" at its top, or outside of any."""
    from neontest.github.job import repository

    here = root.resolve()
    top = repository(here) or here
    return "" if top == here else here.relative_to(top).as_posix()
