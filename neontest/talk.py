"""How a run speaks while it works; whoever runs it decides where that goes."""

from __future__ import annotations

from typing import Protocol


class Talk(Protocol):
    def say(self, text: str) -> None:
        """What is being done now."""

    def show(self, text: str) -> None:
        """A line that shall stay, such as the output of the project's tests."""

    def detail(self, text: str) -> None:
        """A line for those who asked to see everything, such as what env.py prints."""
