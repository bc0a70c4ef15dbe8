"""A branch that is not the run's: whatever the API says of it, nothing is run there."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import psycopg2
import pytest

from neontest.branches import refuse_parent
from neontest.errors import DatabaseError, WrongDatabase
from neontest.local.binaries import find
from neontest.local.engine import LocalNeon
from neontest.neon.client import Neon
from neontest.postgres.connect import advisory_guard, connect, server, shows
from neontest.stop import Deadline
from neontest.trial import Trial
from tests.conftest import Run
from tests.test_intrusion import ENV_PY

Rewrite = Callable[[str, Any], Any]


@contextmanager
def between(api_host: str, rewrite: Rewrite) -> Iterator[str]:
    """An API that passes everything on, and says what `rewrite` makes of the answers."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            there = api_host.removesuffix("/api/v2")
            headers = {"Authorization": self.headers["Authorization"], "Content-Type": "application/json"}
            got = httpx.request(self.command, there + self.path, content=body, headers=headers, timeout=60)
            content = json.dumps(rewrite(self.path, got.json())).encode() if got.content else b""
            self.send_response(got.status_code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = do_PATCH = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_address[1]}/api/v2"
        finally:
            listening.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def neon(local_state: Path) -> Iterator[LocalNeon]:
    import os

    with LocalNeon(local_state, find(environ=os.environ), persistent=False) as running:
        yield running


@pytest.fixture(scope="module")
def parent(neon: LocalNeon) -> Iterator[tuple[str, str]]:
    """Id and connection string of the parent."""
    with Neon(neon.api_key, host=neon.api_host) as client:
        soon = Deadline(60, what="the parent")
        branch = client.default_branch(neon.project_id, deadline=soon)
        yield branch.id, client.connection_uri(neon.project_id, branch.id, database="neondb", role="neondb_owner")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "migrations/versions").mkdir(parents=True)
    (root / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/migrations\n")
    (root / "migrations/env.py").write_text(ENV_PY)
    (root / "migrations/versions/a1_.py").write_text(
        "from alembic import op\nrevision = 'a1'\ndown_revision = None\n"
        "def upgrade():\n    op.execute('CREATE TABLE a (id int)')\ndef downgrade():\n    op.execute('DROP TABLE a')\n"
    )
    return root


def place(url: str) -> str:
    """host:port"""
    found = re.search(r"@([^/]+)/", url)
    assert found is not None
    return found[1]


def to_parent(kind: str, parent: tuple[str, str]) -> Rewrite:
    """An API that mixes the branch up with its parent: in the connection string only, in the computes of both, or so
    that nothing of what it says shows it."""
    id_, url = parent

    def rewrite(path: str, answer: Any) -> Any:
        if "/connection_uri" in path and id_ not in path:
            return {"uri": url}
        for each in answer.get("connection_uris", ()):
            each["connection_uri"] = url
        if kind == "uri":
            return answer
        for each in answer.get("endpoints", ()):
            if each["branch_id"] != id_:
                each["host"] = place(url)
            elif kind == "hidden":
                each["host"] = place(url).replace("127.0.0.1", "localhost")
        return answer

    return rewrite


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("uri", "none of the branch's computes"),
        ("computes", "a compute of its parent"),
        ("hidden", "leads to the server of its parent"),
    ],
)
def test_nothing_is_run_on_the_parent_whatever_the_api_says(
    neontest: Run, root: Path, neon: LocalNeon, parent: tuple[str, str], kind: str, said: str
) -> None:
    def rewrite(path: str, answer: Any) -> Any:
        # What the parent's own connection string says has to agree with what its computes are called.
        told = to_parent(kind, parent)(path, answer)
        if kind == "hidden" and "/connection_uri" in path and parent[0] in path:
            told["uri"] = told["uri"].replace("127.0.0.1", "localhost")
        return told

    with between(neon.api_host, rewrite) as host:
        given = {"NEON_API_KEY": neon.api_key, "NEON_PROJECT_ID": neon.project_id, "NEON_API_HOST": host}
        ran = neontest("run", "--neon", "--no-tests", cwd=root, env=given)
    assert ran.code == 3, ran.out + ran.err
    assert said in ran.report.problems[0].message
    assert all(branch.proved for branch in ran.report.branches)
    with closing(psycopg2.connect(parent[1])) as conn, conn.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_class WHERE relname IN ('a', 'alembic_version')")
        assert cursor.fetchone() == (0,)


def test_a_server_is_told_from_every_other_one(parent: tuple[str, str], postgres_url: str) -> None:
    with closing(connect(parent[1])) as one, closing(connect(postgres_url)) as other:
        assert server(one) == server(one) != server(other)
        refuse_parent(other, server(one), "x")
        refuse_parent(other, (), "x")
        with closing(connect(parent[1])) as again, pytest.raises(WrongDatabase, match="branch x leads to"):
            refuse_parent(again, server(one), "x")
        assert again.closed


def test_a_connection_string_that_leads_elsewhere_in_the_middle_of_a_run_is_noticed(
    parent: tuple[str, str], postgres_url: str
) -> None:
    """Before the project's tests and commands, whose connections nobody sees."""
    with closing(connect(parent[1])) as ours:
        guard = advisory_guard(ours)
        facts = {
            "connection": ours,
            "guard": guard,
            "lease": SimpleNamespace(name="b"),
            "deadline": Deadline(60, what="x"),
        }
        Trial.refuse_elsewhere(cast("Any", SimpleNamespace(url=parent[1], **facts)))
        with pytest.raises(WrongDatabase, match="of branch b leads elsewhere"):
            Trial.refuse_elsewhere(cast("Any", SimpleNamespace(url=postgres_url, **facts)))
        with closing(connect(parent[1])) as other:
            assert shows(other, guard)
            assert not shows(other, (guard[0], guard[1] ^ 1))
    with pytest.raises(DatabaseError, match="own connection to the branch was ended"):  # a failover: the lock is gone
        Trial.refuse_elsewhere(cast("Any", SimpleNamespace(url=parent[1], **facts)))
