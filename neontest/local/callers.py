"""Who may speak to the API, before any key is looked at: programs, and no web page that a browser has open.

A page can have its own name lead to this address (DNS rebinding): the request then carries that name as its Host. And
it can send requests here from any other site: the browser says so in Origin and Sec-Fetch-Site, and shows the page
nothing of the answer, since no answer carries a CORS header.

Source: https://fetch.spec.whatwg.org/#origin-header, https://www.w3.org/TR/fetch-metadata/,
https://www.rfc-editor.org/rfc/rfc9110#status.421 (2026-11).
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping
from typing import Any, Final

from neontest.local.problem import Problem

HTTP: Final = 80
_HOST: Final = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]+)(?::(?P<port>[0-9]{1,5}))?")


class Callers:
    """Those who call this server by an address of its own: that on which it listens, or the name that it was given.

    One that listens on all addresses is called by any address in numbers, which no name of a page's is, and by this
    machine's name; its port may be another's outside of a container.
    """

    def __init__(self, called: str, host: str, port: int) -> None:
        """`called` is how the address was given, `host` what it is in numbers."""
        self._port = port
        address = ipaddress.ip_address(host)
        self._everywhere = address.is_unspecified
        self._names = {called.lower(), host}
        if self._everywhere:
            self._names.add(socket.gethostname().lower())
        if self._everywhere or address.is_loopback:
            self._names |= {"localhost", "127.0.0.1", "::1"}

    def check(self, environ: Mapping[str, Any]) -> None:
        """Raise a Problem for a request that a web page can have made."""
        host = str(environ.get("HTTP_HOST", ""))
        if not self._own(host):
            raise Problem(421, "the request's Host header names another server; --host gives this one a name")
        origin = environ.get("HTTP_ORIGIN")
        if origin is not None and str(origin).lower() != f"http://{host}".lower():
            raise Problem(403, "requests from web pages are refused: the request has another site's Origin")
        if environ.get("HTTP_SEC_FETCH_SITE", "none") not in ("none", "same-origin"):
            raise Problem(403, "requests from web pages are refused: Sec-Fetch-Site says that another site sent it")

    def _own(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name, port = found["name"].strip("[]").lower(), int(found["port"] or HTTP)
        if self._everywhere:
            return name in self._names or _is_address(name)
        return name in self._names and port == self._port


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
