"""Neon's own command line, unchanged, against `LocalNeon`."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from neontest.local.binaries import Binaries
from neontest.local.engine import LocalNeon

NEONCTL = "neonctl@5.0.1"


def ask(uri: str, statement: str) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(uri, connect_timeout=10)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="session")
def neonctl_program(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """neonctl from the npm registry, installed once for a session, also one of several workers."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip(f"{'node' if node is None else 'npm'} is not installed: the neonctl tests are not run")
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "neonctl"
    folder.mkdir(exist_ok=True)
    program = folder / "node_modules" / ".bin" / "neonctl"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            done = subprocess.run(
                [npm, "install", "--prefix", str(folder), NEONCTL, "--no-audit", "--no-fund", "--ignore-scripts"],
                capture_output=True,
                text=True,
                cwd=folder,
                check=False,
            )
            if done.returncode != 0 or not program.exists():
                pytest.skip(f"{NEONCTL} cannot be installed from the npm registry: the neonctl tests are not run")
    return program


@pytest.fixture(scope="session")
def worker_id(request: pytest.FixtureRequest) -> str:
    """Of pytest-xdist, where it is at work."""
    workerinput = getattr(request.config, "workerinput", None)
    return str(workerinput["workerid"]) if workerinput else "master"


@pytest.fixture(scope="module")
def neon(shared_state: Path, engine_binaries: Binaries, request: pytest.FixtureRequest) -> Iterator[LocalNeon]:
    """An engine whose Postgres has TLS where there is one: neonctl puts strings with sslmode=require together."""
    from neontest.local.binaries import find

    best = find(prefer="tls", environ=os.environ)
    with LocalNeon(shared_state, best if best.tls else engine_binaries, persistent=False) as running:
        yield running


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(neonctl_program: Path, neon: LocalNeon, tmp_path: Path) -> Run:
    """Run neonctl with the key and the host in its environment, as a person who sourced serve's lines would."""

    def run(*arguments: str, project: bool = True, code: int = 0, key: str | None = None) -> Any:
        command = [str(neonctl_program), *arguments, "--no-analytics", "--config-dir", str(tmp_path / "config")]
        command += ["--project-id", neon.project_id] if project else []
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=90,
            check=False,
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "NEON_API_HOST": neon.api_host,
                "NEON_API_KEY": key or neon.api_key,
            },
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run


def as_json(done: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(done.stdout)


def test_who_am_i_and_which_projects_are_there(run: Run, neon: LocalNeon) -> None:
    assert as_json(run("me", "-o", "json", project=False))["login"] == "neontest"
    projects = as_json(run("projects", "list", "-o", "json", project=False))
    assert [each["id"] for each in projects["projects"]] == [neon.project_id]


def test_a_branch_from_its_making_to_its_end(run: Run, api: Any) -> None:
    made = as_json(run("branches", "create", "--name", "preview/pr-7", "-o", "json"))
    id = made["branch"]["id"]
    assert made["branch"]["name"] == "preview/pr-7"
    uri = made["connection_uris"][0]["connection_uri"]
    api.wait({"operations": api.get("P/operations")["operations"]})
    assert ask(uri, "SELECT current_user") == [("neondb_owner",)]

    listed = as_json(run("branches", "list", "-o", "json"))
    assert {each["name"] for each in listed} == {"main", "preview/pr-7"}
    assert as_json(run("branches", "get", "preview/pr-7", "-o", "json"))["current_state"] == "ready"

    assert as_json(run("branches", "rename", "preview/pr-7", "renamed", "-o", "json"))["name"] == "renamed"
    moment = (datetime.now(UTC) + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    expiring = as_json(run("branches", "set-expiration", "renamed", "--expires-at", moment, "-o", "json"))
    assert expiring["expires_at"] == moment
    assert "expires_at" not in as_json(run("branches", "set-expiration", "renamed", "-o", "json"))

    assert as_json(run("branches", "delete", "renamed", "-o", "json"))["id"] == id
    api.gone(id)
    assert "not found" in run("branches", "get", "renamed", code=1).stderr


def test_a_branch_of_a_named_parent_with_an_expiry_and_without_compute(run: Run, api: Any) -> None:
    parent = api.create("parent", compute=False)["branch"]["id"]
    moment = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    arguments = ("--name", "child", "--parent", "parent", "--expires-at", moment, "--no-compute", "-o", "json")
    printed = as_json(run("branches", "create", *arguments))
    child = printed.get("branch", printed)  # without computes neonctl prints the branch alone
    assert (child["parent_id"], child["expires_at"]) == (parent, moment)
    assert api.get(f"P/branches/{child['id']}/endpoints")["endpoints"] == []


def test_its_connection_strings_connect(run: Run, api: Any, neon: LocalNeon) -> None:
    if not neon.tls:
        pytest.skip("no Postgres with TLS on this machine: neonctl's strings demand it")
    api.create("to connect")
    for arguments in (("to connect",), ("--pooled",)):
        uri = run("connection-string", *arguments).stdout.strip()
        assert "sslmode=require" in uri
        assert ask(uri, "SELECT current_user, current_database()") == [("neondb_owner", "neondb")]


@pytest.mark.thorough
def test_databases_roles_and_operations_are_listed(run: Run, api: Any) -> None:
    id = api.create("with more")["branch"]["id"]
    api.wait(api.call("POST", f"P/branches/{id}/roles", status=201, json={"role": {"name": "reporter"}}))
    databases = as_json(run("databases", "list", "--branch", "with more", "-o", "json"))
    assert [(each["name"], each["owner_name"]) for each in databases] == [("neondb", "neondb_owner")]
    roles = as_json(run("roles", "list", "--branch", "with more", "-o", "json"))
    assert {each["name"] for each in roles} == {"neondb_owner", "reporter"}
    operations = as_json(run("operations", "list", "-o", "json"))
    assert {"create_branch", "start_compute", "apply_config"} <= {each["action"] for each in operations}


@pytest.mark.thorough
def test_schemas_are_compared(run: Run, api: Any) -> None:
    id = api.create("changed")["branch"]["id"]
    ask(api.uri(id), "CREATE TABLE added (id int PRIMARY KEY)")
    diff = run("branches", "schema-diff", "main", "changed", "--database", "neondb").stdout
    assert "+CREATE TABLE public.added" in diff


@pytest.mark.thorough
def test_a_branch_is_reset_to_its_parent(run: Run, api: Any) -> None:
    id = api.create("to reset")["branch"]["id"]
    ask(api.uri(id), "CREATE TABLE gone (id int)")
    run("branches", "reset", "to reset", "--parent")
    api.wait({"operations": api.get("P/operations")["operations"]})
    assert ask(api.uri(id), "SELECT to_regclass('gone')") == [(None,)]


def test_refusals_are_told_as_neons(run: Run, api: Any) -> None:
    api.create("taken", compute=False)
    assert "branch already exists" in run("branches", "create", "--name", "taken", code=1).stderr
    assert "cannot delete the default branch" in run("branches", "delete", "main", code=1).stderr
    wrong = run("branches", "list", code=1, key="wrong").stderr
    assert "ERROR" in wrong
    parent = "2026-01-01T00:00:00Z"
    assert "local Neon" in run("branches", "create", "--name", "x", "--parent", parent, code=1).stderr
