"""Reads that keep to a deadline however slowly an answer comes.

httpx bounds each read from the socket; an answer whose headers come one byte at a time passes every such bound.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from neontest.stop import Deadline

_SHORTEST = 0.001
"""Seconds; zero would mean a socket that never waits at all."""


class Bound(threading.local):
    """The deadline of the request that this thread is making."""

    deadline: Deadline | None = None

    def cut(self, timeout: float | None) -> float | None:
        """The timeout of one read or write, no longer than what is left."""
        if self.deadline is None:
            return timeout
        left = max(_SHORTEST, self.deadline.left())
        return left if timeout is None else min(timeout, left)

    @contextmanager
    def by(self, deadline: Deadline) -> Iterator[None]:
        self.deadline = deadline
        try:
            yield
        finally:
            self.deadline = None


def bind(client: httpx.Client) -> Bound:
    """Let every connection that the client opens, through a proxy too, keep to the deadline given to the result."""
    bound = Bound()
    # httpx has no argument for this; httpcore, which opens its connections, has one.
    for transport in (client._transport, *client._mounts.values()):
        pool: Any = getattr(transport, "_pool", None)
        if pool is not None:
            pool._network_backend = _Backend(pool._network_backend, bound)
    return bound


class _Backend:
    """An httpcore.NetworkBackend; `sleep` and the rest are the original's."""

    def __init__(self, original: Any, bound: Bound) -> None:
        self._original = original
        self._bound = bound

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)

    def connect_tcp(self, *args: Any, **more: Any) -> _Stream:
        return _Stream(self._original.connect_tcp(*args, **more), self._bound)


class _Stream:
    """An httpcore.NetworkStream."""

    def __init__(self, original: Any, bound: Bound) -> None:
        self._original = original
        self._bound = bound

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)

    def read(self, max_bytes: int, timeout: float | None = None) -> Any:
        return self._original.read(max_bytes, self._bound.cut(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._original.write(buffer, self._bound.cut(timeout))

    def start_tls(self, *args: Any, **more: Any) -> _Stream:
        return _Stream(self._original.start_tls(*args, **more), self._bound)
