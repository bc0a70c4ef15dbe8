"""Time and memory of large inputs stay in bounds: `python -m tests.chaos load`, at a small size."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.chaos.load import main, rows
from tests.chaos.loads.measuring import growth, line, twice


@pytest.mark.parametrize("part", ["branches", "history", "output", "rates", "runs"])
def test_time_and_memory_stay_in_bounds(part: str) -> None:
    found = list(rows(part, large=False))
    assert found
    assert not [line(each) for each in found if not each.ok]


def test_growth_is_told_as_an_exponent_and_a_square_is_too_much() -> None:
    assert growth((1, 10), (0.5, 50.0)) == pytest.approx(2.0)
    assert growth((1, 10), (0.5, 5.0)) == pytest.approx(1.0)
    assert growth((1, 10), (0.0001, 0.001)) is None


def test_work_that_grows_with_the_square_is_found_though_it_is_measured_again() -> None:
    first, second = twice("a square", squared, (300, 900))
    assert (first.ok, second.ok) == (True, False)


def squared(size: int) -> Callable[[], int]:
    return lambda: sum(1 for _ in range(20 * size * size))


def test_a_part_that_there_is_not_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["everything"]) == 2
    assert "no such part: everything" in capsys.readouterr().err
