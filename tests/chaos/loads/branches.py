"""A project of thousands of branches: listing, looking up a name, planning a sweep."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final

from neontest.lease import sweep
from neontest.neon.client import Neon
from tests.chaos.loads.measuring import Row, apart, growth, too_much
from tests.chaos.loads.stand_in import server

WHAT = ("list", "find by name", "default branch", "plan a sweep")
MOST: Final = 100_000_000
"""Bytes."""


def asking(url: str, what: str, name: str) -> Callable[[], object]:
    neon = Neon(server.KEY, host=url)
    project = server.PROJECT
    now = datetime.now(UTC)
    return {
        "list": lambda: len(neon.branches(project)),
        "find by name": lambda: neon.branch_named(project, name) is not None,
        "default branch": lambda: neon.default_branch(project).name,
        "plan a sweep": lambda: len(sweep.plan(neon, project, now=now, known=sweep.Owners())),
    }[what]


def rows(*, large: bool) -> Iterator[Row]:
    sizes = (2500, 5000) if large else (200,)
    before: dict[str, float] = {}
    for size in sizes:
        with server.serving() as fake:
            fake.checked, fake.limit = False, size + 1
            for number in range(size):
                mark = {"neontest": "1", "lease": str(number), "until": "2026-01-01T00:00:00Z"}
                fake.branch(f"neontest/pr-{number}/abc/{number}", annotation=mark, parent_id=fake.main["id"])
            for what in WHAT:
                asked = len(fake.requests)
                _, seconds, peak = apart(asking, fake.url, what, "neontest/pr-7/abc/7")
                grew = growth(sizes, (before[what], seconds)) if what in before else None
                before[what] = seconds
                requests = len(fake.requests) - asked
                yield Row(
                    what=f"branches: {what}", size=f"{size:,}", seconds=seconds, peak=peak, growth=grew,
                    note=f"{requests} requests", ok=requests <= 1 + size // 100 and peak < MOST,
                    slow=too_much(grew) or seconds > 5,
                )  # fmt: skip
