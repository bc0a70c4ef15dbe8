"""What a long run says while it works: a line that moves on a terminal, lines in a log."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Final

from neontest.cli import output

if TYPE_CHECKING:
    from neontest.cli.moving import Moving

WIDTH_OF_A_LOG: Final = 100
"""Columns."""


class Progress:
    """A `neontest.talk.Talk` on stderr."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self._quiet = quiet
        self._verbose = verbose
        self._unread = False
        """Nobody reads it any more, such as after `| head`: it falls silent, and the run goes on."""
        self._moving: Moving | None = None

    def __enter__(self) -> Progress:
        if not self._quiet and on_terminal():
            from neontest.cli.moving import moving

            self._moving = moving()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._moving is not None:
            self._moving.stop()
            self._moving = None

    def say(self, text: str) -> None:
        """What is being done; on a terminal it takes the place of what was said before."""
        if self._moving is not None:
            self._moving.update(output.plain(text))
        else:
            self.show(text)

    def show(self, text: str) -> None:
        if not self._quiet:
            self.warn(text)

    def warn(self, text: str) -> None:
        """A line that is said even where nothing else is."""
        # A full disk behind stderr is no reason to stop either.
        with suppress(OSError, ValueError):
            plain = output.plain(text)
            if self._moving is not None:
                self._moving.print(plain)
            else:
                self._log(plain)

    def _log(self, text: str) -> None:
        if self._unread:
            return
        try:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()
        except BrokenPipeError:
            self._unread = True

    def detail(self, text: str) -> None:
        if self._verbose:
            self.show(text)


def on_terminal() -> bool:
    """Rich, whose import takes as long as all else of a `--help`, may find a terminal: it is asked only then."""
    return sys.stderr.isatty() or any(os.environ.get(name) for name in ("FORCE_COLOR", "TTY_COMPATIBLE"))


def terminal_width() -> int:
    """The width to render for: the terminal's, or a log's."""
    if not sys.stdout.isatty():
        return WIDTH_OF_A_LOG
    from rich.console import Console

    return Console(file=sys.stdout).width
