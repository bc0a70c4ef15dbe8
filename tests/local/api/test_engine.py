"""An engine from its beginning to its end, and over restarts."""

from __future__ import annotations

import json
import os
import shutil
import socket
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg2
import pytest

from neontest.errors import UsageError
from neontest.local.binaries import Binaries, find_all
from neontest.local.engine import LocalNeon, kept_version


def ask(uri: str, statement: str) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(uri, connect_timeout=10)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []


def listens(uri: str) -> bool:
    try:
        psycopg2.connect(uri, connect_timeout=5).close()
    except psycopg2.OperationalError:
        return False
    return True


def test_a_fresh_engine_is_a_new_projects_neon_and_leaves_nothing(
    shared_state: Path, engine_binaries: Binaries, api_of: Any
) -> None:
    before = {each.name for each in shared_state.iterdir()}
    with LocalNeon(shared_state, engine_binaries, persistent=False) as neon:
        api = api_of(neon.api_host, neon.api_key, neon.project_id)
        main = api.main()
        assert (main["name"], main["default"], main["current_state"]) == ("main", True, "ready")
        uri = api.uri(main["id"])
        assert ask(uri, "SELECT current_database(), current_user") == [("neondb", "neondb_owner")]
        assert ask(uri, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") == [(False,)]
        assert api.get("P")["project"]["pg_version"] == engine_binaries.major
        assert any("TLS" in each for each in neon.notes) != neon.tls
        api.create("left behind on purpose")
    assert not listens(uri)
    assert list(shared_state.glob("b/*")) == list(shared_state.glob("new/*")) == []
    assert not {"neon.json", "api-key"} & {each.name for each in shared_state.iterdir()} - before
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{neon.api_host}/auth")


def test_the_key_is_random_and_in_no_repr(shared_state: Path, engine_binaries: Binaries) -> None:
    with (
        LocalNeon(shared_state, engine_binaries, persistent=False) as one,
        LocalNeon(shared_state, engine_binaries, persistent=False) as two,
    ):
        assert one.api_key != two.api_key
        assert one.api_key not in repr(one) + str(vars(one)["_site"])
        assert one.project_id != two.project_id


def test_a_given_key_is_taken(shared_state: Path, engine_binaries: Binaries) -> None:
    with LocalNeon(shared_state, engine_binaries, persistent=False, api_key="mine") as neon:
        assert httpx.get(f"{neon.api_host}/auth", headers={"Authorization": "Bearer mine"}).status_code == 200


def test_a_branch_whose_time_has_come_goes_by_itself(
    shared_state: Path, engine_binaries: Binaries, api_of: Any
) -> None:
    with LocalNeon(shared_state, engine_binaries, persistent=False) as neon:
        api = api_of(neon.api_host, neon.api_key, neon.project_id)
        moment = (datetime.now(UTC) + timedelta(seconds=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
        made = api.create("for a moment", expires_at=moment)
        stays = api.create("stays", compute=False)["branch"]["id"]
        api.gone(made["branch"]["id"])
        assert datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") >= moment
        assert not listens(made["connection_uris"][0]["connection_uri"])
        assert api.get(f"P/branches/{stays}")


def test_an_expiry_that_is_brought_forward_is_kept_too(
    shared_state: Path, engine_binaries: Binaries, api_of: Any
) -> None:
    with LocalNeon(shared_state, engine_binaries, persistent=False) as neon:
        api = api_of(neon.api_host, neon.api_key, neon.project_id)
        later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        id = api.create("brought forward", compute=False, expires_at=later)["branch"]["id"]
        soon = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
        api.call("PATCH", f"P/branches/{id}", json={"branch": {"expires_at": soon}})
        api.gone(id)


def test_a_kept_state_comes_back_with_data_addresses_and_key(
    own_state: Path, engine_binaries: Binaries, api_of: Any
) -> None:
    with LocalNeon(own_state, engine_binaries, persistent=True) as first:
        api = api_of(first.api_host, first.api_key, first.project_id)
        made = api.create("kept")
        id, uri = made["branch"]["id"], made["connection_uris"][0]["connection_uri"]
        ask(uri, "CREATE TABLE t AS SELECT 5 AS n")
        asleep = api.create("asleep")
        api.wait(api.call("POST", f"P/endpoints/{asleep['endpoints'][0]['id']}/suspend"))
    assert not listens(uri)
    assert kept_version(own_state) == engine_binaries.major
    assert (own_state / "api-key").stat().st_mode & 0o777 == 0o600

    with LocalNeon(own_state, engine_binaries, persistent=True) as second:
        assert (second.api_key, second.project_id) == (first.api_key, first.project_id)
        api = api_of(second.api_host, second.api_key, second.project_id)
        assert ask(uri, "SELECT n FROM t") == [(5,)]
        states = {each["branch_id"]: each["current_state"] for each in api.get("P/endpoints")["endpoints"]}
        assert (states[id], states[asleep["branch"]["id"]]) == ("active", "idle")
        grandchild = api.create("grandchild", parent_id=id)
        assert ask(api.uri(grandchild["branch"]["id"]), "SELECT n FROM t") == [(5,)]
        api.delete(grandchild["branch"]["id"])
        api.delete(id)
        api.delete(asleep["branch"]["id"])
        assert [each.name for each in own_state.glob("kept/*")] == [api.main()["id"]]


def test_what_was_half_done_or_is_overdue_is_cleared_at_the_start(
    own_state: Path, engine_binaries: Binaries, api_of: Any
) -> None:
    with LocalNeon(own_state, engine_binaries, persistent=True) as neon:
        api = api_of(neon.api_host, neon.api_key, neon.project_id)
        ids = {name: api.create(name)["branch"]["id"] for name in ("overdue", "half made", "half gone", "whole")}
    file = own_state / "neon.json"
    state = json.loads(file.read_text())
    state["branches"][ids["overdue"]]["expires_at"] = "2026-01-01T00:00:00Z"
    state["branches"][ids["half made"]] |= {"state": "init", "pending": "ready"}
    state["branches"][ids["half gone"]]["pending"] = "storage_deleted"
    some = next(iter(state["operations"].values()))
    some["status"] = "running"
    file.write_text(json.dumps(state))
    shutil.copytree(own_state / "kept" / ids["whole"], own_state / "kept" / "br-nobodys-own-12345678", symlinks=True)

    with LocalNeon(own_state, engine_binaries, persistent=True) as neon:
        api = api_of(neon.api_host, neon.api_key, neon.project_id)
        assert {each["name"] for each in api.get("P/branches")["branches"]} == {"main", "whole"}
        assert len(list(own_state.glob("kept/*"))) == 2
        operation = api.get(f"P/operations/{some['id']}")["operation"]
        assert (operation["status"], operation["error"]) == ("failed", "the server was stopped")
        api.delete(ids["whole"])


def test_what_a_killed_deletion_left_does_not_hinder_the_start(
    own_state: Path, engine_binaries: Binaries, api_of: Any
) -> None:
    """Folders without data, of branches that are known and of others; and files that are no branch's."""
    with LocalNeon(own_state, engine_binaries, persistent=True) as neon:
        api = api_of(neon.api_host, neon.api_key, neon.project_id)
        going, making = (api.create(name)["branch"]["id"] for name in ("going", "making"))
    file, kept = own_state / "neon.json", own_state / "kept"
    state = json.loads(file.read_text())
    state["branches"][going]["pending"] = "storage_deleted"
    state["branches"][making]["state"] = "init"
    file.write_text(json.dumps(state))
    shutil.rmtree(kept / going / "data")
    shutil.rmtree(kept / making)
    (kept / "br-unknown").mkdir()
    (kept / "a file").touch()
    for _ in range(2):
        with LocalNeon(own_state, engine_binaries, persistent=True) as neon:
            api = api_of(neon.api_host, neon.api_key, neon.project_id)
            assert [each["name"] for each in api.get("P/branches")["branches"]] == ["main"]
            assert {each.name for each in kept.iterdir()} == {api.main()["id"], "a file"}


def test_the_default_branch_has_no_data_until_somebody_needs_it(
    own_state: Path, engine_binaries: Binaries, api_of: Any
) -> None:
    """Nor after its first start was cut short: that one is begun anew."""
    with LocalNeon(own_state, engine_binaries, persistent=True) as neon:
        api = api_of(neon.api_host, neon.api_key, neon.project_id)
        main, made = api.main()["id"], api.create("child")
        child, uri = made["branch"]["id"], made["connection_uris"][0]["connection_uri"]
        idle = api.create("grandchild", compute=False, parent_id=api.create("idle", compute=False)["branch"]["id"])
        ask(uri, "CREATE TABLE t AS SELECT 1 AS n")
        (endpoint,) = api.get(f"P/branches/{main}/endpoints")["endpoints"]
        assert (endpoint["current_state"], "last_active" in endpoint) == ("idle", False)
    half = own_state / "kept" / main / "data"
    assert [half.exists(), (own_state / "kept" / child / "data").exists()] == [False, True]
    half.mkdir()
    (half / "PG_VERSION").write_text("half a copy")
    with LocalNeon(own_state, engine_binaries, persistent=True) as neon:
        api = api_of(neon.api_host, neon.api_key, neon.project_id)
        assert ask(uri, "SELECT n FROM t") == [(1,)]
        password = api.get(f"P/branches/{idle['branch']['id']}/roles/neondb_owner/reveal_password")["password"]
        woken = api.uri(main)
        assert password in woken
        assert password in uri
        assert ask(woken, "SELECT to_regclass('t')") == [(None,)]


def test_a_state_is_served_once_at_a_time(own_state: Path, engine_binaries: Binaries) -> None:
    with LocalNeon(own_state, engine_binaries, persistent=True):
        with pytest.raises(UsageError, match="another neontest serves the state"):
            LocalNeon(own_state, engine_binaries, persistent=True).__enter__()
        # One that keeps nothing may use the folder meanwhile, and harms nobody.
        with LocalNeon(own_state, engine_binaries, persistent=False):
            pass
    with LocalNeon(own_state, engine_binaries, persistent=True):
        pass


def test_an_address_in_use_is_one_sentence_and_leaves_nothing(shared_state: Path, engine_binaries: Binaries) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1:{port}"):
            LocalNeon(shared_state, engine_binaries, persistent=False, port=port).__enter__()
    with pytest.raises(UsageError, match=r"cannot listen on no-such-host\.invalid:0"):
        LocalNeon(shared_state, engine_binaries, persistent=False, host="no-such-host.invalid").__enter__()
    assert list(shared_state.glob("b/*")) == []


def test_data_of_another_major_version_is_not_touched(own_state: Path, engine_binaries: Binaries) -> None:
    others = [each for each in find_all(environ=os.environ) if each.major != engine_binaries.major]
    if not others:
        pytest.skip("only one major version of Postgres on this machine")
    with LocalNeon(own_state, engine_binaries, persistent=True):
        pass
    with pytest.raises(UsageError, match=f"holds data of Postgres {engine_binaries.major}, which"):
        LocalNeon(own_state, others[0], persistent=True).__enter__()
    with LocalNeon(own_state, engine_binaries, persistent=True):
        pass


def test_a_connection_that_stays_open_is_refused_after_the_end(shared_state: Path, engine_binaries: Binaries) -> None:
    neon = LocalNeon(shared_state, engine_binaries, persistent=False)
    with neon:
        host = neon.api_host
        with httpx.Client(base_url=host, headers={"Authorization": f"Bearer {neon.api_key}"}) as client:
            assert client.get("/auth").status_code == 200
            neon.__exit__(None, None, None)
            try:
                answer = client.post(f"/projects/{neon.project_id}/branches")
            except httpx.TransportError:
                return
            assert answer.status_code == 503
    assert list(shared_state.glob("b/*")) == []
