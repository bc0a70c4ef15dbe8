"""Projects that share a Neon project: one candidate for those that can do with one, given back once, after the last."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import psycopg2
import pytest

from neontest.branches import Branches
from neontest.lease.lease import HandedOver, Lease
from neontest.lease.ledger import Ledger
from neontest.record import BranchUse
from neontest.relay import Relay
from neontest.report import Report, from_json
from neontest.settings import Settings
from neontest.stop import Stop
from tests.conftest import environment
from tests.github.test_job_emulated import HANGING, project
from tests.test_limit import Project, Room, room

__all__ = ["room"]

FINE = "def test_it():\n    pass\n"


@pytest.fixture
def neon(room: Room) -> Iterator[Project]:
    """A Neon project with two databases besides, and room for two branches at once."""
    with room(2) as one:
        branch = one.neon.default_branch(one.local.project_id)
        url = one.neon.connection_uri(one.local.project_id, branch.id, database="neondb", role="neondb_owner")
        connection = psycopg2.connect(url)
        connection.autocommit = True
        with connection.cursor() as cursor:
            for name in ("shop", "stock"):
                cursor.execute(f"CREATE DATABASE {name}")
        connection.close()
        yield one


class Ran:
    """A run of projects, each in the database that is said; None for none."""

    def __init__(self, root: Path, neon: Project, state: Path, **databases: str | None) -> None:
        self.root, self.names = root, list(databases)
        root.mkdir()
        tables = "[tool.neontest]\nrows = 0\n"
        for name, database in databases.items():
            project(root / name, test=FINE)
            tables += f'[[tool.neontest.project]]\nname = "{name}"\npath = "{name}"\n'
            tables += f'database = "{database}"\n' if database else ""
        (root / "pyproject.toml").write_text(tables)
        self.environ = environment(state, neon.env | {"MARK": str(root / "mark")})

    def start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "neontest", "run", "--json", "report.json"]
        with (self.root / "log").open("w") as log:
            return subprocess.Popen(command, cwd=self.root, env=self.environ, stdout=log, stderr=log, text=True)

    def ended(self) -> int:
        return self.start().wait(timeout=240)

    @property
    def log(self) -> str:
        return (self.root / "log").read_text()

    @property
    def reports(self) -> list[Report]:
        return [from_json((self.root / f"report-{name}.json").read_bytes()) for name in self.names]


def nothing_left(neon: Project, state: Path) -> None:
    assert neon.branches() == []
    assert list(Ledger(state.parent / "ledger").found()) == []


def candidates(reports: list[Report]) -> list[str]:
    return [use.id for each in reports for use in each.branches if use.role == "candidate"]


def test_those_in_different_databases_work_on_one_candidate(neon: Project, tmp_path: Path, local_state: Path) -> None:
    ran = Ran(tmp_path / "all", neon, local_state, main=None, shop="shop", stock="stock")
    assert ran.ended() == 0, ran.log
    first, second, third = ran.reports
    assert [each.verdict for each in ran.reports] == ["passed"] * 3
    assert len(set(candidates(ran.reports))) == 1
    assert [(use.passed_on, use.proved) for each in ran.reports for use in each.branches[:1]] == [
        (True, False), (True, False), (False, True),
    ]  # fmt: skip
    assert len(candidates(ran.reports)) == 3
    for each in (first, second, third):
        assert [walk.kind for walk in each.walks] == ["whole", "stairway"]
        assert all(use.proved for use in each.branches[1:])
    assert ran.log.count("goes on to the next project") == 2
    assert "NOT given back" not in ran.log
    nothing_left(neon, local_state)


def test_those_in_one_database_have_one_each(neon: Project, tmp_path: Path, local_state: Path) -> None:
    ran = Ran(tmp_path / "all", neon, local_state, one="shop", other="shop")
    assert ran.ended() == 0, ran.log
    assert len(set(candidates(ran.reports))) == 2
    assert all(use.proved for each in ran.reports for use in each.branches)
    nothing_left(neon, local_state)


def test_one_that_only_turns_out_to_be_in_the_same_database_takes_its_own(
    neon: Project, tmp_path: Path, local_state: Path
) -> None:
    ran = Ran(tmp_path / "all", neon, local_state, one=None, other="neondb")
    assert ran.ended() == 0, ran.log
    first, second = ran.reports
    assert [each.verdict for each in ran.reports] == ["passed", "passed"]
    assert first.branches[0].passed_on
    assert {first.branches[0].id} < {use.id for use in second.branches}
    assert all(use.proved for use in second.branches)
    nothing_left(neon, local_state)


@pytest.mark.parametrize("why", ["broken", "nothing pending"])
def test_what_the_next_has_no_need_of_it_gives_back(neon: Project, tmp_path: Path, local_state: Path, why: str) -> None:
    ran = Ran(tmp_path / "all", neon, local_state, shop="shop", stock="stock")
    if why == "broken":
        (ran.root / "stock" / "alembic.ini").unlink()
    else:
        branch = neon.neon.default_branch(neon.local.project_id)
        url = neon.neon.connection_uri(neon.local.project_id, branch.id, database="stock", role="neondb_owner")
        with psycopg2.connect(url) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('r1')")
        connection.close()
    assert ran.ended() == (2 if why == "broken" else 0), ran.log
    first, second = ran.reports
    assert first.branches[0].passed_on
    assert [(use.id, use.proved) for use in second.branches] == [(first.branches[0].id, True)]
    nothing_left(neon, local_state)


def test_a_signal_in_the_middle_of_the_second_gives_all_back(neon: Project, tmp_path: Path, local_state: Path) -> None:
    ran = Ran(tmp_path / "all", neon, local_state, shop="shop", stock="stock", main=None)
    (ran.root / "stock" / "test_it.py").write_text(HANGING)
    process = ran.start()
    end = time.monotonic() + 120
    while not (ran.root / "mark").exists():
        assert process.poll() is None, ran.log
        assert time.monotonic() < end, ran.log
        time.sleep(0.02)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 143, ran.log
    assert time.monotonic() - began < 7
    ran.names.remove("main")
    first, second = ran.reports
    assert first.branches[0].passed_on
    assert first.branches[0].id == second.branches[0].id
    assert all(use.deleted for use in second.branches)
    assert not (ran.root / "report-main.json").exists()
    assert "projects: stopped: stock; not run: main; passed: shop" in ran.log
    nothing_left(neon, local_state)


class Interrupted:
    """The leases of two runs; a signal hits the one that hands over or takes over."""

    def __init__(self, stop: Stop, when: str) -> None:
        self.stop, self.when, self.held, self.given = stop, when, 1, 0

    def hit(self, when: str) -> None:
        if when == self.when:
            self.stop.request(signal.SIGTERM)

    def hand_over(self, lease: Any) -> HandedOver:
        self.held -= 1
        self.hit("handed over")
        return HandedOver(lease, ())

    def take_over(self, handed: HandedOver) -> Any:
        self.hit("taken over")
        self.held += 1
        return handed.lease

    def give_back_all(self, *_: float) -> tuple[()]:
        self.given, self.held = self.given + self.held, 0
        return ()


class Late(Relay):
    """The signal comes when the branch is handed over, and nobody has said so yet."""

    def hand_over(self, *arguments: Any) -> None:
        super().hand_over(*arguments)
        self._stop.request(signal.SIGTERM)


def test_a_signal_as_it_hands_over_leaves_no_word_that_it_was_left_behind() -> None:
    stop, noted = Stop(), []
    leases: Any = Interrupted(stop, "never")
    use = BranchUse(id="br", name="one", created_at=datetime.now(UTC), ready_seconds=0.0)
    with Late(stop, print) as relay:
        relay.seconds = 1.0
        branches: Any = Branches.__new__(Branches)
        branches._trials = [SimpleNamespace(lease=SimpleNamespace(name="one"), ended=False)]
        branches._context = SimpleNamespace(relay=relay, stop=stop)
        branches._ground = SimpleNamespace(access=SimpleNamespace(database="shop"))
        branches._leases, branches._turn, branches._uses = leases, threading.Lock(), {"one": use}
        branches._note = lambda **facts: noted.append(facts["branches"][0].passed_on)
        branches.hand_over()
        assert stop
    assert noted == [True]


@pytest.mark.parametrize("when", ["handed over", "taken over"])
def test_between_two_hands_no_signal_loses_the_branch(when: str) -> None:
    stop = Stop()
    leases: Any = Interrupted(stop, when)
    with Relay(stop, print) as relay:
        relay.hand_over(cast("Lease", None), leases, "shop")
        if when == "taken over":
            relay.turn(Settings(root=Path(), engine="neon", engine_why=""), [])
            assert relay.take_over(leases, "stock") == (None, True)
        assert stop
    assert (leases.held, leases.given) == ((0, 1) if when == "handed over" else (1, 0))
