"""What a person waits for before anything happens: `--help`, and an import of the pytest plugin in other suites."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterator

from tests.benchmarks.measure import Row, compared, in_turns
from tests.benchmarks.place import ROOT, Place, tool

HELP = "neontest --help"
PLUGIN, WITHOUT = "pytest --version with the plugin", "without it"


def rows(place: Place) -> Iterator[Row]:
    def command(*words: str) -> Callable[[], Callable[[], object]]:
        return lambda: lambda: place.run(*words, cwd=ROOT)

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
    plain = ("--version", "-p", "no:pytest-alembic", "-p", "no:mrt", "-p", "no:alembic_gauntlet")
    costs = in_turns(
        {
            PLUGIN: command(tool("pytest"), *plain),
            WITHOUT: command(tool("pytest"), *plain, "-p", "no:neontest"),
        },
        place.meter(),
        rounds=place.rounds(11),
    )
    tax = statistics.median(one.cpu - other.cpu for one, other in zip(costs[PLUGIN], costs[WITHOUT], strict=True))
    yield Row(bench="start", size="process", ours="the pytest plugin's tax", seconds=tax, bound=0.015)
