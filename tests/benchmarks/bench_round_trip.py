"""Up, down and up again as whole processes: `neontest run --mode whole` with its branch, its snapshots and its trace,
and its walk alone, beside three calls of `alembic`, and beside nothing but the SQL."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator

from tests.benchmarks import replay
from tests.benchmarks.engine import THREE
from tests.benchmarks.measure import Cost, Row, compared, growth, in_turns
from tests.benchmarks.place import Place, tool

OURS, WALK = "run --mode whole", "its walk alone"
ALEMBIC, SQL = "3 x alembic", "its SQL alone"
BOUNDS: dict[int, dict[str, dict[str, float | None]]] = {
    100: {OURS: {ALEMBIC: 1.0}, WALK: {ALEMBIC: 0.65}},
    500: {OURS: {ALEMBIC: 1.0}, WALK: {ALEMBIC: 0.75}},
    1000: {OURS: {ALEMBIC: 1.0}, WALK: {ALEMBIC: 0.75}},
}
PROCESSOR = 3.5
"""What the walk alone may take, to its SQL alone, of the processor; for five hundred revisions and more."""


def rows(place: Place) -> Iterator[Row]:
    points: dict[str, dict[int, float]] = {OURS: {}, WALK: {}}
    for size in place.sizes(20, 100, 500, 1000):
        files = place.project(size)
        up = replay.script(place, files, "upgrade", "head")
        down = replay.script(place, files, "downgrade", f"{files.last}:base")

        def ours() -> Callable[[], object]:
            words = ("run", "--local", "--mode", "whole", "--no-tests", "--no-lint", "--fail-on", "never")
            return lambda: place.run(tool("neontest"), *words, cwd=files.root)  # noqa: B023

        def walk() -> Callable[[], object]:
            env = {"DATABASE_URL": place.database()}

            def call() -> Cost:
                began = time.perf_counter()
                done = place.run(sys.executable, "-m", "tests.benchmarks.engine", cwd=files.root, env=env)  # noqa: B023
                return Cost(wall=time.perf_counter() - began, cpu=float(done.stdout.split()[-1]))

            return call

        def alembic() -> Callable[[], object]:
            env = {"DATABASE_URL": place.database().replace("://", "+psycopg2://", 1)}
            return lambda: [place.run(tool("alembic"), *words, cwd=files.root, env=env) for words in THREE]  # noqa: B023

        def sql() -> Callable[[], object]:
            url = place.database()
            return lambda: replay.replayed(url, [up, down, up[1:]])  # noqa: B023

        variants = {OURS: ours, WALK: walk, ALEMBIC: alembic, SQL: sql}
        short = size <= 100
        costs = in_turns(variants, place.meter(), rounds=place.rounds(5 if short else 3), warm=int(short))
        for one in points:
            shown = {name: costs[name] for name in (one, ALEMBIC, SQL)}
            found = compared("round_trip", f"{size} revisions", shown, ours=one, bounds=BOUNDS.get(size, {}).get(one))
            points[one][size] = found[0].seconds
            yield from found
        if size >= 500:
            used = f"{WALK}, its processor"
            shown = {used: costs[WALK], SQL: costs[SQL]}
            yield from compared("round_trip", f"{size} revisions", shown, ours=used, bounds={SQL: PROCESSOR}, by="cpu")
    for one, sizes in points.items():
        yield from growth("round_trip", one, sizes, of="revisions", bound=1.15)
