"""What others have for it: test plugins, run as their manuals say, and `alembic.command` as anyone would call it."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from tests.benchmarks.measure import Cost, Variant
from tests.benchmarks.place import Place, tool, unique
from tests.conftest import BARE_PYTEST
from tests.migrate.conftest import Files

TIMING: Final = """
import json, os, time
import pytest

@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    began, used = time.perf_counter(), os.times()
    yield
    now = os.times()
    cost = {"wall": time.perf_counter() - began, "cpu": now.user + now.system - used.user - used.system}
    with open(os.environ["BENCH_OUT"], "w") as file:
        json.dump(cost, file)
"""


@dataclass(frozen=True, kw_only=True)
class Peer:
    module: str
    plugins: tuple[str, ...]
    """No others are loaded, as in a project that has only this one."""
    conftest: str
    walk: str
    """The test that goes up and down every revision."""
    every: str = ""
    """All tests that it runs unless told otherwise."""
    ini: str = ""


PEERS: Final[Mapping[str, Peer]] = {
    "pytest-alembic": Peer(
        module="pytest_alembic",
        plugins=("pytest_alembic.plugin",),
        # Each test begins with an empty database, as its manual has it.
        conftest="""
import os
import pytest, sqlalchemy

@pytest.fixture
def alembic_config():
    return {"file": "alembic.ini"}

@pytest.fixture
def alembic_engine():
    engine = sqlalchemy.create_engine(os.environ["BENCH_URL"])
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    return engine
""",
        walk="from pytest_alembic.tests import test_up_down_consistency\n",
        every="from pytest_alembic.tests import *\n",
    ),
    "pytest-mrt": Peer(
        module="pytest_mrt",
        plugins=("pytest_mrt.plugin",),
        conftest="""
import os
from pytest_mrt import MRTConfig

def pytest_configure(config):
    config._mrt_config = MRTConfig(alembic_ini="alembic.ini", db_url=os.environ["BENCH_URL"], migration_timeout=None)
""",
        walk="from pytest_mrt.default_tests import test_mrt_up_down_consistency\n",
        ini="mrt_default_tests = false\n",
    ),
    "alembic-gauntlet": Peer(
        module="alembic_gauntlet",
        plugins=("alembic_gauntlet.fixtures", "pytest_asyncio.plugin"),
        conftest="""
import os
import pytest

@pytest.fixture(scope="session")
def migration_db_url():
    return os.environ["BENCH_URL"].replace("+psycopg2", "+asyncpg").replace("sslmode=", "ssl=")
""",
        walk="""
from alembic_gauntlet.testing.consistency_mixin import MigrationConsistencyMixin
from alembic_gauntlet.testing.schema_mixin import MigrationSchemaMixin

class TestWalk(MigrationSchemaMixin):
    test_stairway_upgrade_downgrade = MigrationConsistencyMixin.test_stairway_upgrade_downgrade
""",
        ini="asyncio_mode = auto\n",
    ),
    "alembic.command": Peer(
        module="alembic",
        plugins=(),
        conftest="",
        walk="""
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

def test_walk():
    config, below = Config("alembic.ini"), "base"
    for each in reversed(list(ScriptDirectory.from_config(config).walk_revisions())):
        command.upgrade(config, each.revision)
        command.downgrade(config, below)
        command.upgrade(config, each.revision)
        below = each.revision
""",
    ),
}


def installed() -> list[str]:
    return [name for name, peer in PEERS.items() if importlib.util.find_spec(peer.module)]


def variant(place: Place, name: str, files: Files) -> Variant:
    """The peer's own walk over the project, on a new database each time; its start is not counted."""
    command = prepared(place, name, files, PEERS[name].walk, conftest=TIMING)

    def ready() -> Callable[[], Cost]:
        run, out = command(), place.folder / f"cost-{unique()}.json"

        def call() -> Cost:
            run(BENCH_OUT=str(out))
            return Cost(**json.loads(out.read_text()))

        return call

    return ready


def whole(place: Place, name: str, files: Files) -> Variant:
    """All of the peer's default tests as a process, from its start to its end."""
    return prepared(place, name, files, PEERS[name].every)


def prepared(
    place: Place, name: str, files: Files, test: str, *, conftest: str = ""
) -> Callable[[], Callable[..., None]]:
    """Writes the tests; gives what makes a new database, and gives what runs them there."""
    peer = PEERS[name]
    folder = files.root / f"with_{peer.module}_{unique()}"
    folder.mkdir()
    (folder / "conftest.py").write_text(conftest + peer.conftest)
    (folder / "test_walk.py").write_text(test)
    (folder / "pytest.ini").write_text(f"[pytest]\n{peer.ini}")
    plugins = [word for plugin in peer.plugins for word in ("-p", plugin)]
    words = ("-q", "-c", str(folder / "pytest.ini"), "-p", "no:cacheprovider", *plugins, str(folder / "test_walk.py"))

    def ready() -> Callable[..., None]:
        url = place.database().replace("postgresql://", "postgresql+psycopg2://")
        env = {"BENCH_URL": url, "DATABASE_URL": url, **BARE_PYTEST}

        def run(**more: str) -> None:
            place.run(tool("pytest"), "--rootdir", str(files.root), *words, cwd=files.root, env={**env, **more})

        return run

    return ready
