"""The workflows, run step by step on this machine, with the guide's application and the local engine."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from neontest.report import from_json
from tests.conftest import away
from tests.github.hub import REPOSITORY, serving
from tests.github.hub import TOKEN as HUB_TOKEN
from tests.github.runner import Machine

ROOT = Path(__file__).parents[2]
WORKFLOWS = ROOT / ".github" / "workflows"
TOKEN = "ghs_0123456789abcdef"
INSTALLED = {
    # pip would need the registry: the project and neontest are installed in the environment of these tests.
    "Install the application": "echo installed already",
    "Install": "echo installed already",
    "Install neontest": 'mkdir -p "$RUNNER_TEMP/neontest/bin"; ln -s "$(command -v neontest)" "$_/neontest"',
}

BROKEN = '''"""A type that the downgrade forgets."""

from alembic import op

revision = "9d1c00000000"
down_revision = "a58f13d0e7c4"


def upgrade():
    op.execute("CREATE TYPE mood AS ENUM ('sad', 'happy')")
    op.execute("CREATE TYPE size AS ENUM ('small', 'large')")


def downgrade():
    op.execute("DROP TYPE size")
'''

GOOD = BROKEN.replace("A type that the downgrade forgets.", "Two types.") + '    op.execute("DROP TYPE mood")\n'

SCHEMA = Path(__file__).with_name("schema.sql")

GH = """\
#!/bin/sh
# GitHub's command, with one run of schema.yml on the base branch.
echo "gh $*" >&2
case "$1 $2" in
  "run list") case "$*" in *"--branch main --event push --status success"*) echo 4242;; esac;;
  "run download") [ "$3" = 4242 ] && mkdir "$7" && cp "${0%/*}/../schema.sql" "$7/schema.sql";;
esac
"""


@pytest.fixture(scope="module")
def forbidding() -> Iterator[str]:
    """GitHub's API, as a pull request from a fork meets it: it reads, and may not write."""

    class Forbidding(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(200, [])

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.answer(403, {"message": "Resource not accessible by integration"})

        do_PATCH = do_POST  # noqa: N815

        def answer(self, status: int, body: Any) -> None:
            raw = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Forbidding) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=tests", "-c", "user.email=tests@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def repository(folder: Path, revision: str | None) -> Path:
    """The guide's application on `main`, and a pull request's branch, with one more revision where one is given."""
    for name in ("app", "migrations", ".github", "tests/app"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("tests/conftest.py", "tests/forking.py", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "--all")
    git(folder, "commit", "-q", "-m", "The application")
    git(folder, "checkout", "-q", "-b", "feature")
    if revision is not None:
        (folder / "migrations" / "versions" / "9d1c_mood.py").write_text(revision)
        git(folder, "add", "--all")
    git(folder, "commit", "-q", "--allow-empty", "-m", "The pull request")
    return folder


def machine(folder: Path, origin: Path, api: str, state: Path, *, head: str) -> Machine:
    """The machine for a pull request to o/app, whose branch is in the repository `head`."""
    sha = git(origin, "rev-parse", "HEAD")
    repo = {"full_name": head, "fork": head != "o/app"}
    event = {"number": 7, "pull_request": {"number": 7, "head": {"sha": sha, "repo": repo}}}
    made = Machine(
        folder=folder,
        origin=origin,
        github={
            "event": event, "event_name": "pull_request", "event_path": str(folder / "event.json"), "sha": sha,
            "repository": "o/app", "ref": "refs/pull/7/merge", "base_ref": "main", "head_ref": "feature", "job": "job",
            "run_id": "100", "run_attempt": "1", "api_url": api, "server_url": "https://github.com", "token": TOKEN,
        },
        env={"NEONTEST_STATE": str(state), "NEONTEST_LEDGER": str(state.parent / "ledger")},
        replaced=dict(INSTALLED),
    )  # fmt: skip
    (folder / "event.json").write_text(json.dumps(event))
    (folder / "bin" / "gh").write_text(GH)
    (folder / "bin" / "gh").chmod(0o755)
    return made


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    made = away("github")
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def passing(folder: Path, forbidding: str, local_state: Path) -> Machine:
    """The machine after a pull request to an application whose migrations are in order."""
    (folder / "good").mkdir()
    origin = repository(folder / "good" / "origin", GOOD)
    made = machine(folder / "good" / "machine", origin, forbidding, local_state, head="o/app")
    (made.folder / "bin" / "gh").write_text("#!/bin/sh\nexit 1\n")
    assert made.run_job(WORKFLOWS / "test-migrations.yml", "migrations") == "success", made.log
    return made


def test_a_pull_request_whose_migrations_are_in_order_passes(passing: Machine) -> None:
    report = from_json((passing.folder / "artifacts" / "neontest-report" / "neontest-report.json").read_bytes())
    assert report.verdict == "passed"
    assert "the local parent: upgrade to a58f13d0e7c4" in passing.log
    assert "1 pending revision: a58f13d0e7c4 → 9d1c00000000" in passing.log
    assert "33 passed" in passing.log
    assert "passed" in (passing.folder / "summary.md").read_text()
    assert [each.name for each in passing.steps if each.outcome != "success"] == ["Cache what pip downloads"]
    assert "nothing to give back" in passing.step("Give back what is left").log


def test_no_token_is_in_what_a_job_says(passing: Machine) -> None:
    assert TOKEN not in passing.log
    assert "the commit status was not set" in passing.log  # it was used: the API said no


def test_the_action_tells_its_verdict_to_the_steps_after_it(passing: Machine) -> None:
    outputs = passing.step("neontest").outputs
    report = str(passing.folder / "temp" / "neontest-report.json")
    assert (outputs["verdict"], outputs["pending"], outputs["report"]) == ("passed", "1", report)


@pytest.fixture(scope="module")
def forked(folder: Path, forbidding: str, local_state: Path) -> Machine:
    """The machine after a pull request from a fork, whose migration is broken."""
    (folder / "fork").mkdir()
    origin = repository(folder / "fork" / "origin", BROKEN)
    made = machine(folder / "fork" / "machine", origin, forbidding, local_state, head="someone/app")
    shutil.copy(SCHEMA, made.folder)
    assert made.run_job(WORKFLOWS / "test-migrations.yml", "migrations") == "failure", made.log
    return made


def test_a_fork_meets_the_base_branchs_schema_and_a_broken_migration_is_cleaned_up_after(forked: Machine) -> None:
    made = forked
    assert [each.name for each in made.steps if each.outcome == "failure"] == ["neontest", "Test the migrations"], (
        made.log
    )
    assert f"prepare: {made.folder / 'temp' / 'schema' / 'schema.sql'}" in made.log
    assert "1 pending revision" in made.log
    assert "enum mood: left behind" in made.log
    assert "nothing to give back" in made.step("Give back what is left").log
    report = from_json((made.folder / "artifacts" / "neontest-report" / "neontest-report.json").read_bytes())
    assert report.verdict == "failed"
    assert {each.check for each in report.findings} == {"schema-restored", "reupgrade-fails"}
    assert TOKEN not in made.log


def test_a_run_that_was_killed_is_given_back_by_the_cleanup_step(
    folder: Path, forbidding: str, local_state: Path
) -> None:
    others = set(local_state.glob("b/*"))  # of other tests, which share the state
    (folder / "killed").mkdir()
    origin = repository(folder / "killed" / "origin", None)
    made = machine(folder / "killed" / "machine", origin, forbidding, local_state, head="o/app")
    inputs = {"mode": "whole", "from-revision": "base", "tests": "kill -KILL $PPID", "token": ""}
    steps = [
        {"uses": "actions/checkout@v0", "with": {"fetch-depth": 0}},
        {"uses": "actions/setup-python@v0"},
        {"name": "Use it", "uses": "$/.github/actions/neontest", "with": inputs},
    ]
    workflow = folder / "killed" / "workflow.yml"
    workflow.write_text(yaml.safe_dump({"jobs": {"job": {"steps": steps}}}))
    assert made.run_job(workflow, "job") == "failure"
    assert "given back" not in made.step("Test the migrations").log
    cleanup = made.step("Give back what is left")
    assert cleanup.outcome == "success", cleanup.log
    assert "neontest/pr-7/" in cleanup.log
    assert set(local_state.glob("b/*")) <= others


def run_of(head: str, event: str = "pull_request") -> dict[str, Any]:
    return {"id": 55, "event": event, "head_repository": {"full_name": head}}


@pytest.fixture
def trusted(tmp_path: Path) -> Machine:
    """The machine of publish.yml; its neontest and its repository's are fakes that say what they were told."""
    origin = tmp_path / "origin"
    origin.mkdir()
    git(origin, "init", "-q", "-b", "main")
    git(origin, "commit", "-q", "--allow-empty", "-m", "Trusted")
    git(origin, "checkout", "-q", "-b", "fork")
    (origin / "evil").touch()
    git(origin, "add", "evil")
    git(origin, "commit", "-q", "-m", "Untrusted")
    event = {"workflow_run": run_of("someone/app"), "repository": {"default_branch": "main"}}
    made = Machine(
        folder=tmp_path / "machine", origin=origin, replaced=dict(INSTALLED),
        github={"event": event, "event_name": "workflow_run", "repository": "o/app", "token": TOKEN},
    )  # fmt: skip
    made.stand_ins["actions/setup-python"] = lambda given: {}
    fake = made.folder / "bin" / "neontest"
    fake.write_text('#!/bin/sh\necho "neontest $* with ${#GITHUB_TOKEN}, key ${#NEON_API_KEY}"\n')
    fake.chmod(0o755)
    return made


def test_the_report_of_a_fork_is_published_by_the_trusted_branchs_code(trusted: Machine) -> None:
    left = trusted.folder / "artifacts" / "neontest-report"
    left.mkdir()
    (left / "neontest-report.json").write_text("{}")
    (left / "neontest-report-shop.json").write_text("{}")
    assert trusted.run_job(WORKFLOWS / "publish.yml", "publish") == "success"
    told = trusted.step("Publish it").log
    files = {str(trusted.folder / "temp" / "untrusted" / f"neontest-report{each}.json") for each in ("", "-shop")}
    assert set(told.split()[2:4]) == files
    assert told.endswith(f" with {len(TOKEN)}, key 0\n")
    assert not (trusted.workspace / "evil").exists()


def test_what_a_forks_run_reported_is_sent_by_the_real_thing(forked: Machine, trusted: Machine) -> None:
    sha = "c" * 40
    run = run_of("someone/app") | {"head_sha": sha, "head_branch": "patch-1", "html_url": "https://github.com/r/5"}
    event = trusted.folder / "event.json"
    event.write_text(json.dumps({"workflow_run": run, "repository": {"full_name": REPOSITORY}}))
    (trusted.folder / "bin" / "neontest").unlink()
    trusted.path.insert(0, str(Path(sys.executable).parent))
    shutil.copytree(forked.folder / "artifacts" / "neontest-report", trusted.folder / "artifacts" / "neontest-report")
    with serving() as hub:
        hub.pull(8, sha, head="someone/app")
        trusted.github |= {"event_path": str(event), "repository": REPOSITORY, "api_url": hub.url, "token": HUB_TOKEN}
        trusted.github["server_url"] = "https://github.com"
        assert trusted.run_job(WORKFLOWS / "publish.yml", "publish") == "success", trusted.log
        assert [(of, body["state"]) for of, body in hub.statuses] == [(sha, "failure")]
        (comment,) = hub.bodies(8)
    assert "as a run of the fork someone/app reports" in comment
    assert "enum mood: left behind" in comment
    assert HUB_TOKEN not in trusted.log


def test_a_fork_without_a_report_publishes_nothing_and_is_no_failure(trusted: Machine) -> None:
    assert trusted.run_job(WORKFLOWS / "publish.yml", "publish") == "success"
    assert trusted.step("Publish it").outcome == "skipped"


@pytest.mark.parametrize("run", [run_of("o/app"), run_of("someone/app", "push")], ids=["own branch", "push"])
def test_only_pull_requests_from_forks_are_published(run: dict[str, Any], trusted: Machine) -> None:
    trusted.github["event"]["workflow_run"] = run
    assert trusted.run_job(WORKFLOWS / "publish.yml", "publish") == "skipped"


@pytest.mark.parametrize(
    ("event", "head", "key", "expected"),
    [
        ("schedule", None, "napi_k", "success"),
        ("pull_request", "o/app", "napi_k", "success"),
        ("schedule", None, "", "skipped"),
        ("pull_request", "someone/app", "", None),
    ],
)
def test_the_sweep_runs_where_the_key_is(
    event: str, head: str | None, key: str, expected: str | None, trusted: Machine
) -> None:
    trusted.github |= {"event_name": event, "event": {"repository": {"default_branch": "main"}}}
    if head:
        trusted.github["event"]["pull_request"] = {"head": {"repo": {"full_name": head}}}
    trusted.secrets, trusted.vars = {"NEON_API_KEY": key}, {"NEON_PROJECT_ID": "p"}
    assert trusted.run_job(WORKFLOWS / "sweep.yml", "sweep") == ("success" if expected else "skipped")
    if expected:
        assert trusted.step("Give back what dead runs left").outcome == expected
        assert not (trusted.workspace / "evil").exists()


def test_the_workflow_that_waits_names_the_one_that_it_waits_for() -> None:
    waiting, tested = (
        yaml.safe_load((WORKFLOWS / name).read_text()) for name in ("publish.yml", "test-migrations.yml")
    )
    assert waiting[True]["workflow_run"]["workflows"] == [tested["name"]]  # YAML 1.1 reads `on` as true
    assert tested[True] == {"pull_request": None}
    assert tested["concurrency"]["cancel-in-progress"] is False
