"""The candidate, handed from one project's run to the next one's, where both work in the same Neon project.

A branch holds all databases of its parent, so projects in different databases need only one: each finds its own
as the parent has it. Of projects in one database each has a candidate of its own: the first one's upgrade, rollback and
tests would stand in the state that the second is compared with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import msgspec

from neontest.lease.budget import BUDGET, STOPPED_BUDGET
from neontest.lease.give_back import left_behind
from neontest.settings import Settings
from neontest.stop import Stop

if TYPE_CHECKING:
    from neontest.lease.give_back import GivenBack
    from neontest.lease.lease import HandedOver, Lease, Leases

ALIKE: Final = (
    *("api_host", "api_key", "project_id", "parent", "parent_time", "parent_lsn", "schema_only", "anonymize"),
    "ledger",
)
"""The settings that say which branch of what it is, and where it is written down."""


def shared(one: Settings, other: Settings) -> bool:
    """The other's run can go on on the candidate of the one's."""
    return (
        (one.engine, other.engine, one.keep) == ("neon", "neon", False)
        and one.database != other.database
        and all(getattr(one, each) == getattr(other, each) for each in ALIKE)
    )


class Baton(msgspec.Struct, frozen=True):
    """A candidate between two runs."""

    handed: HandedOver
    leases: Leases
    """Of the run that took the branch; it gives it back if nobody takes it over."""
    databases: frozenset[str]
    """In which somebody has worked on it."""


class Relay:
    """One for all projects of a run; with `with`, what it holds is given back at the end. No signal interrupts that.

    `say` is told what could not be given back then.
    """

    def __init__(self, stop: Stop, say: Callable[[str], object]) -> None:
        self.seconds = 0.0
        """How long the runs may take that could go on on this one's candidate; 0 where none could."""
        self.ends = ExitStack()
        """The clients by which handed branches were taken: they are needed as long as there are such branches."""
        self._stop, self._say = stop, say
        self._handed: Baton | None = None
        self._next: Baton | None = None
        self._databases: frozenset[str] = frozenset()
        """In which others have worked on the branch that this run has taken over."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stop.shield():
            given = self.unused()
            self._handed, self._next = self._next, None
            given += self.unused()
            if given and (stays := left_behind(given)) is not None:
                self._say(f"{stays.message}: {stays.hint}")
            self.ends.close()

    def turn(self, settings: Settings, later: Sequence[Settings]) -> Self:
        """The run of these settings begins; what runs after it, in this order, may go on on its candidate."""
        self.seconds = sum(each.timeout for each in later) if later and shared(settings, later[0]) else 0.0
        self._handed, self._next, self._databases = self._next, None, frozenset()
        return self

    def hand_over(self, lease: Lease, leases: Leases, database: str) -> None:
        """This run has done with its candidate."""
        with self._stop.shield():  # it is never nobody's
            self._next = Baton(leases.hand_over(lease), leases, self._databases | {database})

    def take_over(self, leases: Leases, database: str) -> tuple[Lease, bool] | None:
        """The branch of the run before, now this one's, and whether nobody has worked in this database of it."""
        with self._stop.shield():
            baton, self._handed = self._handed, None
            if baton is None:
                return None
            fit = database not in baton.databases
            self._databases = baton.databases if fit else frozenset()
            return leases.take_over(baton.handed), fit

    def unused(self) -> tuple[GivenBack, ...]:
        """Give back the branch that this run was handed and did not take over."""
        with self._stop.shield():
            baton, self._handed = self._handed, None
            if baton is None:
                return ()
            baton.leases.take_over(baton.handed)
            given = baton.leases.give_back_all(BUDGET, STOPPED_BUDGET)
        # The others of its run are given back long since, and told.
        return tuple(each for each in given if each.name == baton.handed.lease.name)
