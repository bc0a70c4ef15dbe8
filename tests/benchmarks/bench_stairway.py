"""Every revision up, down and up again, without the start of processes: ours with the schema compared and the locks
traced at each step, beside the plugins that walk, and beside nothing but the SQL."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

from neontest.postgres.connect import advisory_guard, connect
from neontest.postgres.counted import Known
from neontest.postgres.locks import Observer
from neontest.postgres.snapshot import Reader
from neontest.record import Direction, Visit
from tests.benchmarks import eugene, peers, replay
from tests.benchmarks.engine import opened
from tests.benchmarks.measure import Cost, Row, Variant, alive, compared, growth, in_turns
from tests.benchmarks.place import Place
from tests.migrate.conftest import Files

WAYS: tuple[Direction, ...] = ("upgrade", "downgrade", "upgrade")
PLAIN, TRACED = "stairway", "stairway, traced"
SCHEMA, WHOLE = "stairway, schema at each step", "stairway, traced, schema at each step"
SQL, ASKING = "its SQL alone", "eugene's questions"
BOUNDS: dict[str, dict[str, float | None]] = {
    PLAIN: {"pytest-alembic": 0.5, SQL: 3.3, "alembic.command": 0.08},
    TRACED: {PLAIN: 1.35, ASKING: 0.35},
    SCHEMA: {"pytest-alembic": 1.0},
    WHOLE: {"pytest-alembic": None, "pytest-mrt": 0.06, "alembic-gauntlet": 0.35},
}
"""What each is compared with, and what was set as a goal for a hundred revisions and more: pytest-alembic looks at
neither the schema nor the locks."""
SLOW = ("pytest-mrt", "alembic-gauntlet", "alembic.command", ASKING)
"""These take a time that grows with the square: they are waited for at 20 and 100 revisions, by night also at 500."""
AT_NIGHT = {"alembic.command": 0.03}
"""The goals for that many."""


def rows(place: Place) -> Iterator[Row]:
    points: dict[str, dict[int, float]] = {each: {} for each in BOUNDS}
    for size in place.sizes(20, 100, 500, 1000):
        files = place.project(size)
        variants = {**mine(place, files), SQL: sql(place, files)}
        if "pytest-alembic" in peers.installed():
            variants["pytest-alembic"] = peers.variant(place, "pytest-alembic", files)
        short = size <= 100
        costs = in_turns(variants, place.meter(), rounds=place.rounds(5 if short else 3), warm=int(short))
        for one in points:
            found = beside(one, size, costs)
            points[one][size] = found[0].seconds
            yield from found
    for one, bound in ((PLAIN, 1.15), (TRACED, 1.15), (SCHEMA, 1.25), (WHOLE, 1.25)):
        large = {size: seconds for size, seconds in points[one].items() if size >= 100}
        yield from growth("stairway", one, large, of="revisions", bound=bound)
    for one, bounds in BOUNDS.items():
        for name in [each for each in (*peers.installed(), ASKING) if each in bounds and each in SLOW]:
            for size in place.sizes(20, 100, *((500,) if place.nightly else ())):
                files = place.project(size)
                asking = ours(place, files, trace=False, schema=False, more=eugene.put(files))
                theirs = asking if name == ASKING else peers.variant(place, name, files)
                variants = {one: mine(place, files)[one], name: theirs}
                rounds = place.rounds(3 if size <= 100 else 1)
                yield from beside(one, size, in_turns(variants, place.meter(), rounds=rounds, warm=0))


def mine(place: Place, files: Files) -> dict[str, Variant]:
    return {
        PLAIN: ours(place, files, trace=False, schema=False),
        TRACED: ours(place, files, trace=True, schema=False),
        SCHEMA: ours(place, files, trace=False, schema=True),
        WHOLE: ours(place, files, trace=True, schema=True),
    }


def beside(one: str, size: int, costs: Mapping[str, Sequence[Cost]]) -> list[Row]:
    """Those that a goal was set for."""
    shown = {name: each for name, each in costs.items() if name == one or name in BOUNDS[one]}
    bounds = BOUNDS[one] | (AT_NIGHT if size >= 500 else {}) if size >= 100 else None
    return compared("stairway", f"{size} revisions", shown, ours=one, bounds=bounds)


NOTHING: Mapping[str, str] = MappingProxyType({})


def ours(place: Place, files: Files, *, trace: bool, schema: bool, more: Mapping[str, str] = NOTHING) -> Variant:
    def ready() -> Callable[[], Cost]:
        url = place.database()
        return lambda: walked(files, url, trace=trace, schema=schema, more=more)

    return ready


def walked(files: Files, url: str, *, trace: bool, schema: bool, more: Mapping[str, str]) -> Cost:
    """The walk alone: the project is loaded before. The processor's time is the worker's and ours."""
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(contextlib.closing(connect(url)))
        guard = advisory_guard(connection)
        session = stack.enter_context(opened(files.project(), url, trace=trace, more=more, guard=guard))
        if trace:
            observer = Observer(connection, url)
            stack.callback(observer.close)
            session.observer = observer
        reader = Reader(connection, url)
        stack.callback(reader.close)
        visits: list[Visit] = []

        def after(visit: Visit) -> bool:
            visits.append(visit)
            if schema:
                reader.snapshot(Known(*session.written.taken(reader.database, counted=reader.counts)))
            return True

        def walk() -> None:
            steps = [(way, name) for name in files.written for way in WAYS]
            session.stairway(steps, step_seconds=60, after=after)

        cost = alive(walk)
        assert all(visit.error is None for visit in visits), visits[-1].error
        assert any(each.locks for visit in visits for each in visit.statements) is trace
    return cost


def sql(place: Place, files: Files) -> Variant:
    up = replay.by_revision(replay.script(place, files, "upgrade", "head"))
    down = replay.by_revision(replay.script(place, files, "downgrade", f"{files.last}:base"))[::-1]
    up[0], create = [each for each in up[0] if "CREATE TABLE alembic_version" not in each], up[0][0]
    steps = [[create], *(step for one, back in zip(up, down, strict=True) for step in (one, back, one))]

    def ready() -> Callable[[], object]:
        url = place.database()
        return lambda: replay.replayed(url, steps)

    return ready
