"""The Neon API as a WSGI application: who asks, for what, and how a refusal is said.

Source of the words and shapes: the OpenAPI document in the npm package @neondatabase/api-client 2.7.3, and
https://neon.com/docs (2026-11-22). neontest's own client speaks to it as every other client does, over a socket.
"""

from __future__ import annotations

import hmac
import json
import logging
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit
from uuid import uuid4

from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, RequestEntityTooLarge
from werkzeug.wrappers import Request, Response

from neontest.errors import NeontestError
from neontest.local.callers import Callers
from neontest.local.problem import Problem, not_found
from neontest.local.requests import Query
from neontest.local.routes import ROUTES, Answer, Call, url_map
from neontest.local.shapes import Json, operations
from neontest.local.site import Site

LARGEST_BODY: Final = 1 << 20
"""Bytes; a branch with 50 annotations needs a few thousand."""
WRONG_KEY: Final = "supplied credentials do not pass authentication"
COOKIES: Final = ("zenith", "keycloak_token")
"""neonctl sends its key as these too. A browser adds cookies to what other sites send: alone they change nothing."""
READING: Final = ("GET", "HEAD")

_SLASH: Final = "\0"
_log = logging.getLogger(__name__)
_REQUEST_ID: Final = re.compile(r"[\x21-\x7e]{1,128}")


class App:
    """Answers one project's API to whoever has the key.

    An answer with operations is held back until they end, but no longer than `settle` seconds, and tells how far they
    are. On Neon a connection waits for a compute that is just starting; here nobody listens for it, and
    clients that connect at once, such as `neonctl branches create --psql`, would be refused.
    """

    def __init__(self, site: Site, api_key: str, *, callers: Callers, settle: float = 0.0) -> None:
        self._site = site
        self._callers = callers
        self._settle = settle
        self._api_key = api_key.encode()
        self._map = url_map()
        self._turn = threading.Condition()
        self._answering = 0
        self._closed = False

    def close(self, patience: float = 5.0) -> None:
        """Refuse from now on, also on connections that stay open; wait for what is being answered."""
        with self._turn:
            self._closed = True
            self._turn.wait_for(lambda: not self._answering, patience)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = Request(environ)
        request.max_content_length = LARGEST_BODY + 1
        given = request.headers.get("X-Request-ID", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else str(uuid4())
        try:
            body = _body(request)  # not yet counted as being answered: a slow sender keeps nobody from stopping
            self._callers.check(environ)
            with self._open():
                answer = self._answer(request, body)
        except Problem as problem:
            response = _refusal(problem, request_id)
        else:
            response = _response(answer.status, answer.json)
        response.headers["X-Request-ID"] = request_id
        return response(environ, start_response)

    @contextmanager
    def _open(self) -> Iterator[None]:
        with self._turn:
            if self._closed:
                raise Problem(503, "this local Neon is being stopped")
            self._answering += 1
        try:
            yield
        finally:
            with self._turn:
                self._answering -= 1
                self._turn.notify_all()

    def _answer(self, request: Request, body: bytes) -> Answer:
        if not self._may(request):
            raise Problem(401, WRONG_KEY)
        try:
            endpoint, found = self._map.bind_to_environ(request.environ).match(_path(request))
        except MethodNotAllowed:
            raise Problem(405, f"method {request.method} is not allowed here") from None
        except (NotFound, HTTPException):
            raise Problem(404, "this request is not one that a local Neon answers") from None
        path = {name: value.replace(_SLASH, "/") for name, value in found.items()}
        if path.pop("project_id", self._site.project.id) != self._site.project.id:
            raise not_found("project")
        call = Call(site=self._site, path=path, query=Query(request.args), body=body)
        return self._called(ROUTES[endpoint], call)

    def _called(self, route: Callable[[Call], Answer], call: Call) -> Answer:
        try:
            answer = route(call)
        except NeontestError as error:
            raise Problem(500, error.message) from error
        except Problem:
            raise
        except Exception as error:
            _log.error("an answer of the local Neon failed", exc_info=error)
            # A bug of ours. Its text may hold anything: only its kind goes out.
            raise Problem(500, f"internal error ({type(error).__name__})") from error
        if answer.begin is not None:
            begun = answer.begin()
            if self._settle and isinstance(begun, Future):
                wait([begun], self._settle)
                self._renew(answer)
        return answer

    def _renew(self, answer: Answer) -> None:
        """Let the answer say what became of its operations: who sees them finished need not ask."""
        assert answer.json is not None
        with self._site.store.lock:
            known = self._site.store.state.operations
            told = [known[each["id"]] for each in answer.json["operations"]]
            answer.json["operations"] = operations(told, self._site.project)

    def _may(self, request: Request) -> bool:
        """Somebody has the key; each of them is compared in constant time."""
        kind, _, key = request.headers.get("Authorization", "").partition(" ")
        offered = [key.strip()] if kind.lower() == "bearer" else []
        if request.method in READING:
            offered += [request.cookies[name] for name in COOKIES if name in request.cookies]
        right = [hmac.compare_digest(each.encode("utf-8", "replace"), self._api_key) for each in offered]
        return any(right)


def _body(request: Request) -> bytes:
    """The body, read in any case: a client that is still sending does not see a refusal."""
    length = request.headers.get("Content-Length", "0")
    if not (length.isascii() and length.isdigit()):
        raise Problem(400, "the Content-Length is not a number")
    try:
        if len(length) > 12:  # more digits than are ever read as a number
            raise RequestEntityTooLarge
        body = request.get_data(cache=False)
        if len(body) > LARGEST_BODY:  # of unknown length: werkzeug ends reading there
            raise RequestEntityTooLarge
    except RequestEntityTooLarge:
        raise Problem(413, f"the request body is larger than {LARGEST_BODY} bytes") from None
    except (HTTPException, OSError):
        raise Problem(400, "the request body cannot be read") from None
    return body


def _path(request: Request) -> str:
    """The path, decoded, in which a slash that belongs to a name (`%2F`) is told from one between two names."""
    raw = urlsplit(request.environ.get("RAW_URI") or quote(request.path)).path
    if "%00" in raw:
        raise NotFound
    return unquote(re.sub("%2f", "%00", raw, flags=re.IGNORECASE))


def _refusal(problem: Problem, request_id: str) -> Response:
    return _response(problem.status, {"request_id": request_id, "code": problem.code, "message": problem.message})


def _response(status: int, body: Json | None) -> Response:
    if body is None:
        return Response(status=status)
    return Response(json.dumps(body), status=status, content_type="application/json; charset=utf-8")
