"""A line on the terminal that moves while a run works."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text


class Quiet(Console):
    """A console that falls silent when nobody reads it any more, such as after `| head`: the run goes on."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


class Moving:
    """What is being done, in the last line of the terminal, under what was printed."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = console.status(Text("starting"))
        self._status.start()

    def update(self, text: str) -> None:
        self._status.update(Text(text))

    def print(self, text: str) -> None:
        self._console.print(Text(text))

    def stop(self) -> None:
        self._status.stop()


def moving() -> Moving | None:
    """The line, if standard error is a terminal on which one can move."""
    console = Quiet(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)
    return Moving(console) if console.is_terminal else None
