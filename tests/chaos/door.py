"""A door before a Neon API: it counts what goes through, and a fault may stand in it."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Asked:
    """A request, and its number since the door was last told to forget."""

    number: int
    method: str
    path: str
    query: str
    body: bytes
    headers: dict[str, str]

    @property
    def call(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Reply:
    """An answer; without a status, the connection breaks off instead."""

    status: int | None
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    def with_body(self, body: bytes) -> Reply:
        return replace(self, body=body)


DROPPED = Reply(None)


class Fault(Protocol):
    """Stands in the door."""

    def before(self, asked: Asked) -> Reply | Asked | None:
        """The answer in place of the API's, which then hears nothing; or the request as it is to go on."""

    def after(self, asked: Asked, reply: Reply) -> Reply:
        """The answer, once the API has acted."""


class Clear:
    """Nothing stands in the door."""

    def before(self, asked: Asked) -> Reply | Asked | None:
        return None

    def after(self, asked: Asked, reply: Reply) -> Reply:
        return reply


@dataclass
class Door:
    """What went through, and what stands in it."""

    url: str = ""
    fault: Fault = field(default_factory=Clear)
    asked: list[Asked] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    rewritten: Callable[[bytes], bytes] = bytes
    """What becomes of each body, whatever stands in the door."""

    def forget(self, fault: Fault) -> None:
        with self.lock:
            self.asked, self.fault = [], fault

    def number(self, method: str, path: str, query: str, body: bytes, headers: dict[str, str]) -> Asked:
        with self.lock:
            made = Asked(len(self.asked) + 1, method, path, query, body, headers)
            self.asked.append(made)
            return made


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    door: Door
    behind: tuple[str, int]

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        parts = urlsplit(self.path)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        asked, fault = self.door.number(self.command, parts.path, parts.query, body, headers), self.door.fault
        found = fault.before(asked)
        reply = found if isinstance(found, Reply) else fault.after(asked, self._asked(found or asked))
        try:
            self._answer(reply)
        except OSError:
            self.close_connection = True  # whoever asked is gone

    def _asked(self, asked: Asked) -> Reply:
        connection = http.client.HTTPConnection(*self.behind, timeout=60)
        try:
            target = f"{asked.path}?{asked.query}" if asked.query else asked.path
            connection.request(asked.method, target, asked.body or None, asked.headers)
            answer = connection.getresponse()
            kept = {
                name: value for name, value in answer.getheaders() if name.lower() in ("content-type", "x-request-id")
            }
            return Reply(answer.status, answer.read(), kept)
        finally:
            connection.close()

    def _answer(self, reply: Reply) -> None:
        if reply.status is None:
            # Reset, not closed: nobody may take it for the end of an answer.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            with suppress(OSError):
                self.connection.close()
            return
        body = self.door.rewritten(reply.body)
        self.send_response_only(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(b"" if reply.status == 204 else body)
        self.wfile.flush()

    do_GET = do_POST = do_PATCH = do_DELETE = _pass  # noqa: N815


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that is gone, or was thrown out


@contextmanager
def door(api_host: str) -> Iterator[Door]:
    """Listen on a free port of the loopback, for as long as the block lasts."""
    parts = urlsplit(api_host)
    made = Door()
    handler = type("Handler", (_Handler,), {"door": made, "behind": (parts.hostname, parts.port)})
    server = _Server(("127.0.0.1", 0), handler)
    made.url = f"http://127.0.0.1:{server.server_address[1]}{parts.path}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
