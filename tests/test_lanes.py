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
from neontest.errors import ComputesBusy, CouldNotTest, DeadlineExceeded, Stopped
from neontest.lanes import Lanes, default
from neontest.stop import FOREVER, Deadline, Stop
from tests.conftest import Ran, Run
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
import os, pathlib, psycopg2, time
from alembic import op
from meeting import wait_for
revision, down_revision = 'r1', None
HERE = pathlib.Path(__file__).parents[2]
def is_the_second():
    try:
        (HERE / 'first').symlink_to(str(os.getpid()))
    except FileExistsError:
        return os.readlink(HERE / 'first') != str(os.getpid()) and not (HERE / 'second').exists()
if is_the_second():
    (HERE / 'new').write_text(os.environ['DATABASE_URL'].replace('+psycopg2', ''))
    (HERE / 'new').rename(HERE / 'second')
    {loading}
def upgrade():
    wait_for(HERE / 'second')
    {upgrading}
    op.execute('CREATE TABLE t1 (id int)')
def downgrade():
    op.execute('DROP TABLE t1')
"""
READY = """
    if not (HERE / 'ended').exists():
        with psycopg2.connect((HERE / 'second').read_text()) as other, other.cursor() as cursor:
            end = time.monotonic() + 60
            while not cursor.rowcount > 0:  # nothing was asked for a second: the project is loaded
                assert time.monotonic() < end
                time.sleep(0.05)
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'neontest'"
                    " AND state = 'idle' AND clock_timestamp() > state_change + interval '1 s'"
                )
                other.rollback()
        (HERE / 'ended').touch()
"""


def walked_both(neontest: Run, tmp_path: Path, *, loading: str = "pass", upgrading: str = "pass") -> Ran:
    """A run whose whole walk waits for the project to be loaded on another branch."""
    revision = LOADED.format(loading=loading, upgrading=upgrading.strip())
    (project(tmp_path, revision) / "test_it.py").write_text("def test_it(): pass\n")
    return neontest("run", "--parallel", "2", "--no-lint", "--rows", "0", cwd=tmp_path)


def test_the_stairways_branch_is_made_ready_while_the_whole_walk_goes_on(neontest: Run, tmp_path: Path) -> None:
    ran = walked_both(neontest, tmp_path)
    assert (ran.code, ran.checks) == (0, []), ran.out + ran.err
    assert [each.role for each in ran.report.branches if each.proved] == ["candidate", "sibling"]
    assert [walk.kind for walk in ran.report.walks] == ["whole", "stairway"]


def test_a_branch_that_was_suspended_before_anybody_wanted_it_is_replaced(neontest: Run, tmp_path: Path) -> None:
    """As Neon does with a compute that nobody has asked anything for minutes."""
    ran = walked_both(neontest, tmp_path, upgrading=READY)
    assert (ran.code, ran.checks) == (0, []), ran.out + ran.err
    assert (tmp_path / "ended").exists()
    assert [each.role for each in ran.report.branches if each.proved] == ["candidate", "sibling", "sibling"]
    assert [walk.kind for walk in ran.report.walks] == ["whole", "stairway"]


def test_a_second_branch_that_cannot_be_loaded_keeps_no_test_from_being_run(neontest: Run, tmp_path: Path) -> None:
    ran = walked_both(neontest, tmp_path, loading="raise RuntimeError('only here')")
    assert ran.code == 3, ran.out + ran.err
    assert ran.out.count("only here") == 1, ran.out
    assert "Traceback" not in ran.out + ran.err
    assert ran.report.tests is not None
    assert ran.report.tests.passed == 1
    assert [each.role for each in ran.report.branches if each.proved] == ["candidate", "sibling"]


def test_for_what_needs_anothers_compute_whoever_wants_it_makes_room() -> None:
    """The local engine has computes for all, so the connection that is refused is a stand-in's."""
    soon: Future[Any] = Future()
    soon.set_result("the lease")
    branches = object.__new__(Branches)
    branches._turn, branches._lanes, branches._soon = threading.Lock(), lanes(), soon
    branches._context = SimpleNamespace(deadline=Deadline(FOREVER, what="the test"))  # type: ignore[assignment]

    def trial(role: str, *, lease: object = None, surroundings: object = None) -> str:
        if lease is not None:
            assert branches._soon is None
            raise ComputesBusy("too many run")
        return "made later"

    branches.trial = trial  # type: ignore[assignment, method-assign]
    branches.prepare()
    assert branches.fresh(None) == "made later"
    assert branches._soon is soon
