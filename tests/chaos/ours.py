"""What may be deleted, by whom and when: the rules of neontest/lease as its docstrings promise them, and no code of it.

A model that a test compares with: it knows who made each branch, and judges each deletion at the moment when the API
carries it out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

GRACE = timedelta(minutes=10)
LONGEST = timedelta(days=30)
EPOCH = datetime(2026, 11, 22, 12, tzinfo=UTC)


@dataclass
class Clock:
    """Time that passes when somebody sleeps, or when it is told to."""

    passed: float = 0.0
    coming: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.passed

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.passed)

    def sleep(self, seconds: float) -> bool:
        end = self.passed + max(0.0, seconds)
        for each in [each for each in self.coming if each[0] <= end]:
            if each in self.coming:
                self.coming.remove(each)
                self.passed = max(self.passed, each[0])
                each[1]()
        self.passed = max(self.passed, end)
        return False

    def at(self, seconds: float, call: Callable[[], None]) -> None:
        """Have something happen so many seconds from now."""
        self.coming.append((self.passed + seconds, call))


@dataclass
class Asked:
    """A branch that a run has asked for, as its own ledger had it before it was asked for."""

    mark: str
    run: int
    machine: int
    keeps: bool
    """It was announced that it may be kept."""
    until: datetime
    kept: bool = False
    forgotten: bool = False
    """Nobody on its machine remembers it, rightly: it was never made when that was looked at."""


@dataclass
class Actor:
    """Who is using the API: a run, or a command on a machine."""

    kind: str
    run: int = -1
    machine: int = -1


@dataclass
class Model:
    """All branches that were ever asked for by runs, and whose owners live."""

    clock: Clock
    asked: dict[str, Asked] = field(default_factory=dict)
    made: dict[str, dict[str, str]] = field(default_factory=dict)
    """By branch id: what was annotated when a run made it."""
    alive: set[str] = field(default_factory=set)
    """The marks whose owner holds them."""
    remembered: dict[int, set[str]] = field(default_factory=dict)
    """The marks that are in each machine's ledger right now."""
    actor: Actor = field(default_factory=lambda: Actor("nobody"))
    faults: list[str] = field(default_factory=list)

    def creation(self, branch_id: str, annotation: dict[str, str], expires_at: datetime) -> None:
        """A run had a branch made: it has to expire, to be marked, and to be noted already."""
        self.made[branch_id] = dict(annotation)
        mark = annotation.get("lease", "")
        if annotation.get("neontest") != "1" or mark not in self.asked:
            self.faults.append(f"made without having been noted: {branch_id}, {annotation}")
        elif not self.clock.now() < expires_at <= self.clock.now() + LONGEST:
            self.faults.append(f"made with an expiry of {expires_at}, now being {self.clock.now()}")

    def deletion(self, branch: dict[str, object], annotation: dict[str, str]) -> None:
        """Note a fault where the actor must not delete that branch now."""
        why = self.refusal(branch, annotation)
        if why is not None:
            self.faults.append(f"{self.actor} deleted {branch['name']} ({annotation}): {why}")

    def refusal(self, branch: dict[str, object], annotation: dict[str, str]) -> str | None:
        if branch["default"]:
            return "it is the default branch"
        if branch["protected"]:
            return "it is protected"
        if annotation.get("neontest") != "1":
            return "it is not marked as neontest's"
        mark = annotation.get("lease", "")
        if self.actor.kind in ("run", "cleanup"):
            return self._not_mine(str(branch["id"]), annotation, mark)
        if self.actor.kind == "sweep":
            return self._not_dead(branch, annotation, mark)
        return f"{self.actor.kind} deletes nothing"

    def _not_mine(self, branch_id: str, annotation: dict[str, str], mark: str) -> str | None:
        """A run gives back its own, cleanup what this machine's dead have left: both only what was asked for there."""
        asked = self.asked.get(mark)
        if asked is None or self.made.get(branch_id) != annotation:
            return "nobody here asked for it"
        if self.actor.kind == "run":
            return None if asked.run == self.actor.run and not asked.kept else "it is another run's, or kept"
        if mark in self.alive:
            return "its owner is alive"
        return None if mark in self.remembered[self.actor.machine] else "this machine's ledger does not have it"

    def _not_dead(self, branch: dict[str, object], annotation: dict[str, str], mark: str) -> str | None:
        """A sweep takes what has expired, whose owner this machine knows to be gone, or whose deadline has passed."""
        here = self.remembered.get(self.actor.machine, set())
        now = self.clock.now()
        if mark in here and mark in self.alive:
            return "its owner is alive on this machine"
        expires = moment(branch.get("expires_at"))
        if expires is not None and expires <= now:
            return None
        if annotation.get("keep"):
            return "it is kept"
        if mark in here:
            return None
        until = moment(annotation.get("until"))
        if until is not None and until + GRACE <= now:
            return None
        return "its run may be alive"


def moment(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None
