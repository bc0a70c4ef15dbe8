"""Real databases behind the API: strings that connect, data that is copied, roles, computes, schemas."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2
import pytest

from neontest.local.binaries import Binaries
from neontest.local.engine import LocalNeon


def ask(uri: str, statement: str) -> list[tuple[Any, ...]]:
    """The rows of a statement, in a connection of its own."""
    with closing(psycopg2.connect(uri, connect_timeout=10)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def held(neon: LocalNeon, branch_id: str) -> Iterator[None]:
    """Operations on the branch begin, and do not end before the block does."""
    site = neon._site
    assert site is not None
    with site.work.data(branch_id):
        yield


def test_a_branch_has_the_parents_data_and_its_own_from_then_on(api: Any) -> None:
    main = api.main()["id"]
    ask(api.uri(main), "DROP TABLE IF EXISTS t; CREATE TABLE t AS SELECT 1 AS n")
    made = api.create("copy of a running parent")
    uri = made["connection_uris"][0]["connection_uri"]
    assert uri == api.uri(made["branch"]["id"])
    ask(uri, "INSERT INTO t VALUES (2)")
    ask(api.uri(main), "INSERT INTO t VALUES (3)")
    assert ask(uri, "SELECT n FROM t ORDER BY n") == [(1,), (2,)]
    assert ask(api.uri(main), "SELECT n FROM t ORDER BY n") == [(1,), (3,)]
    grandchild = api.create("grandchild", parent_id=made["branch"]["id"])
    assert ask(api.uri(grandchild["branch"]["id"]), "SELECT count(*) FROM t") == [(2,)]


def test_a_suspended_parent_is_copied_too_and_wakes_when_its_string_is_asked_for(api: Any) -> None:
    main = api.main()["id"]
    (endpoint,) = api.get(f"P/branches/{main}/endpoints")["endpoints"]
    ask(api.uri(main), "DROP TABLE IF EXISTS s; CREATE TABLE s AS SELECT 7 AS n")
    suspended = api.call("POST", f"P/endpoints/{endpoint['id']}/suspend")
    assert [each["action"] for each in suspended["operations"]] == ["suspend_compute"]
    api.wait(suspended)
    assert api.get(f"P/endpoints/{endpoint['id']}")["endpoint"]["current_state"] == "idle"
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(host="127.0.0.1", port=endpoint["host"].split(":")[1], connect_timeout=5)
    assert api.call("POST", f"P/endpoints/{endpoint['id']}/suspend")["operations"] == []

    made = api.create("copy of a parent at rest")
    assert ask(api.uri(made["branch"]["id"]), "SELECT n FROM s") == [(7,)]
    assert api.get(f"P/endpoints/{endpoint['id']}")["endpoint"]["current_state"] == "idle"

    assert ask(api.uri(main), "SELECT n FROM s") == [(7,)]
    now = api.get(f"P/endpoints/{endpoint['id']}")["endpoint"]
    assert (now["current_state"], now["host"]) == ("active", endpoint["host"])
    assert api.call("POST", f"P/endpoints/{endpoint['id']}/start")["operations"] == []


def test_a_compute_is_started_by_a_request_too(api: Any) -> None:
    made = api.create()
    endpoint = made["endpoints"][0]
    api.wait(api.call("POST", f"P/endpoints/{endpoint['id']}/suspend"))
    started = api.call("POST", f"P/endpoints/{endpoint['id']}/start")
    assert [each["action"] for each in started["operations"]] == ["start_compute"]
    api.wait(started)
    assert ask(made["connection_uris"][0]["connection_uri"], "SELECT 1") == [(1,)]


def test_while_operations_run_a_branch_is_locked_and_others_are_not(api: Any, neon: LocalNeon) -> None:
    made, other = api.create("busy"), api.create("idle", compute=False)
    id, endpoint = made["branch"]["id"], made["endpoints"][0]["id"]
    with held(neon, id):
        suspended = api.call("POST", f"P/endpoints/{endpoint}/suspend")
        for method, path, body in (
            ("DELETE", f"P/branches/{id}", None),
            ("POST", "P/branches", {"branch": {"parent_id": id}}),
            ("POST", f"P/endpoints/{endpoint}/start", None),
            ("POST", f"P/branches/{id}/databases", {"database": {"name": "x", "owner_name": "neondb_owner"}}),
            ("POST", f"P/branches/{id}/restore", {"source_branch_id": other["branch"]["id"]}),
        ):
            message = api.refused(423, method, path, json=body)
            assert message.startswith("project already has running conflicting operations")
        assert api.call("PATCH", f"P/branches/{id}", json={"branch": {"name": "still busy"}})
        api.create("side by side", compute=False)
        api.delete(other["branch"]["id"])
        (operation,) = suspended["operations"]
        assert api.get(f"P/operations/{operation['id']}")["operation"]["status"] == "running"
    api.wait(suspended)
    api.delete(id)


def test_siblings_are_made_side_by_side(api: Any) -> None:
    made = [api.create(f"sibling {each}", wait=False) for each in range(4)]
    for each in made:
        api.wait(each)
        assert ask(api.uri(each["branch"]["id"]), "SELECT current_database(), current_user") == [
            ("neondb", "neondb_owner")
        ]


def test_the_pooled_string_is_the_default_and_can_be_told_from_the_direct_one(api: Any) -> None:
    names = {"database_name": "neondb", "role_name": "neondb_owner"}
    pooled = api.get("P/connection_uri", params=names)["uri"]
    direct = api.get("P/connection_uri", params=names | {"pooled": "False"})["uri"]
    assert (urlsplit(pooled).hostname or "").split(".")[0].endswith("-pooler")
    assert "-pooler" not in direct
    assert urlsplit(direct).hostname == "127.0.0.1"
    for uri in (pooled, direct):
        assert ask(uri, "SELECT current_user") == [("neondb_owner",)]
        assert uri.endswith("sslmode=disable")


def test_a_string_is_asked_for_by_compute_too(api: Any) -> None:
    made = api.create("by compute")
    names = {"database_name": "neondb", "role_name": "neondb_owner", "pooled": "false"}
    by_compute = api.get("P/connection_uri", params=names | {"endpoint_id": made["endpoints"][0]["id"]})["uri"]
    assert by_compute == api.uri(made["branch"]["id"])
    both = names | {"endpoint_id": made["endpoints"][0]["id"], "branch_id": api.main()["id"]}
    api.refused(404, "GET", "P/connection_uri", params=both)
    api.refused(400, "GET", "P/connection_uri", params={"database_name": "neondb"})
    api.refused(404, "GET", "P/connection_uri", params=names | {"database_name": "nothing"})
    api.refused(404, "GET", "P/connection_uri", params=names | {"role_name": "nobody"})


def test_roles_and_databases_with_strange_names_can_be_reached(api: Any) -> None:
    id = api.create("strange")["branch"]["id"]
    role = api.call("POST", f"P/branches/{id}/roles", status=201, json={"role": {"name": "a b@c/d%"}})
    assert [each["action"] for each in role["operations"]] == ["apply_config"]
    api.wait(role)
    body = {"database": {"name": "x?y=z'\"\\", "owner_name": "a b@c/d%"}}
    api.wait(api.call("POST", f"P/branches/{id}/databases", status=201, json=body))
    uri = api.uri(id, database_name="x?y=z'\"\\", role_name="a b@c/d%")
    assert ask(uri, "SELECT current_user, current_database()") == [("a b@c/d%", "x?y=z'\"\\")]
    assert role["role"]["password"] == api.get(f"P/branches/{id}/roles/a%20b@c%2Fd%25/reveal_password")["password"]
    assert "CREATE TABLE public.odd" not in api.get(f"P/branches/{id}/schema", params={"db_name": "x?y=z'\"\\"})["sql"]
    ask(uri, "CREATE TABLE odd (n int)")
    assert "CREATE TABLE public.odd" in api.get(f"P/branches/{id}/schema", params={"db_name": "x?y=z'\"\\"})["sql"]
    assert api.get(f"P/branches/{id}/databases/x%3Fy=z'%22%5C")["database"]["owner_name"] == "a b@c/d%"
    api.refused(409, "POST", f"P/branches/{id}/roles", json={"role": {"name": "a b@c/d%"}})
    api.refused(409, "POST", f"P/branches/{id}/databases", json=body)
    api.refused(422, "POST", f"P/branches/{id}/roles", json={"role": {"name": "pg_else"}})
    api.refused(400, "POST", f"P/branches/{id}/roles", json={"role": {"name": "ü" * 32}})
    missing = {"database": {"name": "y", "owner_name": "nobody"}}
    api.refused(404, "POST", f"P/branches/{id}/databases", json=missing)

    # With several of them Neon does not choose for the client.
    child = api.create("child of many", parent_id=id)
    assert "connection_uris" not in child
    assert {each["name"] for each in child["roles"]} == {"neondb_owner", "a b@c/d%"}
    inherited = api.uri(child["branch"]["id"], database_name="x?y=z'\"\\", role_name="a b@c/d%")
    assert ask(inherited, "SELECT count(*) FROM odd") == [(0,)]


def test_what_sql_made_is_listed_and_inherited(api: Any) -> None:
    made = api.create("by sql")
    id = made["branch"]["id"]
    ask(api.uri(id), "CREATE ROLE worker LOGIN PASSWORD 'own'")
    ask(api.uri(id), "CREATE ROLE readers NOLOGIN")
    ask(api.uri(id), "CREATE DATABASE more")
    roles = {each["name"]: each["authentication_method"] for each in api.get(f"P/branches/{id}/roles")["roles"]}
    assert roles == {"neondb_owner": "password", "worker": "password", "readers": "no_login"}
    assert "not stored" in api.refused(412, "GET", f"P/branches/{id}/roles/worker/reveal_password")
    api.refused(412, "GET", "P/connection_uri", params={
        "branch_id": id, "database_name": "more", "role_name": "worker",
    })  # fmt: skip
    assert {each["name"] for each in api.get(f"P/branches/{id}/databases")["databases"]} == {"neondb", "more"}
    # The last known, of a compute at rest.
    api.wait(api.call("POST", f"P/endpoints/{made['endpoints'][0]['id']}/suspend"))
    child = api.create("inherits", parent_id=id)
    assert {each["name"] for each in child["databases"]} == {"neondb", "more"}
    ask(api.uri(id), "DROP DATABASE more")
    assert [each["name"] for each in api.get(f"P/branches/{id}/databases")["databases"]] == ["neondb"]


def test_roles_and_databases_can_go_again(api: Any) -> None:
    """These operations are not in the part of the contract that is kept here; neonctl has commands for them."""
    made = api.create("to and fro")
    path = f"/projects/{api.project_id}/branches/{made['branch']['id']}"
    api.wait(api.http.post(f"{path}/roles", json={"role": {"name": "owner2"}}).json())
    api.wait(api.http.post(f"{path}/databases", json={"database": {"name": "two", "owner_name": "owner2"}}).json())
    refused = api.http.delete(f"{path}/roles/owner2").json()["operations"][0]["id"]
    end = time.monotonic() + 60
    while (operation := api.get(f"P/operations/{refused}")["operation"])["status"] != "failed":
        assert operation["status"] in ("running", "scheduling")
        assert time.monotonic() < end
        time.sleep(0.005)
    assert "cannot be dropped" in operation["error"]
    for kind, name in (("databases", "two"), ("roles", "owner2")):
        answer = api.http.delete(f"{path}/{kind}/{name}")
        assert answer.status_code == 200
        api.wait(answer.json())
        assert api.http.delete(f"{path}/{kind}/{name}").status_code == 204
        assert api.http.get(f"{path}/{kind}/{name}").status_code == 404
    restarted = api.http.post(f"/projects/{api.project_id}/endpoints/{made['endpoints'][0]['id']}/restart").json()
    assert [each["action"] for each in restarted["operations"]] == ["suspend_compute", "start_compute"]
    api.wait(restarted)
    assert ask(made["connection_uris"][0]["connection_uri"], "SELECT 1") == [(1,)]


def test_children_of_a_protected_branch_have_new_passwords(api: Any) -> None:
    parent = api.create("vault", protected=True)
    child = api.create("copy", parent_id=parent["branch"]["id"])
    old, new = (each["connection_uris"][0]["connection_uri"] for each in (parent, child))
    old_password, new_password = urlsplit(old).password, urlsplit(new).password
    assert old_password
    assert new_password
    assert old_password != new_password
    assert ask(new, "SELECT 1") == [(1,)]
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        ask(new.replace(new_password, old_password), "SELECT 1")
    assert ask(old, "SELECT 1") == [(1,)]


def test_a_compute_can_come_later_and_go_again(api: Any) -> None:
    id = api.create("bare", compute=False)["branch"]["id"]
    body = {"endpoint": {"branch_id": id, "type": "read_write", "name": "late"}}
    made = api.call("POST", "P/endpoints", status=201, json=body)
    api.wait(made)
    endpoint = made["endpoint"]["id"]
    assert ask(api.uri(id), "SELECT 1") == [(1,)]
    assert api.call("POST", "P/endpoints", status=422, json=body)["code"] == "ENDPOINTS_LIMIT_EXCEEDED"
    assert {each["branch_id"] for each in api.get("P/endpoints")["endpoints"]} >= {id}
    change = {"endpoint": {"name": "later", "suspend_timeout_seconds": 60}}
    changed = api.call("PATCH", f"P/endpoints/{endpoint}", json=change)["endpoint"]
    assert (changed["name"], changed["suspend_timeout_seconds"]) == ("later", 60)
    api.wait(api.call("DELETE", f"P/endpoints/{endpoint}"))
    assert api.call("DELETE", f"P/endpoints/{endpoint}", status=204) is None
    assert api.get(f"P/branches/{id}/endpoints")["endpoints"] == []
    api.call("POST", "P/endpoints", status=201, json=body)


def test_a_schema_is_shown_and_compared_with_the_parents(api: Any) -> None:
    main = api.main()["id"]
    ask(api.uri(main), "DROP TABLE IF EXISTS diffed; CREATE TABLE diffed (id int PRIMARY KEY)")
    id = api.create("changed")["branch"]["id"]
    query = {"db_name": "neondb"}
    assert api.get(f"P/branches/{id}/compare_schema", params=query)["diff"] == ""
    ask(api.uri(id), "ALTER TABLE diffed ADD COLUMN age integer")
    diff = api.get(f"P/branches/{id}/compare_schema", params=query)["diff"]
    assert diff.startswith("--- a/neondb\n+++ b/neondb\n")
    assert "\n+    id integer NOT NULL,\n+    age integer\n" in diff
    assert api.get(f"P/branches/{main}/compare_schema", params=query | {"base_branch_id": main})["diff"] == ""
    api.refused(422, "GET", f"P/branches/{main}/compare_schema", params=query)
    api.refused(404, "GET", f"P/branches/{id}/schema", params={"db_name": "nothing"})
    api.refused(400, "GET", f"P/branches/{id}/schema")
    api.refused(422, "GET", f"P/branches/{id}/schema", params=query | {"format": "json"})
    api.refused(422, "GET", f"P/branches/{id}/schema", params=query | {"lsn": "0/1"})


def test_a_schema_is_shown_of_a_branch_without_compute_too(api: Any) -> None:
    id = api.create("no compute", compute=False)["branch"]["id"]
    assert "PostgreSQL database dump" in api.get(f"P/branches/{id}/schema", params={"db_name": "neondb"})["sql"]


def test_a_reset_brings_the_parents_data_to_the_same_address(api: Any) -> None:
    main = api.main()["id"]
    ask(api.uri(main), "DROP TABLE IF EXISTS r; CREATE TABLE r AS SELECT 1 AS n")
    made = api.create("to be reset")
    id, uri = made["branch"]["id"], made["connection_uris"][0]["connection_uri"]
    ask(uri, "DELETE FROM r")
    ask(api.uri(main), "INSERT INTO r VALUES (2)")
    reset = api.call("POST", f"P/branches/{id}/restore", json={"source_branch_id": main})
    assert reset["branch"]["current_state"] == "resetting"
    api.wait(reset)
    assert ask(uri, "SELECT n FROM r ORDER BY n") == [(1,), (2,)]
    now = api.get(f"P/branches/{id}")["branch"]
    assert now["current_state"] == "ready"
    assert now["last_reset_at"]
    api.wait(api.call("POST", f"P/branches/{id}/restore", json={"source_branch_id": main}))
    assert ask(uri, "SELECT count(*) FROM r") == [(2,)]

    api.create("in the way", compute=False, parent_id=id)
    body = {"source_branch_id": main}
    assert "preserve_under_name" in api.refused(422, "POST", f"P/branches/{id}/restore", json=body)
    api.refused(422, "POST", f"P/branches/{id}/restore", json=body | {"source_lsn": "0/1"})
    api.refused(422, "POST", f"P/branches/{id}/restore", json={"source_branch_id": id})
    api.refused(404, "POST", f"P/branches/{id}/restore", json={"source_branch_id": "br-no-no-12345678"})
    api.refused(400, "POST", f"P/branches/{id}/restore")


def test_after_a_reset_that_failed_the_branch_is_what_it_was(api: Any, neon: LocalNeon) -> None:
    main, source = api.main()["id"], api.create("source", compute=False)["branch"]["id"]
    made = api.create("not reset")
    id, uri = made["branch"]["id"], made["connection_uris"][0]["connection_uri"]
    before = api.get(f"P/branches/{id}")["branch"]
    ask(uri, "CREATE TABLE own AS SELECT 1 AS n")
    # A tablespace, as it were: such a parent cannot be copied.
    (neon.state / "b" / source / "data" / "pg_tblspc" / "16384").mkdir()
    reset = api.call("POST", f"P/branches/{id}/restore", json={"source_branch_id": source})
    with pytest.raises(AssertionError, match="failed"):
        api.wait(reset)
    assert "tablespaces" in api.get(f"P/operations/{reset['operations'][0]['id']}")["operation"]["error"]
    now = api.get(f"P/branches/{id}")["branch"]
    assert now["current_state"] == "ready"
    assert "pending_state" not in now
    assert {name: now.get(name) for name in ("parent_id", "last_reset_at")} == {
        "parent_id": main,
        "last_reset_at": None,
    }
    assert now.keys() == before.keys()
    assert ask(uri, "SELECT n FROM own") == [(1,)]
    api.wait(api.call("POST", f"P/branches/{id}/restore", json={"source_branch_id": main}))


def test_another_branch_can_be_the_default(api: Any) -> None:
    main = api.main()["id"]
    id = api.create("heir")["branch"]["id"]
    try:
        assert api.call("POST", f"P/branches/{id}/set_as_default")["branch"]["default"]
        assert api.main()["id"] == id
        assert api.create("heir's child", compute=False)["branch"]["parent_id"] == id
    finally:
        api.call("POST", f"P/branches/{main}/set_as_default")


def test_many_clients_at_once_get_consistent_answers(api: Any) -> None:
    failures: list[Exception] = []

    def one(number: int) -> None:
        try:
            id = api.create(f"thread {number}")["branch"]["id"]
            assert ask(api.uri(id), "SELECT 1") == [(1,)]
            api.get("P/branches")
            api.delete(id)
        except Exception as error:  # noqa: BLE001 (whatever it was, the test fails by it)
            failures.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failures == []
    assert api.get("P/branches/count")["count"] == 1


def test_with_tls_the_strings_of_neons_own_tools_connect(
    shared_state: Path, tls_binaries: Binaries, api_of: Any
) -> None:
    with LocalNeon(shared_state, tls_binaries, persistent=False) as neon:
        api = api_of(neon.api_host, neon.api_key, neon.project_id)
        made = api.create("tls")
        uri = made["connection_uris"][0]["connection_uri"]
        assert uri.endswith("?sslmode=require&channel_binding=require")
        assert ask(uri, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == [(True,)]
        names = {"database_name": "neondb", "role_name": "neondb_owner", "branch_id": made["branch"]["id"]}
        pooled = api.get("P/connection_uri", params=names)["uri"]
        assert ask(pooled, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == [(True,)]
        assert neon.tls
        assert not [each for each in neon.notes if "TLS" in each]


FILLED = """
    DROP TABLE IF EXISTS person, log CASCADE;
    CREATE TABLE person (id serial PRIMARY KEY, email varchar(80) UNIQUE, age int, secret text, born date);
    CREATE TABLE log (person int REFERENCES person, what text);
    INSERT INTO person (email, age, secret, born)
        SELECT 'real' || n || '@corp.test', n, 'hush', '2000-01-01' FROM generate_series(1, 5) n;
    INSERT INTO log SELECT id, 'x' FROM person;
    CREATE MATERIALIZED VIEW known AS SELECT email FROM person;
    CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (NULL, 'gone'); END $$;
    CREATE TRIGGER tells BEFORE TRUNCATE ON person EXECUTE FUNCTION tell();
    ANALYZE person;
"""
CLEARED = "DROP TABLE person, log CASCADE; DROP FUNCTION tell()"


def test_a_schema_only_branch_has_all_of_the_schema_and_none_of_the_rows(api: Any) -> None:
    main = api.main()["id"]
    ask(api.uri(main), FILLED)
    made = api.create("no rows", init_source="schema-only")
    branch = api.get(f"P/branches/{made['branch']['id']}")["branch"]
    assert (branch["init_source"], branch.get("parent_id")) == ("schema-only", None)
    uri = api.uri(branch["id"])
    assert ask(uri, "SELECT (SELECT count(*) FROM person), (SELECT count(*) FROM log)") == [(0, 0)]
    assert ask(uri, "SELECT relispopulated FROM pg_class WHERE relname = 'known'") == [(False,)]
    assert ask(uri, "SELECT count(*) FROM pg_stats WHERE tablename = 'person'") == [(0,)]
    assert ask(uri, "INSERT INTO person (email) VALUES ('a') RETURNING id") == [(1,)]
    assert ask(api.uri(main), "SELECT count(*) FROM person") == [(5,)]
    stopped = api.create("no rows, no compute", init_source="schema-only", compute=False)["branch"]["id"]
    api.delete(stopped)
    ask(api.uri(main), CLEARED)


def rule(column: str, **what: str) -> dict[str, str]:
    return {"database_name": "neondb", "schema_name": "public", "table_name": "person", "column_name": column, **what}


def anonymized(api: Any, *rules: dict[str, str]) -> tuple[str, dict[str, Any]]:
    """A new branch with these rules: its id, and how its masking ended."""
    body = {
        "branch_create": {"branch": {}, "endpoints": [{"type": "read_write"}]},
        "masking_rules": list(rules),
        "start_anonymization": True,
        "annotation_value": {"a": "b"},
    }
    made = api.call("POST", "P/branch_anonymized", status=201, json=body)
    api.wait(made)
    branch_id = made["branch"]["id"]
    assert api.get(f"P/branches/{branch_id}")["annotation"]["value"] == {"a": "b"}
    return branch_id, api.get(f"P/branches/{branch_id}/anonymized_status")


def test_an_anonymized_branch_has_its_columns_masked_and_the_parent_has_not(api: Any) -> None:
    main = api.main()["id"]
    ask(api.uri(main), FILLED)
    branch_id, status = anonymized(
        api,
        rule("email", masking_function="anon.fake_email()"),
        rule("age", masking_function="anon.random_int_between(70, 80)"),
        rule("secret", masking_value="'it''s {0} %s'"),
        rule("born", masking_function="anon.random_date_between('1970-01-01', '1970-12-31')"),
    )
    assert (status["state"], status["last_run"]["masked_columns"]) == ("anonymized", 4)
    rows = ask(api.uri(branch_id), "SELECT email, age, secret, extract(year FROM born)::int FROM person")
    assert len({email for email, *_ in rows}) == 5
    assert all(email.endswith("@example.com") and 70 <= age <= 80 for email, age, *_ in rows)
    assert {tuple(rest) for _, _, *rest in rows} == {("it's {0} %s", 1970)}
    assert ask(api.uri(branch_id), "SELECT count(*) FROM pg_stats WHERE most_common_vals::text LIKE '%corp.test%'") == [
        (0,)
    ]
    assert ask(api.uri(main), "SELECT count(*) FROM person WHERE secret = 'hush'") == [(5,)]
    ask(api.uri(main), "ALTER TABLE person DROP CONSTRAINT person_email_key")
    masked, _ = anonymized(
        api,
        rule("email", masking_function="anon.partial_email(email)"),
        rule("secret", masking_function="anon.partial(\"secret\", 1, '--', 1)"),
    )
    assert set(ask(api.uri(masked), "SELECT email, secret FROM person")) == {("re******@co******.test", "h--h")}
    ask(api.uri(main), CLEARED)


def test_masking_that_cannot_be_done_is_refused_or_is_the_branchs_state(api: Any) -> None:
    main = api.main()["id"]
    ask(api.uri(main), FILLED)
    for function in ("anon.noise(age, 1)", "pg_sleep(9)", "anon.hash(email); DROP TABLE log", "anon.partial(email, 1)"):
        body = {"masking_rules": [rule("email", masking_function=function)], "start_anonymization": True}
        assert "not available on a local Neon" in api.refused(422, "POST", "P/branch_anonymized", json=body)
    assert "only at once" in api.refused(422, "POST", "P/branch_anonymized", json={"masking_rules": [rule("email")]})
    _, status = anonymized(api, rule("nothing", masking_value="x"))
    assert (status["state"], "no such column" in status["status_message"]) == ("error", True)
    branch_id, status = anonymized(api, rule("secret", masking_value="x"), rule("email", masking_value="same"))
    assert (status["state"], "person.email could not be masked" in status["status_message"]) == ("error", True)
    assert ask(api.uri(branch_id), "SELECT DISTINCT secret FROM person") == [("hush",)], "one transaction"
    api.refused(404, "GET", f"P/branches/{main}/anonymized_status")
    ask(api.uri(main), CLEARED)
