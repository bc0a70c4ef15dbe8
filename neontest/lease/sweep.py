"""What dead runs left in the project: seen, judged one by one, and given back children first.

Ours is a branch that carries neontest's annotation, and nothing else is even looked at. That its run is dead can be
known in three ways only: this machine's ledger has it, and nobody holds the entry; its own deadline has passed; its
expiry has passed. Process ids and host names prove nothing: containers and copied virtual machines share them. In
doubt it stays, and its expiry removes it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from neontest.lease.give_back import Claim, GivenBack, give_back, refusal
from neontest.lease.ledger import Ledger
from neontest.lease.names import MARK, MARK_VERSION
from neontest.neon.client import Neon
from neontest.neon.models import Branch
from neontest.stop import Deadline

GRACE: Final = timedelta(minutes=10)
"""After a run's deadline: for clocks that differ, and for a run that is just giving its branches back."""


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """One of neontest's branches, and whether it would go."""

    branch: Branch
    goes: bool
    why: str


def ours(branches: Iterable[Branch]) -> tuple[Branch, ...]:
    """Those that carry neontest's annotation."""
    return tuple(branch for branch in branches if branch.annotation.get(MARK) == MARK_VERSION)


class Owners(msgspec.Struct, frozen=True, kw_only=True):
    """What this machine's ledger knows: the marks of leases that are held, and of those whose owner is gone."""

    alive: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()


def owners(ledger: Ledger) -> Owners:
    """The owners of all entries, as their locks tell."""
    alive, gone = set(), set()
    for found in ledger.found():
        mark = found.entry.annotation.get("lease", "") if found.entry else ""
        if found.hold is not None:
            found.hold.release()
            gone.add(mark)
        else:
            alive.add(mark)
    return Owners(alive=frozenset(alive - {""}), gone=frozenset(gone - {""}))


def plan(neon: Neon, project_id: str, *, now: datetime, known: Owners) -> tuple[Planned, ...]:
    """Every branch of neontest's in the project; those that would go first, in an order in which they can go."""
    branches = neon.branches(project_id)
    judged = []
    for branch in ours(branches):
        goes, why = _judge(branch, now, known)
        judged.append(Planned(branch=branch, goes=goes, why=why))
    return tuple(_children_first(judged, branches))


def sweep(
    neon: Neon,
    project_id: str,
    planned: Iterable[Planned],
    *,
    budget: float = 60.0,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[GivenBack]:
    """Give back what goes, `budget` seconds each; every branch is read again right before."""
    for each in planned:
        if each.goes:
            claim = Claim(
                name=each.branch.name,
                annotation=each.branch.annotation,
                expires_at=each.branch.expires_at,
                branch_id=each.branch.id,
            )
            deadline = Deadline(budget, what=f"giving {each.branch.name} back", clock=clock)
            yield give_back(neon, project_id, claim, deadline, clock=clock)


def _judge(branch: Branch, now: datetime, known: Owners) -> tuple[bool, str]:
    facts = branch.annotation
    mark = facts.get("lease", "")
    if (why := refusal(branch)) is not None:
        return False, why
    if mark in known.alive:
        return False, f"its run is alive on this machine (pid {facts.get('pid', '?')})"
    if branch.expires_at is not None and branch.expires_at <= now:
        return True, f"expired at {_minute(branch.expires_at)}"
    if facts.get("keep"):
        return False, "kept on purpose" + (f" until {_minute(branch.expires_at)}" if branch.expires_at else "")
    if mark in known.gone:
        return True, f"its run on this machine is gone (pid {facts.get('pid', '?')})"
    until = _moment(facts.get("until", ""))
    if until is not None and until + GRACE <= now:
        return True, f"its run should have ended at {_minute(until)}"
    return False, "its run may be alive" + (f" until {_minute(until)}" if until else "")


def _children_first(judged: list[Planned], branches: tuple[Branch, ...]) -> Iterator[Planned]:
    """What goes, children before parents; then what stays, with the parents of branches that stay."""
    going = {each.branch.id: each for each in judged if each.goes}
    kept = {branch.id: branch for branch in branches if branch.id not in going}
    # A parent stays with any of its children, and its own parent with it.
    waiting = list(kept.values())
    while waiting:
        child = waiting.pop()
        parent = going.pop(child.parent_id or "", None)
        if parent is not None:
            kept[parent.branch.id] = parent.branch
            waiting.append(parent.branch)
    by_id = {branch.id: branch for branch in branches}
    depths = {id_: _depth(branch, by_id) for id_, branch in by_id.items() if id_ in going}
    yield from sorted(going.values(), key=lambda each: -depths[each.branch.id])
    for each in judged:
        if each.branch.id not in going:
            stays = not each.goes
            yield each if stays else Planned(branch=each.branch, goes=False, why="another branch was made from it")


def _depth(branch: Branch, by_id: dict[str, Branch]) -> int:
    depth = 0
    current: Branch | None = branch
    while current is not None and current.parent_id and depth <= len(by_id):
        current = by_id.get(current.parent_id)
        depth += 1
    return depth


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%MZ}"
