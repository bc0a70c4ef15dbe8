"""How long GitHub may take: never longer than the run can wait for it."""

from __future__ import annotations

import threading

import msgspec

from neontest.stop import Deadline


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """A deadline for several requests together, and an order to hurry, after which none is begun."""

    deadline: Deadline
    request_seconds: float = 10.0
    """For one request; GitHub itself ends what takes longer than 10 s."""
    hurry: threading.Event = msgspec.field(default_factory=threading.Event)

    @property
    def over(self) -> bool:
        return self.hurry.is_set() or self.deadline.left() <= 0

    def pause(self, seconds: float) -> bool:
        """Wait; False, and no wait, if it would outlast the deadline, or as soon as there is an order to hurry."""
        return seconds < self.deadline.left() and not self.hurry.wait(seconds)

    def request(self) -> Deadline:
        return self.deadline.sooner(self.request_seconds, what="a request to GitHub")
