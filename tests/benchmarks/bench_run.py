"""The whole run, as a person waits for it: on the guide's application beside the same work by hand (three calls of
`flask db`, and pytest); on long histories, with rows and data, beside pytest-alembic's default tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.benchmarks import peers
from tests.benchmarks.measure import Row, Variant, compared, in_turns
from tests.benchmarks.place import ROOT, Place, tool
from tests.conftest import BARE_PYTEST

OURS, BOTH = "neontest run", "neontest run, both walks, rows compared"
BY_HAND = "flask db upgrade, downgrade, upgrade; pytest"


def rows(place: Place) -> Iterator[Row]:
    costs = in_turns({OURS: guide(place), BY_HAND: by_hand(place)}, place.meter(), rounds=place.rounds(7))
    yield from compared("run", "the guide", costs, ours=OURS, bounds={BY_HAND: 1.3})
    for size in place.sizes(20, 100):
        files = place.project(size)

        def both() -> Callable[[], object]:
            words = ("run", "--local", "--no-tests", "--no-lint")
            return lambda: place.run(tool("neontest"), *words, cwd=files.root)  # noqa: B023

        variants: dict[str, Variant] = {BOTH: both}
        if "pytest-alembic" in peers.installed():
            variants["pytest-alembic, its 4 tests"] = peers.whole(place, "pytest-alembic", files)
        costs = in_turns(variants, place.meter(), rounds=place.rounds(5 if size == 20 else 3))
        yield from compared("run", f"{size} revisions", costs, ours=BOTH)


def guide(place: Place) -> Variant:
    words = ("run", "--local", "--from-revision", "base")
    return lambda: lambda: place.run(tool("neontest"), *words, cwd=ROOT, env=BARE_PYTEST)


def by_hand(place: Place) -> Variant:
    def ready() -> Callable[[], object]:
        env = {"DATABASE_URL": place.database(), "FLASK_APP": "app", **BARE_PYTEST}

        def work() -> None:
            for words in (("upgrade",), ("downgrade", "base"), ("upgrade",)):
                place.run(tool("flask"), "db", *words, cwd=ROOT, env=env)
            place.run(tool("pytest"), "-q", "-p", "no:cacheprovider", "tests/app", cwd=ROOT, env=env)

        return work

    return ready
