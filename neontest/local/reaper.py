"""Expiry: branches whose time has come are deleted by a background job, as on Neon."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Final, Self

from neontest.local import branching
from neontest.local.moments import now
from neontest.local.problem import Problem
from neontest.local.site import Site
from neontest.local.store import Branch

REAP_AGAIN: Final = 1.0
"""Seconds after which the end of an expired branch is tried again, when something is still being done with it."""
LOOK_AGAIN: Final = 60.0
"""Seconds between two looks at the clock at the latest: it may have been set, or the machine have slept."""


class Reaper:
    """Deletes branches whose time has come, from a thread of its own."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="neontest-local-reaper", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._site.store.changed:
            self._ended = True
            self._site.store.changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        store = self._site.store
        with store.changed:
            while not self._ended:
                at = now()
                waits = [LOOK_AGAIN]
                for branch in [each for each in store.branches() if each.expires_at is not None]:
                    assert branch.expires_at is not None
                    left = (branch.expires_at - at) / timedelta(seconds=1)
                    if left <= 0 and self._delete(branch):
                        continue
                    waits.append(left if left > 0 else REAP_AGAIN)
                store.changed.wait(min(waits))

    def _delete(self, branch: Branch) -> bool:
        try:
            deleted = branching.delete(self._site, branch.id)
        except Problem:
            return False
        if deleted is not None:
            deleted[1]()
        return True
