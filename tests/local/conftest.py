"""Real Postgres servers in state folders of their own, on every Postgres that this machine has."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from neontest.local import roles
from neontest.local.binaries import Binaries, find_all
from neontest.local.cluster import Cluster, Clusters
from tests.conftest import memory

ROOT = Path(__file__).resolve().parents[2]
FOUND = find_all(environ=os.environ)


def pytest_report_header() -> str:
    there = ", ".join(f"{one.version} ({one.source})" for one in FOUND)
    return f"local engine: {there or 'no Postgres here, its tests are skipped'}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`binaries` is each Postgres of this machine, one of a major version."""
    if "binaries" in metafunc.fixturenames:
        majors: dict[int, Binaries] = {}
        for one in FOUND:
            majors.setdefault(one.major, one)
        metafunc.parametrize("binaries", majors.values(), ids=[f"pg{major}" for major in majors], scope="session")


@contextlib.contextmanager
def new_room(where: Path | None = None) -> Iterator[Path]:
    """A folder with a short name that every user can pass through, unlike pytest's own."""
    room = Path(tempfile.mkdtemp(prefix="nt-", dir=where)).resolve()
    room.chmod(0o711)
    try:
        yield room
    finally:
        shutil.rmtree(room)


@pytest.fixture
def room() -> Iterator[Path]:
    with new_room(memory()) as path:
        yield path


@pytest.fixture(scope="session")
def states() -> Iterator[Path]:
    """State folders, by version; at the end of the session nothing of a branch may be in them."""
    with new_room(memory()) as path:
        yield path
        left = [
            entry for state in path.iterdir() for name in ("b", "kept", "new") for entry in (state / name).iterdir()
        ]
        assert left == []


@pytest.fixture
def state(states: Path, binaries: Binaries) -> Path:
    """The session's state folder for this Postgres: its template is made once."""
    return states / binaries.version


@pytest.fixture
def clusters(state: Path, binaries: Binaries) -> Iterator[Clusters]:
    with Clusters(state, binaries) as these:
        yield these


@pytest.fixture
def fresh_id() -> Callable[[], str]:
    return lambda: f"br-{secrets.token_hex(4)}"


@pytest.fixture
def parent(clusters: Clusters, fresh_id: Callable[[], str]) -> Cluster:
    """A running parent whose owner's password is "secret of the owner"."""
    cluster = clusters.create(fresh_id())
    with contextlib.closing(cluster.admin()) as admin:
        roles.set_password(admin, roles.OWNER, "secret of the owner")
    return cluster


@pytest.fixture
def ask() -> Callable[..., list[tuple[Any, ...]]]:
    """Ask a cluster as its owner, over TCP with the password: the rows of the answer."""

    def ask(cluster: Cluster, statement: str, dbname: str = "neondb", **options: Any) -> list[tuple[Any, ...]]:
        how = {"user": roles.OWNER, "password": "secret of the owner", "connect_timeout": 10} | options
        with contextlib.closing(
            psycopg2.connect(host="127.0.0.1", port=cluster.port, dbname=dbname, **how)
        ) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []

    return ask


class Owner:
    """Another process that owns clusters: a script that reports a line of JSON and then waits."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, "the owner ended before it reported"
        self.report: dict[str, Any] = json.loads(line)

    def end(self) -> int:
        """Let it come to its end by itself."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(60)


OWNER = """
import json, os, subprocess, sys
from pathlib import Path
from neontest.local.binaries import find
from neontest.local.cluster import Clusters
from tests.conftest import memory
bindir, state, id = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
def report(cluster, **more):
    lines = (cluster.data / "postmaster.pid").read_text().splitlines()
    facts = {"id": cluster.id, "port": cluster.port, "postmaster": int(lines[0]), "shm": lines[6].split()[1]}
    print(json.dumps(facts | {"sockets": str(cluster.sockets)} | more), flush=True)
"""
"""What every owner's script begins with."""


@pytest.fixture
def owners(binaries: Binaries, state: Path) -> Iterator[Callable[..., Any]]:
    """Start a process with `OWNER` and a script of the test's; whatever is left of it at the end is killed."""
    processes: list[subprocess.Popen[str]] = []

    def start(script: str, *words: str, report: bool = True, state: Path = state) -> Any:
        process = subprocess.Popen(
            [sys.executable, "-c", OWNER + script, str(binaries.bindir), str(state), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            start_new_session=True,
        )
        processes.append(process)
        return Owner(process) if report else process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.stdout.close()
