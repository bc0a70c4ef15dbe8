from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from neontest.neon.client import Neon
from neontest.stop import Deadline

_SPEC = importlib.util.spec_from_file_location("neontest_tests_server", Path(__file__).with_name("server.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
if _SPEC.name not in sys.modules:
    sys.modules[_SPEC.name] = importlib.util.module_from_spec(_SPEC)
    _SPEC.loader.exec_module(sys.modules[_SPEC.name])
server_module: Any = sys.modules[_SPEC.name]


class Time:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> bool:
        self.slept.append(seconds)
        self.now += seconds
        return False

    def deadline(self, seconds: float = 60.0, what: str = "the test") -> Deadline:
        return Deadline(seconds, what=what, clock=self.clock)


@pytest.fixture
def server() -> Iterator[Any]:
    with server_module.serving() as fake:
        yield fake


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def project() -> str:
    return str(server_module.PROJECT)


@pytest.fixture
def key() -> str:
    return str(server_module.KEY)


@pytest.fixture
def connect(server: Any, time: Time, key: str) -> Iterator[Callable[..., Neon]]:
    """Makes clients of the server, whose sleeps take no time."""
    made: list[Neon] = []

    def make(api_key: str = key, **more: Any) -> Neon:
        settings: dict[str, Any] = {"host": server.url, "sleep": time.sleep, "clock": time.clock, "jitter": lambda: 1.0}
        made.append(Neon(api_key, **(settings | more)))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def neon(connect: Callable[..., Neon]) -> Neon:
    return connect()
