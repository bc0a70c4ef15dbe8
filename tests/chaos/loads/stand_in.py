"""The stand-in for the Neon API of `tests/neon`, with the limits that the real one has."""

from __future__ import annotations

import importlib.util
import re
import sys
import threading
import time
from collections import deque
from typing import Any, Final

from tests.chaos.loads.measuring import REPOSITORY

_NAME: Final = "neontest_tests_server"
if _NAME not in sys.modules:
    _SPEC = importlib.util.spec_from_file_location(_NAME, REPOSITORY / "tests" / "neon" / "server.py")
    assert _SPEC is not None
    assert _SPEC.loader is not None
    sys.modules[_NAME] = importlib.util.module_from_spec(_SPEC)
    _SPEC.loader.exec_module(sys.modules[_NAME])
server: Any = sys.modules[_NAME]

A_MINUTE: Final = 700
"""Requests of an account. Source: https://api-docs.neon.tech/reference/api-rate-limiting (2026-11)."""
A_SECOND: Final = 40
"""Requests of an account for one route. Source: as above."""


_ID: Final = re.compile(r"/(branches|operations)/[^/]+")


class Limits:
    """Takes requests up to both limits, each within any window of that length; refuses the others."""

    def __init__(self, *, minute: int = A_MINUTE, second: int = A_SECOND, retry_after: int | None = None) -> None:
        self.minute, self.second = minute, second
        self.headers = {"Retry-After": str(retry_after)} if retry_after else {}
        self._lock = threading.Lock()
        self._taken: deque[float] = deque()
        self._by_route: dict[str, deque[float]] = {}
        self.accepted = self.refused = 0

    def __call__(self, method: str, path: str) -> dict[str, str] | None:
        route = method + " " + _ID.sub(r"/\1/x", path)
        with self._lock:
            now = time.monotonic()
            of_route = self._by_route.setdefault(route, deque())
            for window, seconds in ((self._taken, 60.0), (of_route, 1.0)):
                while window and window[0] <= now - seconds:
                    window.popleft()
            if len(self._taken) >= self.minute or len(of_route) >= self.second:
                self.refused += 1
                return self.headers
            self._taken.append(now)
            of_route.append(now)
            self.accepted += 1
            return None
