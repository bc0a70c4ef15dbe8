"""The near side of a pause: what is done about a statement that the worker stopped at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from neontest.migrate import reports
from neontest.migrate.channel import Channel, TimeUp
from neontest.stop import Deadline

LOOK: Final = 0.02
"""Seconds between two looks at a statement that was let go."""


class Pausing(Protocol):
    """Where an upgrade is to pause, and what happens there."""

    @property
    def at(self) -> int:
        """The statement to stop at, from 1, as they are reported."""

    @property
    def after(self) -> bool:
        """Stop at whatever comes next to it, be it a statement of Alembic's own."""

    @property
    def looking(self) -> bool:
        """`look` is to be called while the statement runs."""

    def paused(self, report: reports.Paused) -> bool:
        """True lets the statement run, False has it cancelled where it is."""

    def look(self) -> None:
        """Called again and again while a statement that was let go runs."""

    def resumed(self, report: reports.Resumed) -> None:
        """The statement is over, and the worker still waits."""


def receive(
    channel: Channel, deadline: Deadline, pausing: Pausing | None, hide: Callable[[str], str]
) -> reports.Report:
    """The next report that is about no pause; those that are, are answered on the way.

    Raises:
        Ended, TimeUp: see `Channel.receive`.
    """
    if pausing is None:
        return channel.receive(deadline)
    while True:
        limit = deadline.sooner(LOOK, what=deadline.what) if pausing.looking else deadline
        try:
            report = channel.receive(limit)
        except TimeUp:
            if deadline.left() <= 0:
                raise
            pausing.look()
            continue
        if isinstance(report, reports.Paused):
            statement = reports.hidden(report.statement, hide)
            channel.send("go" if pausing.paused(msgspec.structs.replace(report, statement=statement)) else "stop")
        elif isinstance(report, reports.Resumed):
            pausing.resumed(report)
            channel.send("go")
        else:
            return report
