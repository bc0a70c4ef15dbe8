from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from neontest.lease.lease import Leases
from neontest.lease.ledger import Ledger
from neontest.lease.names import Owner
from neontest.neon.client import Neon
from neontest.stop import Deadline, Stop

_NAME = "neontest_tests_server"
if _NAME not in sys.modules:
    _SPEC = importlib.util.spec_from_file_location(_NAME, Path(__file__).parents[1] / "neon" / "server.py")
    assert _SPEC is not None
    assert _SPEC.loader is not None
    sys.modules[_NAME] = importlib.util.module_from_spec(_SPEC)
    _SPEC.loader.exec_module(sys.modules[_NAME])
server_module: Any = sys.modules[_NAME]

STEM = "neontest/pr-42/abc1234/100-1"


@pytest.fixture
def server() -> Iterator[Any]:
    with server_module.serving() as fake:
        yield fake


@pytest.fixture
def project() -> str:
    return str(server_module.PROJECT)


@pytest.fixture
def key() -> str:
    return str(server_module.KEY)


@pytest.fixture
def stop() -> Stop:
    return Stop()


@pytest.fixture
def neon(server: Any, key: str, stop: Stop) -> Iterator[Neon]:
    with Neon(key, host=server.url, stop=stop, jitter=lambda: 0.05) as client:
        yield client


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "state" / "ledger")


@pytest.fixture
def leases(server: Any, neon: Neon, ledger: Ledger, project: str, stop: Stop) -> Callable[..., Leases]:
    """Makes the leases of one run."""

    def make(**more: Any) -> Leases:
        settings: dict[str, Any] = {
            "project_id": project,
            "parent": neon.branch(project, server.main["id"]),
            "owner": Owner(stem=STEM, annotation={"neontest": "1", "run": "100-1"}),
            "expires_at": datetime.now(UTC) + timedelta(hours=1),
            "stop": stop,
        }
        return Leases(neon, ledger, **(settings | more))

    return make


@pytest.fixture
def soon() -> Callable[..., Deadline]:
    return lambda seconds=30.0: Deadline(seconds, what="the test")
