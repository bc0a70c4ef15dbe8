"""Runs of the fault matrix, at each call the fault that would do the most harm there; all: `python -m tests.chaos`."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.chaos.faults import Lane, lane
from tests.chaos.knobs import KNOBS

KNOB = {each.id: each for each in KNOBS}
CREATE, DELETE, OPERATION = r"POST .*/branches$", r"DELETE ", r"GET .*/operations/"
SAMPLE = (
    ("drop-after", CREATE, "a create whose answer is lost"),
    ("500-after", CREATE, "a create that says it failed"),
    ("limit", CREATE, "no branch to be had"),
    ("operation-fails", OPERATION, "a branch that is never ready"),
    ("key-expired", DELETE, "a key that expires before the branch is deleted"),
    ("drop-after", DELETE, "a deletion whose answer is lost"),
    ("delete-empty", DELETE, "a deletion that is answered with nothing"),
    ("423", DELETE, "a project that is locked when the branch is to go"),
    ("429-after", r"GET .*/connection_uri$", "a limit of requests in the middle"),
)


@pytest.fixture(scope="module")
def one() -> Iterator[Lane]:
    with lane() as made:
        yield made


def test_a_run_passes_that_nothing_stands_in_the_way_of(one: Lane) -> None:
    assert any(re.match(DELETE, each) for each in one.calls())


RARE = {"500-after", "delete-empty", "423"}
"""Others like these are always tried."""


@pytest.mark.parametrize(
    ("fault", "call"),
    [
        pytest.param(fault, call, id=title, marks=pytest.mark.thorough if fault in RARE else ())
        for fault, call, title in SAMPLE
    ],
)
def test_a_run_survives(one: Lane, fault: str, call: str) -> None:
    trial = one.run(KNOB[fault], 1, since=re.compile(call))
    assert not trial.wrong, f"{trial.title}: {trial.wrong}\n{trial.said}"
    assert trial.met
    assert re.match(call, trial.hit[0])


@pytest.mark.parametrize(
    "fault",
    [
        "clock-behind",
        "parent-protected",
        *(pytest.param(each, marks=pytest.mark.thorough) for each in ("small-pages", "idle", "cut-upgrade")),
    ],
)
def test_a_run_survives_what_is_there_all_the_time(one: Lane, fault: str) -> None:
    trial = one.run(KNOB[fault], 0)
    assert not trial.wrong, f"{trial.title}: {trial.wrong}\n{trial.said}"
