"""What a web page can have a browser send here: it is refused before any key is looked at."""

from __future__ import annotations

import contextlib
import socket
from contextlib import closing
from typing import Any

import psycopg2
import pytest

from neontest.local.callers import Callers
from neontest.local.engine import LocalNeon
from neontest.local.problem import Problem

PATIENCE = 60.0


def place(neon: LocalNeon) -> tuple[str, int]:
    host, port = neon.api_host.removeprefix("http://").split("/")[0].split(":")
    return host, int(port)


def ask(neon: LocalNeon, *headers: str, line: str = "GET /api/v2/auth HTTP/1.1", key: bool = True) -> tuple[int, str]:
    """The status of the answer to these very lines, and its head."""
    words = [line, *headers, *([f"Authorization: Bearer {neon.api_key}"] if key else []), "", ""]
    with socket.create_connection(place(neon), PATIENCE) as connection:
        connection.sendall("\r\n".join(words).encode())
        answer = b""
        with contextlib.suppress(ConnectionError):
            while block := connection.recv(65536):
                answer += block
    head = answer.partition(b"\r\n\r\n")[0].decode()
    return int(head.split()[1]), head


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LocalHost", "[::1]"])
def test_the_server_answers_to_its_own_address(neon: LocalNeon, name: str) -> None:
    port = place(neon)[1]
    assert ask(neon, f"Host: {name}:{port}")[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:{port}", "127.0.0.1.evil.example:{port}", "localhost.evil.example:{port}", "localhost.:{port}",
        "127.0.0.1", "127.0.0.1:1", "127.0.0.1:{port}@evil.example", "evil.example@127.0.0.1:{port}", "",
        "127.0.0.1:{port},evil.example", "127.0.0.1:{port} evil.example", "0.0.0.0:{port}", "10.0.0.1:{port}",
        "2130706433:{port}", "0x7f000001:{port}", "127.1:{port}", "\u0661:{port}",
    ],
)  # fmt: skip
def test_any_other_host_is_refused_even_with_the_key(neon: LocalNeon, host: str) -> None:
    """To the browser, a page whose name leads to 127.0.0.1 (DNS rebinding) is of the same origin."""
    assert ask(neon, "Host: " + host.format(port=place(neon)[1]))[0] in (400, 421)


def test_no_host_two_hosts_and_a_host_in_the_request_line_are_refused_too(neon: LocalNeon) -> None:
    own = "Host: {}:{}".format(*place(neon))
    assert ask(neon)[0] == 421
    assert ask(neon, own, "Host: evil.example")[0] == 421
    assert ask(neon, "Host: evil.example", own)[0] == 421
    assert ask(neon, own, line="GET http://evil.example/api/v2/auth HTTP/1.1")[0] == 421


FOREIGN = (
    "Origin: http://evil.example",
    "Origin: null",
    "Origin: http://localhost:3000",
    "Origin: https://127.0.0.1:{port}",
    "Origin: http://localhost:{port}",  # the request goes to 127.0.0.1
    "Sec-Fetch-Site: cross-site",
    "Sec-Fetch-Site: same-site",
)


@pytest.mark.parametrize("header", FOREIGN)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
def test_what_a_page_of_another_site_sends_is_refused_and_makes_nothing(
    neon: LocalNeon, api: Any, header: str, method: str
) -> None:
    host, port = place(neon)
    status, head = ask(
        neon,
        f"Host: {host}:{port}",
        header.format(port=port),
        "Access-Control-Request-Method: POST",
        "Content-Length: 0",
        line=f"{method} /api/v2/projects/{neon.project_id}/branches HTTP/1.1",
    )
    assert status == 403
    assert "access-control" not in head.lower()
    assert api.get("P/branches/count")["count"] == 1


def test_no_answer_has_a_header_by_which_a_page_could_read_it(neon: LocalNeon) -> None:
    host, port = place(neon)
    for more in (("Sec-Fetch-Site: none",), ("Sec-Fetch-Site: same-origin", f"Origin: http://{host}:{port}"), ()):
        status, head = ask(neon, f"Host: {host}:{port}", *more)
        assert (status, "access-control" in head.lower()) == (200, False)


def test_a_cookie_alone_changes_nothing(neon: LocalNeon, api: Any) -> None:
    """An old browser sends a form of another site's without any Origin, and with the cookies."""
    own = ("Host: {}:{}".format(*place(neon)), f"Cookie: zenith={neon.api_key}; keycloak_token={neon.api_key}")
    branches = f"/api/v2/projects/{neon.project_id}/branches"
    assert ask(neon, *own, key=False)[0] == 200
    for method in ("POST", "DELETE", "PATCH", "PUT"):
        assert ask(neon, *own, "Content-Length: 0", line=f"{method} {branches} HTTP/1.1", key=False)[0] == 401
    assert api.get("P/branches/count")["count"] == 1


@pytest.mark.parametrize(
    ("called", "host", "asked", "served"),
    [
        ("db.internal", "10.1.2.3", "db.internal:8080", True),
        ("db.internal", "10.1.2.3", "10.1.2.3:8080", True),
        ("db.internal", "10.1.2.3", "localhost:8080", False),
        ("10.1.2.3", "10.1.2.3", "evil.example:8080", False),
        ("0.0.0.0", "0.0.0.0", "192.168.1.7:5000", True),
        ("0.0.0.0", "0.0.0.0", f"{socket.gethostname()}:5000", True),
        ("0.0.0.0", "0.0.0.0", "localhost:5000", True),
        ("0.0.0.0", "0.0.0.0", "evil.example:8080", False),
        ("::", "::", "[fe80::1]:8080", True),
        ("::", "::", "evil.example:8080", False),
    ],
)
def test_a_server_for_others_answers_to_the_name_that_it_was_given(
    called: str, host: str, asked: str, served: bool
) -> None:
    callers = Callers(called, host, 8080)
    with contextlib.nullcontext() if served else pytest.raises(Problem):
        callers.check({"HTTP_HOST": asked})


def test_api_and_servers_listen_on_loopback(neon: LocalNeon, api: Any) -> None:
    assert neon.api_host.startswith("http://127.0.0.1:")
    with closing(psycopg2.connect(api.uri(api.main()["id"]))) as conn, conn.cursor() as cursor:
        cursor.execute("SHOW listen_addresses")
        assert cursor.fetchone() == ("127.0.0.1",)
