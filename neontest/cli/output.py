"""Standard output that may be a closed pipe, a full disk, or unable to say everything."""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from typing import Final

import click

_COLOR: Final = re.compile(r"\x1b\[[0-9;:]*m")


def plain(text: str) -> str:
    """The text, which others wrote, with nothing in it that a terminal or GitHub's runner would obey.

    Colors are taken out; a carriage return ends a line, as it does for the runner.
    """
    from neontest.renderers.words import clean, obeyed_by_nobody

    lines = _COLOR.sub("", text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(obeyed_by_nobody(clean(line)) for line in lines)


def open_closed() -> None:
    """Let what was closed go nowhere, or come from there: files that are opened later would take those numbers."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False))


def forgive_encodings() -> None:
    """Let a terminal or a log that knows fewer characters show what it can."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def tell(text: str, *, err: bool = False) -> bool:
    """Write the text; False if it could not be written. A reader who went away, such as `head`, has seen enough."""
    stream = sys.stderr if err else sys.stdout
    try:
        click.echo(text, nl=False, file=stream, color=True)
        stream.flush()
    except BrokenPipeError:
        silence(stream.fileno())
    except OSError as error:
        silence(stream.fileno())
        if not err:
            click.echo(f"Error: standard output cannot be written: {error.strerror}", err=True)
        return False
    return True


def full() -> str | None:
    """Why standard output takes nothing more, such as a full disk; None where it takes one more line break."""
    try:
        sys.stdout.write("\n")
        sys.stdout.flush()
    except OSError as error:
        silence(sys.stdout.fileno())
        return error.strerror
    return None


def command(text: str) -> None:
    """Lines for GitHub's runner, which reads standard error as it does standard output: that may be a report's file."""
    with suppress(OSError, ValueError):
        sys.stderr.write(text)
        sys.stderr.flush()


def settle() -> None:
    """Write out what is still held, or let it go: Python would make exit code 120 of it."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            silence(stream.fileno())


def silence(descriptor: int) -> None:
    """Let what Python still flushes at its end go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
