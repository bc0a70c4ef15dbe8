"""Clients that send nonsense, slowly, or in great numbers."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any, cast

import httpx
import pytest
from werkzeug.test import EnvironBuilder

from neontest.local.app import App
from neontest.local.callers import Callers
from neontest.local.engine import LocalNeon
from neontest.local.listener import CONNECTIONS, Listener, _Hurried

PATIENCE = 60.0


def say(neon: LocalNeon, *lines: str, then: bytes = b"") -> bytes:
    """The answer to a request to make a branch, with these headers and what is sent then."""
    host, port = neon.api_host.removeprefix("http://").split("/")[0].split(":")
    head = [
        f"POST /api/v2/projects/{neon.project_id}/branches HTTP/1.1",
        f"Host: {host}",
        f"Authorization: Bearer {neon.api_key}",
        *lines,
    ]
    with socket.create_connection((host, int(port)), PATIENCE) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode())
        with contextlib.suppress(ConnectionError):
            connection.sendall(then)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while block := connection.recv(65536):
                answer += block
        return answer


@pytest.mark.parametrize("length", ["abc", "-1", "+2", "1_0", "0x2", "", "2.0", "\u0662"])
def test_a_content_length_that_is_no_number_is_a_400_and_makes_nothing(neon: LocalNeon, api: Any, length: str) -> None:
    assert say(neon, f"Content-Length: {length}").startswith(b"HTTP/1.1 400 ")
    assert api.get("P/branches/count")["count"] == 1


@pytest.mark.parametrize("length", ["2000000", "9" * 5000])
def test_a_body_that_is_announced_as_too_large_is_a_413(neon: LocalNeon, length: str) -> None:
    assert say(neon, f"Content-Length: {length}").startswith(b"HTTP/1.1 413 ")


def test_a_body_in_pieces_that_is_too_large_is_a_413(neon: LocalNeon, api: Any) -> None:
    pieces = b"".join(b"10000\r\n" + b"x" * 0x10000 + b"\r\n" for _ in range(40)) + b"0\r\n\r\n"
    assert say(neon, "Transfer-Encoding: chunked", then=pieces).startswith(b"HTTP/1.1 413 ")
    assert say(neon, "Transfer-Encoding: chunked", then=b"zz\r\n{}\r\n0\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert api.get("P/branches/count")["count"] == 1


def test_who_sends_slowly_gains_no_time() -> None:
    near, far = socket.socketpair()
    with near, far:
        far.sendall(b"ab")
        reader = io.BufferedReader(_Hurried(near, time.monotonic() + PATIENCE), 1)
        assert reader.read(1) == b"a"
        late = io.BufferedReader(_Hurried(near, time.monotonic()), 1)
        with pytest.raises(TimeoutError):
            late.read(1)
        silent = io.BufferedReader(_Hurried(near, time.monotonic() + 0.05))
        with pytest.raises(TimeoutError):
            silent.read(2)


def test_who_is_still_sending_keeps_nobody_from_stopping(neon: LocalNeon) -> None:
    assert neon._site is not None
    app = App(neon._site, "key", callers=Callers("localhost", "127.0.0.1", 80))

    class Body(io.RawIOBase):
        """Sent only after the application was closed."""

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            app.close(patience=PATIENCE)
            buffer[:2] = b"{}"
            return 2

    status: Future[str] = Future()
    environ = EnvironBuilder(method="POST", path="/api/v2/auth", headers={"Authorization": "Bearer key"}).get_environ()
    environ |= {"wsgi.input": io.BufferedReader(Body()), "CONTENT_LENGTH": "2"}
    b"".join(app(environ, lambda line, _: status.set_result(line)))
    assert status.result(0).startswith("503 ")


def answering() -> int:
    return sum("process_request_thread" in each.name for each in threading.enumerate())


def until(count: int) -> None:
    end = time.monotonic() + PATIENCE
    while answering() != count:
        assert time.monotonic() < end
        time.sleep(0.005)


def greet(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "2")])
    return [b"hi"]


def test_connections_past_the_limit_wait_for_a_place_and_do_not_hinder_the_end() -> None:
    before = answering()
    with contextlib.ExitStack() as ends, Listener("127.0.0.1", 0) as listener:
        listener.serve(cast("Any", greet))
        host, port = listener.address.split(":")

        def silent() -> socket.socket:
            return ends.enter_context(socket.create_connection((host, int(port)), PATIENCE))

        taken = [silent() for _ in range(CONNECTIONS)]
        until(before + CONNECTIONS)
        waiting = [silent() for _ in range(3)]
        for each in waiting:
            each.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert answering() == before + CONNECTIONS
        taken[0].close()
        for each in waiting:
            assert b"".join(iter(lambda each=each: each.recv(4096), b"")).endswith(b"hi")
        assert answering() < before + CONNECTIONS + 1
        taken[1].close()
        taken[2].close()
        until(before + CONNECTIONS - 3)
        assert httpx.get(f"http://{listener.address}/").text == "hi"
        taken += [silent() for _ in range(4)]
        until(before + CONNECTIONS)
        listener.stop()
    until(before)
