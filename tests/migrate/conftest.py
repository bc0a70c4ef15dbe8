"""A real Postgres for the session's tests, a database each, and projects written by a few lines."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree

import psycopg2
import pytest

from neontest.local.binaries import find as find_binaries
from neontest.local.cluster import Cluster, Clusters
from neontest.local.roles import OWNER, set_password
from neontest.migrate.environment import render_environment, stripped
from neontest.migrate.forkserver import ForkServer
from neontest.migrate.project import Project
from neontest.migrate.project import find as find_project
from neontest.migrate.session import Session
from neontest.postgres.versions import Versions, version_tables
from neontest.record import Direction, Visit
from neontest.stop import Deadline, Stop
from tests.conftest import away
from tests.migrate import pairs

PASSWORD = "p%t@x/ü-" + secrets.token_hex(8)
"""Needs escaping in URLs and in ini files."""
PYTHON = Path(os.environ.get("NEONTEST_TEST_PYTHON", sys.executable))
"""The project's interpreter; another one can be tried by hand."""
MINUTE = 60.0


@pytest.fixture(scope="session")
def clusters() -> Iterator[Clusters]:
    state = away("migrate")
    try:
        with Clusters(state / "state", find_binaries(environ=os.environ)) as clusters:
            yield clusters
    finally:
        rmtree(state, ignore_errors=True)


def created(clusters: Clusters, id: str) -> Cluster:
    """A server on which nobody but the test writes: autovacuum's transactions would be those of others."""
    cluster = clusters.create(id)
    with contextlib.closing(cluster.admin()) as admin:
        set_password(admin, OWNER, PASSWORD)
        with admin.cursor() as cursor:
            cursor.execute("ALTER SYSTEM SET autovacuum = off")
            cursor.execute("SELECT pg_reload_conf()")
    return cluster


@pytest.fixture(scope="session")
def cluster(clusters: Clusters) -> Cluster:
    return created(clusters, "br-migrate")


@pytest.fixture(scope="session")
def parent(clusters: Clusters) -> Cluster:
    """Another server, as the branch's parent is."""
    return created(clusters, "br-parent")


@dataclass
class Database:
    """One database of the cluster; the guard's lock is held on it as long as the test runs."""

    name: str
    url: str
    connection: psycopg2.extensions.connection
    guard: tuple[int, int]

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()

    def one(self, query: str) -> object:
        return self.rows(query)[0][0]

    def has(self, relation: str) -> bool:
        return self.one(f"SELECT to_regclass('{relation}') IS NOT NULL") is True


@contextlib.contextmanager
def made(cluster: Cluster, options: str = "") -> Iterator[Database]:
    name = "db_" + secrets.token_hex(6)
    from urllib.parse import quote

    with contextlib.closing(cluster.admin()) as admin:
        with admin.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name} OWNER {OWNER} {options}")
        url = f"postgresql://{OWNER}:{quote(PASSWORD, safe='')}@127.0.0.1:{cluster.port}/{name}?sslmode=disable"
        connection = psycopg2.connect(url, client_encoding="UTF8")
        connection.autocommit = True
        guard = (secrets.randbelow(2**31), secrets.randbelow(2**31))
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_lock(%s, %s)", guard)
            yield Database(name, url, connection, guard)
        finally:
            connection.close()
            with admin.cursor() as cursor:
                cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database(cluster: Cluster) -> Iterator[Database]:
    with made(cluster) as database:
        yield database


@pytest.fixture
def elsewhere(parent: Cluster) -> Iterator[Database]:
    """A database of another server."""
    with made(parent) as database:
        yield database


ENV_PY = """
from logging.config import fileConfig
from alembic import context
from sqlalchemy import engine_from_config, pool

config = context.config
if config.config_file_name is not None:
    fileConfig(config.config_file_name)

def run_migrations_online():
    connectable = engine_from_config(
        config.get_section(config.config_ini_section), prefix="sqlalchemy.", poolclass=pool.NullPool
    )
    with connectable.connect() as connection:
        context.configure(connection=connection, target_metadata=None)
        with context.begin_transaction():
            context.run_migrations()

run_migrations_online()
"""
"""Alembic's generic template, online part."""

LOGGING = """
[loggers]
keys = root,alembic
[handlers]
keys = console
[formatters]
keys = generic
[logger_root]
level = WARNING
handlers = console
qualname =
[logger_alembic]
level = INFO
handlers =
qualname = alembic
[handler_console]
class = StreamHandler
args = (sys.stderr,)
level = NOTSET
formatter = generic
[formatter_generic]
format = %(levelname)-5.5s [%(name)s] %(message)s
"""


@dataclass
class Files:
    """A project in a folder."""

    root: Path
    last: str | None = None
    written: list[str] = field(default_factory=list)

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def alembic(self, env_py: str = ENV_PY, *, options: str = "", section: str = "alembic") -> Files:
        """alembic.ini and env.py; the URL in the ini leads nowhere, as one that is checked in should."""
        self.write(
            "alembic.ini",
            f"[{section}]\nscript_location = %(here)s/migrations\nprepend_sys_path = .\n"
            f"sqlalchemy.url = driver://user:pass@localhost/dbname\n{options}\n{LOGGING}",
        )
        self.write("migrations/env.py", env_py)
        return self

    def revision(
        self,
        id: str,
        up: str = "pass",
        down: str = "pass",
        *,
        after: str | tuple[str, ...] | None = "-",
        folder: str = "migrations/versions",
        head: str = "",
    ) -> Files:
        """A revision after the last one; `up` and `down` are bodies, of which line 1 is the file's line 9 and so on."""
        below = self.last if after == "-" else after
        indented = ["    " + "\n    ".join(body.split("\n")) for body in (up, down)]
        name = id.replace(".", "_")
        self.write(
            f"{folder}/{name}.py",
            f'"""{id}"""\nimport os, sys, time\nimport sqlalchemy as sa\nfrom alembic import op\n'
            f"revision = {id!r}\ndown_revision = {below!r}\n{head}\n"
            f"def upgrade():\n{indented[0]}\n\ndef downgrade():\n{indented[1]}\n",
        )
        self.last = id
        self.written.append(id)
        return self

    def table(self, id: str, name: str) -> Files:
        """A revision that creates a table and takes it away."""
        return self.revision(
            id, f"op.create_table({name!r}, sa.Column('id', sa.Integer, primary_key=True))", f"op.drop_table({name!r})"
        )

    def project(self, **options: object) -> Project:
        return find_project(self.root, environ={}, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the environments of `pairs`, which pytest-xdist's workers share."""
    base = tmp_path_factory.getbasetemp()
    with pairs.shared(base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) as folder:
        yield folder


@pytest.fixture
def files(tmp_path: Path) -> Files:
    root = tmp_path / "project"
    root.mkdir()
    return Files(root)


@dataclass
class Walked:
    """A session on a database, with what it printed."""

    session: Session
    printed: list[str]

    def visit(self, direction: Direction, to: str, seconds: float = MINUTE) -> Visit:
        return self.session.visit(direction, to, deadline=Deadline(seconds, what=f"the {direction} to {to}"))

    def stairway(self, *steps: tuple[Direction, str], seconds: float = MINUTE) -> list[Visit]:
        visits: list[Visit] = []

        def after(visit: Visit) -> bool:
            visits.append(visit)
            return True

        self.session.stairway(steps, step_seconds=seconds, after=after)
        return visits


@pytest.fixture
def stop() -> Stop:
    return Stop()


Servers = Callable[[Path, Mapping[str, str]], ForkServer]


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """A fork server for each interpreter and environment, which the tests share as the sessions of a run do."""
    made: dict[object, ForkServer] = {}

    def server(python: Path, environ: Mapping[str, str]) -> ForkServer:
        key = (python, tuple(sorted(environ.items())))
        if key not in made:
            made[key] = ForkServer(python, kind="alembic", cwd=Path("/"), environ=environ, stop=Stop(), log=print)
        return made[key]

    yield server
    for each in made.values():
        each.close()


@pytest.fixture
def opened(files: Files, database: Database, stop: Stop, servers: Servers) -> Iterator[Callable[..., Walked]]:
    """Starts a session on the project and opens it on the database; keyword arguments go to Session or change it.

    `beside`: the version table is seen over the test's own connection, as a run does. `inputs`: what the project reads
    is noted.
    """
    sessions: list[Session] = []

    def opened(
        *,
        url: str = database.url,
        templates: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
        guard: tuple[int, int] | None = database.guard,
        python: Path = PYTHON,
        asynchronous: bool = False,
        find: Mapping[str, object] | None = None,
        seconds: float = MINUTE,
        beside: bool = True,
        inputs: bool = False,
        **options: object,
    ) -> Walked:
        printed: list[str] = []
        base = stripped({**os.environ, **(environ or {})})
        base.pop("PYTEST_CURRENT_TEST", None)  # it would give each test a server of its own
        session = Session(
            files.project(**(find or {})),
            servers(python, base),
            stop=stop,
            log=printed.append,
            **options,  # type: ignore[arg-type]
        )
        sessions.append(session)
        whole = render_environment(
            url,
            session.interpreter,
            templates=templates or {},
            files=None,
            base_environ=base,
            asynchronous=asynchronous,
        )
        session.open(url, whole, guard=guard, deadline=Deadline(seconds, what="loading the project"), inputs=inputs)
        if beside:
            session.versions = Versions(database.connection, version_tables(database.connection))
        return Walked(session, printed)

    yield opened
    for session in sessions:
        session.kill()
