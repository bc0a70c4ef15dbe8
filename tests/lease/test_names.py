"""Names that people read, and marks that programs trust."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from neontest.lease.names import Owner, expiry, owner

CI = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_RUN_ID": "1234567",
    "GITHUB_RUN_ATTEMPT": "2",
    "GITHUB_SHA": "0123456789abcdef",
    "GITHUB_REF": "refs/pull/42/merge",
    "GITHUB_REF_NAME": "42/merge",
    "GITHUB_REPOSITORY": "me/shop",
    "GITHUB_JOB": "migrations",
}
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def test_in_ci_the_name_says_the_pull_request_the_commit_and_the_run() -> None:
    who = owner(CI, sha="fedcba9876543210", host="runner", pid=7)
    assert who.name() == "neontest/pr-42/fedcba9/1234567-2"
    assert who.name("2") == "neontest/pr-42/fedcba9/1234567-2-2"
    assert who.annotation == {
        "neontest": "1",
        "run": "1234567-2",
        "pr": "42",
        "sha": "fedcba9876543210",
        "repository": "me/shop",
        "job": "migrations",
        "host": "runner",
        "pid": "7",
    }


def test_without_a_pull_request_the_name_says_the_git_branch() -> None:
    env = CI | {"GITHUB_REF": "refs/heads/feature/x y", "GITHUB_REF_NAME": "feature/x y"}
    assert owner(env).name() == "neontest/feature-x-y/0123456/1234567-2"
    assert "pr" not in owner(env).annotation


def test_on_a_laptop_the_name_says_the_user_and_is_never_the_same_twice() -> None:
    first, second = (owner({}, sha="abcdef123", user="ada") for _ in range(2))
    assert first.name().startswith("neontest/ada/abcdef1/")
    assert first.name() != second.name()


@pytest.mark.parametrize("odd", ["", "Ada Lovelace", "../../etc", "ä/ö", "x" * 400, "a\nb", ".", "-"])
def test_a_name_has_four_plain_parts_whatever_it_is_made_of(odd: str) -> None:
    name = owner({}, sha=odd, user=odd, token=odd or "t").name("s")
    assert len(name) <= 256
    parts = name.split("/")
    assert parts[0] == "neontest"
    assert len(parts) == 4
    assert all(part.isascii() and part.isprintable() and " " not in part for part in parts)


def test_a_suffix_survives_the_longest_name() -> None:
    assert Owner(stem="n" * 400).name("x9").endswith("n-x9")
    assert len(Owner(stem="n" * 400).name("x9")) == 256


def test_a_branch_outlives_its_run_a_little_and_30_days_never() -> None:
    assert timedelta(minutes=30) < expiry(1800, now=NOW) - NOW <= timedelta(hours=2)
    for long in (30 * 86400.0, 1e12, float("inf")):
        assert timedelta(days=29) < expiry(long, now=NOW) - NOW < timedelta(days=30)
