"""What a person waits for before anything happens: `--help`, a run until its first statement is at the branch, and the
pytest plugin in other suites."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from tests.benchmarks.measure import Cost, Row, Variant, compared, in_turns
from tests.benchmarks.place import ROOT, Place, tool, unique
from tests.benchmarks.projects import ENV_PY, models
from tests.conftest import BARE_PYTEST
from tests.migrate.conftest import Files

HELP = "neontest --help"
FIRST, THEIR_FIRST = "run --local, to the first statement", "alembic upgrade, to its first"
STATEMENT = """
import pathlib
moment = op.get_bind().execute(sa.text("SELECT extract(epoch FROM clock_timestamp())")).scalar()
with pathlib.Path(os.environ["BENCH_OUT"]).open("a") as file:
    print(moment, file=file)
"""
"""Keeps when it was at the branch, by the branch's own clock, which is this machine's."""
PLUGIN, WITHOUT = "pytest --version with the plugin", "without it"


def rows(place: Place) -> Iterator[Row]:
    def command(*words: str, env: Mapping[str, str] | None = None) -> Variant:
        return lambda: lambda: place.run(*words, cwd=ROOT, env=env)

    bare = command(sys.executable, "-c", "pass")
    costs = in_turns(
        {
            HELP: command(tool("neontest"), "--help"),
            "alembic --help": command(tool("alembic"), "--help"),
            "python": bare,
        },
        place.meter(),
        rounds=place.rounds(11),
    )
    net = statistics.median(one.wall - base.wall for one, base in zip(costs[HELP], costs.pop("python"), strict=True))
    yield from compared("start", "process", costs, ours=HELP, bounds={"alembic --help": 0.25}, by="cpu")
    yield Row(bench="start", size="process", ours=f"{HELP}, over bare Python", seconds=net, bound=0.1)
    costs = in_turns(
        {
            PLUGIN: command(tool("pytest"), "--version", "-p", "neontest.pytest_plugin", env=BARE_PYTEST),
            WITHOUT: command(tool("pytest"), "--version", env=BARE_PYTEST),
        },
        place.meter(),
        rounds=place.rounds(11),
    )
    tax = statistics.median(one.cpu - other.cpu for one, other in zip(costs[PLUGIN], costs[WITHOUT], strict=True))
    yield Row(bench="start", size="process", ours="the pytest plugin's tax", seconds=tax, bound=0.015)
    yield from first_statement(place)


def first_statement(place: Place) -> Iterator[Row]:
    root = place.folder / "first"
    root.mkdir()
    files = Files(root).alembic(ENV_PY).revision("r0", STATEMENT.strip())
    files.write("models.py", models(0))

    def until(*words: str, env: dict[str, str]) -> Callable[[], Cost]:
        out = place.folder / f"first-{unique()}"

        def call() -> Cost:
            began = time.time()
            place.run(tool(words[0]), *words[1:], cwd=root, env={**env, "BENCH_OUT": str(out)})
            return Cost(wall=float(out.read_text().split()[0]) - began, cpu=0.0)

        return call

    variants: dict[str, Variant] = {
        FIRST: lambda: until("neontest", "run", "--local", "--no-tests", "--fail-on", "never", env={}),
        THEIR_FIRST: lambda: until(
            "alembic", "upgrade", "head", env={"DATABASE_URL": place.database().replace("://", "+psycopg2://", 1)}
        ),
    }
    costs = in_turns(variants, place.meter(), rounds=place.rounds(7))
    for row in compared("start", "process", costs, ours=FIRST):
        yield replace(row, cpu=None)  # both went on after it
