"""Ports of 127.0.0.1 for servers, kept from being given to others."""

from __future__ import annotations

import socket
import sys

from neontest.local.held import Held


class Port:
    """A reserved port. Postgres can listen on it; `close` lets it go."""

    def __init__(self, number: int, held: Held) -> None:
        self.number = number
        self._held = held

    def close(self) -> None:
        """Let the port go, once."""
        self._held.close()


def reserve(wanted: int | None = None) -> Port:
    """A port that nobody else is given: `wanted` if it is free, else another.

    On Linux a bound socket with SO_REUSEADDR that does not listen keeps bind(0) away from its port, and yet lets
    Postgres listen there. Elsewhere the port is only known to have been free; a lost one is noticed at the start.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", wanted or 0))
        except OSError:
            sock.bind(("127.0.0.1", 0))
        number: int = sock.getsockname()[1]
    except BaseException:
        sock.close()
        raise
    held = Held(sock.detach())
    if sys.platform != "linux":
        held.close()
    return Port(number, held)


def is_taken(number: int) -> bool:
    """Somebody listens on the port of 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", number))
            sock.listen(1)
        except OSError:
            return True
    return False
