"""A Neon API on a loopback socket, with faults to order: the client's and the lease's counterpart in tests.

Not the local engine: this one has no Postgres, knows nothing of neontest, and misbehaves on command. Every request, and
every answer that is meant to be a good one, is checked against the published contract.
"""

from __future__ import annotations

import importlib.util
import json
import re
import socket
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

_SPEC = importlib.util.spec_from_file_location(
    "neontest_tests_contract", Path(__file__).parents[1] / "contract" / "contract.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
_MODULE: Any = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_MODULE)
contract = _MODULE.contract

KEY = "napi_secret0key0for0tests"
PROJECT = "quiet-meadow-12345678"
THEN = "2026-11-22T12:00:00Z"
SECRET = "pa%40ss-w0rd"
TOO_MANY = {"request_id": "", "code": "", "message": "too many requests"}


@dataclass
class Fault:
    """What goes wrong with a request: instead of being carried out, or (`committed`) after it was."""

    method: str
    path: str
    times: int = 1
    skip: int = 0
    status: int | None = None
    message: str = ""
    code: str = ""
    body: bytes | None = None
    content_type: str = "text/html"
    headers: dict[str, str] = field(default_factory=dict)
    committed: bool = False
    drop: bool = False
    truncate: bool = False
    drip: bool = False
    """Never end the answer, and never pause for long."""
    drip_headers: bool = False
    """The same with its headers, one byte at a time."""
    until: threading.Event | None = None
    """Answer only when this is set."""
    call: Callable[[], None] | None = None

    def hits(self, method: str, path: str) -> bool:
        if self.method != method or not re.search(self.path, path):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if not self.times:
            return False
        self.times -= 1
        return True


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: Any
    status: int | None = None


class Refusal(Exception):
    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


class FakeNeon:
    """The state of one project, and the faults to come."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.branches: dict[str, dict[str, Any]] = {}
        self.annotations: dict[str, dict[str, str]] = {}
        self.endpoints: dict[str, dict[str, Any]] = {}
        self.operations: dict[str, dict[str, Any]] = {}
        self.fates: dict[str, deque[str]] = {}
        self.requests: list[Request] = []
        self.violations: list[str] = []
        self.faults: list[Fault] = []
        self.databases = [("neondb", "neondb_owner")]
        self.roles: list[tuple[str, str | None]] = [("neondb_owner", None)]
        self.limit = 10
        self.root_limit = 3
        self.knows_no_schema_only = False
        """It takes `init_source` for nothing, and makes a child with all the data."""
        self.masking = ["created", "initialized", "anonymizing", "anonymized"]
        """What the masking of a branch says, one at each look."""
        self.masked: dict[str, deque[str]] = {}
        self.project: dict[str, Any] = {}
        """What GET of the project says in place of what it would."""
        self.page = 10_000
        self.endless = False
        self.statuses: list[str] = ["running", "finished"]
        """What an operation says, one at each look."""
        self.uri: str | None = None
        self.limiter: Callable[[str, str], dict[str, str] | None] | None = None
        """Says by method and path which headers the refusal of a request has that is one too many; None to take it."""
        self.checked = True
        """Every exchange is held against the contract, which takes its time."""
        self.url = ""
        self.main = self.branch("main", default=True)

    # -- knobs

    def fault(self, method: str, path: str, **how: Any) -> Fault:
        fault = Fault(method, path, **how)
        self.faults.append(fault)
        return fault

    def sent(self, method: str, path: str = "") -> list[Request]:
        return [each for each in self.requests if each.method == method and re.search(path, each.path)]

    def branch(self, name: str, *, annotation: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
        number = len(self.branches) + 1
        branch = {
            "id": f"br-test-{uuid.uuid4().hex[:8]}",
            "project_id": PROJECT,
            "name": name,
            "current_state": "ready",
            "state_changed_at": THEN,
            "creation_source": "console",
            "created_at": THEN,
            "updated_at": THEN,
            "default": False,
            "protected": False,
            "cpu_used_sec": 0,
            "active_time_seconds": 0,
            "compute_time_seconds": 0,
            "written_data_bytes": 0,
            "data_transfer_bytes": 0,
            **more,
        }
        endpoint_id = f"ep-test-{number}-{uuid.uuid4().hex[:6]}"
        self.branches[branch["id"]] = branch
        self.annotations[branch["id"]] = annotation or {}
        self.endpoints[endpoint_id] = {
            "id": endpoint_id,
            "host": f"{endpoint_id}.stand-in.test",
            "project_id": PROJECT,
            "branch_id": branch["id"],
            "region_id": "aws-eu-central-1",
            "autoscaling_limit_min_cu": 0.25,
            "autoscaling_limit_max_cu": 1,
            "type": "read_write",
            "current_state": "idle",
            "pooler_enabled": False,
            "pooler_mode": "transaction",
            "disabled": False,
            "passwordless_access": True,
            "creation_source": "console",
            "created_at": THEN,
            "updated_at": THEN,
            "settings": {},
            "proxy_host": "stand-in.test",
            "suspend_timeout_seconds": 0,
            "provisioner": "k8s-neonvm",
        }
        return branch

    # -- the API

    def handle(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        with self.lock:
            for verb, pattern, action in self._routes():
                match = re.fullmatch(pattern, path)
                if match and verb == method:
                    return action(query, body, *map(unquote, match.groups()))
        raise Refusal(404, "this route does not exist")

    def _routes(self) -> Iterator[tuple[str, str, Callable[..., tuple[int, Any]]]]:
        project = f"/projects/{PROJECT}"
        branch = project + r"/branches/([^/]+)"
        yield "GET", "/auth", lambda q, b: (200, {"account_id": "org-test-1", "auth_method": "api_key_org"})
        yield "GET", project, lambda q, b: (200, {"project": self._project()})
        yield "GET", project + "/branches", self._list
        yield "POST", project + "/branches", self._create
        yield "POST", project + "/branch_anonymized", self._create_anonymized
        yield "GET", branch + "/anonymized_status", self._masking
        yield "GET", branch, self._get
        yield "PATCH", branch, self._update
        yield "DELETE", branch, self._delete
        yield "GET", branch + "/endpoints", lambda q, b, i: (200, {"endpoints": self._endpoints(i)})
        yield "GET", branch + "/databases", lambda q, b, i: (200, {"databases": self._databases(i)})
        yield "GET", branch + "/roles", lambda q, b, i: (200, {"roles": self._roles(i)})
        yield "GET", branch + "/roles/([^/]+)/reveal_password", lambda q, b, i, r: (200, {"password": SECRET})
        yield "GET", project + "/operations", self._history
        yield "GET", project + "/operations/([^/]+)", self._operation
        yield "GET", project + "/connection_uri", self._uri
        yield "POST", project + "/endpoints/([^/]+)/(start|suspend)", self._turn

    def _project(self) -> dict[str, Any]:
        numbers = (
            "active_time_seconds", "compute_time_seconds", "written_data_bytes", "data_transfer_bytes",
            "data_storage_bytes_hour", "cpu_used_sec", "branch_logical_size_limit", "branch_logical_size_limit_bytes",
            "history_retention_seconds",
        )  # fmt: skip
        moments = ("created_at", "updated_at", "consumption_period_start", "consumption_period_end")
        owner = {"email": "a@b.test", "name": "a", "branches_limit": self.limit, "subscription_type": "free_v3"}
        return {
            "id": PROJECT,
            "name": "meadow",
            "platform_id": "aws",
            "region_id": "aws-eu-central-1",
            "pg_version": 17,
            "proxy_host": "stand-in.test",
            "store_passwords": True,
            "provisioner": "k8s-neonvm",
            "creation_source": "console",
            "owner_id": "org-test-1",
            "owner": owner,
            **dict.fromkeys(numbers, 0),
            **dict.fromkeys(moments, THEN),
            **self.project,
        }

    def _known(self, branch_id: str) -> dict[str, Any]:
        if branch_id not in self.branches:
            raise Refusal(404, "branch not found")
        return self.branches[branch_id]

    def _annotation(self, branch_id: str) -> dict[str, Any]:
        return {"object": {"type": "console/branch", "id": branch_id}, "value": self.annotations[branch_id]}

    def _list(self, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        search = query.get("search", [""])[0]
        all_ = [each for each in self.branches.values() if search in each["name"] or search in each["id"]]
        start = int(query.get("cursor", ["0"])[0])
        size = min(self.page, int(query.get("limit", ["100"])[0]))
        page = all_[start : start + size]
        answer: dict[str, Any] = {
            "branches": page,
            "annotations": {each["id"]: self._annotation(each["id"]) for each in page},
        }
        if start + size < len(all_) or self.endless:
            following = 0 if self.endless else start + size
            answer["pagination"] = {"next": str(following), "sort_by": "updated_at", "sort_order": "DESC"}
        return 200, answer

    def _create(self, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        wanted = (body or {}).get("branch", {})
        name = wanted.get("name", "br-" + uuid.uuid4().hex[:8])
        if any(each["name"] == name for each in self.branches.values()):
            raise Refusal(409, f'branch already exists; branch_name:"{name}"', "BRANCH_ALREADY_EXISTS")
        if len(self.branches) >= self.limit:
            raise Refusal(422, "branches limit exceeded", "BRANCHES_LIMIT_EXCEEDED")
        parent = self._known(wanted.get("parent_id") or self.main["id"])
        rooted = wanted.get("init_source") == "schema-only" and not self.knows_no_schema_only
        if rooted and sum("parent_id" not in each for each in self.branches.values()) >= self.root_limit:
            raise Refusal(422, "root branches limit exceeded", "ROOT_BRANCHES_LIMIT_EXCEEDED")
        origin = {"init_source": "schema-only"} if rooted else {"parent_id": parent["id"]}
        branch = self.branch(
            name,
            annotation=body.get("annotation_value"),
            **origin,
            current_state="init",
            pending_state="ready",
            expires_at=wanted["expires_at"],
        )
        endpoint = self._endpoints(branch["id"])[0]
        operations = [
            self._begin("create_branch", branch["id"]),
            self._begin("start_compute", branch["id"], endpoint["id"]),
        ]
        return 201, {
            "branch": dict(branch),
            "endpoints": [endpoint],
            "operations": operations,
            "roles": self._roles(branch["id"]),
            "databases": self._databases(branch["id"]),
            "connection_uris": [
                {
                    "connection_uri": f"postgresql://neondb_owner:{SECRET}@{endpoint['host']}/neondb?sslmode=require",
                    "connection_parameters": {
                        "database": "neondb",
                        "role": "neondb_owner",
                        "password": SECRET,
                        "host": endpoint["host"],
                        "pooler_host": endpoint["host"],
                    },
                }
            ],
        }

    def _create_anonymized(self, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        status, made = self._create(query, {**body["branch_create"], "annotation_value": body["annotation_value"]})
        self.masked[made["branch"]["id"]] = deque(self.masking)
        return status, made

    def _masking(self, query: dict[str, list[str]], body: Any, branch_id: str) -> tuple[int, Any]:
        if branch_id not in self.masked:
            raise Refusal(404, "anonymized branch not found")
        fates = self.masked[branch_id]
        state, _, said = (fates.popleft() if len(fates) > 1 else fates[0]).partition(": ")
        more = {"status_message": said} if said else {}
        known = {"project_id": PROJECT, "branch_id": branch_id, "created_at": THEN, "updated_at": THEN}
        return 200, {**known, "state": state, **more}

    def _get(self, query: dict[str, list[str]], body: Any, branch_id: str) -> tuple[int, Any]:
        return 200, {"branch": dict(self._known(branch_id)), "annotation": self._annotation(branch_id)}

    def _update(self, query: dict[str, list[str]], body: Any, branch_id: str) -> tuple[int, Any]:
        self._known(branch_id).update(body["branch"])
        return 200, {"branch": dict(self.branches[branch_id]), "operations": []}

    def _delete(self, query: dict[str, list[str]], body: Any, branch_id: str) -> tuple[int, Any]:
        if branch_id not in self.branches:
            return 204, None
        children = [each["id"] for each in self.branches.values() if each.get("parent_id") == branch_id]
        if children:
            raise Refusal(422, f"cannot delete branch that has children: {children[0]}")
        if self.branches[branch_id]["default"]:
            raise Refusal(422, "cannot delete the root branch")
        branch = self.branches.pop(branch_id)
        operations = [self._begin("suspend_compute", branch_id), self._begin("delete_timeline", branch_id)]
        return 200, {"branch": {**branch, "pending_state": "storage_deleted"}, "operations": operations}

    def _begin(self, action: str, branch_id: str, endpoint_id: str | None = None) -> dict[str, Any]:
        operation: dict[str, Any] = {
            "id": str(uuid.uuid4()),
            "project_id": PROJECT,
            "branch_id": branch_id,
            "action": action,
            "status": "scheduling",
            "failures_count": 0,
            "created_at": THEN,
            "updated_at": THEN,
            "total_duration_ms": 0,
        }
        if endpoint_id:
            operation["endpoint_id"] = endpoint_id
        self.operations[operation["id"]] = operation
        self.fates[operation["id"]] = deque(self.statuses)
        return dict(operation)

    def _history(self, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        start = int(query.get("cursor", ["0"])[0])
        end = start + min(self.page, int(query.get("limit", ["100"])[0]))
        # As on Neon, the last page has a cursor too.
        return 200, {
            "operations": list(self.operations.values())[::-1][start:end],
            "pagination": {"cursor": str(end)},
        }

    def _operation(self, query: dict[str, list[str]], body: Any, operation_id: str) -> tuple[int, Any]:
        if operation_id not in self.operations:
            raise Refusal(404, "operation not found")
        fates = self.fates[operation_id]
        status = fates.popleft() if len(fates) > 1 else fates[0]
        name, _, retry = status.partition("+")
        self.operations[operation_id]["status"] = name
        self.operations[operation_id].pop("retry_at", None)
        if retry:
            self.operations[operation_id]["retry_at"] = THEN
        return 200, {"operation": dict(self.operations[operation_id])}

    def _endpoints(self, branch_id: str) -> list[dict[str, Any]]:
        self._known(branch_id)
        return [dict(each) for each in self.endpoints.values() if each["branch_id"] == branch_id]

    def _databases(self, branch_id: str) -> list[dict[str, Any]]:
        return [
            {
                "id": number,
                "branch_id": branch_id,
                "name": name,
                "owner_name": owner,
                "created_at": THEN,
                "updated_at": THEN,
            }
            for number, (name, owner) in enumerate(self.databases)
        ]

    def _roles(self, branch_id: str) -> list[dict[str, Any]]:
        return [
            {"branch_id": branch_id, "name": name, "protected": False, "created_at": THEN, "updated_at": THEN}
            | ({"authentication_method": method} if method else {})
            for name, method in self.roles
        ]

    def _uri(self, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        endpoint = self._endpoints(query["branch_id"][0])[0]
        host = endpoint["host"]
        if query.get("pooled", ["true"])[0] != "false":
            host = host.replace(endpoint["id"], endpoint["id"] + "-pooler")
        role, database = query["role_name"][0], query["database_name"][0]
        return 200, {"uri": self.uri or f"postgresql://{role}:{SECRET}@{host}/{database}?sslmode=require"}

    def _turn(self, query: dict[str, list[str]], body: Any, endpoint_id: str, how: str) -> tuple[int, Any]:
        endpoint = self.endpoints[endpoint_id]
        operation = self._begin(f"{how}_compute", endpoint["branch_id"], endpoint_id)
        return 200, {"endpoint": endpoint, "operations": [operation]}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one packet: else each answer waits 40 ms for an acknowledgement
    neon: FakeNeon

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _serve(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        raw = self.rfile.read(length)
        parts = urlsplit(self.path)
        path = parts.path.removeprefix("/api/v2")
        query = parse_qs(parts.query, keep_blank_values=True)
        body = json.loads(raw) if raw else None
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, path, query, headers, body)
        with self.neon.lock:
            self.neon.requests.append(request)
        flat = {name: values[0] for name, values in query.items()}
        self._check(lambda: contract().check_request(self.command, path, flat, body))
        with self.neon.lock:
            fault = next((each for each in self.neon.faults if each.hits(self.command, path)), None)
        if fault and fault.call:
            fault.call()
        too_many = self.neon.limiter(self.command, path) if self.neon.limiter else None
        status, answer = (429, TOO_MANY) if too_many is not None else self._outcome(request, fault)
        request.status = status
        if fault and fault.until is not None:
            fault.until.wait(30)
        if fault and fault.drop:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if fault and (fault.drip or fault.drip_headers):
            self._drip(headers=fault.drip_headers)
            return
        content = b"" if answer is None else json.dumps(answer).encode()
        kind, more = "application/json", too_many or {}
        if fault:
            kind, more = fault.content_type if fault.body is not None else kind, fault.headers
            content = fault.body if fault.body is not None else content
        if not (fault and (fault.body is not None or fault.truncate)):
            self._check(lambda: contract().check_response(self.command, path, status, answer))
        self._answer(status, kind, more, content, truncate=bool(fault and fault.truncate))

    def _outcome(self, request: Request, fault: Fault | None) -> tuple[int, Any]:
        request_id = request.headers.get("x-request-id", "")
        try:
            if fault and not fault.committed and (fault.status or fault.drop):
                raise Refusal(fault.status or 500, fault.message, fault.code)
            if request.headers.get("authorization") != f"Bearer {KEY}":
                raise Refusal(401, "supplied credentials do not pass authentication")
            status, answer = self.neon.handle(request.method, request.path, request.query, request.body)
            if fault and fault.committed and fault.status:
                raise Refusal(fault.status, fault.message, fault.code)
        except Refusal as error:
            return error.status, {"request_id": request_id, "code": error.code, "message": error.message}
        return status, answer

    def _drip(self, *, headers: bool) -> None:
        self.close_connection = True
        try:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            if headers:
                self.flush_headers()
            else:
                self.end_headers()
            for _ in range(1000):
                self.wfile.write(b"x" if headers else b" ")
                self.wfile.flush()
                time.sleep(0.02)
        except OSError:
            pass  # the client has given up, as it should

    def _answer(self, status: int, kind: str, more: dict[str, str], content: bytes, *, truncate: bool) -> None:
        try:
            self.send_response(status)
            if status != 204:
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
            for name, value in more.items():
                self.send_header(name, value)
            self.end_headers()
            if truncate:
                self.close_connection = True
                content = content[: len(content) // 2]
            self.wfile.write(content)
            self.wfile.flush()
        except OSError:
            self.close_connection = True  # the client has given up

    def _check(self, check: Callable[[], None]) -> None:
        if not self.neon.checked:
            return
        try:
            check()
        except AssertionError as error:
            self.neon.violations.append(str(error))

    do_GET = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that was killed


@contextmanager
def serving(neon: FakeNeon | None = None) -> Iterator[FakeNeon]:
    """A server of its own on a free port; afterwards every exchange must have kept to the contract."""
    neon = neon or FakeNeon()
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"neon": neon}))
    neon.url = f"http://127.0.0.1:{server.server_address[1]}/api/v2"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield neon
    finally:
        for fault in neon.faults:
            if fault.until is not None:
                fault.until.set()
        server.shutdown()
        server.server_close()
        thread.join()
    assert not neon.violations, "\n".join(neon.violations)
