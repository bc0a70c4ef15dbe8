"""Cables to computes: each connection goes through one, which may be long, refuse the first of them, or be cut."""

from __future__ import annotations

import re
import select
import socket
import threading
import time
from collections import deque
from contextlib import suppress

PLACE = re.compile(rb"127\.0\.0\.1:(\d+)")


class Cables:
    """Stands between a run and the computes whose places are in the API's answers.

    `refuse`: how many connections to each compute are broken off before the first word.
    `cut_at`: a connection is cut when the client says this.
    `cuts`: how many connections are cut so.
    `delay`: seconds for which each word is on its way.
    """

    def __init__(self, *, delay: float = 0.0) -> None:
        self._delay = delay
        self.refuse = 0
        self.cut_at = b""
        self.cuts = 0
        self.done: list[str] = []
        """What was done to connections."""
        self._lock = threading.Lock()
        self._listeners: dict[int, socket.socket] = {}
        self._closed = False

    def rewritten(self, body: bytes) -> bytes:
        """The answer with the cable's place for each compute's."""
        return PLACE.sub(lambda found: b"127.0.0.1:%d" % self.to(int(found[1])), body)

    def reset(self) -> None:
        with self._lock:
            self.refuse, self.cut_at, self.cuts, self.done = 0, b"", 0, []

    def close(self) -> None:
        self._closed = True
        for listener in self._listeners.values():
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def to(self, port: int) -> int:
        """The port of the cable that leads to this one."""
        with self._lock:
            if port not in self._listeners:
                listener = socket.create_server(("127.0.0.1", 0))
                self._listeners[port] = listener
                threading.Thread(target=self._accept, args=(listener, port, [0]), daemon=True).start()
            number: int = self._listeners[port].getsockname()[1]
            return number

    def _accept(self, listener: socket.socket, port: int, count: list[int]) -> None:
        while not self._closed:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            count[0] += 1
            if count[0] <= self.refuse:
                self.done.append("refused")
                client.close()
                continue
            threading.Thread(target=self._carry, args=(client, port), daemon=True).start()

    def _carry(self, client: socket.socket, port: int) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", port), timeout=10)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        time.sleep(2 * self._delay)  # the handshake's way
        under_way: deque[tuple[float, socket.socket, bytes]] = deque()
        talking = [client, server]
        with client, server, suppress(OSError):
            while True:
                wait = max(0.0, under_way[0][0] - time.monotonic()) if under_way else None
                for one in select.select(talking, [], [], wait)[0]:
                    data = one.recv(1 << 16)
                    under_way.append((time.monotonic() + self._delay, server if one is client else client, data))
                    if not data:
                        talking.remove(one)
                while under_way and under_way[0][0] <= time.monotonic():
                    _, there, data = under_way.popleft()
                    if data:
                        there.sendall(data)
                    if not data or (there is server and self._cuts(data)):
                        return

    def _cuts(self, data: bytes) -> bool:
        with self._lock:
            if not self.cut_at or self.cut_at not in data or self.cuts <= 0:
                return False
            self.cuts -= 1
            self.done.append("cut")
            return True
