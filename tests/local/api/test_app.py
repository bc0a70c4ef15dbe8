"""The API as a client sees it: who may ask, what is refused, and what the answers say."""

from __future__ import annotations

import base64
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from neontest.local.engine import LocalNeon


def soon(**delta: float) -> str:
    return (datetime.now(UTC) + timedelta(**delta)).strftime("%Y-%m-%dT%H:%M:%SZ")


# who asks


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Bearer", "Basic abc", "Bearer ключ"])
def test_without_the_key_there_is_no_answer(neon: LocalNeon, header: str | None) -> None:
    headers = {"Authorization": header.encode()} if header else {}
    answer = httpx.get(f"{neon.api_host}/projects/{neon.project_id}", headers=headers)
    assert answer.status_code == 401
    assert answer.json()["message"] == "supplied credentials do not pass authentication"
    assert answer.json()["code"] == ""


def test_an_unknown_path_does_not_say_so_without_the_key(neon: LocalNeon) -> None:
    assert httpx.get(f"{neon.api_host}/nothing").status_code == 401


@pytest.mark.parametrize("cookie", ["zenith", "keycloak_token"])
def test_the_key_may_come_as_a_cookie(neon: LocalNeon, cookie: str) -> None:
    answer = httpx.get(f"{neon.api_host}/auth", headers={"Cookie": f"{cookie}={neon.api_key}"})
    assert answer.status_code == 200


def test_the_clients_request_id_comes_back(neon: LocalNeon, api: Any) -> None:
    mine = str(uuid.uuid4())
    answer = api.http.get("/projects/nope-nope-12345678", headers={"X-Request-ID": mine})
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"] == mine


@pytest.mark.parametrize("given", ["", "a b", "x" * 200, "naïve"])
def test_a_request_id_that_is_none_is_replaced(api: Any, given: str) -> None:
    answer = api.http.get("/auth", headers={"X-Request-ID": given.encode()})
    assert str(uuid.UUID(answer.headers["X-Request-ID"]))


# what is asked


def test_what_is_not_there_is_a_404_in_neons_shape(api: Any) -> None:
    assert "not one that a local Neon answers" in api.http.get("/projects/x/nothing").json()["message"]
    assert api.refused(404, "GET", "/projects/nope-nope-12345678") == "project not found"
    assert api.refused(404, "GET", "P/branches/br-none-none-12345678") == "branch not found"
    assert api.refused(404, "GET", "P/endpoints/ep-none-none-12345678") == "endpoint not found"
    assert api.refused(404, "GET", f"P/operations/{uuid.uuid4()}") == "operation not found"
    main = api.main()["id"]
    assert api.refused(404, "GET", f"P/branches/{main}/roles/nobody") == "role not found"
    assert api.refused(404, "GET", f"P/branches/{main}/databases/nothing") == "database not found"


def test_a_method_that_is_not_meant_is_a_405(api: Any) -> None:
    main = api.main()["id"]
    path = f"/projects/{api.project_id}/branches/{main}/roles/neondb_owner/reveal_password"
    answer = api.http.post(path)
    assert answer.status_code == 405
    assert answer.json()["code"] == ""


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"\xff",
        b'{"branch": []}',
        b'{"branch": {"name": 1}}',
        b'{"branch": {"name": ""}}',
        b'{"endpoints": [{}]}',
        b'{"endpoints": [{"type": "read_write", "suspend_timeout_seconds": -2}]}',
        b'{"annotation_value": {"a": 1}}',
        json.dumps({"branch": {"name": "x" * 257}}).encode(),
        json.dumps({"annotation_value": {str(each): "" for each in range(51)}}).encode(),
        b'{"branch": {"name": "\\ud800"}}',
        b'{"branch": {"name": "a\\u0000b"}}',
        b'{"branch": {"name": "a\\nb"}}',
        b'{"branch": {"name": "ab\\n"}}',
        b'{"branch": {"name": "\\u001b[31m"}}',
        b'{"branch": {"name": "\\u0085"}}',
        b'{"branch": {"name": "\\u2028"}}',
        b'{"x":' * 90_000,
        b"[" * 90_000,
    ],
)
def test_a_body_that_cannot_be_read_is_a_400(api: Any, body: bytes) -> None:
    api.refused(400, "POST", "P/branches", content=body)
    assert api.get("P/branches/count")["count"] == 1


def test_a_body_without_end_is_refused_and_the_server_lives(api: Any) -> None:
    api.refused(413, "POST", "P/branches", content=b"x" * (2 << 20))
    assert api.get("P/branches/count")["count"] == 1


def test_an_empty_body_makes_a_branch_without_compute(api: Any) -> None:
    made = api.call("POST", "P/branches", status=201)
    assert made["branch"]["name"] == made["branch"]["id"]
    assert made["endpoints"] == []
    assert "connection_uris" not in made
    assert [each["action"] for each in made["operations"]] == ["create_branch"]
    api.wait(made)
    names = {"database_name": "neondb", "role_name": "neondb_owner", "branch_id": made["branch"]["id"]}
    assert api.refused(404, "GET", "P/connection_uri", params=names) == "endpoint not found"


def test_unknown_keys_are_ignored_even_an_expiry_in_the_wrong_place(api: Any) -> None:
    body = {"expires_at": soon(hours=1), "branch": {"name": "x", "colour": "red"}, "nothing": None}
    made = api.call("POST", "P/branches", status=201, json=body)
    api.wait(made)
    assert "expires_at" not in made["branch"]


def test_nulls_are_as_good_as_nothing(api: Any) -> None:
    body = {"branch": {"name": "nulls", "parent_id": None, "expires_at": None}, "endpoints": None}
    api.wait(api.call("POST", "P/branches", status=201, json=body))


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=x", "limit=10001", "sort_by=size", "sort_order=up", "cursor=x", "cursor=W10=", "limit=१"]
    + [f"cursor={base64.urlsafe_b64encode(b'[' * length).decode()}" for length in (6_000, 40_000)],
    ids=lambda query: query[:20],
)
def test_a_query_that_cannot_be_read_is_a_400(api: Any, query: str) -> None:
    api.refused(400, "GET", f"P/branches?{query}")


# branches


def test_a_branch_is_made_as_neon_makes_it(api: Any) -> None:
    made = api.create("preview/pr-7", wait=False)
    branch, (endpoint,) = made["branch"], made["endpoints"]
    assert (branch["current_state"], branch["pending_state"]) == ("init", "ready")
    assert branch["parent_id"] == api.main()["id"]
    assert (endpoint["current_state"], endpoint["pending_state"]) == ("init", "active")
    assert [(each["action"], each["status"]) for each in made["operations"]] == [
        ("create_branch", "running"),
        ("start_compute", "scheduling"),
    ]
    assert "endpoint_id" not in made["operations"][0]
    assert made["operations"][1]["endpoint_id"] == endpoint["id"]
    assert [each["name"] for each in made["roles"]] == ["neondb_owner"]
    assert "password" not in made["roles"][0]
    assert [each["name"] for each in made["databases"]] == ["neondb"]
    (details,) = made["connection_uris"]
    assert details["connection_parameters"]["host"] == endpoint["host"]
    assert endpoint["host"] in details["connection_uri"]

    api.wait(made)
    now = api.get(f"P/branches/{branch['id']}")["branch"]
    assert now["current_state"] == "ready"
    assert "pending_state" not in now
    endpoint_now = api.get(f"P/endpoints/{endpoint['id']}")["endpoint"]
    assert endpoint_now["current_state"] == "active"
    assert endpoint_now["host"] == endpoint["host"]


def test_a_deletion_is_accepted_then_done_then_past(api: Any) -> None:
    id = api.create("short-lived")["branch"]["id"]
    answer = api.call("DELETE", f"P/branches/{id}")
    assert answer["branch"]["pending_state"] == "storage_deleted"
    assert [each["action"] for each in answer["operations"]] == ["suspend_compute", "delete_timeline"]
    assert api.call("DELETE", f"P/branches/{id}", status=204) is None
    api.wait(answer)
    assert api.refused(404, "GET", f"P/branches/{id}") == "branch not found"
    assert api.call("DELETE", f"P/branches/{id}", status=204) is None
    assert api.call("DELETE", "P/branches/br-never-was-12345678", status=204) is None


def test_a_branch_is_not_renamed_to_what_is_no_name(api: Any) -> None:
    id = api.create("ordinary name ☃", compute=False)["branch"]["id"]
    for name in ("", "a\0b", "a\nb", "\x7f"):
        api.refused(400, "PATCH", f"P/branches/{id}", json={"branch": {"name": name}})
    assert api.get(f"P/branches/{id}")["branch"]["name"] == "ordinary name ☃"


def test_names_are_unique(api: Any) -> None:
    made = api.create("twice", compute=False)
    body = {"branch": {"name": "twice"}}
    answer = api.call("POST", "P/branches", status=409, json=body)
    assert (answer["code"], answer["message"]) == (
        "BRANCH_ALREADY_EXISTS",
        'branch already exists; branch_name:"twice"',
    )
    other = api.create("once", compute=False)
    api.refused(409, "PATCH", f"P/branches/{other['branch']['id']}", json={"branch": {"name": "twice"}})
    same = {"branch": {"name": "twice"}}
    assert api.call("PATCH", f"P/branches/{made['branch']['id']}", json=same)["operations"] == []


def test_a_parent_is_not_deleted_before_its_children(api: Any) -> None:
    parent = api.create("parent", compute=False)["branch"]["id"]
    child = api.create("child", compute=False, parent_id=parent)["branch"]
    assert child["parent_id"] == parent
    assert api.refused(422, "DELETE", f"P/branches/{parent}") == (
        f"cannot delete branch that has children: {child['id']}"
    )
    api.delete(child["id"])
    api.delete(parent)


def test_default_and_protected_branches_stay(api: Any) -> None:
    assert "default" in api.refused(422, "DELETE", f"P/branches/{api.main()['id']}")
    made = api.create("guarded", compute=False, protected=True)["branch"]
    assert made["protected"]
    assert "protected" in api.refused(422, "DELETE", f"P/branches/{made['id']}")
    api.call("PATCH", f"P/branches/{made['id']}", json={"branch": {"protected": False}})
    api.delete(made["id"])


def test_the_limit_is_a_422_with_its_code(api: Any) -> None:
    for _ in range(19):
        api.create(compute=False, wait=False)
    answer = api.call("POST", "P/branches", status=422)
    assert (answer["code"], answer["message"]) == ("BRANCHES_LIMIT_EXCEEDED", "branches limit exceeded")


def test_a_missing_parent_is_a_404(api: Any) -> None:
    api.refused(404, "POST", "P/branches", json={"branch": {"parent_id": "br-no-no-12345678"}})


@pytest.mark.parametrize(
    "branch",
    [
        {"parent_lsn": "0/1A2B3C"},
        {"parent_timestamp": "2026-01-01T00:00:00Z"},
        {"init_source": "parent-schema"},
    ],
)
def test_what_a_copy_cannot_do_is_refused_by_name(api: Any, branch: dict[str, str]) -> None:
    message = api.refused(422, "POST", "P/branches", json={"branch": branch})
    assert next(iter(branch)) in message
    assert "not available on a local Neon" in message


def test_only_one_compute_that_writes(api: Any) -> None:
    two = {"endpoints": [{"type": "read_write"}, {"type": "read_write"}]}
    assert api.call("POST", "P/branches", status=422, json=two)["code"] == "ENDPOINTS_LIMIT_EXCEEDED"
    api.refused(422, "POST", "P/branches", json={"endpoints": [{"type": "read_only"}]})
    assert api.get("P/branches/count")["count"] == 1


def test_annotations_come_back(api: Any) -> None:
    body = {"branch": {"name": "marked"}, "annotation_value": {"neontest": "1", "pr": "7"}}
    made = api.call("POST", "P/branches", status=201, json=body)
    api.wait(made)
    id = made["branch"]["id"]
    assert api.get(f"P/branches/{id}")["annotation"]["value"] == {"neontest": "1", "pr": "7"}
    listed = api.get("P/branches")["annotations"]
    assert list(listed) == [id]
    assert listed[id]["value"] == {"neontest": "1", "pr": "7"}
    assert api.get(f"P/branches/{api.main()['id']}")["annotation"]["value"] == {}


# expiry


@pytest.mark.parametrize(
    ("written", "status"),
    [
        ("tomorrow", 400),
        ("2099-01-01", 400),
        ("2099-01-01T00:00:00", 400),
        ("2099-01-01T00:00:00+00:00Z", 400),
        ("2099-13-01T00:00:00Z", 400),
        ("2020-01-01T00:00:00Z", 422),
        ("2099-01-01T00:00:00Z", 422),
    ],
)
def test_an_expiry_that_cannot_be_is_refused(api: Any, written: str, status: int) -> None:
    assert "expires_at" in api.refused(status, "POST", "P/branches", json={"branch": {"expires_at": written}})
    id = api.create(compute=False)["branch"]["id"]
    api.refused(status, "PATCH", f"P/branches/{id}", json={"branch": {"expires_at": written}})


def test_fractions_of_seconds_and_zones_are_taken_and_stored_as_whole_seconds_in_utc(api: Any) -> None:
    moment = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0)
    zoned = moment.astimezone(datetime.strptime("+0530", "%z").tzinfo).strftime("%Y-%m-%dT%H:%M:%S.987+05:30")
    branch = api.create(compute=False, expires_at=zoned)["branch"]
    assert branch["expires_at"] == moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert 86300 < branch["ttl_interval_seconds"] <= 86400


def test_an_expiry_is_changed_removed_or_left_alone(api: Any) -> None:
    id = api.create(compute=False, expires_at=soon(hours=1))["branch"]["id"]
    path = f"P/branches/{id}"
    later = soon(hours=2)
    assert api.call("PATCH", path, json={"branch": {"expires_at": later}})["branch"]["expires_at"] == later
    assert api.call("PATCH", path, json={"branch": {"name": "renamed"}})["branch"]["expires_at"] == later
    gone = api.call("PATCH", path, json={"branch": {"expires_at": None}})["branch"]
    assert not {"expires_at", "ttl_interval_seconds"} & set(gone)
    api.refused(400, "PATCH", path, json={"expires_at": later})


def test_what_must_stay_cannot_expire_and_what_expires_has_no_children(api: Any) -> None:
    expiry = {"branch": {"expires_at": soon(hours=1)}}
    assert "default" in api.refused(422, "PATCH", f"P/branches/{api.main()['id']}", json=expiry)
    api.refused(422, "POST", "P/branches", json={"branch": expiry["branch"] | {"protected": True}})
    parent = api.create(compute=False)["branch"]["id"]
    child = api.create(compute=False, parent_id=parent, **expiry["branch"])["branch"]["id"]
    assert "children" in api.refused(422, "PATCH", f"P/branches/{parent}", json=expiry)
    assert "expir" in api.refused(422, "POST", "P/branches", json={"branch": {"parent_id": child}})
    assert "protected" in api.refused(422, "PATCH", f"P/branches/{child}", json={"branch": {"protected": True}})


# lists


def test_lists_are_searched_sorted_and_paged(api: Any) -> None:
    ids = {name: api.create(name, compute=False)["branch"]["id"] for name in ("pr-1", "pr-10", "pr-2", "other")}

    def names(**query: str | int) -> list[str]:
        return [each["name"] for each in api.get("P/branches", params=query)["branches"]]

    assert names(search="pr-1", sort_by="name", sort_order="asc") == ["pr-1", "pr-10"]
    assert names(search=ids["other"]) == ["other"]
    assert names(sort_by="name", sort_order="desc") == ["pr-2", "pr-10", "pr-1", "other", "main"]
    assert names(sort_by="created_at", sort_order="asc") == ["main", "pr-1", "pr-10", "pr-2", "other"]
    assert api.get("P/branches/count", params={"search": "pr-"})["count"] == 3

    for sort_by in ("name", "created_at", "updated_at"):
        for order in ("asc", "desc"):
            query: dict[str, str | int] = {"limit": 2, "sort_by": sort_by, "sort_order": order}
            seen: list[str] = []
            while True:
                page = api.get("P/branches", params=query)
                seen += [each["name"] for each in page["branches"]]
                assert page["pagination"]["sort_order"] == order.upper()
                if "next" not in page["pagination"]:
                    break
                query["cursor"] = page["pagination"]["next"]
            assert seen == names(sort_by=sort_by, sort_order=order), (sort_by, order)


def test_operations_are_listed_newest_first_and_end_with_an_empty_page(api: Any) -> None:
    made = api.create("listed")
    seen: list[str] = []
    query: dict[str, str | int] = {"limit": 3}
    while page := api.get("P/operations", params=query)["operations"]:
        seen += [each["id"] for each in page]
        query["cursor"] = api.get("P/operations", params=query)["pagination"]["cursor"]
    assert seen[:2] == [each["id"] for each in reversed(made["operations"])]
    assert len(seen) == len(set(seen))
    assert all(each["total_duration_ms"] >= 0 for each in api.get("P/operations")["operations"])


def test_the_account_has_one_project(api: Any, neon: LocalNeon) -> None:
    assert [each["id"] for each in api.get("/projects")["projects"]] == [neon.project_id]
    assert api.get("/projects/shared")["projects"] == []
    assert api.get("/projects", params={"search": "nothing"})["projects"] == []
    organization = api.get("/users/me/organizations")["organizations"][0]["id"]
    assert api.get("/projects", params={"org_id": organization, "limit": 2})["projects"]
    assert api.get("/projects", params={"org_id": "org-else"})["projects"] == []
    cursor = api.get("/projects")["pagination"]["cursor"]
    assert api.get("/projects", params={"cursor": cursor})["projects"] == []
    assert api.get("P")["project"]["owner"]["branches_limit"] == api.get("/users/me")["branches_limit"] == 20
    assert api.get("/auth")["auth_method"] == "api_key_user"
