"""A Neon API that passes everything on to another one, and tells when what was asked and answered."""

from __future__ import annotations

import http.client
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import urlsplit

When = Literal["asked", "answered"]


@dataclass(frozen=True)
class Answer:
    """One answer of the API behind, at the moment when it came."""

    at: float
    method: str
    path: str
    status: int


@dataclass
class Passing:
    """What went through, and what is to be done when something does."""

    url: str = ""
    answers: list[Answer] = field(default_factory=list)
    calls: list[tuple[str, str, When, Callable[[], None]]] = field(default_factory=list)

    def forget(self) -> None:
        self.answers, self.calls = [], []

    def accepted(self, since: float) -> float | None:
        """When the last deletion since that moment was accepted."""
        found = [each.at for each in self.answers if each.method == "DELETE" and each.at >= since and each.status < 300]
        return max(found, default=None)

    def reached(self, method: str, path: str, when: When) -> None:
        for call in [each for each in self.calls if each[0] == method and re.search(each[1], path) and each[2] == when]:
            if call in self.calls:
                self.calls.remove(call)
                call[3]()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    passing: Passing
    behind: tuple[str, int]

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = urlsplit(self.path).path
        self.passing.reached(self.command, path, "asked")
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        connection = http.client.HTTPConnection(*self.behind, timeout=60)
        try:
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        self.passing.answers.append(Answer(time.monotonic(), self.command, path, answer.status))
        self.passing.reached(self.command, path, "answered")
        try:
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("connection", "date", "server", "transfer-encoding", "content-length"):
                    self.send_header(name, value)
            if answer.status != 204:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            self.wfile.flush()
        except OSError:
            self.close_connection = True  # whoever asked is gone

    do_GET = do_POST = do_PATCH = do_DELETE = _pass  # noqa: N815


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that was killed


@contextmanager
def passing_on(api_host: str) -> Iterator[Passing]:
    """Listen on a free port of the loopback, for as long as the block lasts."""
    parts = urlsplit(api_host)
    passing = Passing()
    handler = type("Handler", (_Handler,), {"passing": passing, "behind": (parts.hostname, parts.port)})
    server = _Server(("127.0.0.1", 0), handler)
    passing.url = f"http://127.0.0.1:{server.server_address[1]}{parts.path}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield passing
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
