"""The fixtures, in real sessions of pytest on a small project."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import Run, environment

LOADED = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": ""}
"""The suite is one of a project that has the plugin."""
HEAVY = ("alembic", "click", "httpx", "msgspec", "psycopg2", "sqlalchemy", "werkzeug")
ENV_PY = """
import os
from alembic import context
from sqlalchemy import create_engine

engine = create_engine(os.environ["DATABASE_URL"])
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
GOOD = "CREATE TABLE a (id serial PRIMARY KEY, name text NOT NULL)"

USING = """
import psycopg2, psycopg2.extensions, pytest, sqlalchemy as sa
from pathlib import Path

count = sa.text("SELECT count(*) FROM a")
insert = sa.text("INSERT INTO a (name) VALUES ('x')")

def test_the_branch_is_at_head(neontest_branch, neontest_url, neontest_engine):
    assert neontest_branch.url.startswith("postgresql://")
    assert neontest_url.startswith("postgresql+" + neontest_branch.driver + "://")
    with neontest_engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == "r1"
    with psycopg2.connect(neontest_branch.url) as direct:
        pass
    direct.close()
    Path("url").write_text(str(neontest_url))

@pytest.mark.parametrize("again", range(2))
def test_rows_are_gone_after_each_test(neontest_connection, again):
    assert neontest_connection.scalar(count) == 0
    neontest_connection.execute(insert)
    assert neontest_connection.scalar(count) == 1

@pytest.mark.parametrize("again", range(2))
def test_a_commit_of_the_session_is_undone(neontest_session, again):
    assert neontest_session.scalar(count) == 0
    neontest_session.execute(insert)
    neontest_session.commit()
    neontest_session.rollback()
    assert neontest_session.scalar(count) == 1

def test_a_rollback_of_ones_own_is_no_fault(neontest_connection):
    neontest_connection.execute(insert)
    neontest_connection.rollback()

def test_a_commit_of_the_connection_is_refused(neontest_connection):
    neontest_connection.execute(insert)
    with pytest.raises(pytest.fail.Exception, match="cannot be committed"):
        neontest_connection.commit()

def test_the_refused_commit_left_nothing(neontest_connection):
    assert neontest_connection.scalar(count) == 0

def test_this_process_is_as_it_was():
    import sys, threading
    assert not {"neontest.branches", "neontest.local", "httpx"} & set(sys.modules)
    assert psycopg2.extensions.get_wait_callback() is None
    assert threading.active_count() == 1

def test_that_fails(neontest_branch, neontest_url, neontest_engine):
    assert neontest_url == "postgresql://else"

def test_that_fails_otherwise(neontest_branch, neontest_url):
    kept = [neontest_url, neontest_branch]
    assert neontest_branch.url in ("", neontest_url)
"""


@dataclass(frozen=True)
class Session:
    """One `pytest` of a project, and what it left."""

    code: int
    out: str


class Suite:
    """A project with one migration, and its tests."""

    def __init__(self, root: Path, state: Path) -> None:
        self.root = root
        self.state = state
        self.ledger = root / "ledger"
        self.others = self.branches()

    def write(self, tests: str, *, upgrade: str = GOOD, toml: str = "") -> None:
        versions = self.root / "migrations" / "versions"
        versions.mkdir(parents=True)
        (self.root / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/migrations\n")
        (self.root / "migrations" / "env.py").write_text(ENV_PY)
        (versions / "r1_it.py").write_text(
            '"""it"""\nfrom alembic import op\nrevision = "r1"\ndown_revision = None\n\n\n'
            f"def upgrade():\n    op.execute({upgrade!r})\n\n\ndef downgrade():\n    op.execute('DROP TABLE a')\n"
        )
        (self.root / "pyproject.toml").write_text("[tool.pytest.ini_options]\n" + textwrap.dedent(toml))
        (self.root / "test_it.py").write_text(tests)

    def begin(self, *args: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", "-l", "-ra", *args],
            cwd=self.root,
            env={**environment(self.state, {"NEONTEST_LEDGER": str(self.ledger)}), **LOADED, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *args: str, env: Mapping[str, str] | None = None) -> Session:
        process = self.begin(*args, env=env)
        out, _ = process.communicate(timeout=300)
        return Session(code=process.returncode, out=out)

    def holds(self) -> list[str]:
        """The branches that are still somebody's, by the ledger and by the local engine's folder."""
        return [each.name for each in self.ledger.glob("*.json")] + sorted(self.branches() - self.others)

    def branches(self) -> set[str]:
        """Those of the local engine; some are of other tests, which share it."""
        return {each.name for each in self.state.glob("b/*")}


@pytest.fixture
def suite(tmp_path: Path, local_state: Path) -> Suite:
    root = tmp_path / "project"
    root.mkdir()
    return Suite(root, local_state)


def within(seconds: float, true: Callable[[], object]) -> bool:
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def test_the_fixtures_give_a_branch_at_head_and_take_back_what_tests_write(suite: Suite) -> None:
    suite.write(USING)
    ran = suite.run("-vv")
    assert ran.code == 1, ran.out
    assert "2 failed, 9 passed" in ran.out, ran.out
    assert "neontest_url = 'postgresql+psycopg2://neondb_owner:***@127.0.0.1:" in ran.out
    found = re.search(r":([^:@/]+)@", (suite.root / "url").read_text())
    assert found
    assert found[1] not in ran.out
    assert suite.holds() == []


def test_each_worker_has_a_branch_of_its_own(suite: Suite) -> None:
    suite.write(
        "import os, pathlib, time\n"
        "def test_it(neontest_branch):\n"
        "    pathlib.Path(os.environ['PYTEST_XDIST_WORKER']).write_text(neontest_branch.name)\n"
        "test_other = test_it\n"
    )
    ran = suite.run("-n", "2", "--dist", "each")
    assert ran.code == 0, ran.out
    names = {(suite.root / each).read_text() for each in ("gw0", "gw1")}
    assert len(names) == 2
    assert suite.holds() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["SIGINT", "SIGKILL"])
def test_a_session_that_is_ended_leaves_no_branch(suite: Suite, number: signal.Signals) -> None:
    suite.write(
        "import pathlib, time\ndef test_it(neontest_branch):\n    pathlib.Path('there').touch()\n    time.sleep(600)\n"
    )
    process = suite.begin()
    assert within(200, lambda: (suite.root / "there").exists() or process.poll() is not None)
    assert process.poll() is None, process.communicate()
    assert suite.holds()
    process.send_signal(number)
    process.communicate(timeout=100)
    if number == signal.SIGINT:
        assert process.returncode == 2
        assert suite.holds() == []
    assert within(90, lambda: not suite.holds()), suite.holds()


def test_a_failing_upgrade_is_one_sentence_and_no_traceback(suite: Suite) -> None:
    suite.write(
        "def test_it(neontest_engine): pass\ndef test_other(neontest_branch): pass\n",
        upgrade="ALTER TABLE nowhere ADD a int",
    )
    ran = suite.run()
    assert ran.code == 1
    assert "2 errors" in ran.out
    assert (
        "neontest: the branch could not be upgraded to head: revision r1 migrations/versions/r1_it.py:8: "
        'relation "nowhere" does not exist\n  `neontest run` says more\n'
    ) in ran.out
    assert "Traceback" not in ran.out
    assert "pytest_plugin.py" not in ran.out
    assert suite.holds() == []


def test_the_suite_of_a_run_is_on_the_branch_of_that_run(neontest: Run, suite: Suite) -> None:
    suite.write(
        "import os, pathlib\nfrom sqlalchemy import text\n"
        "def test_it(neontest_branch, neontest_connection):\n"
        "    assert neontest_connection.scalar(text('SELECT count(*) FROM a')) == 0\n"
        "    assert os.environ['PGPORT'] in neontest_branch.url\n"
        "    pathlib.Path('name').write_text(neontest_branch.name)\n"
    )
    ran = neontest("run", "--mode", "whole", "--rows", "0", cwd=suite.root, env=LOADED)
    assert ran.code == 0, ran.out + ran.err
    assert [(suite.root / "name").read_text()] == [each.name for each in ran.report.branches]
    assert (ran.report.tests and ran.report.tests.passed) == 1


def test_without_use_nothing_is_imported_or_started(suite: Suite) -> None:
    suite.write(
        f"import sys\ndef test_it():\n    assert 'neontest.pytest_plugin' in sys.modules\n"
        f"    assert [each for each in {HEAVY} if each in sys.modules] == []\n"
        "    assert [each for each in sys.modules if each.startswith('neontest.')] == ['neontest.pytest_plugin']\n"
    )
    ran = suite.run(env={"NEONTEST_STATE": str(suite.root / "state")})
    assert ran.code == 0, ran.out
    assert not suite.ledger.exists()
    assert not (suite.root / "state").exists()


@pytest.mark.parametrize(
    ("env", "toml", "said"),
    [
        ({"NEONTEST_ENGINE": "neon"}, "", "Neon was asked for (NEONTEST_ENGINE says so), but NEON_API_KEY is not set"),
        ({"NEON_API_KEY": "napi_sesame"}, "", "no Neon project was named"),
        ({"NEONTEST_HEADS": "three"}, "", "Invalid value for '--heads' (env var: 'NEONTEST_HEADS')"),
        ({}, "[tool.neontest]\nparnet = 'x'\n", '[tool.neontest] has no key "parnet"\n  did you mean "parent"?'),
        ({"NEONTEST_BRANCH": '{"url": "postgresql://a:sesame@b/c"}'}, "", "NEONTEST_BRANCH does not tell of a branch"),
    ],
    ids=["no-key", "no-project", "bad-value", "bad-key", "bad-branch"],
)
def test_settings_that_are_wrong_are_one_sentence(suite: Suite, env: dict[str, str], toml: str, said: str) -> None:
    suite.write("def test_it(neontest_url): pass\ndef test_free(): pass\n", toml=toml)
    ran = suite.run(env=env)
    assert ran.code == 1
    assert "1 passed, 1 error" in ran.out
    assert f"neontest: {said}" in ran.out.replace(f"{suite.root}/pyproject.toml: ", "")
    assert "Traceback" not in ran.out
    assert "sesame" not in ran.out


def test_two_heads_cost_no_branch(suite: Suite) -> None:
    suite.write("def test_it(neontest_url): pass\n")
    one = suite.root / "migrations" / "versions" / "r1_it.py"
    one.with_name("r2_it.py").write_text(one.read_text().replace('"r1"', '"r2"'))
    ran = suite.run()
    assert "neontest: there are 2 heads: r1, r2\n  merge them, or set heads" in ran.out
    assert not suite.ledger.exists()


@pytest.mark.parametrize(
    ("driver", "url"),
    [
        ("psycopg2", "postgresql+psycopg2://a:o%3Fen@db.example:5432/c?sslmode=require"),
        ("asyncpg", "postgresql+asyncpg://a:o%3Fen@db.example:5432/c"),
    ],
)
def test_the_url_is_for_the_driver_of_the_project_and_the_engine_never_asynchronous(
    suite: Suite, driver: str, url: str
) -> None:
    suite.write(
        f"def test_it(neontest_url, neontest_engine):\n    assert str(neontest_url) == {url!r}\n"
        "    assert neontest_engine.url.drivername == 'postgresql+psycopg2'\n"
        "def test_hidden(neontest_url):\n    assert neontest_url == 'x'\n"
    )
    lent = {"id": "br-1", "name": "n", "url": "postgresql://a:o%3Fen@db.example/c?sslmode=require", "driver": driver}
    ran = suite.run(env={"NEONTEST_BRANCH": json.dumps(lent)})
    assert "1 failed, 1 passed" in ran.out
    assert "o%3Fen" not in ran.out
    assert f"assert 'postgresql+{driver}://a:***@db.example" in ran.out


def test_a_key_that_neon_refuses_is_one_sentence(suite: Suite) -> None:
    answer = b"HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    suite.write("def test_it(neontest_url): pass\n")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            with server.accept()[0] as connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=refuse, daemon=True)
        thread.start()
        ran = suite.run(env=neon(server))
        thread.join(5)
    assert "1 error" in ran.out
    assert re.search(r"^neontest: .*NEON_API_KEY|^neontest: .*\n.*NEON_API_KEY", ran.out, re.MULTILINE), ran.out
    assert "Traceback" not in ran.out
    assert "sesame" not in ran.out


def neon(server: socket.socket) -> dict[str, str]:
    host, port = server.getsockname()
    return {"NEON_API_KEY": "napi_sesame", "NEON_PROJECT_ID": "p-1", "NEON_API_HOST": f"http://{host}:{port}/api/v2"}


def test_a_session_that_ends_before_the_branch_is_there_stops_the_making_of_it(suite: Suite) -> None:
    """Neon is stood in for by a server that never answers."""
    suite.write("def test_it(neontest_url): pass\n")
    with socket.create_server(("127.0.0.1", 0)) as server:
        process = suite.begin(env=neon(server))
        connection, _ = server.accept()
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
        with connection:
            connection.settimeout(2)
            while connection.recv(65536):
                pass  # until whoever asked is gone
    assert process.returncode == 2, out
    assert suite.holds() == []


def test_a_branch_that_could_not_be_given_back_is_said(suite: Suite) -> None:
    """The process that holds it is stood in for by one that loses it."""
    lost = suite.root.parent / "lost" / "neontest"
    lost.mkdir(parents=True)
    (lost / "__init__.py").touch()
    lent = json.dumps({"id": "br-1", "name": "n", "url": "postgresql://a:b@c/d", "driver": "psycopg2"})
    (lost / "__main__.py").write_text(
        f"import sys\nprint({lent!r}, flush=True)\nsys.stdin.read()\n"
        "sys.exit('Usage: x\\nError: branch br-1 (n) could not be given back: why\\n  run `neontest cleanup`')\n"
    )
    suite.write(f"import os\nos.environ['PYTHONPATH'] = {str(lost.parent)!r}\ndef test_it(neontest_branch): pass\n")
    ran = suite.run()
    assert "1 passed, 1 error" in ran.out
    assert "neontest: branch br-1 (n) could not be given back: why\n  run `neontest cleanup`\n" in ran.out
