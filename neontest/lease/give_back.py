"""Giving one branch back: found, checked, deleted, and proved to be gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from neontest.errors import (
    BranchLeftBehind,
    DeadlineExceeded,
    NeonError,
    NeontestError,
    NotFound,
    Refused,
    Stopped,
    one_line,
)
from neontest.lease.names import MARK, MARK_VERSION
from neontest.stop import Deadline

if TYPE_CHECKING:
    from neontest.neon.client import Neon
    from neontest.neon.models import Branch, Operation

NEVER_MADE: Final = "it was never made"


class GivenBack(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one branch."""

    branch_id: str | None
    """None: nobody knows whether it was ever made."""
    name: str
    expires_at: datetime | None
    deleted: bool
    """The API accepted the deletion, or the branch was gone already."""
    proved: bool
    """The API answered 404 for it afterwards."""
    seconds: float
    why: str | None = None
    """What stood in the way, or is worth knowing."""


@dataclass(slots=True, kw_only=True)
class Claim:
    """A branch that we asked for, as far as we know it."""

    name: str
    annotation: Mapping[str, str]
    """All of what was sent: a branch without it is not the one."""
    expires_at: datetime | None
    branch_id: str | None = None
    asking: bool = False
    """The request is under way in some thread."""
    lost_until: float | None = None
    """The moment (of the client's clock) up to which a lost create may still appear."""


def refusal(branch: Branch) -> str | None:
    """Why neontest would never delete this branch, or None."""
    if branch.default:
        return "it is the project's default branch"
    if branch.protected:
        return "it is protected"
    if branch.annotation.get(MARK) != MARK_VERSION:
        return "it does not carry neontest's annotation"
    return None


def left_behind(results: Iterable[GivenBack], *, cure: str = "run `neontest cleanup`") -> BranchLeftBehind | None:
    """The error for the branches among these that could not be given back; None when there is none."""
    stay = [given for given in results if not given.proved]
    if not stay:
        return None
    said = "; ".join(
        f"branch {given.branch_id or '(id unknown)'} ({given.name}) could not be given back: {given.why or 'unknown'}"
        + (f"; it expires {given.expires_at:%Y-%m-%d %H:%MZ}" if given.expires_at else "")
        for given in stay
    )
    return BranchLeftBehind(one_line(said), hint=cure)


def give_back(
    neon: Neon, project_id: str, claim: Claim, deadline: Deadline, *, clock: Callable[[], float] = time.monotonic
) -> GivenBack:
    """Delete the claimed branch and prove it; what stands in the way is told, not raised.

    The branch is read right before: default and protected branches, and those whose annotation is not wholly the
    claim's, are never deleted.
    """
    start = clock()
    deleted = proved = False
    why: str | None = None
    try:
        branch = _find(neon, project_id, claim, deadline, clock)
        if branch is None:
            deleted, proved = claim.branch_id is not None, True
            why = "it was gone already" if deleted else NEVER_MADE
        elif (why := refusal(branch)) is None:
            claim.branch_id = branch.id
            operations = neon.delete_branch(project_id, branch.id, deadline)
            deleted = True
            why = _prove_gone(neon, project_id, branch.id, operations or (), deadline)
            proved = True
    except Stopped:
        raise
    except NeontestError as error:
        why = f"{error.message}; {error.hint}" if error.hint else error.message
    except Exception as error:  # noqa: BLE001 -- it must not keep the other branches from being given back
        why = f"a defect in neontest: {type(error).__name__}"
    return GivenBack(
        branch_id=claim.branch_id,
        name=claim.name,
        expires_at=claim.expires_at,
        deleted=deleted,
        proved=proved,
        seconds=clock() - start,
        why=why,
    )


def _find(neon: Neon, project_id: str, claim: Claim, deadline: Deadline, clock: Callable[[], float]) -> Branch | None:
    """The branch of the claim; None when it is gone or was never made.

    Where the answer to its creation is still awaited, or was lost a moment ago, it is looked for until that is settled.
    """
    pause = 0.05
    while claim.branch_id is None:
        named = neon.branch_named(project_id, claim.name, deadline=deadline)
        if named is not None and named.annotation == dict(claim.annotation):
            return named
        settled = not claim.asking and (claim.lost_until is None or clock() >= claim.lost_until)
        if settled:
            return None
        if pause >= deadline.left():
            raise DeadlineExceeded(f"nobody knows yet whether branch {claim.name} was made")
        neon.pause(pause)
        pause = min(1.0, pause * 2)
    try:
        branch = neon.branch(project_id, claim.branch_id, deadline=deadline)
    except NotFound:
        return None
    if branch.annotation != dict(claim.annotation):
        raise Refused(f"branch {branch.id} carries another's annotation, and is left alone")
    return branch


def _prove_gone(
    neon: Neon, project_id: str, branch_id: str, operations: tuple[Operation, ...], deadline: Deadline
) -> str | None:
    """Wait for the deletion's operations, then for the 404; what went wrong with the former, if the latter came."""
    why: str | None = None
    try:
        # Until they are through, the branch may still count against the project's limit. A part of the time is kept
        # for the proof, which says more than the operations do.
        share = deadline.sooner(deadline.left() * 0.8, what="waiting for the deletion's operations")
        neon.wait_for(project_id, operations, share, teardown=True)
    except (NeonError, DeadlineExceeded) as error:
        why = error.message
    neon.wait_until_gone(project_id, branch_id, deadline)
    return why


def unanswered(claim: Claim, budget: float) -> GivenBack:
    """Nobody knows what became of the branch."""
    return GivenBack(
        branch_id=claim.branch_id,
        name=claim.name,
        expires_at=claim.expires_at,
        deleted=False,
        proved=False,
        seconds=budget,
        why=f"no answer within {budget:g} s",
    )
