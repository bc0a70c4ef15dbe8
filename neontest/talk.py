"""How a run speaks while it works; whoever runs it decides where that goes."""

from __future__ import annotations

from typing import Protocol

from neontest.record import History


class Talk(Protocol):
    def say(self, text: str) -> None:
        """What is being done now."""

    def show(self, text: str) -> None:
        """A line that shall stay, such as the output of the project's tests."""

    def detail(self, text: str) -> None:
        """A line for those who asked to see everything, such as what env.py prints."""


class Witness(Protocol):
    """Who is told what a run comes to know, at the moment when it does."""

    def secret(self, text: str) -> None:
        """A key, a connection string or a password, before it is used; from any thread, perhaps more than once."""

    def pending(self, history: History) -> None:
        """What is about to be tested; it may come again, if only the project itself could tell it right."""


class Nobody:
    """A witness who forgets."""

    def secret(self, text: str) -> None:
        pass

    def pending(self, history: History) -> None:
        pass
