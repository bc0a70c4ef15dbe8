"""The requests of Neon's GitHub actions, as they were traced: create-branch-action 6.1.1, delete-branch-action 3.2.1,
schema-diff-action 1, and the fixtures pytest-neon 3.0.1 and neon-testing 2.7.0.

They were recorded with the real programs against a server that wrote down what it was asked (2026-11-22).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg2
import pytest

from neontest.local.binaries import Binaries, find
from neontest.local.engine import LocalNeon

ANNOTATION = {
    "github-commit-repo": "owner/name",
    "github-commit-author-login": "someone",
    "github-commit-sha": "0123456789abcdef0123456789abcdef01234567",
    "github-commit-message": 'Add "age"',
    "github-pr-number": "7",
    "github-pr-title": "Age",
    "github-commit-ref": "refs/pull/7/merge",
    "github-action-ref": "v6",
}


@pytest.fixture(scope="module")
def neon(shared_state: Path, engine_binaries: Binaries) -> Iterator[LocalNeon]:
    best = find(prefer="tls", environ=os.environ)
    with LocalNeon(shared_state, best if best.tls else engine_binaries, persistent=False) as running:
        yield running


@pytest.fixture
def action(neon: LocalNeon) -> Iterator[httpx.Client]:
    """A client with the action's headers and its patience."""
    headers = {
        "Authorization": f"Bearer {neon.api_key}",
        "Accept": "application/json, text/plain, */*",
        "User-Agent": "neon-create-branch-action v6.1.1",
    }
    with httpx.Client(base_url=f"{neon.api_host}/projects/{neon.project_id}", headers=headers, timeout=10) as client:
        yield client


def ask(uri: str, statement: str) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(uri, connect_timeout=10)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def ended(api: Any, answer: Any) -> None:
    """The action does not wait; a test that goes on with the branch does."""
    api.wait(answer)


def test_create_branch_action_makes_a_branch_and_puts_its_string_together(
    action: httpx.Client, api: Any, neon: LocalNeon
) -> None:
    name = "preview/pr-7"
    assert action.get("/branches", params={"search": name, "limit": 10000}).json()["branches"] == []
    found = action.get("/branches", params={"search": "main", "limit": 10000}).json()["branches"]
    (parent,) = [each for each in found if "main" in (each["name"], each["id"])]
    expires_at = (datetime.now(UTC) + timedelta(days=14)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    body = {
        "endpoints": [{"type": "read_write", "suspend_timeout_seconds": 0}],
        "branch": {"name": name, "parent_id": parent["id"], "expires_at": expires_at},
        "annotation_value": ANNOTATION,
    }
    api.contract.check_request("POST", f"/projects/{neon.project_id}/branches", None, body)
    answer = action.post("/branches", json=body)
    assert answer.status_code == 201
    made = answer.json()
    branch = made["branch"]
    assert branch["name"] == name
    # From here on it goes on at once, without waiting for the operations.
    (endpoint,) = action.get(f"/branches/{branch['id']}/endpoints").json()["endpoints"]
    assert endpoint["type"] == "read_write"
    assert action.get(f"/branches/{branch['id']}/databases/neondb").json()["database"]["name"] == "neondb"
    assert action.get(f"/branches/{branch['id']}/roles/neondb_owner").json()["role"]["name"] == "neondb_owner"
    password = action.get(f"/branches/{branch['id']}/roles/neondb_owner/reveal_password").json()["password"]
    ended(api, made)
    if neon.tls:
        for host in (endpoint["host"], endpoint["host"].replace(endpoint["id"], f"{endpoint['id']}-pooler")):
            uri = f"postgresql://neondb_owner:{password}@{host}/neondb?sslmode=require&channel_binding=require"
            assert ask(uri, "SELECT current_user") == [("neondb_owner",)]
    assert api.get(f"P/branches/{branch['id']}")["annotation"]["value"] == ANNOTATION

    # A second run of the job finds it.
    again = action.get("/branches", params={"search": name, "limit": 10000}).json()["branches"]
    assert [each["id"] for each in again if each["name"] == name] == [branch["id"]]


def test_create_branch_action_without_a_name_sends_an_empty_branch(action: httpx.Client, api: Any) -> None:
    body = {"endpoints": [{"type": "read_write", "suspend_timeout_seconds": 0}], "branch": {}}
    answer = action.post("/branches", json=body | {"annotation_value": ANNOTATION})
    assert answer.status_code == 201
    made = answer.json()
    assert made["branch"]["name"]
    assert made["branch"]["parent_id"] == api.main()["id"]
    ended(api, made)


def test_delete_branch_action_finds_the_branch_by_its_name(action: httpx.Client, api: Any) -> None:
    id = api.create("to be deleted")["branch"]["id"]
    listed = action.get("/branches").json()["branches"]  # neonctl 2.22 asks for one page, without a limit
    assert [each["id"] for each in listed if each["name"] == "to be deleted"] == [id]
    answer = action.delete(f"/branches/{id}")
    assert answer.status_code == 200
    assert answer.json()["branch"]["name"] == "to be deleted"
    api.gone(id)


def test_schema_diff_action_reads_both_schemas(action: httpx.Client, api: Any) -> None:
    id = api.create("compared")["branch"]["id"]
    branches = action.get("/branches").json()["branches"]
    (compared,) = [each for each in branches if each["name"] == "compared"]
    sql = [
        action.get(f"/branches/{each}/schema", params={"db_name": "neondb"}).json()["sql"]
        for each in (id, compared["parent_id"])
    ]
    assert sql[0] == sql[1] != ""


def test_pytest_neon_waits_for_its_compute(action: httpx.Client, api: Any, neon: LocalNeon) -> None:
    expires_at = (datetime.now(UTC) + timedelta(minutes=10)).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = {
        "branch": {"name": "pytest-main-ab12-test", "expires_at": expires_at},
        "endpoints": [{"type": "read_write"}],
    }
    made = action.post("/branches", json=body).json()
    endpoint_id = next(each["endpoint_id"] for each in made["operations"] if "endpoint_id" in each)
    ended(api, made)
    endpoint = action.get(f"/endpoints/{endpoint_id}").json()["endpoint"]
    assert endpoint["current_state"] == "active"
    password = action.get(f"/branches/{made['branch']['id']}/roles/neondb_owner/reveal_password").json()["password"]
    if neon.tls:
        uri = f"postgresql://neondb_owner:{password}@{endpoint['host']}/neondb?sslmode=require"
        assert ask(uri, "SELECT 1") == [(1,)]
    assert action.delete(f"/branches/{made['branch']['id']}").status_code == 200


def test_neon_testing_asks_for_a_string_of_the_branch(action: httpx.Client, api: Any) -> None:
    body = {
        "branch": {"name": "test/0b1c", "expires_at": (datetime.now(UTC) + timedelta(minutes=10)).isoformat()},
        "endpoints": [{"type": "read_write"}],
        "annotation_value": {"integration-test": "true"},
    }
    made = action.post("/branches", json=body).json()
    query = {
        "branch_id": made["branch"]["id"],
        "role_name": made["roles"][0]["name"],
        "database_name": made["databases"][0]["name"],
        "pooled": "false",
    }
    uri = action.get("/connection_uri", params=query).json()["uri"]
    ended(api, made)
    assert ask(uri, "SELECT 1") == [(1,)]
