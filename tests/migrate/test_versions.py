"""The same project walked in environments with old and new SQLAlchemy, Alembic, drivers and Pythons.

An environment that cannot be had here, without a network or without that Python, is skipped with the reason; the
summary at the end of the tests names those that were seen.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from neontest.errors import WrongDatabase
from tests import forking
from tests.conftest import SCRUBBED, Ran
from tests.migrate import pairs
from tests.migrate.conftest import Database, Files, Walked
from tests.migrate.pairs import PAIRS, NotBuilt, Pair

FLASK_APP = """
import os
from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
app.config["SQLALCHEMY_TRACK_MODIFICATIONS"] = False
Migrate(app, SQLAlchemy(app))
"""
TABLE = """op.create_table(
    "orders",
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("state", sa.Enum("new", "paid", name="order_state"), nullable=False),
)"""
WHOLE_RUNS = (PAIRS[0], PAIRS[2], PAIRS[4], PAIRS[6])
"""Each series of SQLAlchemy, each driver and a Python of 3.8: what a run adds to the walks does not differ further."""
SHOP = ("a1", "b2", "c3")
UP_DOWN_UP = ("upgrade", "downgrade", "upgrade")
STATES = "SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum"
CHECK = """
import os, sqlalchemy as sa
with sa.create_engine(os.environ["DATABASE_URL"]).connect() as connection:
    assert connection.execute(sa.text("SELECT count(*) FROM orders WHERE status = 'paid'")).scalar() == 0
"""


@dataclass(frozen=True)
class Environment:
    pair: Pair
    python: Path
    run: Callable[[], Ran]
    """What `neontest run` makes of the project of `shop` there."""


@dataclass(frozen=True)
class Work:
    """Builds an environment, then runs neontest with it."""

    envs: Path
    projects: Path
    environ: dict[str, str]
    futures: dict[Pair, tuple[Future[Path], Future[Ran]]]

    def ahead(self, pair: Pair) -> None:
        """Do both, in a thread beside the tests."""
        python, ran = self.futures[pair]
        work = [(python, lambda: pairs.build(pair, self.envs)), (ran, lambda: self.run(pair, python.result()))]
        for future, do in work if pair in WHOLE_RUNS else work[:1]:
            try:
                future.set_result(do())
            except Exception as error:  # noqa: BLE001  # raised again in the test that asks
                future.set_exception(error)

    def environment(self, pair: Pair) -> Environment:
        if pair in self.futures:
            python, ran = self.futures[pair]
            return Environment(pair, python.result(), ran.result)
        built = pairs.build(pair, self.envs)
        return Environment(pair, built, lambda: self.run(pair, built))

    def run(self, pair: Pair, python: Path) -> Ran:
        place = self.projects / str(pair)
        files = shop(written(Files(place / "project"), pair, python))
        files.write("check.py", CHECK)
        words = ["run", "--local", "--python", str(python), "--json", str(place / "report.json")]
        done = forking.run([*words, "--", str(python), "check.py"], cwd=files.root, env=self.environ, seconds=240)
        return Ran(code=done.returncode, out=done.stdout, err=done.stderr, json=place / "report.json")


@pytest.fixture(scope="session")
def work(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, local_state: Path, environments: Path
) -> Iterator[Work]:
    """The work on each pair of this session, done beside the tests; by pytest-xdist's workers when they want it."""
    alone = "PYTEST_XDIST_WORKER" not in os.environ
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith(SCRUBBED)},
        "NEONTEST_STATE": str(local_state),
        "NEONTEST_LEDGER": str(local_state.parent / "ledger"),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    params = [getattr(item, "callspec", None) for item in request.session.items] if alone else []
    wanted = dict.fromkeys(each.params["environment"] for each in params if each and "environment" in each.params)
    with ThreadPoolExecutor(max_workers=2) as pool:
        work = Work(
            environments, tmp_path_factory.mktemp("versions"), environ, {pair: (Future(), Future()) for pair in wanted}
        )
        for pair in wanted:
            pool.submit(work.ahead, pair)
        try:
            yield work
        finally:
            pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="session", params=pairs.params(*PAIRS), ids=str)
def environment(request: pytest.FixtureRequest, work: Work) -> Environment:
    pair: Pair = request.param
    try:
        return work.environment(pair)
    except NotBuilt as reason:
        pytest.skip(f"{pair}: {reason}")


@pytest.fixture
def project(files, environment):
    return written(files, environment.pair, environment.python)


def written(files: Files, pair: Pair, python: Path) -> Files:
    """A new project with the very env.py that the pair's own `alembic init` or `flask db init` writes."""
    package, style = ("flask_migrate", "flask") if pair.flask else ("alembic", "generic")
    (packages,) = python.parents[1].glob("lib/python*/site-packages")
    files.alembic((packages / package / "templates" / style / "env.py").read_text(encoding="utf-8"))
    if pair.flask:
        (files.root / "alembic.ini").rename(files.root / "migrations/alembic.ini")
        ini = (files.root / "migrations/alembic.ini").read_text(encoding="utf-8")
        files.write("migrations/alembic.ini", "".join(line for line in ini.splitlines(True) if "%(here)s" not in line))
        files.write("app.py", FLASK_APP)
    return files


def shop(files):
    files.revision("a1", TABLE, 'op.drop_table("orders")\nsa.Enum(name="order_state").drop(op.get_bind())')
    files.revision(
        "b2",
        'op.alter_column("orders", "state", new_column_name="status")',
        'op.alter_column("orders", "status", new_column_name="state")',
    )
    files.revision("c3", 'op.create_index("ix_status", "orders", ["status"])', 'op.drop_index("ix_status")')
    return files


def test_walks_and_failures(environment, project, opened, database, record_property):
    shop(project).revision("d4", down="raise NotImplementedError('rows are gone')")
    project.revision("e5", "x = 1\nop.execute(\"INSERT INTO orders VALUES (7, 'new'), (7, 'paid')\")")
    walk = opened(python=environment.python)
    pair, found = environment.pair, walk.session.interpreter
    assert (found.sqlalchemy, found.alembic, found.drivers) == (pair.sqlalchemy, pair.alembic, pair.modules)
    check_whole(walk, database)
    check_stairway(walk)
    check_failures(walk)
    assert walk.session.notes == []
    record_property(
        "pair",
        f"SQLAlchemy {found.sqlalchemy} and Alembic {found.alembic} with {', '.join((*found.drivers, *pair.more[:2]))}"
        f" on Python {found.version}",
    )


def check_whole(walk: Walked, database: Database) -> None:
    for direction in UP_DOWN_UP:
        visit = walk.visit(direction, "c3" if direction == "upgrade" else "base")
        assert (visit.error, visit.moved) == (None, True)
        assert database.has("ix_status") is (direction == "upgrade")
        assert database.one(STATES) == ("new,paid" if direction == "upgrade" else None)
    assert (visit.from_, visit.to) == (None, "c3")
    assert {each.file for each in visit.statements} == {f"migrations/versions/{each}.py" for each in SHOP}
    create, rename = visit.statements[-3], visit.statements[-2]
    assert {("public.orders", "ACCESS EXCLUSIVE", "statement")} <= {
        (lock.relation, lock.mode, lock.seen) for each in (create, rename) for lock in each.locks
    }
    assert {(each.transaction, each.revision) for each in (create, rename)} == {(1, "a1"), (1, "b2")}
    assert all(lock.held_seconds >= each.seconds for each in visit.statements for lock in each.locks)


def check_stairway(walk: Walked) -> None:
    assert walk.visit("downgrade", "base").moved
    steps = walk.stairway(*((direction, revision) for revision in SHOP for direction in UP_DOWN_UP))
    done = [(direction, None, True) for direction in UP_DOWN_UP * 3]
    assert [(step.direction, step.error, step.moved) for step in steps] == done
    assert walk.session.current() == ("c3",)


def check_failures(walk: Walked) -> None:
    error = walk.visit("upgrade", "head").error
    assert (error.revision, error.file, error.line) == ("e5", "migrations/versions/e5.py", 10)
    assert (error.sqlstate, error.sql) == ("23505", "INSERT INTO orders VALUES (7, 'new'), (7, 'paid')")
    assert error.message.endswith('unique constraint "orders_pkey" (Key (id)=(…) already exists.)')
    assert walk.visit("upgrade", "d4").moved
    error = walk.visit("downgrade", "base").error
    assert (error.kind, error.message, error.revision) == ("NotImplementedError", "rows are gone", "d4")
    assert [visit.error.kind for visit in walk.stairway(("downgrade", "d4"))] == ["NotImplementedError"]
    (visit,) = walk.stairway(("upgrade", "e5"))
    assert (visit.error.sqlstate, visit.error.line) == ("23505", 10)


@pytest.mark.parametrize("environment", pairs.params(*WHOLE_RUNS), ids=str, indirect=True)
def test_neontest_run(environment):
    ran = environment.run()
    assert ran.code == 0, ran.out + ran.err
    assert [len(walk.visits) for walk in ran.report.walks] == [3, 3, 3, 3]
    assert ran.report.tests.exit_code == 0
    assert all(branch.proved for branch in ran.report.branches)


def test_another_postgres_is_refused_before_anything_runs_there(environment, project, opened, elsewhere):
    (driver,) = environment.pair.modules
    url = elsewhere.url.replace("postgresql://", f"postgresql+{driver}://").partition("?")[0]
    write = "with other.begin() as c:\n    c.execute(sa.text('CREATE SCHEMA written'))"
    project.revision("a1").revision("b2", f"other = sa.create_engine({url!r})\n{write}")
    walk = opened(python=environment.python)
    assert walk.visit("upgrade", "a1").moved
    with pytest.raises(WrongDatabase, match=elsewhere.name):
        walk.visit("upgrade", "b2")
    assert elsewhere.one("SELECT count(*) FROM pg_namespace WHERE nspname = 'written'") == 0
