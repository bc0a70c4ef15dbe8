"""The whole run, as a person waits for it: on the guide's application beside the same work by hand (three calls of
`flask db`, and pytest); on long histories, with rows and data, beside pytest-alembic's default tests; and, as most pull
requests are, on the last revision of a long history, the first time and again."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.benchmarks import peers
from tests.benchmarks.measure import Row, Variant, compared, growth, in_turns
from tests.benchmarks.place import ROOT, Place, tool
from tests.conftest import BARE_PYTEST

OURS, BOTH = "neontest run", "neontest run, both walks, rows compared"
BY_HAND = "flask db upgrade, downgrade, upgrade; pytest"
LAST, CALLS = "neontest run, one pending revision", "alembic upgrade to it; upgrade, downgrade, upgrade"
AGAIN, THREE = "neontest run, one pending revision, its parent kept", "alembic upgrade, downgrade, upgrade"
OPTIONS = ("run", "--local", "--no-tests", "--no-lint")


def rows(place: Place) -> Iterator[Row]:
    costs = in_turns({OURS: guide(place), BY_HAND: by_hand(place)}, place.meter(), rounds=place.rounds(7))
    yield from compared("run", "the guide", costs, ours=OURS, bounds={BY_HAND: 1.3})
    for size in place.sizes(20, 100):
        files = place.project(size)

        def both() -> Callable[[], object]:
            return lambda: place.run(tool("neontest"), *OPTIONS, cwd=files.root)  # noqa: B023

        variants: dict[str, Variant] = {BOTH: both}
        if "pytest-alembic" in peers.installed():
            variants["pytest-alembic, its 4 tests"] = peers.whole(place, "pytest-alembic", files)
        costs = in_turns(variants, place.meter(), rounds=place.rounds(5 if size == 20 else 3))
        yield from compared("run", f"{size} revisions", costs, ours=BOTH)
    for ours, kept in ((LAST, False), (AGAIN, True)):
        points: dict[int, float] = {}
        for size in place.sizes(20, 100, 1000):
            costs = in_turns(last(place, size, kept=kept), place.meter(), rounds=place.rounds(5))
            found = compared("run", f"of {size:,}", costs, ours=ours)
            points[size] = found[0].seconds
            yield from found
        yield from growth("run", ours, points, of="revisions")


def last(place: Place, size: int, *, kept: bool) -> dict[str, Variant]:
    """A run of the last revision alone, and the same by hand; `kept`: where all before it has been done already."""
    files = place.project(size)
    start = files.written[-2]
    words = (*OPTIONS, "--from-revision", start, "--fail-on", "never", f"--{'' if kept else 'no-'}reuse-parent")
    if kept:
        place.run(tool("neontest"), *words, cwd=files.root)

    def ours() -> Callable[[], object]:
        return lambda: place.run(tool("neontest"), *words, cwd=files.root)

    def by_hand() -> Callable[[], object]:
        env = {"DATABASE_URL": place.database().replace("://", "+psycopg2://", 1)}
        before, calls = ("upgrade", start), [("upgrade", "head"), ("downgrade", start), ("upgrade", "head")]
        if kept:
            place.run(tool("alembic"), *before, cwd=files.root, env=env)
        else:
            calls.insert(0, before)
        return lambda: [place.run(tool("alembic"), *call, cwd=files.root, env=env) for call in calls]

    return {AGAIN: ours, THREE: by_hand} if kept else {LAST: ours, CALLS: by_hand}


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
