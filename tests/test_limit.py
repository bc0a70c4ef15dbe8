"""A project that has hardly a branch to spare: one at a time is enough, and whoever waits is served or told."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from neontest.local.binaries import find
from neontest.local.engine import LocalNeon
from neontest.neon.client import Neon
from tests.conftest import Run, environment
from tests.test_run import GOOD, project

__all__ = ["project"]

ROWS = {"NEONTEST_ROWS": "5"}
TESTS = "import os\n\ndef test_it(): assert os.environ['DATABASE_URL']\n"


class Project:
    """A Neon of one's own in which a few branches fit besides the default one."""

    def __init__(self, local: LocalNeon, neon: Neon) -> None:
        self.local, self.neon = local, neon
        self.env = {
            "NEON_API_KEY": local.api_key,
            "NEON_API_HOST": local.api_host,
            "NEON_PROJECT_ID": local.project_id,
        }

    def branches(self) -> list[str]:
        return [each.name for each in self.neon.branches(self.local.project_id) if not each.default]


Room = Callable[[int], AbstractContextManager[Project]]


@pytest.fixture
def room(local_state: Path) -> Room:
    @contextmanager
    def serve(branches: int) -> Iterator[Project]:
        found = find(environ=os.environ)
        with (
            LocalNeon(local_state, found, persistent=False, branches_limit=1 + branches) as local,
            Neon(local.api_key, host=local.api_host) as neon,
        ):
            yield Project(local, neon)

    return serve


@pytest.mark.parametrize("lanes", [1, 2])
def test_a_whole_run_can_do_with_one_branch_at_a_time(
    neontest: Run, project: Callable[..., Path], room: Room, lanes: int
) -> None:
    root = project(GOOD, ("CREATE TABLE b (id int)", "DROP TABLE b"), files={"tests/test_it.py": TESTS})
    with room(1) as one:
        words = ("run", "--parallel", str(lanes), "--", "pytest", "tests")
        ran = neontest(*words, cwd=root, env={**one.env, **ROWS})
        assert ran.code == 0, ran.out + ran.err
        assert one.branches() == []
    assert "no second branch for this run: it goes on with one at a time" in ran.err
    assert [walk.kind for walk in ran.report.walks] == ["whole", "stairway", "stairway"]
    assert ran.report.models is not None
    assert ran.report.tests is not None
    assert (ran.report.tests.exit_code, ran.report.tests.passed) == (0, 1)
    # The candidate, the stairway's, and one at head for the models and the tests; where there are lanes, the stairway
    # has waited until these were done with the candidate.
    took = ["candidate", "sibling"] if lanes == 2 else ["candidate", "sibling", "sibling"]
    assert [each.role for each in ran.report.branches if each.proved] == took


def test_a_run_that_has_to_leave_its_branch_does_not_do_without(
    neontest: Run, project: Callable[..., Path], room: Room
) -> None:
    with room(1) as one:
        ran = neontest("run", "--no-tests", "--keep", cwd=project(GOOD), env=one.env)
        assert ran.code == 3, ran.out + ran.err
        assert one.branches() == []
    assert "branches limit exceeded" in ran.out
    assert "--wait" in ran.out


def test_without_a_free_branch_a_run_says_what_to_do_and_with_wait_it_gets_one(
    neontest: Run, project: Callable[..., Path], room: Room, local_state: Path
) -> None:
    root = project(GOOD)
    with room(1) as one:
        ran = neontest("branches", "create", "--name", "mine", cwd=root, env=one.env, json=False)
        assert ran.code == 0, ran.err
        refused = neontest("run", "--no-tests", cwd=root, env=one.env)
        assert refused.code == 3, refused.out + refused.err
        assert "neontest run --wait 10m" in refused.out
        assert "neontest sweep" in refused.out
        waited = neontest("run", "--no-tests", "--wait", "1s", cwd=root, env=one.env)
        assert waited.code == 3, waited.out + waited.err
        assert "no branch became free within" in waited.out
        assert one.branches() == ["mine"]

        command = [sys.executable, "-m", "neontest", "run", "--no-tests", "--wait", "90s"]
        environ = environment(local_state, one.env)
        with subprocess.Popen(command, cwd=root, env=environ, stderr=subprocess.PIPE, text=True) as patient:
            assert patient.stderr is not None
            waiting = next(line for line in patient.stderr if "waiting for a free one" in line)
            assert re.search(r"for the candidate, until \d\d:\d\d:\d\dZ$", waiting)
            neontest("branches", "delete", "mine", cwd=root, env=one.env, json=False)
            rest = patient.stderr.read()
        assert patient.returncode == 0, rest
        assert one.branches() == []
