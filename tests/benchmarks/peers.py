"""Test plugins of others, run as their manuals say; their one test that walks is timed, not their start."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Mapping
from typing import Final

from tests.benchmarks.measure import Cost
from tests.benchmarks.place import Place, tool, unique
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
PYTEST_ALEMBIC: Final = """
import os
import pytest, sqlalchemy

@pytest.fixture
def alembic_config():
    return {"file": "alembic.ini"}

@pytest.fixture
def alembic_engine():
    return sqlalchemy.create_engine(os.environ["BENCH_URL"])
"""
PYTEST_MRT: Final = """
import os
from pytest_mrt import MRTConfig

def pytest_configure(config):
    config._mrt_config = MRTConfig(alembic_ini="alembic.ini", db_url=os.environ["BENCH_URL"], migration_timeout=None)
"""
PEERS: Final[Mapping[str, tuple[str, str, str]]] = {
    "pytest-alembic": (
        "pytest_alembic",
        PYTEST_ALEMBIC,
        "from pytest_alembic.tests import test_up_down_consistency",
    ),
    "pytest-mrt": ("pytest_mrt", PYTEST_MRT, "from pytest_mrt.default_tests import test_mrt_up_down_consistency"),
}
"""Module, conftest, and the test that goes up and down every revision."""


def installed() -> list[str]:
    return [name for name, (module, _, _) in PEERS.items() if importlib.util.find_spec(module)]


def variant(place: Place, name: str, files: Files) -> Callable[[], Callable[[], Cost]]:
    """The peer's own walk over the project, on a new database each time."""
    module, conftest, test = PEERS[name]
    folder = files.root / f"with_{module}"
    if not folder.exists():
        folder.mkdir()
        (folder / "conftest.py").write_text(TIMING + conftest)
        (folder / "test_walk.py").write_text(test + "\n")
        (folder / "pytest.ini").write_text("[pytest]\nmrt_default_tests = false\n")

    def ready() -> Callable[[], Cost]:
        url = place.database()
        out = place.folder / f"cost-{unique()}.json"
        env = {"BENCH_URL": url.replace("postgresql://", "postgresql+psycopg2://"), "BENCH_OUT": str(out)}
        env["DATABASE_URL"] = env["BENCH_URL"]
        words = ("-q", "-c", str(folder / "pytest.ini"), "-p", "no:cacheprovider", str(folder / "test_walk.py"))

        def call() -> Cost:
            place.run(tool("pytest"), "--rootdir", str(files.root), *words, cwd=files.root, env=env)
            return Cost(**json.loads(out.read_text()))

        return call

    return ready
