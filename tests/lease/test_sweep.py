"""A sweep takes what dead runs left, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from neontest.errors import LocalError
from neontest.lease.cleanup import Cleaned, cleanup
from neontest.lease.lease import Leases
from neontest.lease.ledger import Entry, Ledger
from neontest.lease.sweep import Owners, Planned, owners, plan, sweep
from neontest.neon.client import Neon

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LATER, EARLIER = "2026-11-22T14:00:00Z", "2026-11-22T11:00:00Z"


def mark(**more: str) -> dict[str, str]:
    return {"neontest": "1", "until": LATER} | more


def planned(neon: Neon, project: str, **more: Any) -> dict[str, Planned]:
    settings: dict[str, Any] = {"now": NOW, "known": Owners()}
    return {each.branch.name: each for each in plan(neon, project, **(settings | more))}


def test_branches_without_our_mark_are_not_even_looked_at(server: Any, neon: Neon, project: str) -> None:
    server.branch("neontest/by-name-only", expires_at=EARLIER)
    server.branch("neontest/other-version", annotation={"neontest": "2"}, expires_at=EARLIER)
    assert planned(neon, project) == {}


def test_expired_branches_and_those_of_ended_runs_go(server: Any, neon: Neon, project: str) -> None:
    server.branch("expired", annotation=mark(), expires_at=EARLIER)
    server.branch("overdue", annotation=mark(until="2026-11-22T11:40:00Z"), expires_at=LATER)
    server.branch("just-over", annotation=mark(until="2026-11-22T11:55:00Z"), expires_at=LATER)
    server.branch("gone-here", annotation=mark(lease="gone"), expires_at=LATER)
    server.branch("elsewhere", annotation=mark(lease="another", pid="1"), expires_at=LATER)
    server.branch("odd", annotation={"neontest": "1", "until": "soon"})
    server.branch("kept", annotation=mark(lease="gone", keep="1", until=EARLIER), expires_at=LATER)
    server.branch("kept-over", annotation=mark(keep="1"), expires_at=EARLIER)
    found = planned(neon, project, known=Owners(gone=frozenset({"gone"})))
    assert {name for name, each in found.items() if each.goes} == {"expired", "overdue", "gone-here", "kept-over"}
    assert all(each.why for each in found.values())
    assert len(found) == 8


def test_the_ledgers_locks_tell_who_is_gone(
    server: Any, neon: Neon, project: str, ledger: Ledger, leases: Callable[..., Leases], soon: Any
) -> None:
    run = leases()
    lease = run.take(deadline=soon())
    mark = lease.branch.annotation["lease"]
    assert owners(ledger) == Owners(alive=frozenset({mark}))
    server.fault("DELETE", "", status=403, times=9)
    run.give_back_all(budget=2)
    assert owners(ledger) == Owners(gone=frozenset({mark}))
    assert planned(neon, project, now=datetime.now(UTC), known=owners(ledger))[lease.name].goes


def test_a_lease_that_is_held_on_this_machine_stays_whatever_else_is_said(
    server: Any, neon: Neon, project: str, ledger: Ledger, leases: Callable[..., Leases], soon: Any
) -> None:
    lease = leases().take(deadline=soon())
    after = {"now": datetime.now(UTC) + timedelta(days=3)}
    assert planned(neon, project, **after)[lease.name].goes
    held = planned(neon, project, known=owners(ledger), **after)[lease.name]
    assert not held.goes
    assert "alive" in held.why


@pytest.mark.parametrize("kind", ["default", "protected"])
def test_default_and_protected_branches_stay_even_with_our_mark(
    server: Any, neon: Neon, project: str, kind: str
) -> None:
    server.branch("special", annotation=mark(), expires_at=EARLIER, **{kind: True})
    assert not planned(neon, project)["special"].goes


def test_children_go_first_and_parents_of_what_stays_stay(server: Any, neon: Neon, project: str) -> None:
    grand = server.branch("grand", annotation=mark(), expires_at=EARLIER)
    parent = server.branch("parent", annotation=mark(), expires_at=EARLIER, parent_id=grand["id"])
    server.branch("child", annotation=mark(), expires_at=EARLIER, parent_id=parent["id"])
    foreign = server.branch("their-parent", annotation=mark(), expires_at=EARLIER)
    between = server.branch("between", annotation=mark(), expires_at=EARLIER, parent_id=foreign["id"])
    theirs = server.branch("theirs", parent_id=between["id"])
    found = planned(neon, project)
    assert [name for name, each in found.items() if each.goes] == ["child", "parent", "grand"]
    assert "made from it" in found["between"].why
    assert "made from it" in found["their-parent"].why
    given = list(sweep(neon, project, found.values()))
    assert [each.name for each in given] == ["child", "parent", "grand"]
    assert all(each.proved for each in given)
    assert set(server.branches) == {server.main["id"], foreign["id"], between["id"], theirs["id"]}


def test_what_changed_since_the_plan_is_left_alone(server: Any, neon: Neon, project: str) -> None:
    one = server.branch("one", annotation=mark(), expires_at=EARLIER)
    two = server.branch("two", annotation=mark(), expires_at=EARLIER)
    found = planned(neon, project)
    server.branches[one["id"]]["protected"] = True
    server.annotations[two["id"]] = mark(run="other")
    assert [each.proved for each in sweep(neon, project, found.values())] == [False, False]
    assert not server.sent("DELETE")


def test_planning_touches_nothing(server: Any, neon: Neon, project: str) -> None:
    server.branch("expired", annotation=mark(), expires_at=EARLIER)
    planned(neon, project)
    assert {request.method for request in server.requests} == {"GET"}


# -- cleanup


def clean(ledger: Ledger, neon: Neon | None, **more: Any) -> list[Cleaned]:
    settings: dict[str, Any] = {"now": lambda: datetime.now(UTC), "sweep_local": lambda folder: None, "budget": 5.0}
    return list(cleanup(ledger, neon, **(settings | more)))


def note(ledger: Ledger, server: Any, project: str, **more: Any) -> None:
    now = datetime.now(UTC)
    settings: dict[str, Any] = {
        "name": "neontest/a",
        "project_id": project,
        "api_host": server.url,
        "expires_at": now + timedelta(hours=1),
        "created_at": now - timedelta(minutes=1),
        "annotation": mark(lease="x"),
    }
    ledger.write(Entry(**(settings | more))).release()


def test_cleanup_gives_back_what_a_dead_run_left(server: Any, neon: Neon, project: str, ledger: Ledger) -> None:
    left = server.branch("neontest/a", annotation=mark(lease="x"))
    note(ledger, server, project, branch_id=left["id"])
    (done,) = clean(ledger, neon)
    assert done.outcome == "given back"
    assert left["id"] not in server.branches
    assert list(ledger.found()) == []


def test_cleanup_finds_a_branch_whose_id_nobody_wrote_down(
    server: Any, neon: Neon, project: str, ledger: Ledger
) -> None:
    left = server.branch("neontest/a", annotation=mark(lease="x"))
    note(ledger, server, project)
    assert clean(ledger, neon)[0].branch_id == left["id"]
    assert left["id"] not in server.branches


def test_cleanup_forgets_what_was_never_made(server: Any, neon: Neon, project: str, ledger: Ledger) -> None:
    other = server.branch("neontest/a", annotation=mark(lease="another"))
    note(ledger, server, project)
    assert clean(ledger, neon)[0].outcome == "given back"
    assert other["id"] in server.branches
    assert list(ledger.found()) == []


def test_cleanup_names_living_runs_and_leaves_them(
    server: Any, neon: Neon, ledger: Ledger, leases: Callable[..., Leases], soon: Any
) -> None:
    lease = leases().take(deadline=soon())
    (done,) = clean(ledger, neon)
    assert done.outcome == "alive"
    assert done.name == lease.name
    assert lease.branch.id in server.branches


@pytest.mark.parametrize("why", ["key", "host", "refused", "unreadable"])
def test_cleanup_keeps_and_tells_what_it_cannot_give_back(
    server: Any, neon: Neon, project: str, ledger: Ledger, why: str
) -> None:
    left = server.branch("neontest/a", annotation=mark(lease="x"))
    note(ledger, server, project, **({"api_host": "https://other.test/api"} if why == "host" else {}))
    if why == "unreadable":
        for path in ledger.folder.glob("*.json"):
            path.write_text("{")
    if why == "refused":
        server.fault("DELETE", "", status=403, message="not allowed", times=9)
    (done,) = clean(ledger, None if why == "key" else neon)
    assert done.outcome == "left"
    assert not done.given().proved
    assert left["id"] in server.branches
    assert len(list(ledger.folder.glob("*.json"))) == 1


def test_cleanup_sweeps_the_folder_of_a_local_engine(
    server: Any, neon: Neon, project: str, ledger: Ledger, tmp_path: Path
) -> None:
    swept: list[Path] = []
    note(ledger, server, project, engine="local", state=str(tmp_path))
    (done,) = clean(ledger, None, sweep_local=swept.append)
    assert swept == [tmp_path]
    assert done.outcome == "given back"
    assert not server.requests

    def fails(folder: Path) -> None:
        raise LocalError("a server does not end")

    note(ledger, server, project, engine="local", state=str(tmp_path))
    (done,) = clean(ledger, None, sweep_local=fails)
    assert done.outcome == "left"


def test_cleanup_forgets_what_expired_long_ago(server: Any, project: str, ledger: Ledger) -> None:
    note(ledger, server, project, expires_at=datetime.now(UTC) - timedelta(days=2))
    assert clean(ledger, None)[0].outcome == "given back"
    assert list(ledger.found()) == []
