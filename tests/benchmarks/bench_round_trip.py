"""Up, down and up again as whole processes: `neontest run --mode whole` with its branch, its snapshots and its trace
beside three calls of `alembic`, and beside nothing but the SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.benchmarks import replay
from tests.benchmarks.measure import Row, compared, growth, in_turns
from tests.benchmarks.place import Place, tool

THREE = (("upgrade", "head"), ("downgrade", "base"), ("upgrade", "head"))
OURS = "run --mode whole"
BOUNDS = {"3 x alembic": 1.0}


def rows(place: Place) -> Iterator[Row]:
    points = {}
    for size in place.sizes(20, 100, 500, 1000):
        files = place.project(size)
        up = replay.script(place, files, "upgrade", "head")
        down = replay.script(place, files, "downgrade", f"{files.last}:base")

        def ours() -> Callable[[], object]:
            words = ("run", "--local", "--mode", "whole", "--no-tests", "--no-lint", "--fail-on", "never")
            return lambda: place.run(tool("neontest"), *words, cwd=files.root)  # noqa: B023

        def alembic() -> Callable[[], object]:
            env = {"DATABASE_URL": place.database().replace("://", "+psycopg2://", 1)}
            return lambda: [place.run(tool("alembic"), *words, cwd=files.root, env=env) for words in THREE]  # noqa: B023

        def sql() -> Callable[[], object]:
            url = place.database()
            return lambda: replay.replayed(url, [up, down, up[1:]])  # noqa: B023

        variants = {OURS: ours, "3 x alembic": alembic, "its SQL alone": sql}
        short = size <= 100
        costs = in_turns(variants, place.meter(), rounds=place.rounds(5 if short else 3), warm=int(short))
        found = compared("round_trip", f"{size} revisions", costs, ours=OURS, bounds=BOUNDS if size >= 100 else None)
        points[size] = found[0].seconds
        yield from found
    yield from growth("round_trip", OURS, points, of="revisions", bound=1.15)
