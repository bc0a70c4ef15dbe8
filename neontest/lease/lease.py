"""A branch that is always given back.

The order is the promise: noted in the ledger, asked for with an expiry and an annotation of its own, its id noted as
soon as it is known, deleted whatever happened, the deletion proved, and only then forgotten. What a signal, a crash or
a lost answer leaves is found again: by the run itself, by `neontest cleanup`, by `neontest sweep`, by its expiry.
"""

from __future__ import annotations

import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, Literal

import msgspec

from neontest.errors import (
    AlreadyExists,
    Forbidden,
    LimitExceeded,
    NotFound,
    Refused,
    Stopped,
    Unauthorized,
    UnexpectedAnswer,
    UsageError,
    one_line,
)
from neontest.lease.budget import BUDGET, Budget
from neontest.lease.give_back import Claim, GivenBack, give_back, refusal, unanswered
from neontest.lease.ledger import Engine, Entry, Hold, Ledger
from neontest.lease.names import Owner
from neontest.lease.patience import NONE, Patience, when_free
from neontest.neon.client import Neon
from neontest.neon.connection import checked_uri
from neontest.neon.models import Branch, ConnectionUri, CreatedBranch, Endpoint
from neontest.stop import Deadline, Stop
from neontest.whose import PLAIN, Source

LeaseRole = Literal["candidate", "sibling"]

SETTLE: Final = 2.0
"""Seconds for which a branch is looked for after the answer to its creation was lost."""
STOPPED: Final = 7.0
"""Seconds for giving everything back after a stop: GitHub kills 10 s after the first signal."""
ONE_STOPPED: Final = 2.0
"""Seconds of these for a single branch that was being given back when the stop came."""
_NAMES_TRIED: Final = 3
_NOT_MADE: Final = (Unauthorized, Forbidden, NotFound, LimitExceeded, Refused)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A branch of ours, ready: its operations are through."""

    branch: Branch
    name: str
    role: LeaseRole
    created_at: datetime
    expires_at: datetime
    ready_seconds: float
    """From the request until its operations were through."""
    adopted: bool = False
    """The answer to its creation was lost; it was found by its name."""
    _endpoints: tuple[Endpoint, ...] = ()
    _others: tuple[Endpoint, ...] = ()
    """The parent's computes."""
    _uris: tuple[ConnectionUri, ...] = field(default=(), repr=False)
    _neon: Neon = field(repr=False, compare=False)

    def url(self, database: str, role: str, *, deadline: Deadline | None = None) -> str:
        """The direct connection string, a secret: ask for it when it is needed and keep it out of messages."""
        for each in self._uris:
            if (each.connection_parameters.database, each.connection_parameters.role) == (database, role):
                with suppress(UnexpectedAnswer):  # asked for by itself, it may be the one that was wanted
                    return checked_uri(each.connection_uri, self._endpoints, self.branch.id, self._others)
        return self._neon.connection_uri(
            self.branch.project_id, self.branch.id, database=database, role=role,
            endpoints=self._endpoints or None, others=self._others, deadline=deadline,
        )  # fmt: skip


class _Claim(Claim):
    """A claim with its place in the ledger and what has become of it."""

    __slots__ = ("asked", "given", "hold", "kept")

    def __init__(self, hold: Hold) -> None:
        entry = hold.entry
        super().__init__(name=entry.name, annotation=entry.annotation, expires_at=entry.expires_at)
        self.hold = hold
        self.asked = 0.0
        self.given: GivenBack | None = None
        self.kept = False


class HandedOver(msgspec.Struct, frozen=True):
    """A lease between two runs of one process: nobody's who would give it back."""

    lease: Lease
    claims: tuple[_Claim, ...]


class Leases:
    """All branches of one run.

    `take`, `give_back` and `keep` are for the run's own thread. `until` is the run's own deadline, after which a sweep
    may take what it left (default: the expiry). `keep` announces that a candidate may be kept: a sweep then leaves it
    alone until its expiry. `rename`: where the name is taken, another one will do.
    """

    def __init__(
        self,
        neon: Neon,
        ledger: Ledger,
        *,
        project_id: str,
        parent: Branch,
        owner: Owner,
        expires_at: datetime,
        stop: Stop,
        engine: Engine = "neon",
        state: Path | None = None,
        source: Source = PLAIN,
        parent_endpoints: Sequence[Endpoint] | None = None,
        until: datetime | None = None,
        keep: bool = False,
        rename: bool = True,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._neon = neon
        self._ledger = ledger
        self._project_id = project_id
        self._parent = parent
        self._owner = owner
        self._expires_at = expires_at
        self._until = until or expires_at
        self._stop = stop
        self._engine: Engine = engine
        self._state = state
        self._source = source
        self._parent_endpoints = parent_endpoints
        self._keep = keep
        self._rename = rename
        self._clock = clock
        self._now = now
        self._lock = threading.Lock()
        self._claims: list[_Claim] = []
        self._taken = 0
        self._soon = Stop()
        self._soon_neon: Neon | None = None

    # -- taking ------------------------------------------------------------------------------------------------

    def take(
        self,
        role: LeaseRole = "candidate",
        *,
        parent_lsn: str | None = None,
        deadline: Deadline,
        patience: Patience = NONE,
    ) -> Lease:
        """A branch of the parent, once its operations are through.

        Whatever is raised, what may have been made is given back by `give_back_all`. NoFreeBranch: the project has as
        many as it may have, still so when `patience` was over; who holds branches while waiting may wait for somebody
        who waits for those.
        """
        return self._take(self._neon, role, parent_lsn, deadline, patience)

    def take_soon(
        self, role: LeaseRole = "sibling", *, parent_lsn: str | None = None, deadline: Deadline
    ) -> Future[Lease]:
        """The same in a thread of its own. Giving everything back ends it: its result is then CancelledError."""
        future: Future[Lease] = Future()
        if self._soon_neon is None:
            self._soon_neon = self._neon.under(self._soon)
        neon = self._soon_neon

        def work() -> None:
            try:
                lease = self._take(neon, role, parent_lsn, deadline, NONE)
            except BaseException as error:  # noqa: BLE001 -- a future carries it to whoever asks
                future.set_exception(CancelledError() if isinstance(error, Stopped) else error)
            else:
                future.set_result(lease)

        future.set_running_or_notify_cancel()
        threading.Thread(target=work, name="neontest-take-soon", daemon=True).start()
        return future

    def _take(
        self, neon: Neon, role: LeaseRole, parent_lsn: str | None, deadline: Deadline, patience: Patience
    ) -> Lease:
        if self._parent.expires_at is not None:
            raise UsageError(
                f"branch {one_line(self._parent.name)} expires, and Neon makes no branches from a branch that expires",
                hint="choose another parent, or take its expiry away",
            )
        for tried in range(_NAMES_TRIED):
            claim = self._claim(role, again=tried > 0)
            try:
                created = when_free(
                    partial(self._create, neon, claim, parent_lsn, deadline), patience, pause=neon.pause,
                    within=deadline, what=f"the {role}",
                )  # fmt: skip
                break
            except AlreadyExists:
                # Another's branch, never to be used. Ours was not made, so there is nothing to give back.
                self._forget(claim)
                if tried == _NAMES_TRIED - 1 or not self._rename:
                    raise
        claim.hold.update(created.branch.id)
        neon.wait_for(self._project_id, created.operations, deadline)
        if self._source.rules:
            neon.wait_until_anonymized(self._project_id, created.branch.id, deadline)
        branch = created.branch
        if self._engine == "neon" and role == "candidate" and branch.parent_lsn is None:
            # Siblings are to be made at the same moment; the receipt need not say which that is.
            branch = neon.branch(self._project_id, branch.id, deadline=deadline)
            if (why := refusal(branch)) is not None:
                raise UnexpectedAnswer(f"branch {branch.id} is not for migrations to run on: {why}")
        return Lease(
            branch=branch,
            name=claim.name,
            role=role,
            created_at=branch.created_at,
            expires_at=self._expires_at,
            ready_seconds=self._clock() - claim.asked,
            adopted=created.adopted,
            _endpoints=created.endpoints,
            _others=self._parents(deadline),
            _uris=created.uris,
            _neon=self._neon,
        )

    def _parents(self, deadline: Deadline) -> tuple[Endpoint, ...]:
        """The parent's computes, to which no branch's connection string may lead."""
        if self._parent_endpoints is None:
            self._parent_endpoints = self._neon.endpoints(self._project_id, self._parent.id, deadline=deadline)
        return tuple(self._parent_endpoints)

    def _create(self, neon: Neon, claim: _Claim, parent_lsn: str | None, deadline: Deadline) -> CreatedBranch:
        """Ask for the claimed branch, once; the claim knows of it if the answer was lost."""
        try:
            claim.asking, claim.asked = True, self._clock()
            created = neon.create_branch(
                self._project_id,
                name=claim.name,
                parent_id=self._parent.id,
                source=self._source.at(parent_lsn),
                expires_at=self._expires_at,
                annotation=claim.annotation,
                deadline=deadline,
            )
            claim.branch_id = created.branch.id
            return created
        except (AlreadyExists, *_NOT_MADE):
            raise
        except BaseException:
            claim.lost_until = self._clock() + SETTLE
            raise
        finally:
            claim.asking = False

    def _claim(self, role: LeaseRole, *, again: bool) -> _Claim:
        """Note in the ledger what is about to be asked for."""
        with self._lock:
            self._soon.check()
            self._taken += 1
            suffixes = [secrets.token_hex(3)] if again else [str(self._taken)] if self._taken > 1 else []
            facts = {"role": role, "until": f"{self._until.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"}
            if self._keep and role == "candidate":
                facts["keep"] = "1"
            entry = Entry(
                name=self._owner.name("-".join(suffixes)),
                project_id=self._project_id,
                api_host=self._neon.host,
                expires_at=self._expires_at,
                created_at=self._now(),
                # The lease's own mark makes the annotation one of a kind: a lost create can be told by it.
                annotation={**self._owner.annotation, **facts, "lease": secrets.token_hex(8)},
                engine=self._engine,
                state=str(self._state) if self._state else None,
                pid=os.getpid(),
            )
            claim = _Claim(self._ledger.write(entry))
            self._claims.append(claim)
            return claim

    def _forget(self, claim: _Claim) -> None:
        claim.hold.remove()
        with self._lock:
            self._claims.remove(claim)

    # -- giving back -------------------------------------------------------------------------------------------

    def keep(self, lease: Lease) -> None:
        """Leave it until its expiry. Only where `keep` was announced: else a sweep would take it for an orphan."""
        if not self._keep or lease.role != "candidate":
            raise UsageError(f"branch {lease.name} was not taken to be kept")
        for claim in self._of(lease):
            claim.kept = True
            claim.hold.remove()

    def hand_over(self, lease: Lease) -> HandedOver:
        """Let go of it; its line in the ledger stays as it is."""
        claims = self._of(lease)
        with self._lock:
            self._claims = [each for each in self._claims if each not in claims]
        return HandedOver(lease, claims)

    def take_over(self, handed: HandedOver) -> Lease:
        """The lease that another has let go of: it is given back with the others from now on."""
        with self._lock:
            self._claims.extend(handed.claims)
            self._taken += 1  # its name is one of this process's, too
        return replace(handed.lease, _neon=self._neon)

    def give_back(self, lease: Lease, *, budget: float = BUDGET) -> GivenBack:
        """Delete one branch and prove it, within `budget` seconds; doing it again changes nothing."""
        with self._stop.shield():
            # After a stop, what this does not reach is left to `give_back_all`.
            return self._give_back(self._of(lease), budget, ONE_STOPPED)[0]

    def give_back_all(self, budget: float = BUDGET, stopped_budget: float = STOPPED) -> tuple[GivenBack, ...]:
        """Delete everything that was taken and not kept, all at once, within `budget` seconds.

        Once a stop was requested, before or meanwhile, no more than `stopped_budget` seconds are left.
        Nothing interrupts it, not even a second signal. Nothing is raised for a branch that stays: see `left_behind`.
        """
        with self._stop.shield():
            with self._lock:
                with self._soon.shield():
                    self._soon.request(signal.SIGTERM)
                claims = tuple(claim for claim in self._claims if not claim.kept)
            return self._give_back(claims, budget, stopped_budget)

    def _of(self, lease: Lease) -> tuple[_Claim, ...]:
        with self._lock:
            return tuple(claim for claim in self._claims if claim.branch_id == lease.branch.id)

    def _give_back(self, claims: Sequence[_Claim], budget: float, stopped_budget: float) -> tuple[GivenBack, ...]:
        """One thread a branch, so that none waits for another; shielded by the caller."""
        deadline = Budget(
            budget, stopped_seconds=stopped_budget, stop=self._stop, what="giving the branches back", clock=self._clock
        )
        # Waits that no stop ends; and after a signal, connections that it cannot have hit.
        stopped = bool(self._stop)
        neon = self._neon.under(quiet := Stop(), own_connections=stopped, sleep=lambda each: self._doze(quiet, each))
        todo = [claim for claim in claims if claim.given is None or not claim.given.proved]
        threads = [
            threading.Thread(
                target=self._give_one, args=(neon, claim, deadline), name="neontest-give-back", daemon=True
            )
            for claim in todo
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            # The calls keep to the deadline by themselves; this is for a name lookup or a close that hangs.
            # In short steps, as a stop shortens it.
            while thread.is_alive() and deadline.left() > 0:
                thread.join(min(0.1, deadline.left()))
            thread.join(0.5)
        if stopped and not any(thread.is_alive() for thread in threads):
            neon.close()
        return tuple(
            given
            for claim in claims
            if (given := claim.given or unanswered(claim, deadline.seconds)).branch_id or not given.proved
        )

    def _doze(self, quiet: Stop, seconds: float) -> bool:
        """Sleep; the stop wakes whoever sleeps when it comes, as little time is left from then on."""
        (quiet if self._stop else self._stop).wait(seconds)
        return False

    def _give_one(self, neon: Neon, claim: _Claim, deadline: Deadline) -> None:
        given = give_back(neon, self._project_id, claim, deadline, clock=self._clock)
        claim.given = given
        if given.proved and (given.branch_id or claim.lost_until is None):
            claim.hold.remove()
        else:
            # Left to `neontest cleanup`, even while this process lives; also a lost create that may yet come through.
            claim.hold.release()
