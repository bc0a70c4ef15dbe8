"""On a branch that is 20 ms away, where the number of questions decides: every revision up, down and up again, beside
the same SQL, as far away; and the rows of many small tables, beside a question a table."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from neontest.postgres.connect import Connection, connect
from neontest.postgres.fingerprint import read
from neontest.postgres.snapshot import Reader
from neontest.stop import FOREVER, Deadline
from tests.benchmarks.bench_stairway import PLAIN, SQL, TRACED, WHOLE, mine, sql
from tests.benchmarks.measure import Row, Variant, compared, in_turns
from tests.benchmarks.place import Place
from tests.chaos.cables import Cables

ROUND_TRIP: Final = 0.02
"""Seconds there and back."""
ROWS, EACH = "fingerprint", "hash of rows as text, table by table"
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
    many = 8 if place.quick else 100
    with far(place), contextlib.closing(connect(place.database())) as connection:
        with connection.cursor() as cursor:
            cursor.execute(
                "; ".join(
                    f"CREATE TABLE t{n} AS SELECT i AS id, 'v' || i AS v FROM generate_series(1, 20) i"
                    for n in range(many)
                )
            )
        Reader(connection)
        costs = in_turns(fingerprints(connection, many), place.meter(), rounds=place.rounds(3))
    for row in compared("latency", f"{many} tables, 20 ms away", costs, ours=ROWS):
        yield replace(row, cpu=None)


def fingerprints(connection: Connection, tables: int) -> dict[str, Variant]:
    def ours() -> None:
        read(connection, None, how="full", deadline=Deadline(FOREVER, what="the benchmark"))

    def one_by_one() -> None:
        with connection.cursor() as cursor:
            for n in range(tables):
                cursor.execute(f"SELECT sum(hashtextextended(t::text, 0)) FROM public.t{n} t")
                cursor.fetchall()

    return {ROWS: lambda: ours, EACH: lambda: one_by_one}


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
