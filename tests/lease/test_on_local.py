"""The client and the lease meet the local engine, over a socket, with real Postgres behind it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import psycopg2
import pytest

from neontest.errors import AlreadyExists, HasChildren, NotFound, Refused, Stopped, Unauthorized, UsageError
from neontest.lease.lease import Leases
from neontest.lease.ledger import Ledger
from neontest.lease.names import owner
from neontest.lease.sweep import Owners, plan
from neontest.local.binaries import find
from neontest.local.engine import LocalNeon
from neontest.neon.client import Neon
from neontest.relay import Relay
from neontest.stop import Deadline, Stop


@pytest.fixture(scope="module")
def local(local_state: Path) -> Iterator[LocalNeon]:
    with LocalNeon(local_state, find(environ=os.environ), persistent=False) as engine:
        yield engine


@pytest.fixture
def client(local: LocalNeon) -> Iterator[Neon]:
    with Neon(local.api_key, host=local.api_host) as neon:
        yield neon


@pytest.fixture
def run(local: LocalNeon, client: Neon, tmp_path: Path) -> Iterator[Leases]:
    leases = Leases(
        client,
        Ledger(tmp_path / "ledger"),
        project_id=local.project_id,
        parent=client.default_branch(local.project_id),
        owner=owner({}, user="test", pid=os.getpid()),
        expires_at=datetime.now(UTC) + timedelta(hours=1),
        stop=Stop(),
        engine="local",
        state=local.state,
    )
    yield leases
    leases.give_back_all()


def query(url: str, sql: str) -> Any:
    connection = psycopg2.connect(url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else None
    finally:
        connection.close()


def until(seconds: float = 60.0) -> Deadline:
    return Deadline(seconds, what="the test")


def test_a_lease_is_a_database_of_its_own_and_goes_with_everything_in_it(
    local: LocalNeon, client: Neon, run: Leases
) -> None:
    lease = run.take(deadline=until())
    chosen = client.choose_database_and_role(local.project_id, lease.branch.id)
    assert chosen == ("neondb", "neondb_owner")
    query(lease.url(*chosen), "create table t (x int)")
    sibling = run.take_soon(deadline=until()).result(60)
    assert query(sibling.url(*chosen), "select to_regclass('t')") == [(None,)]
    given = run.give_back_all()
    assert len(given) == 2
    assert all(each.proved for each in given)
    with pytest.raises(NotFound):
        client.branch(local.project_id, lease.branch.id)


def test_a_lease_that_is_handed_over_is_given_back_by_who_takes_it_over(
    local: LocalNeon, client: Neon, run: Leases, tmp_path: Path
) -> None:
    lease = run.take(deadline=until())
    handed = run.hand_over(lease)
    assert run.give_back_all() == ()
    assert client.branch(local.project_id, lease.branch.id).id == lease.branch.id
    assert [entry.name for entry in (tmp_path / "ledger").iterdir() if entry.suffix == ".json"]
    other = Leases(
        client, Ledger(tmp_path / "ledger"), project_id=local.project_id,
        parent=client.default_branch(local.project_id), owner=owner({}, user="test", pid=os.getpid()),
        expires_at=lease.expires_at, stop=Stop(), engine="local", state=local.state,
    )  # fmt: skip
    mine = other.take_over(handed)
    assert other.take("sibling", deadline=until()).name != mine.name
    assert [each.proved for each in other.give_back_all()] == [True, True]
    assert not list((tmp_path / "ledger").glob("*.json"))


def test_what_stands_between_two_runs_is_given_back_when_all_ends(
    local: LocalNeon, client: Neon, run: Leases, tmp_path: Path
) -> None:
    stop, said = Stop(), list[str]()
    lease = run.take(deadline=until())
    with pytest.raises(Stopped), Relay(stop, said.append) as relay:  # noqa: PT012
        relay.hand_over(lease, run, "neondb")
        assert run.give_back_all() == ()
        stop.request(signal.SIGTERM)
    with pytest.raises(NotFound):
        client.branch(local.project_id, lease.branch.id)
    assert said == []
    assert not list((tmp_path / "ledger").glob("*.json"))


def test_names_and_annotations_come_back_as_they_were_sent(local: LocalNeon, client: Neon, run: Leases) -> None:
    lease = run.take(deadline=until())
    found = client.branch_named(local.project_id, lease.name)
    assert found is not None
    assert found.annotation == client.branch(local.project_id, lease.branch.id).annotation
    assert found.annotation["lease"]
    assert found.expires_at == lease.expires_at.replace(microsecond=0)
    (planned,) = (each for each in plan(client, local.project_id, now=datetime.now(UTC), known=Owners()))
    assert not planned.goes
    with pytest.raises(AlreadyExists):
        client.create_branch(
            local.project_id, name=lease.name, expires_at=lease.expires_at, annotation={"a": "b"}, deadline=until()
        )


def test_the_same_create_again_is_adopted(local: LocalNeon, client: Neon) -> None:
    asked: dict[str, Any] = {
        "name": "twice",
        "expires_at": datetime.now(UTC) + timedelta(hours=1),
        "annotation": {"neontest": "1", "lease": "twice"},
    }
    first = client.create_branch(local.project_id, **asked, deadline=until())
    again = client.create_branch(local.project_id, **asked, deadline=until())
    assert again.adopted
    assert again.branch.id == first.branch.id
    client.wait_for(local.project_id, again.operations, until())
    gone = client.delete_branch(local.project_id, first.branch.id, until())
    client.wait_for(local.project_id, gone or (), until(), teardown=True)
    client.wait_until_gone(local.project_id, first.branch.id, until())
    assert client.delete_branch(local.project_id, first.branch.id, until()) is None


def test_what_the_engine_refuses_is_the_clients_error(local: LocalNeon, client: Neon, run: Leases) -> None:
    main = client.default_branch(local.project_id)
    assert client.project(local.project_id).id == local.project_id
    with pytest.raises((Refused, HasChildren)):
        client.delete_branch(local.project_id, main.id, until())
    with pytest.raises(NotFound):
        client.project("no-such-project")
    lease = run.take(deadline=until())
    with pytest.raises(Refused):
        client.create_branch(
            local.project_id,
            name="child",
            parent_id=lease.branch.id,
            expires_at=lease.expires_at,
            annotation={},
            deadline=until(),
        )
    with Neon("wrong", host=local.api_host) as stranger, pytest.raises(Unauthorized):
        stranger.auth()
    with pytest.raises(UsageError):
        client.choose_database_and_role(local.project_id, main.id, "nope")


def test_computes_start_and_stop(local: LocalNeon, client: Neon, run: Leases) -> None:
    lease = run.take(deadline=until())
    (endpoint,) = client.endpoints(local.project_id, lease.branch.id)
    client.wait_for(local.project_id, client.suspend_endpoint(local.project_id, endpoint.id), until())
    client.wait_for(local.project_id, client.start_endpoint(local.project_id, endpoint.id), until())
    assert query(lease.url("neondb", "neondb_owner"), "select 1") == [(1,)]


def test_giving_back_takes_no_seven_seconds(run: Leases) -> None:
    run.take(deadline=until())
    run.take("sibling", deadline=until())
    began = monotonic()
    assert all(each.proved for each in run.give_back_all(budget=7))
    assert monotonic() - began < 7
