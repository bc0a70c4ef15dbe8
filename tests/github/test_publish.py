"""`neontest publish`: whoever made the report decides nothing but what it says."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from neontest.cli import main
from neontest.github import publish
from neontest.github.comment import marker
from neontest.postgres.data import Read
from neontest.record import History, Revision, Walk
from neontest.report import Finding, Level, Report, to_json
from tests.github.conftest import FORK_HEAD, HEAD, Environment, payload
from tests.github.hub import TOKEN, Fault, Hub

HOSTILE = (
    "x|y`z` <script>alert(1)</script> ::error::\x1b[2J\u202e [a](javascript:b) @everyone <!-- neontest:default -->\n"
    "::error::next"
)


def saved(**facts: Any) -> str:
    history = History(heads=("r1",), pending=("r1",), revisions=(Revision(id="r1", message=HOSTILE),))
    finding = Finding(check="data-loss", level=Level.ERROR, message=HOSTILE, file=HOSTILE, line=3)
    base = {"engine": "local", "verdict": "failed", "exit_code": 1, "history": history, "findings": (finding,)}
    return to_json(Report(**{**base, **facts}))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


Publish = Callable[..., Said]


@pytest.fixture
def send(
    environment: Environment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Publish:
    def run(*args: str, event: str = "workflow_run", content: str | bytes | None = None, **more: str) -> Said:
        for name in [each for each in os.environ if each.startswith("GITHUB_")]:
            monkeypatch.delenv(name)
        for name, value in environment(event, **more).items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        file = tmp_path / "report.json"
        content = saved() if content is None else content
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        capfd.readouterr()
        code = main.run(["publish", "report.json", *args])
        out, err = capfd.readouterr()
        assert TOKEN not in out + err
        assert "Traceback" not in err
        return Said(code, out, err)

    return run


@pytest.fixture
def forked(hub: Hub) -> Hub:
    hub.pull(8, FORK_HEAD, head="mallory/shop")
    return hub


@pytest.mark.parametrize("by_commit", [True, False])
def test_the_report_of_a_fork_goes_to_its_pull_request_and_commit(
    forked: Hub, send: Publish, by_commit: bool, tmp_path: Path
) -> None:
    forked.by_commit = by_commit
    said = send()
    assert said.code == 0, said.err
    ((sha, body),) = forked.statuses
    assert (sha, body["state"], body["context"]) == (FORK_HEAD, "failure", "neontest")
    assert body["target_url"] == "https://github.com/acme/shop/actions/runs/5"
    (comment,) = forked.bodies(8)
    assert comment.startswith(marker("default") + "\n")
    assert ", as a run of the fork mallory/shop reports\n" in comment.replace("<br>", "")
    for bad in ("<script>", "\x1b", "\u202e", "](javascript", "@everyone"):
        assert bad not in comment
    assert comment.count("<!--") == 1
    assert (tmp_path / "runner" / "summary").read_text() in comment
    assert not any(line.startswith("::error::") for line in (said.out + said.err).splitlines())


def test_the_reports_of_several_projects_are_one_comment_and_one_status(
    forked: Hub, send: Publish, tmp_path: Path
) -> None:
    (tmp_path / "report-stock.json").write_text(saved(project="stock", verdict="passed", exit_code=0, findings=()))
    said = send("report-stock.json", content=saved(project="shop"))
    assert said.code == 0, said.err
    ((_, body),) = forked.statuses
    assert (body["state"], body["context"], body["description"]) == (
        "failure", "neontest", "failed: shop; passed: stock",
    )  # fmt: skip
    (comment,) = forked.bodies(8)
    assert [line.split()[2] for line in comment.splitlines() if line.startswith("#### ")] == ["shop:", "stock:"]


def test_a_name_in_a_forks_report_is_one_printable_line_of_the_status(
    forked: Hub, send: Publish, tmp_path: Path
) -> None:
    (tmp_path / "report-stock.json").write_text(saved(project="stock", verdict="passed", exit_code=0, findings=()))
    assert send("report-stock.json", content=saved(project="shop\u202e\nx")).code == 0
    ((_, body),) = forked.statuses
    assert body["description"] == "failed: shop x; passed: stock"


def test_what_one_project_lets_be_told_of_its_values_is_not_so_of_another(
    forked: Hub, send: Publish, tmp_path: Path
) -> None:
    tables = '[[tool.neontest.project]]\nname = "shop"\nredact = "none"\n[[tool.neontest.project]]\nname = "stock"\n'
    (tmp_path / "pyproject.toml").write_text(tables)
    facts = {name: (f"loading the project changed the schema: column a.b: default '{name}1'",) for name in "abc"}
    for name, notes in (("stock", facts["b"]), ("other", facts["c"])):
        (tmp_path / f"report-{name}.json").write_text(saved(project=name, findings=(), notes=notes))
    said = send("report-stock.json", "report-other.json", content=saved(project="shop", findings=(), notes=facts["a"]))
    assert said.code == 0, said.err
    (comment,) = forked.bodies(8)
    assert [f"{name}1" in comment for name in "abc"] == [True, False, False]


def test_published_again_the_comment_is_edited(forked: Hub, send: Publish) -> None:
    send()
    send(content=saved(verdict="passed", exit_code=0, findings=()))
    assert len(forked.bodies(8)) == 1
    assert "passed" in forked.bodies(8)[0]
    assert forked.states() == ["failure", "success"]


@pytest.mark.parametrize(
    "pull",
    [
        {"number": 9, "sha": FORK_HEAD, "head": "victim/shop"},
        {"number": 9, "sha": FORK_HEAD, "head": "mallory/shop", "base": "mallory/shop"},
        {"number": 9, "sha": FORK_HEAD, "head": "mallory/shop", "state": "closed"},
        {"number": 9, "sha": HEAD, "head": "mallory/shop"},
    ],
)
def test_no_other_pull_request_is_written_to(hub: Hub, send: Publish, pull: dict[str, Any]) -> None:
    hub.pull(**pull)
    said = send()
    assert said.code == 0
    assert "no open pull request" in said.err
    assert hub.comments == {}
    assert [sha for sha, _ in hub.statuses] == [FORK_HEAD]


def test_what_the_report_says_of_itself_does_not_matter(forked: Hub, send: Publish) -> None:
    forked.pull(9, HEAD)
    extra = saved().replace('"version": 1', f'"sha": "{HEAD}", "pull": 9, "repository": "victim/x", "version": 1')
    assert extra != saved()
    assert send(content=extra).code == 0
    assert list(forked.comments) == [8]


def test_several_pull_requests_of_one_commit_are_not_guessed_at(forked: Hub, send: Publish) -> None:
    forked.pull(9, FORK_HEAD, head="mallory/shop")
    said = send()
    assert "#8, #9: say which with --pr" in said.err
    assert forked.comments == {}
    assert send("--pr", "9").code == 0
    assert list(forked.comments) == [9]


def test_a_number_must_fit_the_commit(forked: Hub, send: Publish) -> None:
    forked.pull(9, HEAD)
    said = send("--pr", "9")
    assert (said.code, forked.statuses, forked.comments) == (2, [], {})
    assert "pull request #9 is at bbbbbbbbbbbb, and the report is of cccccccccccc" in said.err
    assert send("--pr", "77").code == 2


def test_the_command_line_says_where_to_outside_of_workflow_run(hub: Hub, send: Publish) -> None:
    hub.pull(9, HEAD)
    said = send("--sha", HEAD, "--pr", "9", event="push")
    assert said.code == 0, said.err
    assert ([sha for sha, _ in hub.statuses], list(hub.comments)) == ([HEAD], [9])


def test_a_later_job_of_the_same_run_knows_its_pull_request(hub: Hub, send: Publish) -> None:
    hub.pull(7, HEAD)
    assert send(event="pull_request").code == 0
    assert ([sha for sha, _ in hub.statuses], list(hub.comments)) == ([HEAD], [7])


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        "[" * 200_000,
        '{"a":' * 200_000,
        b"\xff\xfe",
        b"\x00" * 100,
        saved().replace('"version": 1', '"version": 2'),
        saved().replace('"failed"', '"\\u001b[2J::error::"'),
        saved().replace('"exit_code": 1', '"exit_code": "1; rm -rf"'),
    ],
    ids=range(10),
)
def test_what_is_no_report_is_one_sentence_and_nothing_is_sent(
    forked: Hub, send: Publish, content: str | bytes
) -> None:
    said = send(content=content)
    assert said.code == 2
    assert said.err.startswith("Error: ")
    assert len(said.err.splitlines()) <= 2
    assert "\x1b" not in said.err
    assert forked.requests == []


def test_a_file_that_is_too_large_or_not_plain_is_refused(
    forked: Hub, send: Publish, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(publish, "LARGEST", 100)
    assert "larger than" in send().err
    (tmp_path / "report.json").unlink()
    os.mkfifo(tmp_path / "pipe")
    assert main.run(["publish", str(tmp_path / "pipe")]) == 2
    assert forked.requests == []


@pytest.mark.parametrize(
    ("args", "more", "why"),
    [
        (("--sha", "main"), {}, "--sha"),
        (("--sha", HEAD[:7]), {}, "--sha"),
        (("--repository", "../x"), {}, "--repository"),
        (("--repository", "other/name"), {}, "say it with --sha"),
        ((), {"GITHUB_TOKEN": ""}, "GITHUB_TOKEN"),
        ((), {"GITHUB_ACTIONS": ""}, "--repository"),
        (("--github", "off"), {}, "off"),
    ],
)
def test_where_it_cannot_be_sent_is_wrong_usage(
    forked: Hub, send: Publish, args: tuple[str, ...], more: dict[str, str], why: str
) -> None:
    said = send(*args, **more)
    assert said.code == 2
    assert why in said.err
    assert forked.requests == []


def test_what_github_does_not_take_is_said_and_the_rest_is_sent(forked: Hub, send: Publish) -> None:
    forked.faults = [Fault("POST", "/statuses", status=403)]
    said = send()
    assert said.code == 3
    assert said.err.count("\n") == 1
    assert "`permissions: statuses: write`" in said.err
    assert len(forked.bodies(8)) == 1


def test_a_commit_that_github_does_not_know_has_no_comment(forked: Hub, send: Publish) -> None:
    forked.faults = [Fault("GET", "/pulls", status=422, times=1)]
    said = send()
    assert (said.code, list(forked.comments)) == (0, [8])


MANY = tuple(f"r{n}" for n in range(5_001))


@pytest.mark.parametrize(
    "facts",
    [
        {"history": History(heads=("r1",), revisions=tuple(Revision(id=each, message="") for each in MANY))},
        {"history": History(heads=("r1",), pending=MANY)},
        {"walks": tuple(Walk(kind="stairway", revision=each) for each in MANY)},
        {"read": tuple(Read(table=each) for each in MANY)},
    ],
    ids=["revisions", "pending", "walks", "read"],
)
def test_a_report_of_more_than_can_be_shown_is_refused(forked: Hub, send: Publish, facts: dict[str, Any]) -> None:
    said = send(content=saved(**facts))
    assert said.code == 2
    assert "more than 5,000 revisions" in said.err
    assert forked.requests == []


def test_annotations_are_for_the_commit_of_this_job_alone(forked: Hub, send: Publish) -> None:
    assert "::error" not in send().out
    forked.pull(7, HEAD)
    assert "::error" in send(event="pull_request").out


def test_a_fork_that_is_gone_sends_nothing_anywhere(
    forked: Hub, send: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = payload("workflow_run")
    event["workflow_run"]["head_repository"] = None
    monkeypatch.setattr("tests.github.conftest.payload", lambda _: event)
    said = send()
    assert said.code == 2
    assert "is the fork gone?" in said.err
    assert forked.requests == []


def test_the_verdict_of_the_repositorys_own_run_is_not_replaced_by_a_forks(forked: Hub, send: Publish) -> None:
    """Anybody can push the commit of another's pull request to a fork, where there are no secrets, and no rows."""
    forked.pull(9, FORK_HEAD)
    said = send(content=saved(verdict="passed", exit_code=0, findings=()))
    assert (said.code, forked.statuses) == (0, [])
    assert "is the head of acme/shop's own #9, too" in said.err
    assert list(forked.comments) == [8]


def test_a_closed_pull_request_of_the_repository_is_no_reason(forked: Hub, send: Publish) -> None:
    forked.pull(9, FORK_HEAD, state="closed")
    assert send().code == 0
    assert [sha for sha, _ in forked.statuses] == [FORK_HEAD]


@pytest.mark.parametrize(("args", "told"), [((), False), (("--redact", "none"), True)])
def test_values_in_the_report_are_told_only_where_that_is_asked_for(
    forked: Hub, send: Publish, args: tuple[str, ...], told: bool
) -> None:
    notes = ("loading the project changed the schema: column a.b: default 's3cret' → 8675309",)
    assert send(*args, content=saved(findings=(), notes=notes)).code == 0
    (body,) = forked.bodies(8)
    assert "column a.b: default" in body
    assert ["s3cret" in body, "8675309" in body] == [told, told]
