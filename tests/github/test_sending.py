from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from neontest.errors import Stopped
from neontest.github import sending, unfinished
from neontest.github.comment import marker
from neontest.github.job import Job, job
from neontest.github.sending import Sending, configuration
from neontest.record import BranchUse, History, Revision
from neontest.renderers import markdown
from neontest.report import Problem, Report
from neontest.settings import Settings
from neontest.stop import Stop
from tests.github.conftest import FORK_HEAD, HEAD, SHA, Environment, outputs
from tests.github.hub import TOKEN, Fault, Hub

HISTORY = History(
    heads=("r1",), pending=("r1",), revisions=(Revision(id="r1", message="first <b>@all</b>", file="r1.py"),)
)


def report(**facts: Any) -> Report:
    return Report(**{"engine": "local", "verdict": "passed", "exit_code": 0, "history": HISTORY, **facts})


class Told:
    """A `Sending` with what it said and what it commanded."""

    def __init__(self, environ: dict[str, str], stop: Stop, root: Path, **settings: Any) -> None:
        self.said: list[str] = []
        self.commands = ""
        self.stop = stop
        self.hub = Sending(
            job(environ),
            [Settings(root=root, engine="local", engine_why="", **settings)],
            stop=stop,
            say=self.said.append,
            command=self.command,
        )

    def command(self, text: str) -> None:
        self.commands += text


Tell = Callable[..., Told]


@pytest.fixture
def tell(environment: Environment, tmp_path: Path) -> Tell:
    def make(event: str = "pull_request", environ: dict[str, str] | None = None, **settings: Any) -> Told:
        return Told(environment(event, **(environ or {})), Stop(), tmp_path, **settings)

    return make


def until(done: Callable[[], object]) -> None:
    end = time.monotonic() + 5
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_run_is_told_from_its_beginning_to_its_end(hub: Hub, tell: Tell, tmp_path: Path) -> None:
    told = tell()
    with told.hub as to:
        to.pending(HISTORY)
        until(lambda: hub.bodies(7))
        assert hub.states() == ["pending"]
        assert "running, 1 pending revision" in hub.bodies(7)[0]
        assert "<b>" not in hub.bodies(7)[0]
        assert "@" not in hub.bodies(7)[0]
        branch = BranchUse(id="br-a", name="n", created_at="2026-11-22T00:00:00Z", ready_seconds=1)  # type: ignore[arg-type]
        to.ended(report(branches=(branch,)), report_file="out.json")
        to.end()
    assert [sha for sha, _ in hub.statuses] == [HEAD, HEAD]
    assert hub.states() == ["pending", "success"]
    last = hub.statuses[-1][1]
    assert last["context"] == "neontest"
    assert last["target_url"] == "https://github.com/acme/shop/actions/runs/42/attempts/1"
    (body,) = hub.bodies(7)
    assert body.startswith(marker("default") + "\n### ✅ neontest: passed")
    assert "running" not in body
    assert (tmp_path / "runner" / "summary").read_text() in body
    assert outputs((tmp_path / "runner" / "output").read_text()) == {
        "verdict": "passed", "branch-id": "br-a", "report": str(Path("out.json").resolve()), "pending": "1",
        "findings": "0",
    }  # fmt: skip
    assert told.said == []


@pytest.mark.parametrize(
    ("verdict", "state"), [("passed", "success"), ("failed", "failure"), ("error", "error"), ("stopped", "error")]
)
def test_every_verdict_ends_the_status(hub: Hub, tell: Tell, verdict: Any, state: str) -> None:
    with tell("push").hub as to:
        until(lambda: hub.statuses)
        to.pending(HISTORY)
        to.ended(report(verdict=verdict, problems=(Problem(kind="x", message="y" * 300),)))
        to.end()
    assert hub.states() == ["pending", state]
    assert {sha for sha, _ in hub.statuses} == {SHA}
    assert hub.comments == {}


def test_nothing_pending_is_a_success_that_says_so(hub: Hub, tell: Tell) -> None:
    with tell().hub as to:
        to.ended(report(history=History()))
        to.end()
    assert (hub.states()[-1], hub.statuses[-1][1]["description"]) == ("success", "passed: nothing to test")
    assert "nothing to test" in hub.bodies(7)[0]


@pytest.mark.parametrize("error", [RuntimeError("x"), Stopped(signal.SIGTERM)])
def test_a_status_that_was_begun_ends_whatever_happens(hub: Hub, tell: Tell, error: Exception) -> None:
    told = tell()
    with pytest.raises(type(error)), told.hub as to:  # noqa: PT012
        to.pending(HISTORY)
        until(lambda: hub.bodies(7))
        raise error
    assert hub.states() == ["pending", "error"]
    assert "ended without a report" in hub.bodies(7)[0]


def test_a_fork_is_told_once_for_each_what_to_do(hub: Hub, tell: Tell) -> None:
    hub.faults = [
        Fault(method, "/repos", status=403, message="Resource not accessible by integration", times=99)
        for method in ("POST", "PATCH")
    ]
    told = tell("fork")
    with told.hub as to:
        to.pending(HISTORY)
        until(lambda: hub.sent("POST", "/comments"))
        to.ended(report())
        to.end()
    assert len(told.said) == 2
    assert all("neontest publish" in each and "Resource not accessible" in each for each in told.said)
    assert {each.path.split("/")[-1] for each in hub.sent("POST", "/statuses")} == {FORK_HEAD}


@pytest.mark.parametrize(("code", "cure"), [(403, "write`"), (404, "write`"), (401, "github.token"), (422, "422")])
def test_a_refusal_is_one_sentence_with_what_to_do(hub: Hub, tell: Tell, code: int, cure: str) -> None:
    hub.faults = [Fault("POST", "/repos", status=code, times=99)]
    told = tell()
    with told.hub as to:
        to.ended(report())
        to.end()
    assert len(told.said) == 2
    assert all(cure in each for each in told.said)
    if code == 403:
        assert told.said[0].endswith("give the job `permissions: statuses: write`")
        assert told.said[1].endswith("give the job `permissions: pull-requests: write`")


def test_an_enterprise_server_is_asked_where_it_is(hub: Hub, environment: Environment, tmp_path: Path) -> None:
    hub.prefix, hub.page_size = "/api/v3", 1
    hub.comment(7, "hello", {"login": "octocat", "type": "User"})
    hub.comment(7, marker("default") + "\nold")
    told = Told(environment(), Stop(), tmp_path)
    with told.hub as to:
        until(lambda: hub.statuses)
        to.ended(report())
        to.end()
    assert (hub.states(), len(hub.bodies(7)), told.said) == (["pending", "success"], 2, [])


@pytest.mark.parametrize(
    ("environ", "settings"), [({"GITHUB_TOKEN": ""}, {}), ({}, {"github": "off"}), ({"GITHUB_ACTIONS": ""}, {})]
)
def test_nothing_is_sent_without_a_token_a_job_or_the_wish(
    hub: Hub, tell: Tell, environ: dict[str, str], settings: dict[str, Any]
) -> None:
    told = tell(environ=environ, **settings)
    with told.hub as to:
        to.pending(HISTORY)
        to.ended(report())
        to.end()
    assert (hub.requests, told.said) == ([], [])


def test_off_leaves_no_summary_and_no_outputs_but_masks(hub: Hub, tell: Tell, tmp_path: Path) -> None:
    told = tell(github="off")
    with told.hub as to:
        to.secret("sesame")
        to.ended(report())
        to.end()
    assert [(tmp_path / "runner" / each).read_text() for each in ("summary", "output")] == ["", ""]
    assert told.commands == "::add-mask::sesame\n"


def test_no_comment_where_it_is_off_and_another_status_for_a_name(hub: Hub, tell: Tell) -> None:
    for name in ("off", "billing"):
        with tell(comment=name).hub as to:
            to.pending(HISTORY)
            to.ended(report())
            to.end()
    assert [each.partition(" -->")[0] for each in hub.bodies(7)] == ["<!-- neontest:billing"]
    assert {body["context"] for _, body in hub.statuses} == {"neontest", "neontest/billing"}


def test_a_configuration_is_called_by_its_alembic_config(tmp_path: Path) -> None:
    settings = Settings(root=tmp_path, engine="local", engine_why="")
    assert configuration(settings) == "default"
    settings = replace(settings, alembic_config=tmp_path / "db" / "alembic.ini")
    assert configuration(settings) == "db/alembic.ini"
    assert configuration(replace(settings, alembic_name="other")) == "db/alembic.ini:other"
    assert configuration(replace(settings, comment="mine")) == "mine"


@pytest.mark.parametrize(
    ("secret", "lines"),
    [
        (
            'pa%55/wo"rd',
            {'pa%2555/wo"rd', "pa%252555%252Fwo%2522rd", "pa%252555/wo%2522rd", 'paU/wo"rd', 'pa%2555/wo\\"rd'},
        ),
        ("two\nlines", {"two%0Alines", "two%250Alines", "two\\nlines"}),
        ("abc", set()),
    ],
)
def test_secrets_are_masked_in_every_spelling(tell: Tell, secret: str, lines: set[str]) -> None:
    told = tell()
    told.hub.secret(secret)
    assert {each.removeprefix("::add-mask::") for each in told.commands.splitlines()} == lines


def test_a_slow_github_does_not_hold_up_a_stopped_run(
    hub: Hub, tell: Tell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "STOPPED_SECONDS", 1.0)
    monkeypatch.setattr(sending, "LEAST_SECONDS", 0.5)
    hub.faults = [Fault("POST", "/statuses", delay=4, times=9)]
    told = tell(environ={"RUNNER_TEMP": str(tmp_path)})
    began = time.monotonic()
    with told.hub as to:
        with told.stop.shield():
            told.stop.request(signal.SIGINT)
        to.ended(report(verdict="stopped", problems=(Problem(kind="Stopped", message="stopped by SIGINT"),)))
        to.end()
    assert time.monotonic() - began < 2
    assert told.said
    assert list(tmp_path.glob("neontest-unfinished-*")), "what cleanup has to end is not noted"


def test_a_signal_while_the_end_is_sent_shortens_it(hub: Hub, tell: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "STOPPED_SECONDS", 0.5)
    hub.faults = [Fault("POST", "/statuses", delay=4, times=9)]
    told = tell()
    began = time.monotonic()
    with told.hub as to, told.stop.shield():
        threading.Timer(0.3, told.stop.request, (signal.SIGINT,)).start()
        to.ended(report())
        to.end()
    assert time.monotonic() - began < 3


def test_what_is_sent_while_it_runs_holds_up_nothing(hub: Hub, tell: Tell) -> None:
    hub.faults = [Fault("POST", "/statuses", delay=1)]
    told = tell()
    began = time.monotonic()
    with told.hub as to:
        to.pending(HISTORY)
        assert time.monotonic() - began < 0.5
        until(lambda: hub.requests)
        to.ended(report())
        to.end()
    assert hub.states() == ["pending", "success"]


def test_a_limit_while_it_runs_does_not_hold_up_the_end(hub: Hub, tell: Tell) -> None:
    hub.faults = [Fault("POST", "/statuses", status=403, headers={"Retry-After": "30"})]
    told = tell()
    began = time.monotonic()
    with told.hub as to:
        until(lambda: hub.requests)
        to.ended(report())
        to.end()
    assert time.monotonic() - began < 5
    assert (hub.states(), told.said) == (["success"], [])


def test_cleanup_ends_what_a_killed_run_began_and_nothing_else(
    hub: Hub, environment: Environment, tmp_path: Path
) -> None:
    temp = tmp_path / "temp"
    temp.mkdir()
    here = job(environment(RUNNER_TEMP=str(temp)))
    other = job(environment(RUNNER_NAME="another"))
    assert here is not None
    assert other is not None
    ours = hub.comment(7, f"{marker('default')}\n<!-- neontest-job:{here.key} -->\nrunning")
    theirs = hub.comment(7, f"{marker('default')}\n<!-- neontest-job:{other.key} -->\nrunning")
    done = hub.comment(7, f"{marker('default')}\nfailed")
    alive = unfinished.note(here, "default", "neontest")
    assert alive is not None
    said: list[str] = []
    unfinished.finish(here, said.append)
    assert (hub.requests, said) == ([], [])
    unfinished.forget(alive)
    for name, content in (
        ("1", '{"name": "default", "context": "other"}'),
        ("2", "[" * 5000),
        ("3", '{"name": "default", "context": "neontest"}'),
    ):
        (temp / f"neontest-unfinished-{name}.json").write_text(content)
    unfinished.finish(here, said.append)
    assert [body["context"] for _, body in hub.statuses] == ["neontest"]
    assert hub.states() == ["error"]
    assert "killed before it could end" in ours["body"]
    assert (theirs["body"].endswith("running"), done["body"].endswith("failed")) == (True, True)
    requests = len(hub.requests)
    unfinished.finish(here, said.append)
    assert len(hub.requests) == requests
    unfinished.finish(None, said.append)


def test_cleanup_leaves_what_is_known_of_projects_that_had_ended(
    hub: Hub, environment: Environment, tmp_path: Path
) -> None:
    here = job(environment(RUNNER_TEMP=str(tmp_path)))
    assert here is not None
    body = f"{marker('all')}\n<!-- neontest-job:{here.key} -->\n### ⏳ neontest: running, project 2 of 3\n\n"
    comment = hub.comment(7, body + "- ❌ shop: failed: 1 revision\n- ⏳ stock: running\n- libs: not yet\n")
    (tmp_path / "neontest-unfinished-1.json").write_text('{"name": "all", "context": "neontest/all"}')
    unfinished.finish(here, print)
    assert comment["body"] == (
        f"{marker('all')}\n### ⏹️ neontest: killed before it could end\n\n- ❌ shop: failed: 1 revision\n"
    )


def test_no_sentence_has_the_token(hub: Hub, tell: Tell) -> None:
    hub.faults = [Fault("POST", "/repos", status=403, message=f"you sent {TOKEN}", times=99)]
    told = tell()
    with told.hub as to:
        to.ended(report())
        to.end()
    assert told.said
    assert TOKEN not in "".join(told.said)


def test_a_page_that_cannot_be_written_is_said_on_it_and_the_status_ends(
    hub: Hub, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr(markdown, "render", fails)
    told = tell()
    with told.hub as to:
        to.ended(report())
        to.end()
    assert hub.states()[-1] == "success"
    (body,) = hub.bodies(7)
    assert "a defect in neontest (ZeroDivisionError)" in body


def noted(environment: Environment, tmp_path: Path) -> Job:
    """A job in which a killed run has left its note."""
    (tmp_path / "temp").mkdir()
    here = job(environment(RUNNER_TEMP=str(tmp_path / "temp")))
    assert here is not None
    (tmp_path / "temp" / "neontest-unfinished-1.json").write_text('{"name": "off", "context": "neontest"}')
    return here


@pytest.mark.parametrize("state", ["success", "failure", "error"])
def test_cleanup_leaves_a_status_that_has_ended(hub: Hub, environment: Environment, tmp_path: Path, state: str) -> None:
    here = noted(environment, tmp_path)
    old = {"context": "neontest", "description": "", "target_url": "https://example.org"}
    hub.statuses += [(HEAD, {**old, "state": "pending"}), (HEAD, {**old, "state": state})]
    hub.statuses += [(HEAD, {**old, "state": "pending", "context": f"other-{n}"}) for n in range(150)]
    said: list[str] = []
    unfinished.finish(here, said.append)
    assert (hub.states().count("error"), said) == (int(state == "error"), [])
    assert list((tmp_path / "temp").iterdir()) == []
    assert hub.violations == []


def test_cleanup_ends_a_status_that_is_behind_many_others(hub: Hub, environment: Environment, tmp_path: Path) -> None:
    here = noted(environment, tmp_path)
    old = {"state": "pending", "description": "", "target_url": "https://example.org"}
    hub.statuses += [(HEAD, {**old, "context": "neontest"})]
    hub.statuses += [(HEAD, {**old, "context": f"other-{n}"}) for n in range(150)]
    said: list[str] = []
    unfinished.finish(here, said.append)
    assert (hub.states()[-1], said) == ("error", ["the commit status neontest said that it runs: ended"])


def test_cleanup_does_not_wait_at_what_took_the_place_of_a_note(
    hub: Hub, environment: Environment, tmp_path: Path
) -> None:
    here = noted(environment, tmp_path)
    (note,) = (tmp_path / "temp").iterdir()
    note.rename(tmp_path / "elsewhere")
    os.mkfifo(note)
    note.with_name("neontest-unfinished-2.json").symlink_to(tmp_path / "elsewhere")
    unfinished.finish(here, lambda said: None)
    assert hub.requests == []
