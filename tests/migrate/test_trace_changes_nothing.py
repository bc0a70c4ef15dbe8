"""The same migrations with and without the trace: equal catalogs, equal rows, and few round trips more."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest

from neontest.local.cluster import Cluster
from neontest.local.roles import OWNER
from neontest.postgres.connect import connect
from neontest.postgres.locks import Observer
from neontest.postgres.snapshot import snapshot
from neontest.record import Visit
from tests.migrate.conftest import Database, Files, Walked, made

ASYNC_ENV = """
import asyncio, os
from alembic import context
from sqlalchemy import pool
from sqlalchemy.ext.asyncio import async_engine_from_config

def migrate(connection):
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()

async def online():
    section = context.config.get_section(context.config.config_ini_section)
    engine = async_engine_from_config(section, prefix="sqlalchemy.", poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()

asyncio.run(online())
"""
TABLES = """
op.execute("CREATE TABLE one (id serial PRIMARY KEY, t text)")
op.execute("CREATE TABLE two (id int PRIMARY KEY REFERENCES one (id) DEFERRABLE INITIALLY DEFERRED)")
op.execute("INSERT INTO one (t) SELECT 'a' FROM generate_series(1, 20)")
op.execute(chr(34).join(("CREATE TABLE ", "has € and 100%", " (id int)")))
"""
SHADOWS = """
op.execute("CREATE SCHEMA evil")
for name in ("pg_backend_pid()", "current_setting(text)", "concat_ws(text, VARIADIC text[])", "string_agg(text, text)"):
    op.execute("CREATE FUNCTION evil." + name + " RETURNS int LANGUAGE sql AS 'SELECT 1 / 0'")
op.execute("CREATE FUNCTION evil.eq(oid, oid) RETURNS bool LANGUAGE sql AS 'SELECT 1 / 0 = 1'")
op.execute("CREATE OPERATOR evil.= (FUNCTION = evil.eq, LEFTARG = oid, RIGHTARG = oid)")
op.execute("CREATE VIEW evil.pg_locks AS SELECT 1 AS pid")
op.execute("SET LOCAL search_path = evil, pg_catalog, public")
op.execute("CREATE TABLE evil.three (id int)")
op.execute("ALTER TABLE public.one ADD COLUMN u int DEFAULT 3")
"""
ROLES = """
op.execute("GRANT CREATE, USAGE ON SCHEMA public TO limited")
op.execute("SET ROLE limited")
op.execute("CREATE TABLE four (id int)")
op.execute("INSERT INTO four VALUES (1)")
op.execute("RESET ROLE")
op.execute("ALTER TABLE one ADD COLUMN v int")
"""
TIMEOUTS = """
op.execute("SET LOCAL statement_timeout = '95ms'")
op.execute("CREATE TABLE five (id int)")
op.execute("SET LOCAL statement_timeout = '60s'")
op.execute("SET LOCAL lock_timeout = '2s'")
op.execute("ALTER TABLE five ADD COLUMN x int")
op.execute("INSERT INTO five SELECT 1, extract(epoch FROM current_setting('lock_timeout')::interval)")
"""
SAVEPOINTS = """
connection = op.get_bind()
for sql in ("SELECT 1 / 0", "INSERT INTO one (id) VALUES (1)", "CREATE TABLE one (id int)"):
    try:
        with connection.begin_nested():
            op.execute("CREATE TABLE never (id int)")
            op.execute(sql)
    except sa.exc.DBAPIError:
        pass
with connection.begin_nested():
    op.execute("CREATE TABLE six (id serial)")
    op.execute("INSERT INTO six DEFAULT VALUES")
op.execute("INSERT INTO six SELECT lastval() + 100")
op.execute("INSERT INTO two VALUES (1)")
"""
ALONE = """
with op.get_context().autocommit_block():
    op.execute("CREATE INDEX CONCURRENTLY one_t ON one (t)")
    op.execute("UPDATE one SET t = 'b' WHERE id < 5")
    op.execute("VACUUM one")
op.execute("CREATE TABLE seven (id int)")
"""
FORGETFUL = """
op.execute("CREATE TABLE eight (id int)")
op.execute("DEALLOCATE ALL")
op.execute("ALTER TABLE eight ADD COLUMN x int")
op.execute("PREPARE theirs AS SELECT 1")
op.execute("DEALLOCATE theirs; ALTER TABLE eight ADD COLUMN y int")
with op.get_context().autocommit_block():
    op.execute("DISCARD ALL")
    op.execute("ALTER TABLE eight ADD COLUMN z int")
op.execute("ALTER TABLE eight ADD COLUMN w int")
op.execute("INSERT INTO eight SELECT count(*) FROM pg_prepared_statements WHERE name = 'theirs'")
"""
BY_HAND = """
op.execute("CREATE TABLE nine (id int)")
op.execute("COMMIT")
op.execute("CREATE INDEX CONCURRENTLY nine_id ON nine (id)")
"""
ENCODED = """
op.execute("SET LOCAL client_encoding = 'LATIN1'")
op.execute("DO 'BEGIN EXECUTE (SELECT format($f$ALTER TABLE %I ADD COLUMN x int$f$, relname) FROM pg_class"
    " WHERE relname LIKE $l$has%$l$); END'")
op.execute("CREATE TABLE ten (id int)")
"""
TWICE = """
engine = sa.create_engine(op.get_bind().engine.url)
with engine.begin() as other:
    other.execute(sa.text("CREATE TABLE eleven (id int)"))
    op.execute("CREATE TABLE twelve (id int)")
    other.execute(sa.text("INSERT INTO eleven VALUES (1)"))
engine.dispose()
cursor = op.get_bind().connection.cursor()
cursor.execute("CREATE TABLE thirteen (id int)")
cursor.close()
"""
ISOLATED = """
with op.get_context().autocommit_block():
    op.execute("SET default_transaction_isolation = 'serializable'")
op.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
op.execute("CREATE TABLE fourteen AS SELECT current_setting('transaction_isolation') AS level")
"""
EVERYWHERE = (TABLES, SHADOWS, ROLES, SAVEPOINTS, ALONE, ISOLATED)
BODIES = {"psycopg2": (*EVERYWHERE, TIMEOUTS, FORGETFUL, ENCODED, BY_HAND, TWICE), "asyncpg": EVERYWHERE}
READ = """
SELECT oid::regclass::text, CASE relkind WHEN 'S' THEN 'last_value, is_called' ELSE '*' END
FROM pg_class WHERE relkind IN ('r', 'S') AND oid >= 16384
"""


def everything(database: Database) -> tuple[object, dict[str, list[str]]]:
    """Catalogs, and the rows of every table and sequence."""
    names = [(str(name), columns) for name, columns in database.rows(READ)]
    rows = {name: sorted(map(str, database.rows(f"SELECT {columns} FROM {name}"))) for name, columns in names}
    with contextlib.closing(connect(database.url)) as connection:
        return snapshot(connection), rows


@pytest.mark.parametrize("driver", BODIES)
@pytest.mark.parametrize("stairway", [False, True], ids=["visits", "stairway"])
def test_catalogs_and_rows_are_the_same_with_and_without(
    files: Files, opened: Callable[..., Walked], cluster: Cluster, database: Database, driver: str, stairway: bool
):
    with contextlib.closing(cluster.admin()) as admin, admin.cursor() as cursor:
        cursor.execute(
            f"DO 'BEGIN CREATE ROLE limited; EXCEPTION WHEN duplicate_object THEN NULL; END';GRANT limited TO {OWNER}"
        )
    if driver == "asyncpg":
        files.alembic(ASYNC_ENV)
    else:
        files.alembic()
        env = files.root / "migrations/env.py"
        env.write_text(env.read_text().replace("target_metadata=None", "transaction_per_migration=True"))
    for number, body in enumerate(BODIES[driver]):
        files.revision(f"r{number:02}", body.strip())
    found = []
    with made(cluster) as other:
        for each, trace in ((database, True), (other, False)):
            walk = opened(url=each.url, guard=each.guard, trace=trace, asynchronous=driver == "asyncpg")
            walk.session.observer = observer = Observer(each.connection, each.url)
            if stairway:
                visits = walk.stairway(*(("upgrade", name) for name in files.written))
            else:
                visits = [walk.visit("upgrade", "head")]
            observer.close()
            assert [visit.error for visit in visits] == [None] * (len(BODIES[driver]) if stairway else 1)
            assert not walk.session.notes
            told = [(each.sql, each.rows, each.revision) for visit in visits for each in visit.statements]
            found.append((everything(each), told))
            looked = {lock.seen for visit in visits for each in visit.statements for lock in each.locks}
            assert ("statement" in looked) is trace
    (traced, told), (plain, told_plainly) = found
    assert traced[0] == plain[0]
    assert traced[1] == plain[1]
    assert len(plain[1]["one"]) >= 20
    assert told == told_plainly


class Proxy:
    """Passes connections on to a server, and counts what the clients wait for: simple queries and syncs."""

    def __init__(self, port: int) -> None:
        self.trips = 0
        self._sockets: list[socket.socket] = []
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
                self._sockets += [client, server]
                for target, ends in ((self._count, (client, server)), (self._pass, (server, client))):
                    thread = threading.Thread(target=target, args=ends, daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)

    def _count(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError), client.makefile("rb") as stream:
            (size,) = struct.unpack("!i", first := stream.read(4))
            server.sendall(first + stream.read(size - 4))
            while kind := stream.read(1):
                (size,) = struct.unpack("!i", length := stream.read(4))
                rest = stream.read(size - 4)
                self.trips += kind in (b"Q", b"S")
                server.sendall(kind + length + rest)
            server.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)
        for each in self._sockets:
            each.close()


@pytest.fixture
def proxy(cluster: Cluster) -> Iterator[Proxy]:
    proxy = Proxy(cluster.port)
    yield proxy
    proxy.close()


def test_a_look_a_schema_change_and_one_a_commit_are_all_the_round_trips_more(files, opened, cluster, database, proxy):
    env = files.alembic().root / "migrations/env.py"
    env.write_text(env.read_text().replace("target_metadata=None", "transaction_per_migration=True"))
    data = "for n in range(10):\n    op.execute('INSERT INTO made{} VALUES (%d)' % n)"
    for number in range(5):
        files.table(f"a{number}", f"made{number}")
        files.revision(f"b{number}", data.format(number))
        files.revision(
            f"c{number}",
            f"op.execute('ALTER TABLE made{number} ADD COLUMN x int')\n" + data.format(number).replace("%d", "1%d"),
        )
    files.revision("d", "pass")

    def trips(each: Database, trace: bool) -> int:
        port = urlsplit(each.url).port
        walk = opened(url=each.url.replace(f":{port}/", f":{proxy.port}/"), guard=each.guard, trace=trace)
        walk.session.observer = Observer(each.connection, each.url)
        before = proxy.trips
        visits: list[Visit] = walk.stairway(*(("upgrade", name) for name in files.written))
        assert [visit.error for visit in visits] == [None] * 16
        walk.session.close()
        return proxy.trips - before

    with made(cluster) as other:
        plain, traced = trips(database, False), trips(other, True)
    schema_changes, commits = 10, 16
    assert traced - plain == 10 + 10  # the commits of b and c only: what else was committed had been looked after
    assert traced - plain <= schema_changes + commits
