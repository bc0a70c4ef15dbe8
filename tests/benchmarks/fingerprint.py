"""Times fingerprints against what else reads every row: python tests/benchmarks/fingerprint.py [ROWS …]

On clusters of its own, one a Postgres of this machine; a key and five columns (integer, text, timestamptz, jsonb,
numeric), 149 bytes a row. All take turns in one loop; ratios are paired, and their medians printed: of the server's
CPU time, and of the wall's.
"""

from __future__ import annotations

import contextlib
import io
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg2.extensions
from psycopg2.extensions import cursor

sys.path.insert(0, str(Path(__file__).parents[2]))

from neontest.local.binaries import Binaries, find_all
from neontest.local.cluster import Clusters
from neontest.postgres.connect import Connection, connect
from neontest.postgres.fingerprint import State, compare, read
from neontest.postgres.snapshot import Reader
from neontest.stop import FOREVER, Deadline

TABLE = """
CREATE TABLE t AS SELECT n::bigint AS id, (n * 7)::integer AS a, md5(n::text) || 'hello' AS b,
  timestamptz '2024-01-01' + n * interval '1 second' AS c, jsonb_build_object('k', n, 's', 'v' || n) AS d,
  (n * 1.25)::numeric AS e FROM generate_series(1, {rows}) n;
ALTER TABLE t ADD PRIMARY KEY (id);
"""
ROUNDS = 5


class Sink(io.TextIOBase):
    """Takes what COPY sends, and forgets it."""

    def write(self, text: str) -> int:
        return len(text)


def cpu(pid: int) -> float:
    """Seconds that the server's process has worked."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def timed(conn: Connection, call: Callable[[], object]) -> tuple[float, float]:
    pid, begin = conn.info.backend_pid, time.perf_counter()
    worked = cpu(pid)
    call()
    return cpu(pid) - worked, time.perf_counter() - begin


def main(binaries: Binaries, sizes: list[int]) -> None:
    waits = psycopg2.extensions.get_wait_callback()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/var/tmp")))
        folder.chmod(0o755)  # as root, the server runs as another user
        cluster = stack.enter_context(Clusters(folder / "state", binaries)).create("bench")
        print(f"Postgres {binaries.version}; medians of {ROUNDS} paired ratios, the server's CPU and the wall's")
        for rows in sizes:
            cluster.admin().cursor().execute(f"CREATE DATABASE b{rows}")
            conn = connect(f"postgresql://postgres@/b{rows}?host={cluster.sockets}&port={cluster.port}")
            sql = conn.cursor()
            sql.execute(TABLE.format(rows=rows))
            sql.execute("VACUUM ANALYZE")
            Reader(conn)
            states: list[State] = []

            def fingerprint(conn: Connection = conn, states: list[State] = states) -> None:
                states.append(read(conn, None, how="full", deadline=Deadline(FOREVER, what="the bench")))

            def copy(sql: cursor = sql) -> None:
                # psycopg2 copies only where it waits by itself.
                psycopg2.extensions.set_wait_callback(None)
                sql.copy_expert("COPY public.t TO STDOUT", Sink())
                psycopg2.extensions.set_wait_callback(waits)

            ways: dict[str, Callable[[], object]] = {
                "fingerprint": fingerprint,
                "deforming scan": lambda sql=sql: sql.execute("SELECT count(e) FROM public.t"),
                "COPY text": copy,
                "rows as text": lambda sql=sql: sql.execute("SELECT sum(hashtextextended(t::text, 0)) FROM public.t"),
            }
            for call in ways.values():
                call()
            rounds = [{name: timed(conn, call) for name, call in ways.items()} for _ in range(ROUNDS)]
            assert not compare(states[0], states[-1])
            ours = [each["fingerprint"] for each in rounds]
            print(f"\n{rows:,} rows: fingerprint {statistics.median(wall for _, wall in ours):.2f} s")
            for name in list(ways)[1:]:
                ratios = [
                    statistics.median(one[part] / each[name][part] for one, each in zip(ours, rounds, strict=True))
                    for part in (0, 1)
                ]
                print(f"  / {name:15} CPU {ratios[0]:5.2f}   wall {ratios[1]:5.2f}")
            compared = time.perf_counter()
            compare(states[0], states[-1])
            print(f"  compared in {(time.perf_counter() - compared) * 1000:.1f} ms")


if __name__ == "__main__":
    for each in find_all(environ=os.environ):
        main(each, [int(size) for size in sys.argv[1:]] or [10_000, 1_000_000])
