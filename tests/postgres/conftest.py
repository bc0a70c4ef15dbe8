"""One server a Postgres version and session, and databases in it."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from psycopg2.extensions import TRANSACTION_STATUS_IDLE, cursor

from neontest.local.binaries import Binaries, find_all
from neontest.local.cluster import Cluster, Clusters
from neontest.postgres.asked import Asked
from neontest.postgres.connect import Connection, connect
from neontest.postgres.counted import Known
from neontest.postgres.data import Filled
from neontest.postgres.fill import Filler
from neontest.postgres.model import Snapshot
from neontest.postgres.probe import ALL_THERE
from neontest.postgres.snapshot import Reader
from neontest.stop import Deadline
from tests.conftest import away
from tests.postgres.told import told

MAJORS: dict[int, Binaries] = {}
for _found in find_all(environ=os.environ):
    MAJORS.setdefault(_found.major, _found)


CLEAR = """
DO $$DECLARE name text; BEGIN
  FOR name IN SELECT subname FROM pg_subscription JOIN pg_database d ON d.oid = subdbid
      WHERE datname = current_database() LOOP
    EXECUTE format('ALTER SUBSCRIPTION %I SET (slot_name = NONE)', name);
    EXECUTE format('DROP SUBSCRIPTION %I', name);
  END LOOP;
  FOR name IN SELECT evtname FROM pg_event_trigger LOOP EXECUTE format('DROP EVENT TRIGGER %I', name); END LOOP;
  FOR name IN SELECT pubname FROM pg_publication LOOP EXECUTE format('DROP PUBLICATION %I', name); END LOOP;
  FOR name IN SELECT extname FROM pg_extension WHERE extname <> 'plpgsql' LOOP
    EXECUTE format('DROP EXTENSION %I CASCADE', name);
  END LOOP;
  FOR name IN SELECT fdwname FROM pg_foreign_data_wrapper LOOP
    EXECUTE format('DROP FOREIGN DATA WRAPPER %I CASCADE', name);
  END LOOP;
  FOR name IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema$|public$)' LOOP
    EXECUTE format('DROP SCHEMA %I CASCADE', name);
  END LOOP;
  FOR name IN SELECT amname FROM pg_am WHERE oid >= 16384 LOOP
    EXECUTE format('DROP ACCESS METHOD %I CASCADE', name);
  END LOOP;
  FOR name IN SELECT lanname FROM pg_language l WHERE oid >= 16384 LOOP
    EXECUTE format('DROP LANGUAGE %I CASCADE', name);
  END LOOP;
  FOR name IN SELECT format_type(trftype, NULL) FROM pg_transform LOOP
    EXECUTE format('DROP TRANSFORM FOR %s LANGUAGE sql CASCADE', name);
  END LOOP;
  EXECUTE format('ALTER DATABASE %I RESET ALL', current_database());
END$$;
DROP OWNED BY app, boss CASCADE;
DROP SCHEMA public CASCADE;
CREATE SCHEMA public AUTHORIZATION pg_database_owner;
GRANT USAGE ON SCHEMA public TO PUBLIC;
COMMENT ON SCHEMA public IS 'standard public schema';
"""
"""Faster than a new database for each test."""


class Counted(cursor):
    """Counts what is sent."""

    sent = 0

    def execute(self, *args: Any) -> None:
        Counted.sent += 1
        super().execute(*args)


@contextmanager
def counted(conn: Connection, trips: int) -> Iterator[None]:
    """The block takes so many round trips over the connection."""
    conn.cursor_factory, Counted.sent = Counted, 0
    yield
    conn.cursor_factory = None
    assert Counted.sent == trips


class Server:
    """A running server with the roles and the tablespace that the tests speak of."""

    def __init__(self, cluster: Cluster, binaries: Binaries) -> None:
        self.cluster = cluster
        self.binaries = binaries
        self.major = binaries.major
        self._numbers = itertools.count()
        self._admin = cluster.admin()
        self.run("ALTER SYSTEM SET autovacuum = off")  # a transaction in the middle of a reading has it read more
        self.run("SELECT pg_reload_conf()")
        self.run("CREATE ROLE app LOGIN; CREATE ROLE boss SUPERUSER LOGIN")
        if self.major >= 15:
            self.run("SET allow_in_place_tablespaces = on")
            self.run("CREATE TABLESPACE elsewhere LOCATION ''")

    def run(self, sql: str) -> None:
        with self._admin.cursor() as cursor:
            cursor.execute(sql)

    def database(self) -> Database:
        name = f"db{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE template0")
        return Database(self, name)

    def close(self) -> None:
        self._admin.close()


class Near(Asked):
    """However slow this machine is."""

    far = False


class Distant(Asked):
    """All answers come from far away."""

    far = True


class Database:
    """A database, a superuser's connection to change it, and an ordinary user's reader."""

    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.name = name
        self.admin = self.connect("postgres")
        self.reader = Reader(self.connect("neondb_owner"))
        self.counting = Reader(self.connect("neondb_owner"))
        """For who knows what was done."""
        self.distant = Reader(self.connect("neondb_owner"))
        """The same where all answers come from far away."""
        for reader, answers in ((self.reader, Near()), (self.counting, Near()), (self.distant, Distant())):
            reader._prepared = reader._changes._asked = answers
        self._other = Reader(self.connect("neondb_owner"))
        self._asking: Connection | None = None

    def anew(self) -> Snapshot:
        """Everything, by who has not seen what was there before, and takes nothing for absent."""
        self._other._last, self._other._changes.there = None, ALL_THERE
        return self._other.snapshot()

    def url(self, user: str) -> str:
        cluster = self.server.cluster
        return f"postgresql://{user}@/{self.name}?host={cluster.sockets}&port={cluster.port}"

    def connect(self, user: str) -> Connection:
        return connect(self.url(user))

    def asking(self) -> Connection:
        """A superuser's connection that a reader has used, as in a run; the same each time, unless it was spoilt."""
        one = self._asking
        if one is None or one.closed or one.info.transaction_status != TRANSACTION_STATUS_IDLE:
            if one is not None:
                one.close()
            self._asking = one = self.connect("postgres")
            Reader(one).snapshot()
        return one

    def run(self, sql: str) -> None:
        if sql.strip():
            with self.admin.cursor() as cursor:
                cursor.execute(sql)

    def told(self, sql: str, unseen: str = "") -> Known:
        with self.admin.cursor() as cursor:
            return told(cursor, sql, unseen)

    def has_extension(self, name: str) -> bool:
        with self.admin.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_available_extensions WHERE name = %s", (name,))
            return cursor.fetchone() is not None

    def clear(self) -> None:
        """Drop what a test made: all schemas' contents, and what lives in no schema."""
        with self.admin.cursor() as cursor:
            cursor.execute(CLEAR)

    def drop(self) -> None:
        self.admin.close()
        self.reader.close()
        self.counting.close()
        self.distant.close()
        self._other.close()
        if self._asking is not None:
            self._asking.close()
        self.server.run(f"ALTER DATABASE {self.name} IS_TEMPLATE false")
        self.server.run(f"DROP DATABASE {self.name} WITH (FORCE)")


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every schema is as a large one: a sum says that something changed, and numbers are asked of what was written."""
    monkeypatch.setattr("neontest.postgres.changes.SUMMED", 0)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Whatever needs a server runs on every major version that this machine has."""
    if "server" in metafunc.fixturenames:
        metafunc.parametrize("server", MAJORS, indirect=True, scope="session", ids=[f"pg{major}" for major in MAJORS])


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    binaries = MAJORS[request.param]
    folder = away("postgres")
    try:
        with Clusters(folder, binaries) as clusters:
            one = Server(clusters.create("one"), binaries)
            yield one
            one.close()
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def database(server: Server) -> Iterator[Database]:
    """A database of the test's own."""
    made = server.database()
    yield made
    made.drop()


@pytest.fixture(scope="module")
def _shared(server: Server) -> Iterator[list[Database]]:
    """The module's one database, in a list, so that a spoilt one can be replaced."""
    held = [server.database()]
    yield held
    held[0].drop()


@pytest.fixture
def shared(server: Server, _shared: list[Database]) -> Iterator[Database]:
    """An empty database that the test leaves empty again; if it does not, the next one gets a new one."""
    one = _shared[0]
    empty = one.reader.snapshot()
    for each in (one.reader, one.counting, one.distant):
        each.snapshot()
        each._changes.there = 0  # the kinds that another test made are not known to be there
    yield one
    try:
        spoilt = one.reader.snapshot() != empty
    except Exception:  # noqa: BLE001 - whatever it is, the database is of no more use
        spoilt = True
    if spoilt:
        _shared[0] = server.database()
        one.drop()


class Filling:
    """Rows invented in a database, as an ordinary owner of what is in it would have them."""

    ROWS = 20

    def __init__(self, database: Database) -> None:
        self._database = database

    def made(self, sql: str) -> None:
        """Run the SQL as the owner of everything in it, who is no superuser."""
        self._database.run(
            f"GRANT CREATE ON DATABASE {self._database.name} TO neondb_owner;"
            f"GRANT CREATE ON SCHEMA public TO neondb_owner; SET ROLE neondb_owner; {sql}; RESET ROLE"
        )

    def reader(self, user: str = "neondb_owner") -> Reader:
        """On `conn`."""
        reader = Reader(self._database.connect(user))
        self.conn = reader._conn
        return reader

    def filler(self, *, rows: int = ROWS, seed: int = 0, seconds: float = 60, user: str = "neondb_owner") -> Filler:
        self.reader(user)
        return Filler(self.conn, rows=rows, seed=seed, deadline=Deadline(seconds, what="the test"))

    def fill(self, sql: str = "", *, rows: int = ROWS, seed: int = 0, user: str = "neondb_owner") -> dict[str, Filled]:
        self.made(sql)
        filler = self.filler(rows=rows, seed=seed, user=user)
        filled = {each.table: each for each in filler.fill_empty()}
        assert self.conn.autocommit
        assert self.conn.info.transaction_status == TRANSACTION_STATUS_IDLE
        self.conn.close()
        return filled

    def whole(self, filled: dict[str, Filled], rows: int = ROWS) -> None:
        """Every table got all its rows, they are there, and nothing was to be said about it."""
        assert filled
        assert {each.table: (each.rows, each.why) for each in filled.values()} == dict.fromkeys(filled, (rows, None))
        for table in filled:
            assert self.ask(f"SELECT count(*) FROM {quote(table)}") >= [(rows,)]

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with self._database.admin.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    def column(self, sql: str) -> list[Any]:
        return [row[0] for row in self.ask(sql)]


def quote(table: str) -> str:
    """A table's name as the report has it, for SQL: key words are quoted too."""
    space, _, name = table.partition(".")
    return f'{space}."{name}"' if '"' not in name else table


@pytest.fixture
def filling(database: Database) -> Iterator[Filling]:
    one = Filling(database)
    yield one
    if hasattr(one, "conn"):
        one.conn.close()
