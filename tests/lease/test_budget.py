"""The time for giving back is cut short by a stop, and by nothing else."""

from __future__ import annotations

import signal

import pytest

from neontest.errors import Stopped
from neontest.lease.budget import Budget
from neontest.stop import Stop


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def budget(stop: Stop, clock: Clock, seconds: float = 60.0) -> Budget:
    return Budget(seconds, stopped_seconds=7.0, stop=stop, what="the test", clock=clock)


def request(stop: Stop) -> None:
    with pytest.raises(Stopped):
        stop.request(signal.SIGTERM)


def test_a_stop_cuts_what_is_left_once() -> None:
    stop, clock = Stop(), Clock()
    left = budget(stop, clock)
    clock.now += 10
    assert left.left() == 50
    request(stop)
    assert left.left() == 7
    clock.now += 3
    assert left.left() == 4


def test_a_stop_never_lengthens() -> None:
    stop, clock = Stop(), Clock()
    left = budget(stop, clock, 5.0)
    request(stop)
    assert left.left() == 5


def test_a_budget_after_a_stop_is_short_from_the_beginning() -> None:
    stop, clock = Stop(), Clock()
    request(stop)
    assert budget(stop, clock).left() == 7


def test_a_part_of_the_time_is_cut_to_the_same_part() -> None:
    stop, clock = Stop(), Clock()
    part = budget(stop, clock).sooner(48, what="a part")
    assert part.left() == pytest.approx(48)
    request(stop)
    assert part.left() == pytest.approx(7 * 0.8)
    assert budget(stop, clock).sooner(99, what="a part").left() == pytest.approx(7)
