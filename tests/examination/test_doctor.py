"""`neontest doctor`: a line a thing, what to do where something is wrong, and nothing made anywhere."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from neontest.cli import main
from neontest.examination.finding import Finding, Group, Not, attempt
from neontest.examination.job import WITHOUT_EXEC
from neontest.lease.ledger import Entry, Ledger
from neontest.local.binaries import find
from neontest.local.engine import LocalNeon
from tests.conftest import Run, environment

ROOT = Path(__file__).resolve().parents[2]
NAME = "neontest_tests_server"
if NAME not in sys.modules:
    SPEC = importlib.util.spec_from_file_location(NAME, ROOT / "tests" / "neon" / "server.py")
    assert SPEC is not None
    assert SPEC.loader is not None
    sys.modules[NAME] = importlib.util.module_from_spec(SPEC)
    SPEC.loader.exec_module(sys.modules[NAME])
SERVER: Any = sys.modules[NAME]


@dataclass(frozen=True)
class Said:
    code: int
    out: str

    @property
    def states(self) -> dict[str, str]:
        """What each line says of its thing."""
        lines = [line for line in self.out.splitlines() if line and line[0] not in " `"]
        return {line[:13].strip(): line[13:25].strip() for line in lines}

    def line(self, what: str) -> str:
        """The line of a thing, with what to do."""
        lines = self.out.splitlines()
        at = next(number for number, line in enumerate(lines) if line[:13].strip() == what)
        return "\n".join([lines[at], *(line for line in lines[at + 1 : at + 2] if line.startswith(" "))])


Doctor = Callable[..., Said]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The guide's application, in a folder of its own."""
    folder = tmp_path / "project"
    for name in ("app", "migrations"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture
def fake_neon() -> Iterator[Any]:
    with SERVER.serving() as fake:
        yield fake


@pytest.fixture
def doctor(
    root: Path, local_state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Doctor:
    """Runs `neontest doctor` in this process, on the local engine unless the environment says otherwise."""
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.setenv("NEONTEST_LEDGER", str(tmp_path / "ledger"))
    monkeypatch.setenv("NEONTEST_STATE", str(local_state))

    def run(*args: str) -> Said:
        capfd.readouterr()
        code = main.run(["doctor", "--root", str(root), *args])
        out, err = capfd.readouterr()
        assert err == ""
        assert SERVER.KEY not in out
        return Said(code, out)

    return run


@pytest.fixture
def on_neon(doctor: Doctor, fake_neon: Any, monkeypatch: pytest.MonkeyPatch) -> Doctor:
    monkeypatch.setenv("NEON_API_KEY", SERVER.KEY)
    monkeypatch.setenv("NEON_API_HOST", fake_neon.url)
    monkeypatch.setenv("NEON_PROJECT_ID", SERVER.PROJECT)

    def run(*args: str) -> Said:
        said = doctor(*args)
        assert not [each for each in fake_neon.requests if each.method != "GET"]
        return said

    return run


def test_a_sound_project_on_the_local_engine(doctor: Doctor) -> None:
    said = doctor()
    assert said.code == 0, said.out
    assert said.states == {
        "settings": "ok", "interpreter": "ok", "driver": "ok", "migrations": "ok", "heads": "ok", "tests": "ok",
        "key": "not set", "postgres": "ok", "engine": "ok", "exec": "not needed", "token": "not needed",
        "ledger": "ok",
    }  # fmt: skip
    assert "4 revisions, Flask-Migrate, in migrations" in said.line("migrations")
    assert "a58f13d0e7c4" in said.line("heads")
    assert "Alembic" in said.line("interpreter")
    assert "neontest's own: no VIRTUAL_ENV, no .venv" in said.line("interpreter")
    assert said.out.endswith("\n\n`neontest run` can work here\n")


def test_it_is_a_command_like_the_others(neontest: Run, root: Path) -> None:
    (root / "pyproject.toml").write_text("[tool.neontest]\nrows = 1\n")
    ran = neontest("doctor", cwd=root)
    assert (ran.code, ran.err) == (0, "")
    assert "from pyproject.toml: rows" in ran.out


def test_no_postgres_and_an_unusable_state_do_not_hide_the_rest(doctor: Doctor, tmp_path: Path) -> None:
    said = doctor("--postgres", str(tmp_path))
    assert said.code == 2
    assert said.states["postgres"] == "wrong"
    assert "pip install 'neontest[local]'" in said.line("postgres")
    assert said.states["engine"] == "not known"
    assert said.states["ledger"] == said.states["heads"] == "ok"
    (tmp_path / "mine").write_text("x")
    said = doctor("--state", str(tmp_path))
    assert said.code == 2
    assert said.states["engine"] == "wrong"
    assert "is not empty" in said.line("engine")
    assert (tmp_path / "mine").read_text() == "x"


def version(root: Path, name: str, text: str) -> None:
    (root / "migrations" / "versions" / name).write_text(text)


def test_two_heads_are_wrong_unless_they_are_meant(doctor: Doctor, root: Path) -> None:
    version(root, "b.py", "revision = 'b0b0'\ndown_revision = '7c2e04af6b93'\n")
    said = doctor("--local")
    assert (said.code, said.states["heads"]) == (2, "wrong")
    for part in ("2: ", "b0b0", "a58f13d0e7c4", "alembic merge heads"):
        assert part in said.line("heads")
    assert doctor("--heads", "many").code == 0


@pytest.mark.parametrize("text", ["def broken(:\n", "revision = 'x'\ndown_revision = 'nobody'\n"])
def test_a_broken_revision_file_is_named(doctor: Doctor, root: Path, text: str) -> None:
    version(root, "x.py", text)
    said = doctor()
    assert (said.code, said.states["heads"], said.states["migrations"]) == (2, "wrong", "ok")
    assert "x" in said.line("heads")
    assert said.states["engine"] == "ok"


def test_a_project_without_alembic_is_one_line_among_others(doctor: Doctor, root: Path) -> None:
    shutil.rmtree(root / "migrations")
    said = doctor()
    assert (said.code, said.states["migrations"], said.states["python"]) == (2, "wrong", "ok")
    assert "heads" not in said.states
    assert said.states["engine"] == "ok"


def test_a_pyproject_that_is_wrong_hides_nothing(doctor: Doctor, root: Path) -> None:
    (root / "pyproject.toml").write_text("[tool.neontest]\nheads = 'three'\n")
    said = doctor()
    assert (said.code, said.states["settings"]) == (2, "wrong")
    assert "heads" in said.line("settings")
    assert said.states["migrations"] == said.states["engine"] == "ok"


def test_an_interpreter_without_what_is_needed(doctor: Doctor, root: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(root / ".venv")], check=True)
    said = doctor()
    assert (said.code, said.states["interpreter"], said.states["tests"]) == (2, "wrong", "wrong")
    assert "alembic" in said.line("interpreter")
    assert "pytest" in said.line("tests")
    assert doctor("--python", "nowhere").states["python"] == "wrong"


def test_a_driver_that_the_url_names_and_that_is_not_there(doctor: Doctor, root: Path) -> None:
    (root / ".env").write_text("DATABASE_URL=postgresql+pg8000://u:hunter22@h/d\n")
    said = doctor()
    assert (said.code, said.states["driver"]) == (2, "wrong")
    assert "install pg8000" in said.line("driver")
    assert "hunter22" not in said.out


def test_a_sound_project_on_neon(on_neon: Doctor, fake_neon: Any) -> None:
    fake_neon.project = {"effective_project_permission": "CAN_EDIT"}
    said = on_neon()
    assert said.code == 0, said.out
    neon = {name: said.states[name] for name in ("key", "project", "parent", "database", "limits", "postgres")}
    assert neon == {**dict.fromkeys(neon, "ok"), "postgres": "not needed"}
    assert "an organization's key" in said.line("key")
    assert f"meadow ({SERVER.PROJECT}), Postgres 17" in said.line("project")
    assert "can edit" in said.line("project")
    assert "main (br-" in said.line("parent")
    assert "neondb, as the role neondb_owner" in said.line("database")
    assert "1 of 10 branches" in said.line("limits")


@pytest.mark.parametrize("message", ["supplied credentials do not pass authentication", "API key expired"])
def test_a_wrong_or_expired_key(on_neon: Doctor, fake_neon: Any, message: str) -> None:
    fake_neon.fault("GET", "", status=401, message=message, times=99)
    said = on_neon()
    assert (said.code, said.states["key"]) == (2, "wrong")
    assert message in said.line("key")
    assert "make a new one" in said.line("key")
    assert {said.states[name] for name in ("project", "parent", "database", "limits")} == {"not known"}
    assert said.states["heads"] == "ok"
    assert len(fake_neon.requests) == 1


def test_a_key_that_may_not_say_whose_it_is_is_good_enough(on_neon: Doctor, fake_neon: Any) -> None:
    fake_neon.fault("GET", "/auth", status=404, message="not allowed for organization API keys")
    said = on_neon()
    assert (said.code, said.states["key"], said.states["project"]) == (0, "ok", "ok")


def test_a_key_that_may_only_look(on_neon: Doctor, fake_neon: Any) -> None:
    fake_neon.project = {"effective_project_permission": "CAN_VIEW"}
    said = on_neon()
    assert (said.code, said.states["project"]) == (2, "wrong")


def test_a_project_or_a_parent_that_is_not_there(on_neon: Doctor) -> None:
    said = on_neon("--project-id", "other-project-1")
    assert (said.code, said.states["project"], said.states["parent"]) == (2, "wrong", "not known")
    assert "check NEON_PROJECT_ID" in said.line("project")
    said = on_neon("--parent", "nobody")
    assert (said.code, said.states["parent"], said.states["database"]) == (2, "wrong", "not known")
    assert "its branches: main" in said.line("parent")
    assert said.states["limits"] == "ok"


def test_a_parent_that_expires_and_a_choice_that_is_open(on_neon: Doctor, fake_neon: Any) -> None:
    fake_neon.branch("preview", expires_at="2999-01-01T00:00:00Z")
    assert on_neon("--parent", "preview").states["parent"] == "wrong"
    fake_neon.databases = [("a", "x"), ("b", "x")]
    said = on_neon()
    assert (said.code, said.states["database"]) == (2, "wrong")
    assert "a, b" in said.line("database")


def test_little_and_no_room(on_neon: Doctor, fake_neon: Any) -> None:
    fake_neon.limit = 2
    assert on_neon().states["limits"] == "warning"
    fake_neon.limit = 1
    said = on_neon()
    assert (said.code, said.states["limits"]) == (2, "wrong")


def test_no_key_no_project_no_network(
    on_neon: Doctor, fake_neon: Any, monkeypatch: pytest.MonkeyPatch, unused: int
) -> None:
    monkeypatch.setenv("NEON_API_HOST", f"http://127.0.0.1:{unused}/api/v2")
    began = time.monotonic()
    said = on_neon()
    assert (said.code, said.states["key"]) == (2, "wrong")
    assert "gave no answer" in said.line("key")
    assert time.monotonic() - began < 15
    monkeypatch.setenv("NEON_API_HOST", fake_neon.url)
    monkeypatch.delenv("NEON_PROJECT_ID")
    said = on_neon()
    assert (said.states["settings"], said.states["key"], said.states["project"]) == ("ok", "ok", "wrong")
    assert said.out.endswith("cannot work: 1 thing to mend\n")
    monkeypatch.delenv("NEON_API_KEY")
    said = on_neon("--neon")
    assert (said.code, said.states["key"]) == (2, "wrong")


@pytest.fixture
def unused() -> int:
    """A port that nothing listens on."""
    import socket

    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def test_on_the_local_api_as_on_neon(doctor: Doctor, local_state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with LocalNeon(local_state, find(environ=os.environ), persistent=False) as local:
        monkeypatch.setenv("NEON_API_KEY", local.api_key)
        monkeypatch.setenv("NEON_API_HOST", local.api_host)
        monkeypatch.setenv("NEON_PROJECT_ID", local.project_id)
        said = doctor()
        assert said.code == 0, said.out
        assert "1 of 100 branches" in said.line("limits")
        monkeypatch.setenv("NEON_API_KEY", "napi_another0key")
        said = doctor()
        assert (said.code, said.states["key"]) == (2, "wrong")
        assert "napi_another0key" not in said.out


def test_branches_of_dead_runs_are_named(doctor: Doctor, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    facts = {"project_id": "p", "api_host": "http://x", "annotation": {}, "pid": 4711}
    book = Ledger(tmp_path / "ledger")
    times = {"created_at": now, "expires_at": now + timedelta(hours=1)}
    book.write(Entry(name="neontest/dead", **facts, **times)).release()  # type: ignore[arg-type]
    hold = book.write(Entry(name="neontest/alive", **facts, **times))  # type: ignore[arg-type]
    said = doctor()
    assert (said.code, said.states["ledger"]) == (0, "warning")
    for part in ("neontest/dead", "in use: neontest/alive (pid 4711)", "neontest cleanup"):
        assert part in said.line("ledger")
    hold.remove()
    (tmp_path / "file").write_text("")
    assert doctor("--ledger", str(tmp_path / "file")).states["ledger"] == "wrong"


@dataclass
class GitHub:
    url: str
    statuses: dict[str, int]
    asked: list[tuple[str, str]]


@pytest.fixture
def github() -> Iterator[GitHub]:
    """GitHub's API on a loopback socket: 200 for every question, but for those in `statuses`."""
    fake = GitHub("", {}, [])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            fake.asked.append((self.path, self.headers["authorization"]))
            status = next((status for part, status in fake.statuses.items() if part in self.path), 200)
            self.send_response(status)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield fake
    server.shutdown()
    server.server_close()
    thread.join()


def step(root: Path, state: Path, script: str, **env: str) -> Said:
    """What a step of a GitHub job prints: `bash -e FILE`, as the runner starts it."""
    file = root.parent / "step.sh"
    file.write_text(script)
    environ = environment(state, {"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "a/b", "GITHUB_SHA": "c" * 40, **env})
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(file)],
        cwd=root, env=environ, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    return Said(done.returncode, done.stdout)


def test_in_a_job_a_shell_that_stays_is_noticed(root: Path, local_state: Path) -> None:
    command = f"{sys.executable} -m neontest doctor"
    said = step(root, local_state, f"{command}\n")
    assert (said.code, said.states["exec"], said.states["token"]) == (0, "warning", "not set")
    assert "below bash, without `exec`" in said.line("exec")
    assert step(root, local_state, f"exec {command}\n").states["exec"] == "ok"


def test_the_jobs_token_is_asked_harmlessly(
    doctor: Doctor, github: GitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = "ghs_sesame0sesame"
    for name, value in (("ACTIONS", "true"), ("REPOSITORY", "a/b"), ("SHA", "c" * 40), ("API_URL", github.url)):
        monkeypatch.setenv(f"GITHUB_{name}", value)
    monkeypatch.setenv("GITHUB_TOKEN", token)
    said = doctor()
    assert (said.code, said.states["token"]) == (0, "ok")
    assert {each[1] for each in github.asked} == {f"Bearer {token}"}
    github.statuses["/statuses"] = 403
    said = doctor()
    assert (said.code, said.states["token"]) == (0, "warning")
    assert "commit statuses (403)" in said.line("token")
    assert "statuses: write" in said.line("token")
    github.statuses["/repos"] = 401
    assert "does not take it" in doctor().line("token")
    event = {"pull_request": {"head": {"repo": {"full_name": "c/b"}}, "base": {"repo": {"full_name": "a/b"}}}}
    (tmp_path / "event.json").write_text(json.dumps(event))
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(tmp_path / "event.json"))
    said = doctor()
    assert "from a fork" in said.line("token")
    assert token not in said.out


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("      - run: neontest run", True),
        ("          neontest run --json x", True),
        ("        run: pip install x && neontest run", True),
        ("        run: .venv/bin/neontest run", True),
        ("        run: uv run neontest run", True),
        ("        run: python3.12 -m neontest run", True),
        ("        run: exec uv run neontest run", False),
        ("        run: exec neontest run", False),
        ("      - name: why neontest run is needed", False),
        ("        # neontest run", False),
        ("        run: neontest runner", False),
    ],
)
def test_a_workflow_line_without_exec_is_seen(line: str, found: bool) -> None:
    assert bool(WITHOUT_EXEC.search(f"steps:\n{line}\n")) is found


def test_a_workflow_without_exec_is_named(doctor: Doctor, root: Path) -> None:
    file = root / ".github" / "workflows" / "ci.yml"
    file.parent.mkdir(parents=True)
    file.write_text("jobs:\n  x:\n    steps:\n      - run: neontest run\n")
    said = doctor()
    assert (said.code, said.states["exec"]) == (0, "warning")
    assert "ci.yml:4" in said.line("exec")


def test_a_probe_that_fails_or_hangs_hides_no_other() -> None:
    def broken() -> tuple[str, None]:
        raise ZeroDivisionError("by zero")

    def refused() -> tuple[str, None]:
        raise Not("warning", "so", "do")

    over = threading.Event()

    def findings() -> Iterator[Finding]:
        yield attempt("a", broken)[0]
        yield attempt("b", refused)[0]
        over.wait(30)
        yield attempt("c", broken)[0]

    began = time.monotonic()
    found = Group("x", findings).wait(0.2)
    over.set()
    assert time.monotonic() - began < 5
    assert [(each.what, each.state) for each in found] == [("a", "not known"), ("b", "warning"), ("x", "wrong")]


def test_names_are_one_printable_line(on_neon: Doctor, fake_neon: Any) -> None:
    odd = "\n::error::a\x1b[31m"
    fake_neon.project = {"name": odd}
    fake_neon.main["name"] = odd
    fake_neon.databases = [(odd, "x")]
    said = on_neon()
    assert all(line.isprintable() and not line.startswith("::") for line in said.out.splitlines())


def test_each_of_several_projects_is_examined_under_its_name(doctor: Doctor, root: Path) -> None:
    (root / "other").mkdir()
    with (root / "pyproject.toml").open("a") as file:
        file.write('[[tool.neontest.project]]\nname = "guide"\n')
        file.write('[[tool.neontest.project]]\nname = "other"\npath = "other"\n')
    said = doctor()
    head, _, tail = said.out.partition("== other ==\n")
    assert said.code == 2
    assert head.startswith("== guide ==\nsettings     ok")
    assert " wrong " not in head
    assert "migrations   wrong" in tail
    assert said.out.splitlines()[-1].startswith("`neontest run` cannot work: ")
    only = doctor("--only", "guide")
    assert (only.code, "other" in only.out) == (0, False)
