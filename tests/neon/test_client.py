"""What the client promises about each call."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from neontest.errors import (
    DeadlineExceeded,
    NeonError,
    NoFreeBranch,
    NotFound,
    OperationFailed,
    PasswordNotStored,
    UnexpectedAnswer,
    UsageError,
)
from neontest.neon.client import Neon
from neontest.stop import Stop
from neontest.whose import MaskingRule, Source

EXPIRY = datetime(2026, 11, 22, 13, 30, 15, 999, tzinfo=UTC)
MARK = {"neontest": "1", "lease": "a1b2"}


def create(neon: Neon, project: str, time: Any, name: str = "neontest/a", **more: Any) -> Any:
    settings = {"name": name, "expires_at": EXPIRY, "annotation": MARK, "deadline": time.deadline()}
    return neon.create_branch(project, **(settings | more))


def test_every_request_carries_the_key_an_id_of_its_own_and_our_name(server: Any, neon: Neon, key: str) -> None:
    neon.auth()
    neon.auth()
    first, second = (request.headers for request in server.requests)
    assert first["authorization"] == f"Bearer {key}"
    assert first["user-agent"].startswith("neontest/")
    assert first["x-request-id"] != second["x-request-id"]


def test_an_error_names_the_call_the_status_and_the_request_id(server: Any, neon: Neon, project: str) -> None:
    with pytest.raises(NotFound) as caught:
        neon.branch(project, "br-nobody")
    sent = server.requests[-1].headers["x-request-id"]
    assert caught.value.request_id == sent
    assert caught.value.status == 404
    for part in ("GET", "br-nobody", "404", "branch not found", sent):
        assert part in caught.value.message


def test_the_key_is_in_no_repr_and_no_error(server: Any, connect: Callable[..., Neon], key: str) -> None:
    neon = connect()
    server.fault("GET", "/auth", status=400, body=f"<p>Bearer {key}</p>".encode())
    with pytest.raises(UnexpectedAnswer) as caught:
        neon.auth()
    for text in (repr(neon), repr(neon._wire), str(caught.value), repr(caught.value)):
        assert key not in text


@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize("where", ["body", "type", "json"])
def test_a_key_that_is_said_back_is_not_told(server: Any, neon: Neon, key: str, status: int, where: str) -> None:
    said = f"Bearer {key.upper()} Bearer {key}"
    kind = {"body": "text/plain", "type": f"text/{said}", "json": "application/json"}[where]
    body = json.dumps({"message": said, "account_id": [said]}) if where == "json" else said
    server.fault("GET", "/auth", status=status, body=body.encode(), content_type=kind, times=99)
    with pytest.raises(NeonError) as caught:
        neon.auth()
    assert key not in str(caught.value).lower()
    assert "***" in str(caught.value) or where == "json"


@pytest.mark.parametrize("bad", ["", "a b", "napi_x\n", "näpi", "x\x00"])
def test_a_key_that_cannot_be_one_is_refused_before_any_request(bad: str) -> None:
    with pytest.raises(UsageError) as caught:
        Neon(bad)
    assert not bad.strip() or bad not in caught.value.message


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "console.neon.tech",
        "ftp://x/api",
        "https://",
        "https://me:pw@x/api",
        "https://x/?a=b",
        "http://x:99999/",
        "http://x y/",
        "http://a..b/",
        "http://[::1",
    ],
)
def test_a_host_that_is_no_address_is_refused_before_any_request(bad: str) -> None:
    with pytest.raises(UsageError):
        Neon("napi_x", host=bad)


def test_the_key_never_goes_to_neon_without_tls() -> None:
    with pytest.raises(UsageError, match="TLS"):
        Neon("napi_x", host="http://console.neon.tech/api/v2")


@pytest.mark.parametrize("bad", ["", "UPPER", "a/b", "../x", "a" * 61, "a\n", "é"])
def test_an_id_that_cannot_be_one_is_refused_before_any_request(server: Any, neon: Neon, bad: str) -> None:
    with pytest.raises(UsageError):
        neon.project(bad)
    with pytest.raises(UsageError):
        neon.branch("fine-project", bad)
    assert not server.requests


def test_a_branch_is_asked_for_with_a_compute_an_expiry_inside_and_an_annotation(
    server: Any, neon: Neon, project: str, time: Any
) -> None:
    east = timezone(timedelta(hours=2))
    made = create(neon, project, time, expires_at=EXPIRY.astimezone(east), parent_id=server.main["id"])
    assert server.sent("POST")[0].body == {
        "branch": {"name": "neontest/a", "expires_at": "2026-11-22T13:30:15Z", "parent_id": server.main["id"]},
        "endpoints": [{"type": "read_write"}],
        "annotation_value": MARK,
    }
    assert made.branch.name == "neontest/a"
    assert made.branch.expires_at == EXPIRY.replace(microsecond=0)
    assert [operation.action for operation in made.operations] == ["create_branch", "start_compute"]
    assert made.branch.annotation == MARK
    assert not made.adopted


@pytest.mark.parametrize("wrong", ["parent", "default", "protected", "name", "project", "compute"])
def test_a_receipt_for_another_branch_is_not_believed(
    server: Any, neon: Neon, project: str, time: Any, wrong: str
) -> None:
    foreign = server.branch("neontest/a" if wrong != "name" else "staging")
    (compute,) = (each for each in server.endpoints.values() if each["branch_id"] == foreign["id"])
    told = {"branch": foreign, "endpoints": [compute], "operations": []}
    if wrong in ("default", "protected"):
        told["branch"] = {**foreign, wrong: True}
    elif wrong == "project":
        told["branch"] = {**foreign, "project_id": "other-project"}
    elif wrong == "compute":
        told["endpoints"] = [{**compute, "branch_id": server.main["id"]}]
    parent = foreign["id"] if wrong == "parent" else server.main["id"]
    body = json.dumps(told).encode()
    server.fault("POST", "", status=201, body=body, content_type="application/json", times=99)
    with pytest.raises(UnexpectedAnswer, match="another branch"):
        create(neon, project, time, parent_id=parent)


def test_behind_a_receipt_for_another_branch_ours_is_found(server: Any, neon: Neon, project: str, time: Any) -> None:
    body = json.dumps({"branch": server.main, "endpoints": [], "operations": []}).encode()
    server.fault("POST", "", committed=True, body=body, content_type="application/json")
    made = create(neon, project, time, parent_id=server.main["id"])
    assert made.adopted
    assert made.branch.id != server.main["id"]
    assert made.branch.name == "neontest/a"


@pytest.mark.parametrize("kind", ["default", "protected"])
def test_a_default_or_protected_branch_is_not_adopted(
    server: Any, neon: Neon, project: str, time: Any, kind: str
) -> None:
    server.branch("neontest/a", annotation=MARK, **{kind: True})
    with pytest.raises(UnexpectedAnswer, match="another's"):
        create(neon, project, time)


def test_an_answer_about_another_branch_or_operation_is_refused(
    server: Any, neon: Neon, project: str, time: Any
) -> None:
    made = create(neon, project, time)
    other = json.dumps({"branch": server.main}).encode()
    server.fault("GET", made.branch.id, body=other, content_type="application/json")
    with pytest.raises(UnexpectedAnswer, match="another"):
        neon.branch(project, made.branch.id)
    done = {**next(iter(server.operations.values())), "id": "another", "status": "finished"}
    other = json.dumps({"operation": done}).encode()
    server.fault("GET", "/operations/", body=other, content_type="application/json")
    with pytest.raises(UnexpectedAnswer, match="another"):
        neon.wait_for(project, made.operations, time.deadline())


def test_what_neon_adds_is_ignored(server: Any, neon: Neon, project: str) -> None:
    branch = server.branch("plain", annotation={"a": "b"})
    body = b'{"branch": {"id": "%s", "project_id": "p", "name": "n", "created_at": "2026-01-01T00:00:00.5Z", ' % (
        branch["id"].encode()
    )
    body += b'"default": false, "protected": true, "new": {"deep": [1]}}, "annotation": {"value": {}}, "more": 1}'
    server.fault("GET", branch["id"], body=body, content_type="application/json; charset=utf-8")
    assert neon.branch(project, branch["id"]).protected


def test_a_branch_that_does_not_say_whether_it_is_protected_is_refused(server: Any, neon: Neon, project: str) -> None:
    branch = server.branch("plain")
    body = b'{"branch": {"id": "x", "project_id": "p", "name": "n", "created_at": "2026-01-01T00:00:00Z", '
    body += b'"default": false}}'
    server.fault("GET", branch["id"], body=body, content_type="application/json", times=99)
    with pytest.raises(UnexpectedAnswer, match="protected"):
        neon.branch(project, branch["id"])


def test_lists_are_read_to_their_end_with_annotations(server: Any, neon: Neon, project: str) -> None:
    server.page = 2
    names = {f"b{number}" for number in range(5)}
    for name in names:
        server.branch(name, annotation={"of": name})
    found = neon.branches(project)
    assert {branch.name for branch in found} == names | {"main"}
    assert {branch.annotation.get("of") for branch in found} == names | {None}
    assert all("limit" in request.query for request in server.requests)
    assert len(server.requests) == 3


def test_a_list_that_never_ends_is_an_error(server: Any, neon: Neon, project: str) -> None:
    server.endless = True
    with pytest.raises(UnexpectedAnswer, match="does not end"):
        neon.branches(project)
    assert len(server.requests) < 5


def test_a_branch_is_found_by_its_exact_name_only(server: Any, neon: Neon, project: str) -> None:
    server.branch("pr-10")
    assert neon.branch_named(project, "pr-1") is None
    wanted = server.branch("pr-1")
    found = neon.branch_named(project, "pr-1")
    assert found is not None
    assert found.id == wanted["id"]


def test_the_default_branch_is_found(server: Any, neon: Neon, project: str) -> None:
    server.branch("other")
    assert neon.default_branch(project).id == server.main["id"]


def test_a_project_without_a_default_branch_is_an_error(server: Any, neon: Neon, project: str) -> None:
    server.main["default"] = False
    with pytest.raises(UnexpectedAnswer, match="no default branch"):
        neon.default_branch(project)


def test_an_empty_page_ends_a_list(server: Any, neon: Neon, project: str) -> None:
    server.endless = True
    assert neon.branches(project, "no such name") == ()


def test_name_and_expiry_can_be_changed(server: Any, neon: Neon, project: str) -> None:
    branch = server.branch("old")
    assert neon.update_branch(project, branch["id"], name="new").name == "new"
    assert neon.update_branch(project, branch["id"], expires_at=EXPIRY).expires_at == EXPIRY.replace(microsecond=0)


def test_computes_can_be_started_and_suspended(server: Any, neon: Neon, project: str) -> None:
    (endpoint,) = neon.endpoints(project, server.main["id"])
    assert neon.start_endpoint(project, endpoint.id)[0].action == "start_compute"
    assert neon.suspend_endpoint(project, endpoint.id)[0].action == "suspend_compute"


# -- operations


def test_a_branch_is_ready_when_its_operations_are_through(server: Any, neon: Neon, project: str, time: Any) -> None:
    server.statuses = ["scheduling", "running", "running", "finished"]
    made = create(neon, project, time)
    neon.wait_for(project, made.operations, time.deadline())
    assert {operation["status"] for operation in server.operations.values()} == {"finished"}


def test_a_skipped_operation_is_through(server: Any, neon: Neon, project: str, time: Any) -> None:
    server.statuses = ["skipped"]
    neon.wait_for(project, create(neon, project, time).operations, time.deadline())


@pytest.mark.parametrize("status", ["failed", "error", "cancelled"])
def test_an_operation_that_ends_otherwise_is_an_error(
    server: Any, neon: Neon, project: str, time: Any, status: str
) -> None:
    server.statuses = ["running", status]
    made = create(neon, project, time)
    with pytest.raises(OperationFailed, match=f"create_branch of branch {made.branch.id} ended as {status}"):
        neon.wait_for(project, made.operations, time.deadline())


def test_a_failed_operation_that_neon_tries_again_is_watched_on(
    server: Any, neon: Neon, project: str, time: Any
) -> None:
    server.statuses = ["failed+retry", "running", "finished"]
    neon.wait_for(project, create(neon, project, time).operations, time.deadline())


def test_a_failed_operation_is_not_watched_for_ever(server: Any, neon: Neon, project: str, time: Any) -> None:
    server.statuses = ["failed+retry"]
    with pytest.raises(OperationFailed):
        neon.wait_for(project, create(neon, project, time).operations, time.deadline(3600))


def test_waiting_for_operations_ends_at_the_deadline(server: Any, neon: Neon, project: str, time: Any) -> None:
    server.statuses = ["running"]
    made = create(neon, project, time)
    with pytest.raises(DeadlineExceeded, match=r"create_branch .* is still running"):
        neon.wait_for(project, made.operations, time.deadline(30, "making the branch"))
    assert time.now <= 1030


def test_polling_sees_a_quick_server_at_once_and_is_gentle_with_a_slow_one(
    server: Any, neon: Neon, project: str, time: Any
) -> None:
    server.statuses = ["running"]
    made = create(neon, project, time)
    with pytest.raises(DeadlineExceeded):
        neon.wait_for(project, made.operations, time.deadline(60))
    assert time.slept[0] < 0.05
    assert len(time.slept) < 60
    assert max(time.slept) <= 2.5


def test_an_operation_that_nobody_knows_is_through_only_on_teardown(
    server: Any, neon: Neon, project: str, time: Any
) -> None:
    made = create(neon, project, time)
    server.operations.clear()
    with pytest.raises(NotFound):
        neon.wait_for(project, made.operations, time.deadline())
    neon.wait_for(project, made.operations, time.deadline(), teardown=True)


# -- connection strings


def uri(neon: Neon, project: str, server: Any, **more: Any) -> str:
    return neon.connection_uri(project, server.main["id"], database="neondb", role="neondb_owner", **more)


def test_the_connection_string_is_the_direct_one_of_that_branch(server: Any, neon: Neon, project: str) -> None:
    (endpoint,) = neon.endpoints(project, server.main["id"])
    assert f"@{endpoint.host}/neondb" in uri(neon, project, server)
    query = server.sent("GET", "connection_uri")[0].query
    assert query["pooled"] == ["false"]
    assert query["branch_id"] == [server.main["id"]]


@pytest.mark.parametrize(
    "bad",
    [
        "postgresql://u:hush@ep-a-pooler.stand-in.test/db",
        "postgresql://u:hush@ep-elsewhere.stand-in.test/db",
        "postgresql://u:hush@ep-a.stand-in.test.evil.test/db",
        "mysql://u:hush@ep-a.stand-in.test/db",
        "postgresql:///db",
        "hush",
        "postgresql://u:hush@[/db",
        "postgresql://u:hush@ep-a.stand-in.test/db?host=evil.test",
        "postgresql://u:hush@ep-a.stand-in.test/db?ho%73t=evil.test",
        "postgresql://u:hush@ep-a.stand-in.test/db?service=evil",
        "postgresql://u:hush@ep-a.stand-in.test/db?dbname=other",
        "postgresql://u:hush@ep-a.stand-in.test/db?hostaddr=6.6.6.6",
        "postgresql://u:hush@ep-a.stand-in.test/db?port=5432&port=6666",
        "postgresql://u:hush@ep-a.stand-in.test/db?port=6666",
        "postgresql://u:hush@ep-a.stand-in.test:6666/db",
        "postgresql://u:hush@evil.test,x@ep-a.stand-in.test/db",
        "postgresql://u:hush@ep-a.stand-in.test,evil.test/db",
        "postgresql://u:hush@ep-a.stand-in.test#,evil.test/db",
        "postgresql://ep-a.stand-in.test?u:hush@evil.test/db",
        "postgresql://u:hush@ep-a.stand-in.test\n/db",
    ],
)
def test_a_connection_string_that_leads_elsewhere_is_refused(server: Any, neon: Neon, project: str, bad: str) -> None:
    for endpoint in server.endpoints.values():
        endpoint["host"] = "ep-a.stand-in.test"
    server.uri = bad
    with pytest.raises(UnexpectedAnswer) as caught:
        uri(neon, project, server)
    assert "hush" not in str(caught.value)


def test_a_connection_string_of_a_branch_without_a_compute_is_refused(server: Any, neon: Neon, project: str) -> None:
    with pytest.raises(UnexpectedAnswer, match="it has none"):
        uri(neon, project, server, endpoints=())


def test_local_addresses_of_a_compute_are_its_own(server: Any, neon: Neon, project: str) -> None:
    for endpoint in server.endpoints.values():
        endpoint["host"] = "127.0.0.1:5433"
    for good in ("postgresql://u:p@127.0.0.1:5433/db", "postgresql://u:p@ep-a.x.test/db?hostaddr=127.0.0.1&port=5433"):
        server.uri = good
        assert uri(neon, project, server) == good
    for bad in ("127.0.0.1:5434/db", "127.0.0.1/db", "127.0.0.1:5433/db?hostaddr=6.6.6.6", "127.0.0.1:5433/db?port=1"):
        server.uri = f"postgresql://u:p@{bad}"
        with pytest.raises(UnexpectedAnswer):
            uri(neon, project, server)


def test_the_usual_port_may_be_said(server: Any, neon: Neon, project: str) -> None:
    (endpoint,) = neon.endpoints(project, server.main["id"])
    server.uri = f"postgres://u:p@{endpoint.host.upper()}:5432/db?sslmode=require&channel_binding=require"
    assert uri(neon, project, server) == server.uri


def test_a_password_that_neon_does_not_store_is_an_error_that_says_what_to_do(
    server: Any, neon: Neon, project: str
) -> None:
    server.fault("GET", "reveal_password", status=412, message="storing passwords is disabled")
    with pytest.raises(PasswordNotStored) as caught:
        neon.reveal_password(project, server.main["id"], "neondb_owner")
    assert "store_passwords" in str(caught.value.hint)
    assert neon.reveal_password(project, server.main["id"], "odd/name ü")
    assert server.requests[-1].path.endswith("/roles/odd%2Fname%20%C3%BC/reveal_password")


def choose(neon: Neon, project: str, server: Any, *wanted: str | None) -> tuple[str, str]:
    return neon.choose_database_and_role(project, server.main["id"], *wanted)


def test_the_only_database_and_role_are_chosen(server: Any, neon: Neon, project: str) -> None:
    server.databases, server.roles = [("shop", "owner")], [("owner", "password")]
    assert choose(neon, project, server) == ("shop", "owner")


def test_among_several_neons_usual_names_are_chosen(server: Any, neon: Neon, project: str) -> None:
    server.databases += [("other", "neondb_owner")]
    server.roles += [("other", None)]
    assert choose(neon, project, server) == ("neondb", "neondb_owner")


def test_roles_that_cannot_log_in_and_neons_own_are_not_candidates(server: Any, neon: Neon, project: str) -> None:
    server.roles = [("authenticator", None), ("authenticated", "no_login"), ("anonymous", "no_login")]
    server.roles += [("group", "no_login"), ("shop", None)]
    assert choose(neon, project, server)[1] == "shop"


def test_an_unclear_choice_lists_the_candidates(server: Any, neon: Neon, project: str) -> None:
    server.databases = [("b", "x"), ("a", "x")]
    with pytest.raises(UsageError) as caught:
        choose(neon, project, server)
    assert "--database" in str(caught.value.hint)
    assert "a, b" in str(caught.value.hint)


def test_what_was_asked_for_must_be_there(server: Any, neon: Neon, project: str) -> None:
    server.databases += [("other", "neondb_owner")]
    assert choose(neon, project, server, "other") == ("other", "neondb_owner")
    with pytest.raises(UsageError, match="'nope'"):
        choose(neon, project, server, "nope")
    with pytest.raises(UsageError, match="no role 'nope'"):
        choose(neon, project, server, None, "nope")


# -- deletion


def test_deleting_says_what_to_wait_for_and_that_it_was_gone(server: Any, neon: Neon, project: str, time: Any) -> None:
    made = create(neon, project, time)
    operations = neon.delete_branch(project, made.branch.id, time.deadline())
    assert operations is not None
    assert [each.action for each in operations] == ["suspend_compute", "delete_timeline"]
    assert neon.delete_branch(project, made.branch.id, time.deadline()) is None
    neon.wait_until_gone(project, made.branch.id, time.deadline())


def test_a_deletion_answered_without_a_body_or_with_404_is_one(
    server: Any, neon: Neon, project: str, time: Any
) -> None:
    made = create(neon, project, time)
    server.fault("DELETE", "", body=b"", content_type="", committed=True)
    assert neon.delete_branch(project, made.branch.id, time.deadline()) == ()
    server.fault("DELETE", "", status=404, message="branch not found")
    assert neon.delete_branch(project, made.branch.id, time.deadline()) is None


def test_a_branch_that_stays_is_not_called_gone(server: Any, neon: Neon, project: str, time: Any) -> None:
    branch = server.branch("stays")
    with pytest.raises(DeadlineExceeded, match="still there"):
        neon.wait_until_gone(project, branch["id"], time.deadline(5))


def test_a_client_under_another_stop_is_the_same_account(server: Any, neon: Neon, project: str, time: Any) -> None:
    stop = Stop()
    with neon.under(stop, own_connections=True) as other:
        assert other.host == neon.host
        assert other.auth() == neon.auth()


def test_the_loopback_is_reached_without_the_environments_proxy(
    server: Any, connect: Callable[..., Neon], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert connect().auth()


RULE = MaskingRule(
    database_name="neondb", schema_name="public", table_name="person", column_name="email",
    masking_function="anon.fake_email()",
)  # fmt: skip


def test_a_schema_only_branch_is_asked_for_and_one_with_a_parent_is_not_believed_to_be_one(
    server: Any, neon: Neon, project: str, time: Any
) -> None:
    source = Source(schema_only=True)
    made = create(neon, project, time, "bare", source=source, parent_id=server.main["id"])
    assert (made.branch.parent_id, made.branch.init_source) == (None, "schema-only")
    assert server.sent("POST")[0].body["branch"]["init_source"] == "schema-only"
    server.knows_no_schema_only = True
    with pytest.raises(UnexpectedAnswer):
        create(neon, project, time, "full", source=source, parent_id=server.main["id"])


def test_too_many_root_branches_are_no_free_branch_and_said(server: Any, neon: Neon, project: str, time: Any) -> None:
    server.root_limit = 1
    with pytest.raises(NoFreeBranch, match="root branches limit exceeded") as caught:
        create(neon, project, time, source=Source(schema_only=True))
    assert "a schema-only branch is a root branch" in str(caught.value.hint)


def test_a_branch_that_is_to_be_masked_is_asked_for_where_its_answer_was_lost_found_and_awaited(
    server: Any, neon: Neon, project: str, time: Any
) -> None:
    server.fault("POST", "/branch_anonymized$", committed=True, drop=True)
    made = create(neon, project, time, source=Source(rules=(RULE,), lsn="0/1A"))
    (sent,) = server.sent("POST")
    assert (made.adopted, sent.body["start_anonymization"]) == (True, True)
    assert sent.body["branch_create"]["branch"]["parent_lsn"] == "0/1A"
    assert sent.body["masking_rules"] == [
        {
            "database_name": "neondb", "schema_name": "public", "table_name": "person", "column_name": "email",
            "masking_function": "anon.fake_email()",
        }
    ]  # fmt: skip
    neon.wait_until_anonymized(project, made.branch.id, time.deadline())
    assert len(server.sent("GET", "/anonymized_status$")) == 4


@pytest.mark.parametrize(
    ("states", "error", "said"),
    [
        (["anonymizing", "error: no column x"], OperationFailed, r"could not be anonymized \(error\): no column x"),
        (["initialization_error"], OperationFailed, r"could not be anonymized \(initialization_error\)"),
        (["anonymizing"], DeadlineExceeded, "is still anonymizing"),
    ],
)
def test_a_branch_that_is_not_masked_is_never_taken_for_masked(
    server: Any, neon: Neon, project: str, time: Any, states: list[str], error: type[Exception], said: str
) -> None:
    server.masking = states
    made = create(neon, project, time, source=Source(rules=(RULE,)))
    with pytest.raises(error, match=said):
        neon.wait_until_anonymized(project, made.branch.id, time.deadline(5))
