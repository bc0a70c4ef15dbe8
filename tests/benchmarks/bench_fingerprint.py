"""Fingerprints of rows beside what else reads every row. A key and five columns (integer, text, timestamptz, jsonb,
numeric), 149 bytes a row."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator

import psycopg2.extensions

from neontest.postgres.connect import Connection, connect
from neontest.postgres.fingerprint import State, compare, read
from neontest.postgres.snapshot import Reader
from neontest.stop import FOREVER, Deadline
from tests.benchmarks.measure import Row, Variant, compared, growth, in_turns
from tests.benchmarks.place import Place

TABLE = """
CREATE TABLE t AS SELECT n::bigint AS id, (n * 7)::integer AS a, md5(n::text) || 'hello' AS b,
  timestamptz '2024-01-01' + n * interval '1 second' AS c, jsonb_build_object('k', n, 's', 'v' || n) AS d,
  (n * 1.25)::numeric AS e FROM generate_series(1, {rows}) n;
ALTER TABLE t ADD PRIMARY KEY (id);
"""
OURS, SCAN, COPY, TEXT = "fingerprint", "a scan that reads each row", "COPY TO STDOUT", "hash of rows as text"
CPU_BOUNDS, WALL_BOUNDS = {SCAN: 10.0}, {COPY: 1.0, TEXT: 0.8}


class Sink(io.TextIOBase):
    """Takes what COPY sends, and forgets it."""

    def write(self, text: str) -> int:
        return len(text)


def rows(place: Place) -> Iterator[Row]:
    points: dict[int, float] = {}
    for size in place.sizes(10_000, 1_000_000, 10_000_000):
        place.database()
        with contextlib.closing(connect(place.admin_url(f"b{place.count}"))) as connection:
            with connection.cursor() as cursor:
                cursor.execute(TABLE.format(rows=size))
                cursor.execute("VACUUM ANALYZE")
            Reader(connection)
            states: list[State] = []
            costs = in_turns(ways(connection, states), place.meter(), rounds=place.rounds(3),
                             warm=int(size < 10_000_000))  # fmt: skip
            assert not compare(states[0], states[-1])
        cut = size >= 1_000_000
        shown = f"{size:,} rows"
        by_cpu = {name: costs[name] for name in (OURS, SCAN)}
        yield from compared("fingerprint", shown, by_cpu, ours=OURS, bounds=CPU_BOUNDS if cut else None, by="cpu")
        by_wall = {name: costs[name] for name in (OURS, COPY, TEXT)}
        found = compared("fingerprint", shown, by_wall, ours=OURS, bounds=WALL_BOUNDS if cut else None)
        points[size] = found[0].seconds
        yield from found
    large = {size: seconds for size, seconds in points.items() if size >= 1_000_000}
    yield from growth("fingerprint", OURS, large, of="rows", bound=1.1)


def ways(connection: Connection, states: list[State]) -> dict[str, Variant]:
    def fingerprint() -> None:
        states.append(read(connection, None, how="full", deadline=Deadline(FOREVER, what="the benchmark")))

    def copy() -> None:
        # psycopg2 copies only where it waits by itself.
        waits = psycopg2.extensions.get_wait_callback()
        psycopg2.extensions.set_wait_callback(None)
        try:
            with connection.cursor() as cursor:
                cursor.copy_expert("COPY public.t TO STDOUT", Sink())
        finally:
            psycopg2.extensions.set_wait_callback(waits)

    def query(sql: str) -> Callable[[], None]:
        def ask() -> None:
            with connection.cursor() as cursor:
                cursor.execute(sql)

        return ask

    return {
        OURS: lambda: fingerprint,
        SCAN: lambda: query("SELECT count(e) FROM public.t"),
        COPY: lambda: copy,
        TEXT: lambda: query("SELECT sum(hashtextextended(t::text, 0)) FROM public.t"),
    }
