"""A GitHub on a loopback socket, with faults to order.

Every request is checked against GitHub's public OpenAPI description (`github-openapi.json`), and every good answer is
that description's own example, with what this repository has put into it, checked in turn.
"""

from __future__ import annotations

import copy
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.contract.contract import Contract, ContractViolation

DOCUMENT = Path(__file__).with_name("github-openapi.json")
TOKEN = "ghs_0secret0token0for0tests"
REPOSITORY = "acme/shop"
BOT = {"login": "github-actions[bot]", "type": "Bot"}
WANTED = {
    "authorization": f"Bearer {TOKEN}",
    "accept": "application/vnd.github+json",
    "x-github-api-version": "2022-11-28",
}


@dataclass
class Fault:
    """What goes wrong with a request: instead of being carried out, or (`committed`) after it was."""

    method: str
    path: str
    status: int = 0
    message: str = "no"
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1
    committed: bool = False
    drop: bool = False
    delay: float = 0.0


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    body: Any
    at: float


class Hub:
    """The state of one repository, and what was asked of it."""

    def __init__(self) -> None:
        self.contract = Contract(DOCUMENT)
        self.examples = json.loads(DOCUMENT.read_text())["paths"]
        self.comments: dict[int, list[dict[str, Any]]] = {}
        self.statuses: list[tuple[str, dict[str, Any]]] = []
        self.pulls: list[dict[str, Any]] = []
        self.by_commit = True
        """The list of a commit's pull requests has those of forks."""
        self.me: dict[str, str] | None = None
        """Whose token it is; None for a job's, which may not ask."""
        self.page_size = 100
        self.prefix = ""
        """Before each path, as on GitHub Enterprise."""
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.violations: list[str] = []
        self._ids = iter(range(1000, 10**6))
        self._lock = threading.Lock()
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                hub.handle(self)

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_any  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # clients that went away

        self.server = Server(("127.0.0.1", 0), Handler)
        self.host = f"http://127.0.0.1:{self.server.server_port}"

    @property
    def url(self) -> str:
        return self.host + self.prefix

    # -- what tests put in and look at

    def comment(self, pull: int, body: str, user: dict[str, str] | None = None) -> dict[str, Any]:
        path = "/repos/{owner}/{repo}/issues/{issue_number}/comments"
        made = copy.deepcopy(self.examples[path]["post"]["responses"]["201"]["example"])
        made |= {"id": next(self._ids), "body": body}
        made["user"] |= user or BOT
        self.comments.setdefault(pull, []).append(made)
        return made

    def pull(self, number: int, sha: str, *, head: str = REPOSITORY, base: str = REPOSITORY, **more: Any) -> None:
        path = "/repos/{owner}/{repo}/pulls"
        made = copy.deepcopy(self.examples[path]["get"]["responses"]["200"]["example"][0])
        # In these points GitHub's own example is not what its schema says.
        made |= {"number": number, "state": "open", "requested_teams": [], **more}
        for side, name in (("head", head), ("base", base)):
            for key in ("template_repository", "subscribers_count", "network_count"):
                made[side]["repo"].pop(key)
            made[side]["repo"]["full_name"] = name
        made["head"]["sha"] = sha
        self.pulls.append(made)

    def bodies(self, pull: int) -> list[str]:
        return [each["body"] for each in self.comments.get(pull, [])]

    def states(self) -> list[str]:
        return [body["state"] for _, body in self.statuses]

    def sent(self, method: str, path: str = "") -> list[Request]:
        return [each for each in self.requests if each.method == method and path in each.path]

    # -- answering

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        raw = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        path = parts.path.removeprefix(self.prefix)
        path = re.sub(r"^/repositories/1(?=/)", f"/repos/{REPOSITORY}", path)
        body = json.loads(raw) if raw else None
        with self._lock:
            self.requests.append(Request(handler.command, path, query, body, time.monotonic()))
            self._check(handler, path, query, body)
            fault = next((each for each in self.faults if self._meant(each, handler.command, path)), None)
            if fault is not None:
                fault.times -= 1
        if fault is not None:
            time.sleep(fault.delay)
        headers: dict[str, str] = {}
        if fault is None or fault.committed or not (fault.status or fault.drop):
            with self._lock:
                status, answer = self._answer(handler.command, path, query, body, headers)
        if fault is not None and fault.drop:
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        headers |= fault.headers if fault is not None else {}
        if fault is not None and fault.status:
            status, headers, answer = fault.status, fault.headers, {"message": fault.message}
        content = json.dumps(answer).encode()
        handler.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(content))}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)

    def _meant(self, fault: Fault, method: str, path: str) -> bool:
        return fault.times > 0 and fault.method == method and fault.path in path

    def _check(self, handler: BaseHTTPRequestHandler, path: str, query: dict[str, str], body: Any) -> None:
        try:
            self.contract.check_request(handler.command, path, query, body)
        except ContractViolation as violation:
            self.violations.append(str(violation))
        wrong = {name for name, value in WANTED.items() if handler.headers.get(name) != value}
        if not (handler.headers.get("user-agent") or "").startswith("neontest/"):
            wrong.add("user-agent")
        if body is not None and handler.headers.get("content-type") != "application/json":
            wrong.add("content-type")
        if wrong:
            self.violations.append(f"{handler.command} {path}: headers {sorted(wrong)}")
        if len((body or {}).get("body", "").encode("utf-16-le")) // 2 > 65_536:
            self.violations.append("a comment longer than GitHub takes")
        if len((body or {}).get("description", "")) > 140:
            self.violations.append("a description longer than GitHub takes")

    def _answer(
        self, method: str, path: str, query: dict[str, str], body: Any, headers: dict[str, str]
    ) -> tuple[int, Any]:
        status, answer = self._found(method, path, query, body, headers)
        if 200 <= status < 300 and path != "/user":
            try:
                self.contract.check_response(method, path, status, answer)
            except ContractViolation as violation:
                self.violations.append(f"the stand-in itself: {violation}")
        return status, answer

    def _found(
        self, method: str, path: str, query: dict[str, str], body: Any, headers: dict[str, str]
    ) -> tuple[int, Any]:
        owned = f"/repos/{REPOSITORY}"
        if path == "/user":
            return (
                (200, {**BOT, **self.me}) if self.me else (403, {"message": "Resource not accessible by integration"})
            )
        if match := re.fullmatch(owned + r"/issues/(\d+)/comments", path):
            number = int(match[1])
            if method == "POST":
                return 201, self.comment(number, body["body"], self.me)
            return 200, self._page(
                f"/repositories/1/issues/{number}/comments", self.comments.get(number, []), query, headers
            )
        if match := re.fullmatch(owned + r"/issues/comments/(\d+)", path):
            for comment in (each for some in self.comments.values() for each in some):
                if comment["id"] == int(match[1]):
                    comment["body"] = body["body"]
                    return 200, comment
        if match := re.fullmatch(owned + r"/statuses/(\w+)", path):
            made = copy.deepcopy(
                self.examples["/repos/{owner}/{repo}/statuses/{sha}"]["post"]["responses"]["201"]["example"]
            )
            self.statuses.append((match[1], body))
            return 201, made | body
        if match := re.fullmatch(owned + r"/commits/(\w+)/statuses", path):
            example = self.examples["/repos/{owner}/{repo}/commits/{ref}/statuses"]["get"]["responses"]["200"][
                "example"
            ]
            made = [example[0] | each for sha, each in reversed(self.statuses) if sha == match[1]]
            return 200, self._page(f"/repositories/1/commits/{match[1]}/statuses", made, query, headers)
        if match := re.fullmatch(owned + r"/commits/(\w+)/pulls", path):
            return 200, [
                each
                for each in self.pulls
                if each["head"]["sha"] == match[1]
                and (self.by_commit or each["head"]["repo"]["full_name"] == REPOSITORY)
            ]
        if path == owned + "/pulls":
            owner = query.get("head", "").partition(":")[0]
            return 200, [each for each in self.pulls if each["head"]["repo"]["full_name"].startswith(owner + "/")]
        if match := re.fullmatch(owned + r"/pulls/(\d+)", path):
            for each in self.pulls:
                if each["number"] == int(match[1]):
                    full = self.examples["/repos/{owner}/{repo}/pulls/{pull_number}"]["get"]["responses"]["200"][
                        "example"
                    ]
                    return 200, {
                        **full,
                        **{name: each[name] for name in ("number", "state", "head", "base", "requested_teams")},
                    }
        return 404, {"message": "Not Found"}

    def _page(self, path: str, items: list[Any], query: dict[str, str], headers: dict[str, str]) -> list[Any]:
        size, page = min(self.page_size, int(query.get("per_page", 30))), int(query.get("page", 1))
        if len(items) > page * size:
            link = f"{self.url}{path}?per_page={query.get('per_page', 30)}&page="
            last = -(-len(items) // size)
            headers["Link"] = f'<{link}{page + 1}>; rel="next", <{link}{last}>; rel="last"'
        return items[(page - 1) * size : page * size]


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub that answers; at the end every request must have been one that GitHub knows."""
    hub = Hub()
    thread = threading.Thread(target=hub.server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield hub
    finally:
        hub.server.shutdown()
        hub.server.server_close()
        thread.join()
    assert not hub.violations, "\n".join(hub.violations)
