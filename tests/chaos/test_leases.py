"""Always the same interleavings, in a bounded time: `python -m tests.chaos leases` tries others."""

from __future__ import annotations

from tests.chaos.leases import explored


def test_no_interleaving_deletes_what_is_not_ours_or_leaves_what_is() -> None:
    explored(100, steps=30)
