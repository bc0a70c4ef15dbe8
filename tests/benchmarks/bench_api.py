"""A run against an API that is as far away and as slow as Neon: its calls, and the time that it waits and works."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

import httpx

from neontest.local.engine import LocalNeon
from tests.benchmarks.measure import Row
from tests.benchmarks.place import Place, tool
from tests.chaos.cables import Cables

CALL: Final = 0.1
"""Seconds for which each call is under way."""
CREATES: Final = (1.0, 2.0, 3.0)
"""Seconds until the operations of a new branch are through: Neon takes so long."""
CALLS: Final = 8
"""Besides polls, for each branch that is taken."""
LATE: Final = 0.5
"""Of an operation's length, between two looks at it, at most: so late its end may be seen."""


def rows(place: Place) -> Iterator[Row]:
    files = place.project(8)
    for mode, branches in (("whole", 1), ("both", 2)):
        for create in CREATES[1:2] if place.quick else CREATES:
            with (
                LocalNeon(place.folder / "far", place.binaries, persistent=False) as local,
                far(local, create) as seen,
            ):
                env = {"NEON_API_KEY": local.api_key, "NEON_PROJECT_ID": local.project_id,
                       "NEON_API_HOST": seen.address}  # fmt: skip
                words = ("run", "--neon", "--mode", mode, "--no-tests", "--no-lint", "--fail-on", "never")
                began = time.perf_counter()
                place.run(tool("neontest"), *words, cwd=files.root, env=env)
                took = time.perf_counter() - began
            polls = seen.calls.pop("poll", 0)
            calls = sum(seen.calls.values())
            title, size = f"run --mode {mode}", f"a branch takes {create:.0f} s"
            yield Row(bench="api", size=size, ours=f"{title}: API calls besides polls", seconds=calls,
                      bound=CALLS * branches, unit="calls")  # fmt: skip
            yield Row(bench="api", size=size, ours=f"{title}: polls of the API", seconds=polls, unit="calls")
            yield Row(bench="api", size=size, ours=f"{title}: the end of an operation seen late",
                      bound=LATE * create, seconds=max(seen.late))  # fmt: skip
            yield Row(bench="api", size=size, ours=f"{title}: the whole", seconds=took)


class Seen:
    """What went through."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.address = ""
        self.made: dict[str, float] = {}
        """When the operations of new branches were asked for."""
        self.late: list[float] = []
        """Seconds after its end at which each of these was seen to be through."""
        self.lock = threading.Lock()


@contextmanager
def far(local: LocalNeon, create: float, cables: Cables | None = None) -> Iterator[Seen]:
    """The local API behind a door that takes its time, and so long for a branch; its computes behind `cables`."""
    seen = Seen()
    base = local.api_host.removesuffix("/api/v2")
    client = httpx.Client(base_url=base, timeout=60)

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            time.sleep(CALL)
            poll = self.command == "GET" and "/operations/" in self.path
            headers = {
                name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")
            }
            answer = client.request(self.command, self.path, content=body, headers=headers)
            content = answer.content
            with seen.lock:
                seen.calls["poll" if poll else f"{self.command} {self.path.partition('?')[0]}"] += 1
                if self.command == "POST" and answer.status_code == 201:
                    for each in answer.json()["operations"]:
                        seen.made[each["id"]] = time.monotonic()
                if poll and answer.status_code == 200 and answer.json()["operation"]["status"] == "finished":
                    begun = seen.made.get(answer.json()["operation"]["id"])
                    if begun is not None and time.monotonic() - begun < create:
                        content = content.replace(b'"finished"', b'"running"')
                    elif begun is not None:
                        seen.late.append(time.monotonic() - begun - create)
            if cables is not None:
                content = cables.rewritten(content)
            self.send_response(answer.status_code)
            self.send_header("Content-Type", answer.headers.get("content-type", "application/json"))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = do_PATCH = pass_on  # noqa: N815

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    seen.address = f"http://127.0.0.1:{server.server_address[1]}/api/v2"
    try:
        yield seen
    finally:
        server.shutdown()
        server.server_close()
        client.close()
