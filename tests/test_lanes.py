"""Lanes: what goes on side by side in one run ends with it, and is told like everything else."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from neontest.branches import Branches
from neontest.errors import ComputesBusy, CouldNotTest, DeadlineExceeded, NoFreeBranch, Stopped
from neontest.lanes import Lanes, default
from neontest.stop import FOREVER, Deadline, Stop
from tests.conftest import Run
from tests.test_run import ENV_PY


def lanes(many: int = 2, stop: Stop | None = None) -> Lanes:
    return Lanes(many, stop=stop or Stop(), deadline=Deadline(FOREVER, what="the test"))


@pytest.mark.parametrize(("many", "order"), [(1, ["work", "block"]), (2, ["block", "work"])])
def test_work_goes_on_beside_the_block_or_before_it(many: int, order: list[str]) -> None:
    seen: list[str] = []
    begun = threading.Event()

    def work() -> None:
        if many > 1:
            assert begun.wait(10)
        seen.append("work")

    with lanes(many).beside(work):
        seen.append("block")
        begun.set()
    assert seen == order


def test_what_a_lane_raises_is_raised_once_the_block_is_through() -> None:
    through = []

    def work() -> None:
        raise CouldNotTest("no")

    with pytest.raises(CouldNotTest, match="no"), lanes().beside(work):
        through.append(True)
    assert through == [True]


def test_a_lane_that_does_not_find_out_by_itself_that_the_time_is_up_is_not_waited_for(monkeypatch: Any) -> None:
    monkeypatch.setattr("neontest.lanes.LATE", 0.05)
    end = threading.Event()
    late = Lanes(2, stop=Stop(), deadline=Deadline(0.05, what="the run"))
    with pytest.raises(DeadlineExceeded, match="the run took longer"), late.beside(lambda: end.wait(10)):
        pass
    assert late.busy
    end.set()
    late.join(10)
    assert not late.busy


def test_a_block_that_raises_waits_for_nobody_and_nobody_is_heard_any_more() -> None:
    both, begun, end, heard = lanes(), threading.Event(), threading.Event(), []

    def work() -> None:
        begun.set()
        assert end.wait(10)
        heard.append(both.silenced)

    def block() -> None:
        with both.beside(work):
            assert begun.wait(10)
            raise CouldNotTest("no")

    with pytest.raises(CouldNotTest):
        block()
    assert both.busy
    both.silence()
    end.set()
    both.join(10)
    assert (both.busy, heard, both.silenced) == (False, [True], False)


def test_a_lane_is_alone_once_the_others_have_ended_or_wait_as_well() -> None:
    both, order = lanes(), []

    def work() -> None:
        both.wait_until_alone()
        order.append("lane")

    with both.beside(work):
        assert order == []
        both.wait_until_alone()  # one of the two goes on, and then the other
        order.append("first")
    assert sorted(order) == ["first", "lane"]
    with both.beside(work):
        order.append("block")
    assert order[-2:] == ["block", "lane"]


def test_who_has_just_got_what_he_waited_for_is_at_work() -> None:
    """He may not have been woken yet when another lane asks whether it is alone."""
    three, asked, there, woken, alone = lanes(), threading.Event(), threading.Event(), threading.Event(), []

    def over() -> bool:
        asked.set()
        return woken.is_set() if threading.current_thread().name == "waiter" else there.is_set()

    def wait() -> None:
        three.until(over)
        three._working -= 1

    def work() -> None:
        three.wait_until_alone()
        alone.append(woken.is_set())

    three._working += 1
    waiter = threading.Thread(target=wait, name="waiter", daemon=True)
    waiter.start()
    assert asked.wait(10)
    there.set()
    with three.beside(work):
        end = time.monotonic() + 0.2
        three._wait(lambda: time.monotonic() > end)
        assert alone == []
        woken.set()
    waiter.join(10)
    assert alone == [True]


def test_a_stop_ends_the_wait_for_a_lane_and_a_lanes_shield_is_its_own() -> None:
    stop, begun, end = Stop(), threading.Event(), threading.Event()

    def work() -> None:
        with stop.shield():
            begun.set()
            assert end.wait(10)

    both = lanes(stop=stop)

    def block() -> None:
        with both.beside(work):
            assert begun.wait(10)
            stop.request(signal.SIGTERM)

    with pytest.raises(Stopped):
        block()
    end.set()
    both.join(10)


def test_as_many_lanes_as_were_asked_for_or_processors() -> None:
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert (default(1), default(7), default(None)) == (1, 2, min(2, here or 1))


AWAIT = """
import time
def wait_for(file):
    end = time.monotonic() + 60
    while not file.exists():
        assert time.monotonic() < end, file
        time.sleep(0.01)
"""
REVISION = """
import pathlib
from alembic import op
from meeting import wait_for
revision, down_revision = 'r1', None
HERE = pathlib.Path(__file__).parents[2]
def upgrade():
    op.execute('CREATE TABLE t1 (id int)')
def downgrade():
    op.execute('DROP TABLE t1')
    if (HERE / 'whole').exists():  # the second time, in the stairway
        (HERE / 'walking').touch()
        wait_for(HERE / 'tested')
    (HERE / 'whole').touch()
"""
TESTS = """
import pathlib
from meeting import wait_for
def test_it():
    wait_for(pathlib.Path('walking'))
    pathlib.Path('tested').touch()
    raise AssertionError
"""


def project(root: Path, revision: str) -> Path:
    (root / "migrations" / "versions").mkdir(parents=True)
    (root / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/migrations\nprepend_sys_path = %(here)s\n")
    (root / "migrations" / "env.py").write_text(ENV_PY)
    (root / "meeting.py").write_text(AWAIT)
    (root / "migrations" / "versions" / "r1.py").write_text(revision)
    return root


def test_the_stairway_and_the_tests_go_on_at_once_and_what_each_finds_is_told(neontest: Run, tmp_path: Path) -> None:
    """Each waits for the other: one after the other, neither would end."""
    (project(tmp_path, REVISION) / "test_it.py").write_text(TESTS)
    ran = neontest("run", "--parallel", "2", "--no-lint", "--rows", "0", cwd=tmp_path)
    assert (ran.code, ran.checks) == (1, ["tests-failed"]), ran.out + ran.err
    assert [walk.kind for walk in ran.report.walks] == ["whole", "stairway"]
    assert all(visit.error is None for walk in ran.report.walks for visit in walk.visits)
    assert all(branch.proved for branch in ran.report.branches)


LOADED = """
import os, pathlib
from alembic import op
from meeting import wait_for
revision, down_revision = 'r1', None
HERE = pathlib.Path(__file__).parents[2]
try:
    (HERE / 'first').symlink_to(str(os.getpid()))
except FileExistsError:
    if os.readlink(HERE / 'first') != str(os.getpid()):
        (HERE / 'second').touch()
def upgrade():
    wait_for(HERE / 'second')
    op.execute('CREATE TABLE t1 (id int)')
def downgrade():
    op.execute('DROP TABLE t1')
"""


def test_the_stairways_branch_is_made_ready_while_the_whole_walk_goes_on(neontest: Run, tmp_path: Path) -> None:
    """The walk waits for the project to be loaded on another branch."""
    ran = neontest(
        "run", "--parallel", "2", "--no-lint", "--no-tests", "--rows", "0", cwd=project(tmp_path, LOADED)
    )  # fmt: skip
    assert (ran.code, ran.checks) == (0, []), ran.out + ran.err
    assert [each.role for each in ran.report.branches] == ["candidate", "sibling"]
    assert [walk.kind for walk in ran.report.walks] == ["whole", "stairway"]


def test_what_was_made_ready_is_for_the_first_who_wants_it_if_it_still_answers(monkeypatch: Any) -> None:
    def ready(*, answers: bool = True, ended: bool = False) -> Any:
        made: Future[Any] = Future()
        made.set_result(SimpleNamespace(connection=answers, ended=ended))
        branches._ready = made
        return made.result()

    monkeypatch.setattr("neontest.branches.alive", lambda connection: connection)
    branches, given_back = object.__new__(Branches), list[object]()
    branches._turn, branches._lanes = threading.Lock(), lanes()
    branches.trial = lambda role, **more: (role, *more.values())  # type: ignore[assignment, method-assign]
    branches.give_back = given_back.append  # type: ignore[method-assign]
    first = ready()
    assert branches.fresh(None, {"LANG": "C"}) == ("sibling", {"LANG": "C"})
    assert branches.fresh(None) is first
    assert branches.fresh(None)[0] == "sibling"
    ready(ended=True)
    assert branches.fresh(None)[0] == "sibling"
    assert given_back == []
    silent = ready(answers=False)
    assert branches.fresh(None)[0] == "sibling"
    assert given_back == [silent]


@pytest.mark.parametrize("error", [NoFreeBranch("none is free"), ComputesBusy("too many run")])
def test_what_would_need_anothers_branch_or_compute_is_not_made_ready(error: Exception) -> None:
    """It is left to whoever wants it, who may give back what is held; what went wrong else is raised there."""
    soon: Future[Any] = Future()
    branches = object.__new__(Branches)
    branches._turn, branches._lanes, branches._soon = threading.Lock(), lanes(), soon
    branches._context = SimpleNamespace(deadline=Deadline(FOREVER, what="the test"))  # type: ignore[assignment]
    if isinstance(error, NoFreeBranch):
        soon.set_exception(error)
    else:
        soon.set_result("the lease")

    def trial(role: str, *, lease: object = None, surroundings: object = None) -> str:
        if lease is not None:
            assert branches._soon is None
            raise error
        return "made later"

    branches.trial = trial  # type: ignore[assignment, method-assign]
    branches.prepare()
    assert branches.fresh(None) == "made later"
    assert branches._soon is soon
    soon = Future()
    soon.set_result("the lease")
    branches._soon, error = soon, CouldNotTest("loading fails")
    branches.prepare()
    with pytest.raises(CouldNotTest, match="loading fails"):
        branches.fresh(None)
