"""Whoever waits for a free branch gets one, or is told; nothing hangs, and nobody who waits holds one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from neontest.errors import NoFreeBranch, Stopped
from neontest.lease import patience
from neontest.lease.lease import Leases
from neontest.lease.ledger import Ledger
from neontest.lease.patience import Patience, between, when_free
from neontest.neon.client import Neon
from neontest.stop import Deadline, Stop

BRANCHES = "/branches$"
FULL = NoFreeBranch("branches limit exceeded", status=422, request_id="r")


class Waiting:
    """A clock that moves as far as is slept."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []
        self.said: list[str] = []

    def __call__(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def until(self, ask: Callable[[], str], seconds: float, *, run: float = 1e6) -> str:
        within = Deadline(run, what="the run", clock=lambda: self.now)
        told = Patience(seconds=seconds, say=self.said.append, jitter=lambda: 0.5)
        return when_free(ask, told, pause=self, within=within, what="the candidate")


def full_for(times: int, then: str = "a branch") -> Callable[[], str]:
    left = iter(range(times))

    def ask() -> str:
        for _ in left:
            raise FULL
        return then

    return ask


def test_who_does_not_wait_is_told_at_once_as_the_api_told_it() -> None:
    waiting = Waiting()
    with pytest.raises(NoFreeBranch) as caught:
        waiting.until(full_for(1), 0)
    assert (caught.value, waiting.pauses, waiting.said) == (FULL, [], [])


def test_what_is_waited_for_and_until_when_is_said_once() -> None:
    waiting = Waiting()
    before = datetime.now(UTC)
    assert waiting.until(full_for(5), 600) == "a branch"
    (said,) = waiting.said
    assert said.startswith("the project has as many branches as it may have: waiting for a free one for the candidate")
    until = datetime.strptime(said[-9:], "%H:%M:%SZ").replace(tzinfo=UTC)
    assert 0 <= (until - before).seconds - 599 <= 30
    assert len(waiting.pauses) == 5


def test_the_wait_ends_with_a_last_question_and_says_how_long_it_was() -> None:
    waiting = Waiting()
    with pytest.raises(NoFreeBranch, match="no branch became free within 90 s: branches limit exceeded") as caught:
        waiting.until(full_for(1000), 90)
    assert waiting.now == 90
    assert "--wait" in (caught.value.hint or "")
    assert "neontest sweep" in (caught.value.hint or "")
    assert waiting.until(full_for(len(waiting.pauses)), 90) == "a branch"


def test_the_runs_own_deadline_ends_the_wait() -> None:
    waiting = Waiting()
    with pytest.raises(NoFreeBranch, match="within 30 s"):
        waiting.until(full_for(1000), 600, run=30)
    assert waiting.now == 30


def test_the_nearer_the_end_the_more_often_is_asked() -> None:
    at = [between(left, lambda: 0.5) for left in (600.0, 200.0, 100.0, 40.0, 1.0)]
    assert at == [10.0, 10.0, 5.0, 2.0, 2.0]
    assert (between(600, lambda: 0.0), between(600, lambda: 1.0)) == (5.0, 15.0)


def test_a_branch_that_becomes_free_is_taken_and_the_wait_is_none_of_its_making(
    server: Any, leases: Callable[..., Leases], soon: Any
) -> None:
    server.limit = 2
    first, second = leases(), leases()
    held = first.take(deadline=soon())
    said: list[str] = []
    told = threading.Event()

    def say(text: str) -> None:
        said.append(text)
        told.set()

    future: list[Any] = []
    patient = Patience(seconds=60, say=say, jitter=lambda: 0.0)
    thread = threading.Thread(
        target=lambda: future.append(second.take(deadline=soon(100), patience=patient)), daemon=True
    )
    thread.start()
    assert told.wait(20)
    assert first.give_back(held).proved
    thread.join(30)
    (lease,) = future
    assert lease.ready_seconds < 1
    assert len([each for each in server.sent("POST", BRANCHES) if each.status == 422]) >= 1
    assert second.give_back(lease).proved
    assert list(server.branches) == [server.main["id"]]


def test_a_stop_ends_the_wait_and_nothing_is_looked_for_or_left(
    server: Any, leases: Callable[..., Leases], ledger: Ledger, soon: Any, stop: Stop
) -> None:
    server.limit = 1
    run = leases()

    def say(text: str) -> None:
        with stop.shield():
            stop.request(signal.SIGTERM)

    with pytest.raises(Stopped):
        run.take(deadline=soon(), patience=Patience(seconds=60, say=say))
    assert run.give_back_all() == ()
    assert len(server.sent("GET", BRANCHES)) <= 1, "a create that was refused was searched for as if it was lost"
    assert list(ledger.found()) == []


def test_the_same_name_is_asked_for_again_and_has_one_entry_in_the_ledger(
    server: Any, leases: Callable[..., Leases], ledger: Ledger, soon: Any, neon: Neon
) -> None:
    refused = server.fault(
        "POST", BRANCHES, status=422, message="branches limit exceeded", code="BRANCHES_LIMIT_EXCEEDED"
    )
    entries: list[int] = []
    refused.call = lambda: entries.append(len(list(ledger.folder.glob("*.json"))))
    run = leases()
    lease = run.take(deadline=soon(), patience=Patience(seconds=20, jitter=lambda: -0.45))
    asked = server.sent("POST", BRANCHES)
    assert (len(asked), asked[0].body, entries) == (2, asked[1].body, [1])
    assert run.give_back(lease).proved
    assert patience.NONE.seconds == 0
