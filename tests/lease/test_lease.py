"""A branch is always given back, and nobody else's branch is ever touched."""

from __future__ import annotations

import json
import signal
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from neontest.errors import (
    AlreadyExists,
    BranchLeftBehind,
    LimitExceeded,
    NeonError,
    OperationFailed,
    Stopped,
    UsageError,
)
from neontest.lease.give_back import left_behind
from neontest.lease.lease import Leases
from neontest.lease.ledger import Ledger
from neontest.lease.names import Owner
from neontest.neon.client import Neon
from neontest.stop import Stop
from neontest.whose import MaskingRule, Source

STEM = "neontest/pr-42/abc1234/100-1"
BRANCHES = "/branches$"
Make = Callable[..., Leases]


def entries(ledger: Ledger) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(ledger.folder.glob("*.json"))]


def test_a_lease_is_in_the_ledger_before_the_branch_is_asked_for(
    server: Any, leases: Make, ledger: Ledger, soon: Any
) -> None:
    seen: list[Any] = []
    server.fault("POST", BRANCHES, call=lambda: seen.extend(entries(ledger)))
    leases().take(deadline=soon())
    (entry,) = seen
    body = server.sent("POST")[0].body
    assert entry["name"] == STEM == body["branch"]["name"]
    assert entry["annotation"] == body["annotation_value"]
    assert "branch_id" not in entry or entry["branch_id"] is None
    assert entry["api_host"] == server.url


def test_the_id_is_in_the_ledger_before_the_operations_are_awaited(
    server: Any, leases: Make, ledger: Ledger, soon: Any
) -> None:
    seen: list[Any] = []
    server.fault("GET", "/operations/", call=lambda: seen.extend(entries(ledger)))
    lease = leases().take(deadline=soon())
    assert seen[0]["branch_id"] == lease.branch.id


def test_the_ledger_is_private_and_holds_no_key(server: Any, leases: Make, ledger: Ledger, soon: Any, key: str) -> None:
    leases().take(deadline=soon())
    (path,) = ledger.folder.glob("*.json")
    assert path.stat().st_mode & 0o777 == 0o600
    assert ledger.folder.stat().st_mode & 0o777 == 0o700
    assert key not in path.read_text()


def test_a_lease_expires_and_says_whose_it_is(server: Any, leases: Make, soon: Any) -> None:
    expires_at = datetime.now(UTC) + timedelta(hours=2)
    lease = leases(expires_at=expires_at, until=expires_at - timedelta(hours=1)).take(deadline=soon())
    assert lease.branch.expires_at == expires_at.replace(microsecond=0)
    facts = server.annotations[lease.branch.id]
    assert facts["neontest"] == "1"
    assert facts["role"] == "candidate"
    assert datetime.fromisoformat(facts["until"]) == (expires_at - timedelta(hours=1)).replace(microsecond=0)
    assert lease.ready_seconds > 0
    assert {each["status"] for each in server.operations.values()} == {"finished"}


def test_given_back_is_deleted_awaited_proved_and_forgotten(
    server: Any, leases: Make, ledger: Ledger, soon: Any
) -> None:
    run = leases()
    lease = run.take(deadline=soon())
    given = run.give_back(lease)
    assert (given.branch_id, given.name, given.deleted, given.proved, given.why) == (
        lease.branch.id,
        STEM,
        True,
        True,
        None,
    )
    assert lease.branch.id not in server.branches
    assert server.sent("GET", lease.branch.id)[-1].status == 404
    assert {each["status"] for each in server.operations.values()} == {"finished"}
    assert entries(ledger) == []


def test_giving_back_twice_changes_nothing(server: Any, leases: Make, soon: Any) -> None:
    run = leases()
    lease = run.take(deadline=soon())
    first = run.give_back(lease)
    sent = len(server.requests)
    assert run.give_back(lease) == first
    assert run.give_back_all() == (first,)
    assert len(server.requests) == sent
    assert left_behind([first]) is None


def test_nothing_taken_is_nothing_to_give_back(leases: Make) -> None:
    assert leases().give_back_all() == ()


def test_siblings_have_the_same_parent_and_names_of_their_own(server: Any, leases: Make, soon: Any) -> None:
    run = leases()
    taken = [run.take(deadline=soon()), run.take("sibling", deadline=soon()), run.take("sibling", deadline=soon())]
    assert [lease.name for lease in taken] == [STEM, f"{STEM}-2", f"{STEM}-3"]
    assert {lease.branch.parent_id for lease in taken} == {server.main["id"]}
    assert all(given.proved for given in run.give_back_all())
    assert list(server.branches) == [server.main["id"]]


def test_siblings_can_be_made_at_the_moment_of_the_candidate(server: Any, leases: Make, soon: Any) -> None:
    run = leases()
    # The receipt does not say the moment; the finished branch does.
    server.fault("GET", "/operations/", call=lambda: [b.update(parent_lsn="0/1A2B") for b in server.branches.values()])
    lease = run.take(deadline=soon())
    assert lease.branch.parent_lsn == "0/1A2B"
    run.take("sibling", parent_lsn=lease.branch.parent_lsn, deadline=soon())
    assert server.sent("POST")[1].body["branch"]["parent_lsn"] == "0/1A2B"


def test_branches_without_rows_are_leased_like_others_and_are_of_no_moment(
    server: Any, leases: Make, ledger: Ledger, soon: Any
) -> None:
    run = leases(source=Source(schema_only=True))
    taken = [run.take(deadline=soon()), run.take("sibling", parent_lsn="0/1A2B", deadline=soon())]
    assert all(lease.branch.parent_id is None for lease in taken)
    for sent in server.sent("POST"):
        assert sent.body["branch"].keys() == {"name", "expires_at", "parent_id", "init_source"}
        assert sent.body["annotation_value"]["lease"]
    assert all(given.proved for given in run.give_back_all())
    assert (list(server.branches), entries(ledger)) == ([server.main["id"]], [])


def test_a_copy_of_the_data_where_none_was_asked_for_is_no_lease_and_is_given_back(
    server: Any, leases: Make, ledger: Ledger, soon: Any
) -> None:
    server.knows_no_schema_only = True
    run = leases(source=Source(schema_only=True))
    with pytest.raises(NeonError):
        run.take(deadline=soon())
    assert len(server.branches) == 2
    assert all(given.proved for given in run.give_back_all())
    assert (list(server.branches), entries(ledger)) == ([server.main["id"]], [])


def test_a_lease_is_handed_out_masked_at_the_moment_of_the_first_or_not_at_all(
    server: Any, leases: Make, ledger: Ledger, soon: Any
) -> None:
    rule = MaskingRule(database_name="d", schema_name="s", table_name="t", column_name="c", masking_value="x")
    run = leases(source=Source(rules=(rule,), time="2026-11-01T00:00:00Z"))
    lease = run.take(deadline=soon())
    assert server.masked[lease.branch.id] == deque(["anonymized"])
    run.take("sibling", parent_lsn="0/1A2B", deadline=soon())
    first, second = (each.body["branch_create"]["branch"] for each in server.sent("POST", "/branch_anonymized$"))
    assert (first["parent_timestamp"], "parent_lsn" in first) == ("2026-11-01T00:00:00Z", False)
    assert (second["parent_lsn"], "parent_timestamp" in second) == ("0/1A2B", False)
    server.masking = ["error: no"]
    with pytest.raises(OperationFailed, match="could not be anonymized"):
        run.take("sibling", deadline=soon())
    assert all(given.proved for given in run.give_back_all())
    assert (list(server.branches), entries(ledger)) == ([server.main["id"]], [])


def test_one_branch_that_stays_does_not_keep_the_others(server: Any, leases: Make, ledger: Ledger, soon: Any) -> None:
    run = leases()
    stays, goes = run.take(deadline=soon()), run.take("sibling", deadline=soon())
    server.fault("DELETE", stays.branch.id, status=403, message="not allowed", times=99)
    given = {each.branch_id: each for each in run.give_back_all(budget=5)}
    assert not given[stays.branch.id].proved
    assert given[goes.branch.id].proved
    assert [entry["branch_id"] for entry in entries(ledger)] == [stays.branch.id]
    error = left_behind(given.values())
    assert isinstance(error, BranchLeftBehind)
    assert error.exit_code == 4
    for part in (stays.branch.id, STEM, "not allowed", f"{stays.expires_at:%Y-%m-%d %H:%M}"):
        assert part in error.message
    assert "neontest cleanup" in str(error.hint)


def test_deleting_goes_on_while_the_project_is_locked(server: Any, leases: Make, soon: Any) -> None:
    run = leases()
    lease = run.take(deadline=soon())
    server.fault("DELETE", "", status=423, message="project already has running conflicting operations", times=4)
    assert run.give_back(lease).proved
    assert len(server.sent("DELETE")) == 5


def test_a_branch_that_is_gone_already_is_given_back(server: Any, leases: Make, ledger: Ledger, soon: Any) -> None:
    run = leases()
    lease = run.take(deadline=soon())
    del server.branches[lease.branch.id]
    given = run.give_back(lease)
    assert given.proved
    assert given.why == "it was gone already"
    assert entries(ledger) == []


def test_accepted_but_never_gone_is_not_proved(server: Any, leases: Make, ledger: Ledger, soon: Any) -> None:
    run = leases()
    lease = run.take(deadline=soon())
    # The API says 404 to the deletion, and yet still has it.
    server.fault("DELETE", "", status=404, message="branch not found", times=99)
    given = run.give_back(lease, budget=1.0)
    assert given.deleted
    assert not given.proved
    assert len(entries(ledger)) == 1


@pytest.mark.parametrize("how", ["default", "protected", "annotation"])
def test_a_branch_that_became_another_thing_is_never_deleted(server: Any, leases: Make, soon: Any, how: str) -> None:
    run = leases()
    lease = run.take(deadline=soon())
    if how == "annotation":
        server.annotations[lease.branch.id] = {"neontest": "1", "run": "100-1"}
    else:
        server.branches[lease.branch.id][how] = True
    given = run.give_back(lease, budget=2)
    assert not given.proved
    assert given.why
    assert lease.branch.id in server.branches
    assert not server.sent("DELETE")


def test_a_branch_that_others_were_made_from_stays_and_is_told(server: Any, leases: Make, soon: Any) -> None:
    run = leases()
    lease = run.take(deadline=soon())
    child = server.branch("somebody's", parent_id=lease.branch.id)
    given = run.give_back(lease, budget=3)
    assert not given.proved
    assert child["id"] in str(given.why)
    del server.branches[child["id"]]
    assert run.give_back(lease).proved


def test_a_deletion_whose_operation_fails_is_proved_by_its_404_and_told(server: Any, leases: Make, soon: Any) -> None:
    run = leases()
    lease = run.take(deadline=soon())
    server.statuses = ["error"]
    given = run.give_back(lease)
    assert given.proved
    assert "suspend_compute" in str(given.why)


def test_an_operation_of_the_deletion_that_nobody_knows_any_more_is_through(
    server: Any, leases: Make, soon: Any
) -> None:
    run = leases()
    lease = run.take(deadline=soon())
    server.fault("GET", "/operations/", call=server.operations.clear)
    given = run.give_back(lease)
    assert given.proved
    assert given.why is None


# -- creation that goes wrong


def test_a_failed_operation_is_told_and_the_branch_given_back(server: Any, leases: Make, soon: Any) -> None:
    server.statuses = ["failed"]
    run = leases()
    with pytest.raises(OperationFailed):
        run.take(deadline=soon())
    server.statuses = ["finished"]
    (given,) = run.give_back_all()
    assert given.proved
    assert list(server.branches) == [server.main["id"]]


def test_a_limit_is_told_and_nothing_is_left_in_the_ledger(
    server: Any, leases: Make, ledger: Ledger, soon: Any
) -> None:
    server.limit = 1
    run = leases()
    with pytest.raises(LimitExceeded, match="branches limit exceeded"):
        run.take(deadline=soon())
    assert run.give_back_all() == ()
    assert entries(ledger) == []


def test_a_lost_create_is_found_by_its_name_and_used(server: Any, leases: Make, soon: Any) -> None:
    server.fault("POST", BRANCHES, drop=True, committed=True)
    run = leases()
    lease = run.take(deadline=soon())
    assert lease.adopted
    assert run.give_back(lease).proved
    assert list(server.branches) == [server.main["id"]]


def test_a_create_whose_answer_comes_after_the_deadline_is_given_back(
    server: Any, leases: Make, ledger: Ledger, soon: Any
) -> None:
    answer = threading.Event()
    server.fault("POST", BRANCHES, until=answer, times=99)
    server.fault("GET", BRANCHES, until=answer, times=99)
    run = leases()
    with pytest.raises(NeonError):
        run.take(deadline=soon(0.3))
    answer.set()
    (given,) = run.give_back_all()
    assert given.proved
    assert list(server.branches) == [server.main["id"]]
    assert entries(ledger) == []


def test_a_create_that_lands_while_giving_back_is_given_back(server: Any, leases: Make, soon: Any) -> None:
    # Nobody answers the creation, and it lands only after the first look for it.
    server.fault("POST", BRANCHES, drop=True, times=99)
    run = leases()
    with pytest.raises(NeonError):
        run.take(deadline=soon(1))
    entry = server.sent("POST")[0].body
    looks = iter(range(9))

    def land() -> None:
        if next(looks) == 1:
            server.branch(STEM, annotation=entry["annotation_value"])

    server.fault("GET", BRANCHES, times=9, call=land)
    (given,) = run.give_back_all()
    assert given.proved
    assert list(server.branches) == [server.main["id"]]


def test_a_name_of_another_run_is_never_used_nor_deleted(server: Any, leases: Make, ledger: Ledger, soon: Any) -> None:
    other = server.branch(STEM, annotation={"neontest": "1", "run": "100-1", "lease": "other"})
    run = leases()
    lease = run.take(deadline=soon())
    assert lease.name.startswith(f"{STEM}-")
    assert lease.branch.id != other["id"]
    assert len(entries(ledger)) == 1
    assert run.give_back(lease).proved
    assert other["id"] in server.branches


def test_a_name_that_was_asked_for_is_not_replaced(server: Any, leases: Make, soon: Any) -> None:
    other = server.branch(STEM)
    run = leases(rename=False)
    with pytest.raises(AlreadyExists):
        run.take(deadline=soon())
    assert run.give_back_all() == ()
    assert other["id"] in server.branches


def test_no_branch_is_made_from_a_branch_that_expires(
    server: Any, neon: Neon, leases: Make, project: str, soon: Any
) -> None:
    parent = server.branch("short-lived", expires_at="2030-01-01T00:00:00Z")
    with pytest.raises(UsageError, match="expires"):
        leases(parent=neon.branch(project, parent["id"])).take(deadline=soon())
    assert not server.sent("POST")


# -- soon, and keep


def test_a_branch_can_be_taken_in_the_background(server: Any, leases: Make, soon: Any) -> None:
    run = leases()
    future = run.take_soon(deadline=soon())
    lease = future.result(20)
    assert lease.role == "sibling"
    assert run.give_back_all()[0].proved


def test_the_trouble_of_the_background_is_told_to_whoever_asks(server: Any, leases: Make, soon: Any) -> None:
    server.limit = 1
    future = leases().take_soon(deadline=soon())
    with pytest.raises(LimitExceeded):
        future.result(20)


def test_giving_back_ends_what_is_being_taken_in_the_background(
    server: Any, leases: Make, ledger: Ledger, soon: Any
) -> None:
    server.statuses = ["running"]
    run = leases()
    asked = threading.Event()
    server.fault("GET", "/operations/", call=asked.set)
    future = run.take_soon(deadline=soon())
    assert asked.wait(20)
    server.statuses = ["finished"]
    (given,) = run.give_back_all()
    assert given.proved
    with pytest.raises(CancelledError):
        future.result(20)
    assert list(server.branches) == [server.main["id"]]
    assert entries(ledger) == []


def test_a_create_under_way_in_the_background_is_given_back_too(
    server: Any, leases: Make, ledger: Ledger, soon: Any
) -> None:
    answer, arrived, looked = threading.Event(), threading.Event(), threading.Event()
    server.fault("POST", BRANCHES, until=answer, call=arrived.set)
    server.fault("GET", BRANCHES, call=looked.set)
    run = leases()
    future = run.take_soon(deadline=soon())
    assert arrived.wait(20)
    given = run.give_back_all()
    answer.set()
    assert all(each.proved for each in given)
    with pytest.raises((CancelledError, NeonError)):
        future.result(20)
    assert list(server.branches) == [server.main["id"]]


def test_a_kept_branch_stays_and_leaves_the_ledger(server: Any, leases: Make, ledger: Ledger, soon: Any) -> None:
    run = leases(keep=True)
    lease = run.take(deadline=soon())
    sibling = run.take("sibling", deadline=soon())
    run.keep(lease)
    assert [given.branch_id for given in run.give_back_all()] == [sibling.branch.id]
    assert lease.branch.id in server.branches
    assert server.annotations[lease.branch.id]["keep"] == "1"
    assert entries(ledger) == []
    with pytest.raises(UsageError):
        run.keep(sibling)


# -- stops


def test_a_stop_does_not_hinder_giving_back(server: Any, leases: Make, soon: Any, stop: Stop) -> None:
    run = leases()
    run.take(deadline=soon())
    with pytest.raises(Stopped):
        stop.request(signal.SIGTERM)
    server.fault("DELETE", "", status=423, times=2)
    (given,) = run.give_back_all(budget=7)
    assert given.proved


def test_a_stop_while_giving_back_waits_for_its_end(server: Any, leases: Make, soon: Any, stop: Stop) -> None:
    run = leases()
    run.take(deadline=soon())
    server.fault("DELETE", "", call=lambda: stop.request(signal.SIGINT))
    (given,) = run.give_back_all(budget=7)
    assert given.proved
    with pytest.raises(Stopped):
        stop.check()


@pytest.mark.parametrize("hangs", [False, True])
def test_a_stop_while_giving_back_shortens_the_time_for_it(
    server: Any, leases: Make, ledger: Ledger, soon: Any, stop: Stop, hangs: bool
) -> None:
    run = leases()
    run.take(deadline=soon())
    never = threading.Event() if hangs else None
    server.fault("DELETE", "", status=423, times=999, until=never, call=lambda: stop.request(signal.SIGINT))
    began = monotonic()
    (given,) = run.give_back_all(300, 0.5)
    assert monotonic() - began < 60
    assert not given.proved
    assert len(entries(ledger)) == 1


def test_what_nobody_foresaw_is_told_for_the_branch_that_it_befell(
    server: Any, key: str, project: str, ledger: Ledger, soon: Any
) -> None:
    dice = [0.05]
    with Neon(key, host=server.url, jitter=lambda: dice[0]) as neon:
        parent = neon.branch(project, server.main["id"])
        owner = Owner(stem=STEM, annotation={"neontest": "1"})
        expires_at = datetime.now(UTC) + timedelta(hours=1)
        run = Leases(neon, ledger, project_id=project, parent=parent, owner=owner, expires_at=expires_at, stop=Stop())
        lease = run.take(deadline=soon())
        dice.clear()
        (given,) = run.give_back_all()
    assert (given.branch_id, given.proved) == (lease.branch.id, False)
    assert given.why == "a defect in neontest: IndexError"
    assert len(entries(ledger)) == 1


def test_an_api_that_hangs_holds_nobody_longer_than_the_budget(
    server: Any, leases: Make, ledger: Ledger, soon: Any
) -> None:
    run = leases()
    lease = run.take(deadline=soon())
    server.fault("DELETE", "", until=threading.Event(), times=99, status=500)
    began = monotonic()
    (given,) = run.give_back_all(budget=0.5)
    assert monotonic() - began < 5
    assert not given.proved
    assert given.why
    assert entries(ledger)[0]["branch_id"] == lease.branch.id


def test_a_lease_gives_the_direct_url_and_keeps_it_out_of_its_repr(server: Any, leases: Make, soon: Any) -> None:
    lease = leases().take(deadline=soon())
    url = lease.url("neondb", "neondb_owner")
    host = url.partition("@")[2].partition("/")[0]
    assert server.endpoints[host.partition(".")[0]]["branch_id"] == lease.branch.id
    assert "postgresql://" not in repr(lease)


def test_a_branch_that_another_receipt_names_is_neither_used_nor_given_back(
    server: Any, leases: Make, ledger: Ledger, soon: Any
) -> None:
    foreign = server.branch("staging")
    body = json.dumps({"branch": foreign, "endpoints": [], "operations": []}).encode()
    more = {"committed": True, "body": body, "content_type": "application/json"}
    # Ours cannot be found at first either.
    server.fault("POST", BRANCHES, **more)
    server.fault("GET", BRANCHES, status=403)
    run = leases()
    with pytest.raises(NeonError, match="another branch"):
        run.take(deadline=soon())
    assert entries(ledger)[0]["branch_id"] is None
    (given,) = run.give_back_all()
    assert given.proved
    assert given.branch_id != foreign["id"]
    assert set(server.branches) == {server.main["id"], foreign["id"]}
    assert entries(ledger) == []


def test_a_branch_that_became_the_default_one_is_not_used(server: Any, leases: Make, soon: Any) -> None:
    def became() -> None:
        for branch in server.branches.values():
            branch["default"] = True

    server.fault("GET", "/operations/", call=became)
    with pytest.raises(NeonError, match="default branch"):
        leases().take(deadline=soon())


def test_a_connection_string_to_a_compute_of_the_parent_is_refused(server: Any, leases: Make, soon: Any) -> None:
    def became() -> None:
        (ours,) = [each for each in server.endpoints.values() if each["branch_id"] != server.main["id"]]
        (parents,) = [each for each in server.endpoints.values() if each["branch_id"] == server.main["id"]]
        parents["host"] = ours["host"].upper()

    server.fault("GET", "/operations/", call=became)
    lease = leases().take(deadline=soon())
    with pytest.raises(NeonError, match="a compute of its parent"):
        lease.url("neondb", "neondb_owner")


def test_the_connection_string_of_the_receipt_is_used_where_it_leads_to_the_branch(
    server: Any, leases: Make, soon: Any
) -> None:
    lease = leases().take(deadline=soon())
    (ours,) = [each for each in server.endpoints.values() if each["branch_id"] == lease.branch.id]
    asked = len(server.requests)
    url = lease.url("neondb", "neondb_owner")
    assert (urlsplit(url).hostname, len(server.requests)) == (ours["host"], asked)
    assert "uri" not in repr(lease)
    assert urlsplit(url).password not in repr(lease)
    # Another's names, and a string that leads elsewhere, are asked for.
    assert lease.url("neondb", "other") != url
    foreign = msgspec.structs.replace(
        lease._uris[0], connection_uri="postgresql://neondb_owner:x@elsewhere.test/neondb"
    )
    assert replace(lease, _uris=(foreign,)).url("neondb", "neondb_owner") == url
    assert len(server.requests) == asked + 2
