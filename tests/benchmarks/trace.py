"""Times a stairway of small revisions with and without the trace: python tests/benchmarks/trace.py [REVISIONS [ROUNDS]]

On a cluster of its own, in turns; each revision goes up, down and up again. The kinds of revisions are those of most
projects: a table, a column, an index, a foreign key, an enum, a rename, a check, rows. Last
a whole walk. Where the machine does other things, too, the processor's seconds are to be believed.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).parents[2]))

from neontest.local.binaries import find
from neontest.local.cluster import Clusters
from neontest.local.roles import OWNER
from neontest.migrate.environment import render_environment, stripped
from neontest.migrate.session import Session
from neontest.postgres.connect import connect
from neontest.postgres.locks import Observer
from neontest.postgres.snapshot import Reader
from neontest.record import Direction, Visit
from neontest.stop import Deadline, Stop
from tests.migrate.conftest import PASSWORD, Files, created

COLUMNS = "sa.Column('id', sa.Integer, primary_key=True), sa.Column('name', sa.String(50)), sa.Column('t1', sa.Integer)"
KINDS = (
    ("op.create_table('t{n}', {columns})", "op.drop_table('t{n}')"),
    ("op.add_column('t{n}', sa.Column('extra', sa.Integer))", "op.drop_column('t{n}', 'extra')"),
    ("op.create_index('ix_{n}', 't{n}', ['name'])", "op.drop_index('ix_{n}')"),
    (
        "op.create_foreign_key('fk_{n}', 't{n}', 't{n}', ['t1'], ['id'])",
        "op.drop_constraint('fk_{n}', 't{n}', type_='foreignkey')",
    ),
    (
        "e = sa.Enum('a', 'b', name='e{n}')\ne.create(op.get_bind())\nop.add_column('t{n}', sa.Column('e', e))",
        "op.drop_column('t{n}', 'e')\nop.execute('DROP TYPE e{n}')",
    ),
    (
        "op.alter_column('t{n}', 'extra', new_column_name='more')",
        "op.alter_column('t{n}', 'more', new_column_name='extra')",
    ),
    (
        "op.create_check_constraint('ck_{n}', 't{n}', 'more > 0')",
        "op.drop_constraint('ck_{n}', 't{n}', type_='check')",
    ),
    ("op.execute(\"INSERT INTO t{n} (id, name) VALUES (1, 'a')\")", "op.execute('DELETE FROM t{n}')"),
)


UP_DOWN_UP: tuple[Direction, ...] = ("upgrade", "downgrade", "upgrade")
THREE: tuple[tuple[Direction, str], ...] = (("upgrade", "head"), ("downgrade", "base"), ("upgrade", "head"))


def written(folder: Path, revisions: int) -> Files:
    files = Files(folder).alembic()
    for number in range(revisions):
        up, down = KINDS[number % len(KINDS)]
        n = number // len(KINDS)
        files.revision(f"r{number:04}", up.format(n=n, columns=COLUMNS), down.format(n=n))
    return files


def cpu(postmaster: int) -> float:
    """Seconds of processor that this process, the worker and the whole server have used so far."""
    ticks, groups = 0, (postmaster, os.getpid())
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            own, parent = int(stat.parent.name), int(fields[1])
            if own in groups or parent in groups:
                # Of a server's process that has ended, the postmaster knows.
                ticks += sum(map(int, fields[11 : 15 if own == postmaster else 13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def timed(files: Files, url: str, trace: bool, walk: str, postmaster: int) -> tuple[float, float]:
    """Seconds of the walk alone, by the clock and of processor: the project is loaded before."""
    with contextlib.closing(connect(url)) as connection:
        environ = stripped(dict(os.environ))
        with Session(
            files.project(), python=Path(sys.executable), environ=environ, trace=trace, stop=Stop(), log=lambda _: None
        ) as session:
            environ = render_environment(
                url, session.interpreter, templates={}, files=None, base_environ=environ, asynchronous=False
            )
            session.open(url, environ, guard=None, deadline=Deadline(60, what="loading the project"))
            observer = Observer(connection, url)
            session.observer = observer if trace else None
            reader = Reader(connection)
            visits: list[Visit] = []

            def after(visit: Visit) -> bool:
                visits.append(visit)
                if "schema" in walk:
                    reader.snapshot()
                return True

            used, began = cpu(postmaster), time.perf_counter()
            if walk == "whole":
                for direction, to in THREE:
                    after(session.visit(direction, to, deadline=Deadline(600, what="a visit")))
            else:
                steps = [(way, name) for name in files.written for way in UP_DOWN_UP]
                session.stairway(steps, step_seconds=60, after=after)
            found = time.perf_counter() - began, cpu(postmaster) - used
            observer.close()
            assert all(visit.error is None for visit in visits), visits[-1].error
            assert any(each.locks for visit in visits for each in visit.statements) is trace
            return found


def main(revisions: int = 200, rounds: int = 5) -> None:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/var/tmp")))
        folder.chmod(0o755)  # as root, the server runs as another user
        clusters = stack.enter_context(Clusters(folder / "state", find()))
        cluster = created(clusters, "bench")
        (folder / "project").mkdir()
        files = written(folder / "project", revisions)
        password = quote(PASSWORD, safe="")
        admin = cluster.admin().cursor()
        print(f"Postgres {find().version}; {revisions} revisions, {rounds} rounds; seconds")
        admin.execute("SHOW data_directory")
        postmaster = int((Path(admin.fetchone()[0]) / "postmaster.pid").read_text().split()[0])
        for number, walk in enumerate(("stairway", "stairway, with the schema read after each step", "whole")):
            found: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
            for turn in range(rounds):
                for trace in (False, True) if turn % 2 else (True, False):
                    name = f"b{number}{turn}{int(trace)}"
                    admin.execute(f"CREATE DATABASE {name} OWNER {OWNER}")
                    url = f"postgresql://{OWNER}:{password}@127.0.0.1:{cluster.port}/{name}?sslmode=disable"
                    found[trace].append(timed(files, url, trace, walk, postmaster))
            print(f"{walk}: {told(found, 0)} by the clock; {told(found, 1)} of processor")


def told(found: dict[bool, list[tuple[float, float]]], which: int) -> str:
    plain, traced = ([each[which] for each in found[trace]] for trace in (False, True))
    ratio = statistics.median(one / other for one, other in zip(traced, plain, strict=True))
    return f"{statistics.median(plain):.2f} untraced, {statistics.median(traced):.2f} traced, ratio {ratio:.2f}"


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
