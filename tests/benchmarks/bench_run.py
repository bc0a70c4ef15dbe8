"""The whole run on the guide's application beside the same work by hand: three calls of `flask db`, and pytest."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.benchmarks.measure import Row, compared, in_turns
from tests.benchmarks.place import ROOT, Place, tool

OURS = "neontest run"
BY_HAND = "flask db upgrade, downgrade, upgrade; pytest"


def rows(place: Place) -> Iterator[Row]:
    def ours() -> Callable[[], object]:
        return lambda: place.run(tool("neontest"), "run", "--local", "--from-revision", "base", cwd=ROOT)

    def by_hand() -> Callable[[], object]:
        env = {"DATABASE_URL": place.database(), "FLASK_APP": "app"}

        def work() -> None:
            for words in (("upgrade",), ("downgrade", "base"), ("upgrade",)):
                place.run(tool("flask"), "db", *words, cwd=ROOT, env=env)
            place.run(tool("pytest"), "-q", "-p", "no:cacheprovider", "tests/app", cwd=ROOT, env=env)

        return work

    costs = in_turns({OURS: ours, BY_HAND: by_hand}, place.meter(), rounds=place.rounds(7))
    yield from compared("run", "the guide", costs, ours=OURS, bounds={BY_HAND: 1.3})
