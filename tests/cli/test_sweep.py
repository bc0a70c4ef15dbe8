"""`neontest sweep` gives back what dead runs left in the project, and says why."""

from __future__ import annotations

from typing import Any

import pytest

MARK = {"neontest": "1", "lease": "x", "until": "2026-01-01T00:00:00Z"}
PAST = "2026-01-01T01:00:00Z"


def test_a_dry_run_says_what_would_go_and_why_and_touches_nothing(on_neon: Any, fake_neon: Any) -> None:
    left = fake_neon.branch("neontest/left", annotation=MARK, expires_at=PAST)
    fake_neon.branch("neontest/busy", annotation=MARK | {"until": "2999-01-01T00:00:00Z"})
    fake_neon.branch("neontest/foreign", expires_at=PAST)
    said = on_neon("sweep", "--dry-run")
    assert said.code == 0
    assert said.out.splitlines() == [
        f"neontest/left ({left['id']}) would go: expired at 2026-01-01 01:00Z",
        said.out.splitlines()[1],
    ]
    assert "stays: its run may be alive until 2999-01-01 00:00Z" in said.out
    assert "foreign" not in said.out
    assert {request.method for request in fake_neon.requests} == {"GET"}


def test_what_is_dead_goes_and_the_rest_stays(on_neon: Any, fake_neon: Any) -> None:
    left = fake_neon.branch("neontest/left", annotation=MARK, expires_at=PAST)
    stays = fake_neon.branch("neontest/kept", annotation=MARK | {"keep": "1"}, expires_at="2999-01-01T00:00:00Z")
    said = on_neon("sweep")
    assert said.code == 0
    assert "neontest/left: given back in" in said.out
    assert set(fake_neon.branches) == {fake_neon.main["id"], stays["id"]}
    assert left["id"] not in fake_neon.branches
    assert "nothing to give back" in on_neon("sweep").out


def test_a_branch_that_stays_against_our_will_ends_with_4(on_neon: Any, fake_neon: Any) -> None:
    fake_neon.branch("neontest/left", annotation=MARK, expires_at=PAST)
    fake_neon.fault("DELETE", "", status=403, message="not allowed", times=9)
    said = on_neon("sweep")
    assert said.code == 4
    assert "neontest/left" in said.err
    assert "not allowed" in said.err


@pytest.mark.parametrize(("name", "code"), [("NEON_API_KEY", 2), ("NEON_PROJECT_ID", 2)])
def test_what_is_missing_is_said(on_neon: Any, monkeypatch: pytest.MonkeyPatch, name: str, code: int) -> None:
    monkeypatch.delenv(name)
    said = on_neon("sweep")
    assert said.code == code
    assert name in said.err
