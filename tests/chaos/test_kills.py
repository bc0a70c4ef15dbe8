"""A small sample of the matrix: `python -m tests.chaos kills` is the whole of it."""

from __future__ import annotations

import sys

import pytest

from tests.chaos.kills import Cell, bad, worked_off

SAMPLE = (
    Cell("preflight", "local", "SIGTERM"),
    Cell("whole walk, statement", "local", "SIGKILL"),
    Cell("tests", "local", "cancel"),
    Cell("branch is being made", "neon", "SIGKILL"),
    Cell("tests", "neon", "SIGHUP"),
)


@pytest.mark.skipif(sys.platform != "linux", reason="what is left is looked for in /proc")
def test_however_a_run_is_ended_at_a_phase_nothing_of_it_is_left() -> None:
    done = worked_off(SAMPLE, lanes=1, engines=("local", "neon"))
    assert len(done) == len(SAMPLE)
    for cell, trial in done:
        assert not bad(trial), f"{cell}: {trial.wrong}, left: {trial.remains}\n{trial.said}"
