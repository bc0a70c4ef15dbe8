"""How the time of a whole run, its own memory and that of the worker (which holds the project) grow with the revisions
that it walks, with the tables of the database, and with the rows of a table that a revision touches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tests.benchmarks.measure import Row, growth, say
from tests.benchmarks.place import Place
from tests.benchmarks.projects import ENV_PY, models
from tests.chaos.loads.measuring import Ran, neontest
from tests.migrate.conftest import Files

OPTIONS: Final = ("run", "--local", "--no-tests", "--no-lint", "--fail-on", "never", "--quiet")
LIMITS: Final = ("--timeout", "2h", "--visit-timeout", "1h", "--data-timeout", "1h")
TIME, MEMORY, WORKER = "a run", "its own memory", "its worker's memory"
MEGABYTES: Final = 120.0
"""Of neontest itself, at a thousand revisions and at a thousand tables."""
STEPS: Final = {"revisions": 1.25, "tables": 1.1, "rows": 1.1}
"""The exponents of time that are not to be passed. Memory is not to grow faster than the work."""


def rows(place: Place) -> Iterator[Row]:
    for of, sizes, made in (
        ("revisions", (10, 20) if place.quick else (100, 1000), lambda size: place.project(size).root),
        ("tables", (10, 30) if place.quick else (100, 1000), tables(place)),
        ("rows", (1_000, 10_000) if place.quick else (10_000, 100_000, 1_000_000), many_rows(place)),
    ):
        found: dict[int, Ran] = {}
        for size in sizes:
            root = made(size)
            say(f"a run with {size:,} {of}")
            found[size] = ran(place, root)
        yield from told(of, found)


def told(of: str, found: dict[int, Ran]) -> Iterator[Row]:
    points = {
        TIME: {size: each.seconds for size, each in found.items()},
        MEMORY: {size: each.peak / 1e6 for size, each in found.items()},
        WORKER: {size: each.worker / 1e6 for size, each in found.items()},
    }
    for name, unit in ((TIME, "s"), (MEMORY, "MB"), (WORKER, "MB")):
        for size, value in points[name].items():
            yield Row(bench="growth", size=f"{size:,} {of}", ours=f"{name}, by {of}", seconds=value, unit=unit,
                      bound=MEGABYTES if name == MEMORY else None)  # fmt: skip
        bound = STEPS[of] if name == TIME else 1.0
        yield from growth("growth", f"{name}, by {of}", points[name], of=of, bound=bound)


def ran(place: Place, root: Path) -> Ran:
    before = ("--prepare", "before.sql") if (root / "before.sql").exists() else ()
    done = neontest(*OPTIONS, *LIMITS, *before, cwd=root, environ=place.environ())
    if done.code:
        raise SystemExit(f"neontest run in {root}: exit code {done.code}\n{done.err}")
    return done


def small(root: Path, table: str, before: str) -> Path:
    """A project of two revisions on a table of a database that is there before."""
    root.mkdir()
    files = Files(root).alembic(ENV_PY)
    files.revision("r0", f"op.add_column('{table}', sa.Column('x', sa.Integer))", f"op.drop_column('{table}', 'x')")
    files.revision("r1", f"op.create_index('ix', '{table}', ['a'])", "op.drop_index('ix')")
    files.write("models.py", models(0))
    files.write("before.sql", before)
    return root


def tables(place: Place) -> Callable[[int], Path]:
    def made(size: int) -> Path:
        # A transaction for each hundred: the server has locks for a few thousand tables only.
        before = "".join(
            ("COMMIT; BEGIN; " if each % 100 == 0 else "")
            + f"CREATE TABLE t{each} (id int PRIMARY KEY, a text, b int);\n"
            for each in range(size)
        )
        return small(place.folder / f"tables-{size}", "t7", f"BEGIN;{before}COMMIT;")

    return made


def many_rows(place: Place) -> Callable[[int], Path]:
    def made(size: int) -> Path:
        before = (
            "CREATE TABLE t AS SELECT n AS id, md5(n::text) AS a, timestamptz '2024-01-01' + n * interval '1 s' AS b,"
            f" n * 1.25 AS c FROM generate_series(1, {size}) n; ALTER TABLE t ADD PRIMARY KEY (id);"
        )
        return small(place.folder / f"rows-{size}", "t", before)

    return made
