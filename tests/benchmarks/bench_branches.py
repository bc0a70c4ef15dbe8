"""A local branch from its request to the first query over a socket, and its deletion, beside the ways that Postgres
itself has to copy a database: small and large parents, at rest and in use."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Iterator

import psycopg2

from neontest.local.cluster import Cluster, Clusters
from neontest.local.roles import OWNER, set_password
from neontest.postgres.connect import connect
from tests.benchmarks.measure import Row, compared, in_turns
from tests.benchmarks.place import PASSWORD, Place, unique

REST, USED = "a branch of a parent at rest", "a branch of a parent in use"
DELETE = "delete the branch"
TEMPLATE, DUMP = "CREATE DATABASE … TEMPLATE", "pg_dump | pg_restore"
FILL = "CREATE TABLE big AS SELECT n AS id, md5(n::text) || repeat('x', 900) AS t FROM generate_series(1, {rows}) n"
GIGABYTE = 1_000_000
"""Rows."""


def rows(place: Place) -> Iterator[Row]:
    for size, count in (("30 MB", 0), ("1 GB", GIGABYTE))[: 1 if place.quick else 2]:
        state = place.folder / f"branches-{count}"
        with Clusters(state, place.binaries) as clusters:
            parent = clusters.create("parent")
            with contextlib.closing(parent.admin()) as admin, admin.cursor() as cursor:
                set_password(admin, OWNER, PASSWORD)
                cursor.execute("CREATE DATABASE app TEMPLATE template0")
            if count:
                with contextlib.closing(connect(url(parent, "app"))) as connection, connection.cursor() as cursor:
                    cursor.execute(FILL.format(rows=count))
            made: list[Cluster] = []

            def branch(*, used: bool) -> Callable[[], Callable[[], object]]:
                def ready() -> Callable[[], object]:
                    if used:
                        parent.start()  # noqa: B023
                    else:
                        parent.stop()  # noqa: B023
                    while len(made) > 1:  # noqa: B023
                        clusters.delete(made.pop(0))  # noqa: B023
                    return lambda: made.append(queried(clusters.clone(f"c-{unique()}", parent)))  # noqa: B023

                return ready

            def delete() -> Callable[[], object]:
                cluster = made.pop()  # noqa: B023
                return lambda: clusters.delete(cluster)

            def template() -> Callable[[], object]:
                parent.start()  # noqa: B023
                return lambda: copied(parent)  # noqa: B023

            def dumped() -> Callable[[], object]:
                parent.start()  # noqa: B023
                return lambda: restored(place, parent)  # noqa: B023

            rounds = place.rounds(7 if not count else 3)
            costs = in_turns(
                {REST: branch(used=False), USED: branch(used=True), TEMPLATE: template, DUMP: dumped},
                place.meter(), rounds=rounds,
            )  # fmt: skip
            for one in (REST, USED):
                shown = {name: costs[name] for name in (one, TEMPLATE, DUMP)}
                yield from compared("branches", size, shown, ours=one)
            gone = in_turns({REST: branch(used=False), DELETE: delete}, place.meter(), rounds=rounds)
            for name, found, bound in ((REST, costs, 0.12), (USED, costs, 0.12), (DELETE, gone, 0.07)):
                yield alone(size, name, [each.wall for each in found[name]], None if count else bound)


def alone(size: str, name: str, walls: list[float], bound: float | None) -> Row:
    return Row(bench="branches", size=size, ours=name, seconds=statistics.median(walls), bound=bound)


def url(cluster: Cluster, database: str) -> str:
    return f"postgresql://postgres@/{database}?host={cluster.sockets}&port={cluster.port}"


def queried(cluster: Cluster) -> Cluster:
    """The branch once its owner has had an answer over TCP."""
    address = f"postgresql://{OWNER}:{PASSWORD}@127.0.0.1:{cluster.port}/app?sslmode=disable"
    with contextlib.closing(psycopg2.connect(address)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return cluster


def copied(parent: Cluster) -> None:
    name = f"t_{unique()}"
    with contextlib.closing(parent.admin()) as admin, admin.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} TEMPLATE app")
        cursor.execute(f"DROP DATABASE {name}")


def restored(place: Place, parent: Cluster) -> None:
    name = f"r_{unique()}"
    with contextlib.closing(parent.admin()) as admin, admin.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        pipe = '"$0/pg_dump" -Fc -Z0 -d "$1" | "$0/pg_restore" -d "$2"'
        place.run("sh", "-c", pipe, str(place.binaries.bindir), url(parent, "app"), url(parent, name), cwd=place.folder)
        cursor.execute(f"DROP DATABASE {name}")
