"""A server of Postgres seen through a proxy that counts."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading


class Proxy:
    """Passes connections on to a server, and counts what the clients wait for: simple queries and syncs."""

    def __init__(self, port: int) -> None:
        self.trips = 0
        self.along = 0
        """Looks that went along with what Alembic writes."""
        self._sockets: list[socket.socket] = []
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
                self._sockets += [client, server]
                for target, ends in ((self._count, (client, server)), (self._pass, (server, client))):
                    thread = threading.Thread(target=target, args=ends, daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)

    def _count(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError), client.makefile("rb") as stream:
            (size,) = struct.unpack("!i", first := stream.read(4))
            server.sendall(first + stream.read(size - 4))
            while kind := stream.read(1):
                (size,) = struct.unpack("!i", length := stream.read(4))
                rest = stream.read(size - 4)
                self.trips += kind in (b"Q", b"S")
                self.along += rest.startswith(b"UPDATE ") and b"; EXECUTE neontest_look" in rest
                server.sendall(kind + length + rest)
            server.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)
        for each in self._sockets:
            each.close()
