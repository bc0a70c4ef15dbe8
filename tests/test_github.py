from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from neontest import github

SHA = "a" * 40


class GitHub:
    """A loopback GitHub that takes commit statuses and answers with `code`."""

    def __init__(self) -> None:
        self.code = 201
        self.seen: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.seen.append((self.path, dict(self.headers), body))
                self.send_response(outer.code)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def hub() -> Iterator[GitHub]:
    hub = GitHub()
    thread = Thread(target=hub.server.serve_forever)
    thread.start()
    yield hub
    hub.server.shutdown()
    hub.server.server_close()
    thread.join()


def environ(tmp_path: Path, url: str, **more: str) -> dict[str, str]:
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_REPOSITORY": "acme/shop",
        "GITHUB_SHA": SHA,
        "GITHUB_API_URL": url,
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_RUN_ID": "7",
        "GITHUB_TOKEN": "ghs_secret",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        **more,
    }


def test_outside_of_github_there_is_no_job() -> None:
    assert github.job({}) is None
    assert github.job({"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "../evil?x"}) is None


def test_the_status_is_set_on_the_commit_that_the_pull_request_shows(tmp_path: Path, hub: GitHub) -> None:
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"pull_request": {"head": {"sha": "b" * 40}}}))
    job = github.job(environ(tmp_path, hub.url, GITHUB_EVENT_PATH=str(event)))
    assert job is not None
    said: list[str] = []
    github.set_status(job, "pending", "x" * 200, said.append)
    path, headers, body = hub.seen[0]
    assert path == f"/repos/acme/shop/statuses/{'b' * 40}"
    assert headers["Authorization"] == "Bearer ghs_secret"
    assert body["context"] == "neontest"
    assert body["target_url"] == "https://github.com/acme/shop/actions/runs/7"
    assert len(body["description"]) == 140
    assert said == []


@pytest.mark.parametrize(
    "event", [None, "", "[]", '{"pull_request": null}', '{"pull_request": {"head": {"sha": "x"}}}']
)
def test_without_a_pull_request_the_commit_is_the_jobs_own(tmp_path: Path, event: str | None) -> None:
    path = tmp_path / "event.json"
    if event is not None:
        path.write_text(event)
    job = github.job(environ(tmp_path, "http://x", GITHUB_EVENT_PATH=str(path)))
    assert job is not None
    assert job.sha == SHA


@pytest.mark.parametrize("code", [401, 403, 404, 422, 500, 302])
def test_a_refused_status_is_said_and_nothing_else(tmp_path: Path, hub: GitHub, code: int) -> None:
    hub.code = code
    job = github.job(environ(tmp_path, hub.url))
    assert job is not None
    said: list[str] = []
    github.set_status(job, "success", "fine", said.append)
    assert len(said) == 1
    assert "status was not set" in said[0]
    assert "ghs_secret" not in said[0]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nonsense", "http://[::bad"])
def test_a_github_that_does_not_answer_is_said(tmp_path: Path, url: str) -> None:
    job = github.job(environ(tmp_path, url))
    assert job is not None
    said: list[str] = []
    github.set_status(job, "success", "fine", said.append)
    assert len(said) == 1


def test_without_a_token_nothing_is_sent(tmp_path: Path, hub: GitHub) -> None:
    job = github.job(environ(tmp_path, hub.url, GITHUB_TOKEN=""))
    assert job is not None
    github.set_status(job, "success", "fine", pytest.fail)
    assert hub.seen == []


def test_the_summary_is_added_to_and_a_failure_is_only_said(tmp_path: Path) -> None:
    (tmp_path / "summary.md").write_text("before\n")
    job = github.job(environ(tmp_path, "http://x"))
    assert job is not None
    github.write_summary(job, "after\n", pytest.fail)
    assert (tmp_path / "summary.md").read_text() == "before\nafter\n"
    said: list[str] = []
    broken = github.job(environ(tmp_path, "http://x", GITHUB_STEP_SUMMARY=str(tmp_path / "no" / "summary.md")))
    assert broken is not None
    github.write_summary(broken, "x", said.append)
    assert len(said) == 1


def test_the_token_is_in_no_repr(tmp_path: Path) -> None:
    assert "ghs_secret" not in repr(github.job(environ(tmp_path, "http://x")))
