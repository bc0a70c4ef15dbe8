"""On a branch that is 20 ms away, where the number of questions decides: every revision up, down and up again, beside
the same SQL, as far away; the rows of many small tables, beside a question a table; and a whole run of one pending
revision with its branches, whose API is far away, too, beside the calls of alembic that somebody would make by hand."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from neontest.local.engine import LocalNeon
from neontest.local.roles import OWNER
from neontest.neon.client import Neon
from neontest.postgres.connect import Connection, connect
from neontest.postgres.fingerprint import read
from neontest.postgres.snapshot import Reader
from neontest.stop import FOREVER, Deadline
from tests.benchmarks.bench_api import far as api
from tests.benchmarks.bench_stairway import PLAIN, SQL, TRACED, WHOLE, mine, sql
from tests.benchmarks.measure import Row, Variant, compared, in_turns
from tests.benchmarks.place import Place, tool
from tests.chaos.cables import Cables

ROUND_TRIP: Final = 0.02
"""Seconds there and back."""
CREATE: Final = 1.0
"""Seconds until a new branch is there."""
RUN, CALLS = "neontest run, one pending revision, on an API as far", "alembic upgrade, downgrade, upgrade"
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
    with LocalNeon(place.folder / "away", place.binaries, persistent=False) as local:
        cables = Cables(delay=ROUND_TRIP / 2)
        try:
            with api(local, CREATE, cables) as seen:
                costs = in_turns(
                    last(place, local, seen.address, cables), place.meter(), rounds=place.rounds(3), warm=0
                )
        finally:
            cables.close()
    for row in compared("latency", f"1 of {size} revisions, 20 ms away", costs, ours=RUN):
        yield replace(row, cpu=None)


def last(place: Place, local: LocalNeon, address: str, cables: Cables) -> dict[str, Variant]:
    """A run of the last revision on a branch of a parent that has all others, and the same by hand on a database."""
    files = place.project(8 if place.quick else 20)
    with Neon(local.api_key, host=local.api_host) as neon:
        branch = neon.default_branch(local.project_id, deadline=Deadline(FOREVER, what="the benchmark"))
        parent = neon.connection_uri(local.project_id, branch.id, database="neondb", role=OWNER)

    def alembic(url: str, *words: str) -> None:
        env = {"DATABASE_URL": url.replace("postgres://", "postgresql://").replace("://", "+psycopg2://", 1)}
        place.run(tool("alembic"), *words, cwd=files.root, env=env)

    alembic(parent, "upgrade", files.written[-2])
    env = {"NEON_API_KEY": local.api_key, "NEON_PROJECT_ID": local.project_id, "NEON_API_HOST": address}
    words = ("run", "--neon", "--no-tests", "--no-lint", "--fail-on", "never")

    def by_hand() -> Callable[[], object]:
        url = place.database()
        alembic(url, "upgrade", files.written[-2])
        away = url.replace(f":{place.port}/", f":{cables.to(place.port)}/")
        steps = (("upgrade", "head"), ("downgrade", "-1"), ("upgrade", "head"))
        return lambda: [alembic(away, *step) for step in steps]

    return {RUN: lambda: lambda: place.run(tool("neontest"), *words, cwd=files.root, env=env), CALLS: by_hand}


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
