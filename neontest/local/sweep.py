"""Clears a state folder of what dead owners left."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from neontest.local import remains
from neontest.local.claim import Claim, try_claim
from neontest.local.server import socket_folder


def sweep(state: Path, now: datetime | None = None) -> list[str]:
    """Remove what dead owners left in `state`, and stop their kept servers; the ids of the branches removed.

    A living owner's branch is never touched, since its lock is held, nor one left running until later than `now`.
    """
    removed = []
    ids = {path.name for folder in ("b", "lock", "new") for path in (state / folder).iterdir()}
    for id in sorted(ids):
        held = try_claim(state / "lock" / id, create=True)
        if held is None:
            continue
        keep = True
        try:
            keep = _left(held, state, id, now)
            if not keep and _clear(state, id):
                removed.append(id)
        finally:
            held.release(forget=not keep)
    return removed


def _left(held: Claim, state: Path, id: str, now: datetime | None) -> bool:
    """The branch stays: a kept one, whose server is stopped, or one left running on purpose."""
    folder, fate = state / "b" / id, held.fate()
    if not folder.exists():
        return False
    if fate.expires_at is not None:
        return fate.left_running(now)
    if fate.keep:
        remains.end_server(folder / "data")
    return fate.keep


def _clear(state: Path, id: str) -> bool:
    folder, staging = state / "b" / id, state / "new" / id
    existed = folder.exists()
    remains.end_server(folder / "data")
    if existed:
        remains.end_starting(folder / "data")
    remains.remove(folder, socket_folder(folder))
    remains.remove(staging, staging)
    return existed
