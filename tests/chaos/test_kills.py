"""A small sample of the matrix, and a smaller one without `--thorough`: `python -m tests.chaos kills` is the whole."""

from __future__ import annotations

import sys

import pytest

from tests.chaos.kills import Cell, bad, worked_off

SAMPLE = (
    Cell("whole walk, statement", "local", "SIGKILL"),
    Cell("tests", "local", "cancel"),
    Cell("branch is being made", "neon", "SIGKILL"),
)
MORE = (Cell("preflight", "local", "SIGTERM"), Cell("tests", "neon", "SIGHUP"))


@pytest.mark.skipif(sys.platform != "linux", reason="what is left is looked for in /proc")
def test_however_a_run_is_ended_at_a_phase_nothing_of_it_is_left(pytestconfig: pytest.Config) -> None:
    cells = (*SAMPLE, *MORE) if pytestconfig.getoption("thorough") else SAMPLE
    done = worked_off(cells, lanes=1, engines=("local", "neon"))
    assert len(done) == len(cells)
    for cell, trial in done:
        assert not bad(trial), f"{cell}: {trial.wrong}, left: {trial.remains}\n{trial.said}"
