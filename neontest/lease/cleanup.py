"""Giving back what this machine's ledger still holds, once its owners are gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal

import msgspec

from neontest.errors import LocalError
from neontest.lease.give_back import Claim, GivenBack, give_back
from neontest.lease.lease import SETTLE
from neontest.lease.ledger import Entry, Hold, Ledger
from neontest.neon.client import Neon
from neontest.stop import Deadline

FORGOTTEN: Final = timedelta(days=1)
"""So long after its expiry, a branch that cannot be asked for is taken to be gone."""

Outcome = Literal["given back", "alive", "left"]


class Cleaned(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one entry of the ledger."""

    name: str
    outcome: Outcome
    said: str
    expires_at: datetime | None = None
    branch_id: str | None = None

    def given(self) -> GivenBack:
        """The same in the words of a lease that could not be given back."""
        return GivenBack(
            branch_id=self.branch_id,
            name=self.name,
            expires_at=self.expires_at,
            deleted=False,
            proved=self.outcome != "left",
            seconds=0.0,
            why=self.said,
        )


def cleanup(
    ledger: Ledger,
    neon: Neon | None,
    *,
    now: Callable[[], datetime],
    sweep_local: Callable[[Path], None],
    budget: float = 60.0,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Cleaned]:
    """Give back each branch whose owner is gone, `budget` seconds each; living owners' are named and left alone.

    `neon` is None where there is no key. `sweep_local` removes what dead owners left in a local engine's folder.
    """
    for found in ledger.found():
        if found.entry is None:
            yield Cleaned(name=found.path.name, outcome="left", said=f"{found.path} cannot be read; remove it by hand")
        elif found.hold is None:
            yield _told(found.entry, "alive", f"its run is alive (pid {found.entry.pid})")
        else:
            try:
                yield _clean(found.hold, neon, now, sweep_local, budget, clock)
            finally:
                found.hold.release()


def _clean(
    hold: Hold,
    neon: Neon | None,
    now: Callable[[], datetime],
    sweep_local: Callable[[Path], None],
    budget: float,
    clock: Callable[[], float],
) -> Cleaned:
    entry = hold.entry
    if entry.engine == "local":
        try:
            if entry.state:
                sweep_local(Path(entry.state))
        except LocalError as error:
            return _told(entry, "left", error.message)
        hold.remove()
        return _told(entry, "given back", "a local branch, gone with its owner")
    done = _ask(entry, neon, now, budget, clock)
    if done.outcome == "left" and now() > entry.expires_at + FORGOTTEN:
        done = _told(entry, "given back", f"it expired long ago ({done.said})")
    if done.outcome == "given back":
        hold.remove()
    return done


def _ask(
    entry: Entry, neon: Neon | None, now: Callable[[], datetime], budget: float, clock: Callable[[], float]
) -> Cleaned:
    if neon is None:
        return _told(entry, "left", "NEON_API_KEY is not set")
    if neon.host != entry.api_host:
        return _told(entry, "left", f"it was made at another API host: use --api-host {entry.api_host}")
    claim = Claim(
        name=entry.name,
        annotation=entry.annotation,
        expires_at=entry.expires_at,
        branch_id=entry.branch_id,
        # The process died a moment ago, perhaps while its request was on the way.
        lost_until=clock() + max(0.0, SETTLE - max(0.0, (now() - entry.created_at).total_seconds())),
    )
    deadline = Deadline(budget, what=f"giving {entry.name} back", clock=clock)
    given = give_back(neon, entry.project_id, claim, deadline, clock=clock)
    if not given.proved:
        return _told(entry, "left", given.why or "unknown", given.branch_id)
    why = f" ({given.why})" if given.why else ""
    return _told(entry, "given back", f"given back in {given.seconds:.1f} s{why}", given.branch_id)


def _told(entry: Entry, outcome: Outcome, said: str, branch_id: str | None = None) -> Cleaned:
    return Cleaned(
        name=entry.name,
        outcome=outcome,
        said=said,
        expires_at=entry.expires_at,
        branch_id=branch_id or entry.branch_id,
    )
