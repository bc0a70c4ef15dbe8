"""What a long run says while it works: a line that moves on a terminal, lines in a log."""

from __future__ import annotations

import sys
from contextlib import suppress
from types import TracebackType
from typing import Final

from rich.console import Console
from rich.status import Status
from rich.text import Text

from neontest.cli import output

WIDTH_OF_A_LOG: Final = 100
"""Columns."""


class Quiet(Console):
    """A console that falls silent when nobody reads it any more, such as after `| head`: the run goes on."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


class Progress:
    """A `neontest.talk.Talk` on stderr."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self._console = Quiet(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)
        self._quiet = quiet
        self._verbose = verbose
        self._status: Status | None = None

    def __enter__(self) -> Progress:
        if self._console.is_terminal and not self._quiet:
            self._status = self._console.status(Text("starting"))
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None

    def say(self, text: str) -> None:
        """What is being done; on a terminal it takes the place of what was said before."""
        if self._status is not None:
            self._status.update(Text(output.plain(text)))
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
            if self._status is not None:
                self._console.print(Text(plain))
            else:
                self._log(plain)

    def _log(self, text: str) -> None:
        """As the console does where there is no line to keep in its place, at a hundredth of the time."""
        if self._console.quiet:
            return
        try:
            self._console.file.write(text + "\n")
            self._console.file.flush()
        except BrokenPipeError:
            self._console.on_broken_pipe()

    def detail(self, text: str) -> None:
        if self._verbose:
            self.show(text)


def terminal_width() -> int:
    """The width to render for: the terminal's, or a log's."""
    return Console(file=sys.stdout).width if sys.stdout.isatty() else WIDTH_OF_A_LOG
