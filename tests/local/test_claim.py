"""Claims: one holder, until it dies, and a fate written down for later."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from neontest.errors import LocalError
from neontest.local.claim import Fate, claim, try_claim


def test_a_claim_has_one_holder(tmp_path: Path) -> None:
    held = claim(tmp_path / "br-1")
    assert try_claim(tmp_path / "br-1") is None
    with pytest.raises(LocalError, match="br-1 is in use by another process"):
        claim(tmp_path / "br-1", patience=0)
    held.release(forget=False)
    again = claim(tmp_path / "br-1", patience=0)
    again.release(forget=True)
    assert not (tmp_path / "br-1").exists()


def test_a_claim_given_up_twice_leaves_the_next_holders_alone(tmp_path: Path) -> None:
    held = claim(tmp_path / "br-1")
    held.release(forget=True)
    other = claim(tmp_path / "br-1")
    held.release(forget=True)
    assert (tmp_path / "br-1").exists()
    other.release(forget=True)


def test_a_lock_on_a_removed_file_is_no_claim(tmp_path: Path) -> None:
    """Many take and forget one name at once: never two at the same time."""
    inside, most, errors = 0, 0, []
    count = threading.Lock()

    def work() -> None:
        nonlocal inside, most
        try:
            for _ in range(50):
                held = claim(tmp_path / "br-1", patience=60)
                with count:
                    inside += 1
                    most = max(most, inside)
                with count:
                    inside -= 1
                held.release(forget=True)
        except (LocalError, OSError) as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert errors == []
    assert most == 1


def test_a_fate_is_read_back_and_a_shorter_one_replaces_it(tmp_path: Path) -> None:
    held = claim(tmp_path / "br-1")
    assert held.fate() == Fate()
    long = Fate(expires_at="2026-11-22T10:00:00+00:00", port=54321)
    for fate in (long, Fate(port=1), long):
        held.decide(fate)
        assert held.fate() == fate
    held.release(forget=False)
    again = claim(tmp_path / "br-1")
    assert again.fate() == long
    again.release(forget=True)


def test_a_branch_is_left_running_until_its_moment() -> None:
    moment = datetime(2026, 11, 22, 10, tzinfo=UTC)
    fate = Fate(expires_at=moment.isoformat())
    assert fate.left_running(moment - timedelta(seconds=1))
    assert not fate.left_running(moment)
    assert not Fate().left_running(moment)
