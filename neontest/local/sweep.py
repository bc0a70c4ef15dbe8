"""Clears a state folder of what dead owners left."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from neontest.errors import LocalError
from neontest.local import made, remains
from neontest.local.claim import try_claim
from neontest.local.once import clear_unfinished
from neontest.local.server import socket_folder


def sweep(state: Path, now: datetime | None = None) -> list[str]:
    """Remove what dead owners left in `state`, and stop their kept servers; the ids of the branches removed.

    A living owner's branch is never touched, since its lock is held, nor one left running until later than `now`. What
    cannot be removed now stays for the next sweep.
    """
    removed = []
    folders = [state / name for name in ("b", "kept", "lock", "new")]
    ids = {path.name for folder in folders if folder.is_dir() for path in folder.iterdir()}
    for id in sorted(ids):
        held = try_claim(state / "lock" / id, create=True)
        if held is None:
            continue
        forget = False
        try:
            folder = state / "b" / id
            if folder.exists() and held.fate().left_running(now):
                continue
            forget = not (state / "kept" / id).exists()
            if _clear(state, id):
                removed.append(id)
        except LocalError:
            forget = False
        finally:
            held.release(forget=forget)
    clear_unfinished(state / "tmpl", before_clearing=remains.end_making)
    if (state / "made").is_dir():
        made.clear(state / "made")
    return removed


def _clear(state: Path, id: str) -> bool:
    """End the servers of this id, and remove all but what is kept; true if there was a branch to remove."""
    for folder in (state / "b" / id, state / "kept" / id):
        if folder.exists():
            remains.end_server(folder / "data")
            remains.end_starting(folder / "data")
    branch, staging = state / "b" / id, state / "new" / id
    existed = branch.exists()
    remains.remove(branch, socket_folder(branch))
    remains.remove(staging, staging)
    return existed
