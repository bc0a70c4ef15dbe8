"""Every revision up, down and up again on a branch that is 20 ms away, where the number of questions decides: beside
the same SQL, as far away."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from tests.benchmarks.bench_stairway import PLAIN, SQL, TRACED, WHOLE, mine, sql
from tests.benchmarks.measure import Row, compared, in_turns
from tests.benchmarks.place import Place
from tests.chaos.cables import Cables

ROUND_TRIP: Final = 0.02
"""Seconds there and back."""
BOUNDS: Final = {PLAIN: 1.3, TRACED: 1.6, WHOLE: 2.2}


def rows(place: Place) -> Iterator[Row]:
    size = 8 if place.quick else 20
    files = place.project(size)
    variants = {name: each for name, each in mine(place, files).items() if name in BOUNDS}
    variants[SQL] = sql(place, files)
    with far(place):
        costs = in_turns(variants, place.meter(), rounds=place.rounds(3), warm=0)
    for one, bound in BOUNDS.items():
        beside = {name: costs[name] for name in (one, SQL)}
        for row in compared("latency", f"{size} revisions, 20 ms away", beside, ours=one, bounds={SQL: bound}):
            yield replace(row, cpu=None)  # the cable's work is in it


@contextlib.contextmanager
def far(place: Place) -> Iterator[None]:
    """New databases are at the end of a long cable."""
    near, cables = place.port, Cables(delay=ROUND_TRIP / 2)
    place.port = cables.to(near)
    try:
        yield
    finally:
        place.port = near
        cables.close()
