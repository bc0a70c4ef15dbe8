"""The socket on which the local Neon listens."""

from __future__ import annotations

import io
import os
import selectors
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Final, Self

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from neontest.errors import UsageError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

PATIENCE: Final = 15.0
"""Seconds in which a request has to be sent, its body included, and in which each part of an answer has to be taken."""
CONNECTIONS: Final = 128
"""At once; further ones wait to be taken."""
POLL: Final = 0.05
"""Seconds between two looks at the order to stop, while there are too many connections."""


class Listener:
    """Listens from the beginning of `with`, and answers from `serve` to `stop`, a thread for each connection."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._socket: socket.socket | None = None
        self._server: Server | None = None
        self._thread: threading.Thread | None = None
        self._order: socket.socket | None = None

    def __enter__(self) -> Self:
        try:
            family, *_, address = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)[0]
            self._socket = socket.create_server(address[:2], family=family)
        except (OSError, OverflowError) as error:
            # create_server adds the address to the system's words; a name that is not found has a negative number.
            number = getattr(error, "errno", None) or 0
            why = os.strerror(number) if number > 0 else getattr(error, "strerror", None) or str(error)
            raise UsageError(
                f"cannot listen on {self._host}:{self._port}: {why}", hint="choose another --port or --host"
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._socket is not None:
            self._socket.close()

    @property
    def address(self) -> str:
        """host:port, as it stands in a URL for clients on this machine."""
        host, port = self.bound
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 -- told apart, not listened on
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def bound(self) -> tuple[str, int]:
        """The address in numbers, and the port."""
        assert self._socket is not None
        host, port = self._socket.getsockname()[:2]
        return host, port

    def serve(self, app: WSGIApplication) -> None:
        assert self._socket is not None
        self._server = Server(self._host, self._port, app, fd=self._socket.fileno())
        self._order, ear = socket.socketpair()
        self._thread = threading.Thread(
            target=self._server.serve_until, args=(ear,), name="neontest-local-http", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Take no more connections; what is being answered may end."""
        if self._server is not None and self._thread is not None and self._order is not None:
            self._server.ending.set()
            self._order.send(b"!")
            self._thread.join()
            self._order.close()


class Server(ThreadedWSGIServer):
    """A thread for each connection, but not for any number of them."""

    timeout = 0
    """Of `handle_request`: a connection that is gone again is not waited for."""

    def __init__(self, host: str, port: int, app: WSGIApplication, *, fd: int) -> None:
        self._places = threading.BoundedSemaphore(CONNECTIONS)
        self.ending = threading.Event()
        super().__init__(host, port, app, Handler, fd=fd)

    def serve_until(self, ear: socket.socket) -> None:
        """Take connections until something comes from `ear`; `serve_forever` sees such an order only now and then."""
        try:
            with ear, selectors.DefaultSelector() as selector:
                selector.register(self.socket, selectors.EVENT_READ)
                selector.register(ear, selectors.EVENT_READ)
                while ear not in [key.fileobj for key, _ in selector.select()]:
                    self.handle_request()
        finally:
            self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        while not self._places.acquire(timeout=POLL):
            if self.ending.is_set():
                self.shutdown_request(request)
                return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread was started
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()


class Handler(WSGIRequestHandler):
    """Says nothing of requests: they carry keys."""

    protocol_version = "HTTP/1.1"
    timeout = PATIENCE
    # An answer is written in two pieces; with Nagle's algorithm the second waits 40 ms for the first to be confirmed.
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        # One request a connection: werkzeug closes it after the answer.
        self.rfile = io.BufferedReader(_Hurried(self.connection, time.monotonic() + PATIENCE))

    def log(self, type: str, message: str, *args: Any) -> None:
        pass


class _Hurried(io.RawIOBase):
    """What comes from a socket until a moment; a client that sends byte by byte gains no time."""

    def __init__(self, connection: socket.socket, end: float) -> None:
        self._connection, self._end = connection, end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        try:
            return self._connection.recv_into(buffer)
        finally:
            self._connection.settimeout(PATIENCE)
