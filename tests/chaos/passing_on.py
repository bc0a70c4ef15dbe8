"""A Neon API that passes everything on to another one, and tells when what was asked and answered."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from tests.chaos.door import Asked, Clear, Reply, door

When = Literal["asked", "answered"]


@dataclass(frozen=True)
class Answer:
    """One answer of the API behind, at the moment when it came."""

    at: float
    method: str
    path: str
    status: int


@dataclass
class Passing(Clear):
    """What went through, and what is to be done when something does."""

    url: str = ""
    answers: list[Answer] = field(default_factory=list)
    calls: list[tuple[str, str, When, Callable[[], None]]] = field(default_factory=list)

    def before(self, asked: Asked) -> None:
        self.reached(asked.method, asked.path, "asked")

    def after(self, asked: Asked, reply: Reply) -> Reply:
        self.answers.append(Answer(time.monotonic(), asked.method, asked.path, reply.status or 0))
        self.reached(asked.method, asked.path, "answered")
        return reply

    def forget(self) -> None:
        self.answers, self.calls = [], []

    def accepted(self, since: float) -> float | None:
        """When the last deletion since that moment was accepted."""
        found = [each.at for each in self.answers if each.method == "DELETE" and each.at >= since and each.status < 300]
        return max(found, default=None)

    def reached(self, method: str, path: str, when: When) -> None:
        for call in [each for each in self.calls if each[0] == method and re.search(each[1], path) and each[2] == when]:
            if call in self.calls:
                self.calls.remove(call)
                call[3]()


@contextmanager
def passing_on(api_host: str) -> Iterator[Passing]:
    """Listen on a free port of the loopback, for as long as the block lasts."""
    with door(api_host) as made:
        made.fault = passing = Passing(url=made.url)
        yield passing
