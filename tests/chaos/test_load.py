"""Large inputs end as they should and in bounded memory: `python -m tests.chaos load`, at a small size."""

from __future__ import annotations

import pytest

from tests.chaos.load import main, rows
from tests.chaos.loads import measuring
from tests.chaos.loads.measuring import growth, line, measured


@pytest.mark.parametrize(
    "part",
    ["branches", "rates", *(pytest.param(each, marks=pytest.mark.thorough) for each in ("history", "output", "runs"))],
)
def test_all_ends_as_it_should_in_bounded_memory(part: str) -> None:
    found = list(rows(part, large=False))
    assert found
    assert not [line(each) for each in found if not each.ok]


def test_growth_is_told_as_an_exponent() -> None:
    assert growth((1, 10), (0.5, 50.0)) == pytest.approx(2.0)
    assert growth((1, 10), (0.5, 5.0)) == pytest.approx(1.0)
    assert growth((1, 10), (0.0001, 0.001)) is None


@pytest.mark.parametrize(
    ("seconds", "slow"),
    [
        ([1, 2], [False, False]),
        ([1, 4, 4, 4], [False, True]),
        ([1, 4, 2], [False, False]),  # what else went on added to the first time
    ],
)
def test_a_time_that_grows_with_the_square_is_too_much_only_if_it_does_so_again(
    monkeypatch: pytest.MonkeyPatch, seconds: list[float], slow: list[bool]
) -> None:
    left = iter(seconds)
    monkeypatch.setattr(measuring, "apart", lambda *_: (None, next(left), 10))
    found = measured("work", len, (1, 2), most=100)
    assert [each.slow for each in found] == slow
    assert all(each.ok for each in found)
    assert not list(left)


def test_more_memory_than_it_may_take_is_not_ok(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "apart", lambda *_: (None, 0.1, 100))
    assert [each.ok for each in measured("work", len, (1, 2), most=100)] == [False, False]


def test_what_is_measured_runs_in_a_process_of_its_own() -> None:
    (found,) = measured("nothing", nothing, (1,))
    assert found.peak


def nothing(_: int) -> object:
    return lambda: None


def test_a_part_that_there_is_not_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["everything"]) == 2
    assert "no such part: everything" in capsys.readouterr().err
