"""With a second connection a reader tells what it tells without; and there is none where anything is wrong with it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import threading
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2.errors
import pytest

from neontest.errors import DatabaseError
from neontest.postgres import second as module
from neontest.postgres.connect import connect
from neontest.postgres.model import Snapshot
from neontest.postgres.probe import ALL_THERE
from neontest.postgres.second import Second
from neontest.postgres.snapshot import Reader
from tests.postgres.conftest import Database, Server
from tests.postgres.test_reader import lines

TABLES = "CREATE TABLE a (x integer PRIMARY KEY); CREATE TABLE b (x integer PRIMARY KEY REFERENCES a, y text)"


@pytest.fixture
def two(database: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Two]:
    """A database with a reader that takes its schema for a large one."""
    monkeypatch.setattr("neontest.postgres.snapshot._LARGE", 0)
    made = Two(database)
    yield made
    made.reader.close()


class Two:
    def __init__(self, database: Database) -> None:
        self.database = database
        url = database.url("neondb_owner")
        self.reader = Reader(connect(url), url)
        assert readied(self.reader)

    @property
    def second(self) -> Second:
        assert self.reader._second is not None
        return self.reader._second

    def whole(self) -> Snapshot:
        """Everything, half of it over each connection."""
        self.reader._last, self.reader._changes.state = None, {}
        return self.reader.snapshot()

    def same(self, change: str = "") -> None:
        """After the change it is told as by who has one connection."""
        self.database.run(change)
        found, anew = self.reader.snapshot(), self.database.anew()
        assert found == anew, (change, lines(anew, found))


def readied(reader: Reader, seconds: float = 10) -> bool:
    assert reader._second is not None
    return reader._second.ready(seconds)


def test_a_small_schema_needs_none(database: Any) -> None:
    reader = Reader(connect(database.url("neondb_owner")), database.url("neondb_owner"))
    assert reader._second is None
    assert len(reader.backends()) == 1
    reader.close()


def test_two_halves_are_the_whole(server: Any, two: Two) -> None:
    for path in ("tables", "views", "types", "routines"):
        for case in tomllib.loads((Path(__file__).parent / f"kinds/{path}.toml").read_text())["case"][::3]:
            if server.major < case.get("since", 0):
                continue
            two.database.run(f"{case.get('setup', '')}; {case['change']}")
            found = two.whole()
            assert found == two.database.anew()
            assert {key.kind for key in found.objects} >= {"schema"}
            two.database.clear()
    assert two.second.ready()


def test_half_is_waited_for_as_long_as_the_first_has_not_answered(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    two.database.run(TABLES)
    asked, text = two.reader._prepared.rows, two.second._prepared.text

    def late(cursor: Any, key: str, *more: Any, **values: Any) -> Any:
        if key.startswith("other half"):
            cursor.execute("SELECT pg_sleep(0.9)")
        return asked(cursor, key, *more, **values)

    monkeypatch.setattr(two.reader._prepared, "rows", late)
    monkeypatch.setattr(two.second._prepared, "text", lambda *what: "SELECT pg_sleep(0.5); " + text(*what))
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    assert two.whole() == two.database.anew()
    assert two.second.ready()


COMMENTED = """
CREATE SEQUENCE s; CREATE INDEX i ON b (y); CREATE VIEW v AS SELECT x FROM a;
CREATE DOMAIN d AS text CONSTRAINT k CHECK (true);
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TYPE e AS ENUM ('x');
CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION f(); CREATE STATISTICS st ON x, y FROM b;
COMMENT ON TABLE a IS 'table'; COMMENT ON TABLE b IS 'other'; COMMENT ON SEQUENCE s IS 'sequence';
COMMENT ON INDEX i IS 'index'; COMMENT ON CONSTRAINT a_pkey ON a IS 'constraint';
COMMENT ON INDEX a_pkey IS 'its index';
COMMENT ON COLUMN b.y IS 'column'; COMMENT ON VIEW v IS 'view'; COMMENT ON COLUMN v.x IS 'of a view';
COMMENT ON DOMAIN d IS 'domain'; COMMENT ON CONSTRAINT k ON DOMAIN d IS 'check'; COMMENT ON TYPE e IS 'enum';
COMMENT ON FUNCTION f() IS 'function'; COMMENT ON TRIGGER t ON a IS 'trigger'; COMMENT ON STATISTICS st IS 'statistics';
COMMENT ON SCHEMA public IS 'schema'
"""


def test_each_half_has_the_comments_of_its_kinds(two: Two) -> None:
    two.database.run(f"{TABLES}; {COMMENTED}")
    found = two.whole()
    assert found == two.database.anew()
    told = {value for facts in found.objects.values() for name, value in facts if name == "comment"}
    assert told == set(re.findall(r" IS '(.*?)'", COMMENTED))


def test_half_is_asked_beside_the_first_probe_and_where_all_has_to_be_read_again(two: Two, monkeypatch: Any) -> None:
    two.database.run(TABLES)
    asked: list[bool] = []
    probed, ask = two.reader._changes.since, two.second.ask

    def probing(*given: Any, **more: Any) -> Any:
        asked.append(two.second.asked)
        return probed(*given, **more)

    def asking(*words: str) -> None:
        asked.append(False)
        ask(*words)

    monkeypatch.setattr(two.reader._changes, "since", probing)
    monkeypatch.setattr(two.second, "ask", asking)
    for change, expected in (
        ("", [False, True]),  # asked, then probed
        ("ALTER TABLE b ADD c integer", [False]),  # probed
        ("CREATE FUNCTION f() RETURNS integer LANGUAGE sql AS 'SELECT 1'", [False, False]),  # probed, then asked
    ):
        asked.clear()
        two.same(change)
        assert asked == expected


@pytest.mark.parametrize(
    "change", ["ALTER TABLE b RENAME y TO z", "ALTER TABLE a RENAME TO c", "CREATE INDEX ON b (y)"]
)
def test_what_is_committed_after_the_second_has_answered_is_told(
    two: Two, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    two.database.run(TABLES)
    probed, done = two.reader._changes.since, []

    def late(*given: Any, **more: Any) -> Any:
        assert two.second.asked
        module.driven(two.second._conn)  # type: ignore[arg-type]  # it has read all by now
        if not done:
            done.append(two.database.run(change))
        return probed(*given, **more)

    monkeypatch.setattr(two.reader._changes, "since", late)
    found = two.whole()
    assert done
    monkeypatch.undo()
    assert found == two.database.anew()
    two.same("ALTER TABLE b ADD d integer")


def test_without_it_all_is_asked_of_the_first(two: Two) -> None:
    two.database.run(TABLES)
    two.reader.snapshot()
    two.database.run(f"ALTER TABLE b ADD c integer; SELECT pg_terminate_backend({two.second.backend}, 5000)")
    assert two.whole() == two.database.anew()
    assert not two.second.ready()
    two.same("ALTER TABLE b DROP c")


def test_one_that_is_refused_is_none(two: Two) -> None:
    name = two.database.name
    two.database.run(f"{TABLES}; ALTER DATABASE {name} CONNECTION LIMIT 0")
    try:
        two.second.close()
        two.reader._second = Second(two.database.url("neondb_owner"), "SELECT 1, pg_backend_pid()", (1,))
        assert not readied(two.reader)
        assert two.whole() == two.database.anew()
    finally:
        two.database.run(f"ALTER DATABASE {name} CONNECTION LIMIT -1")


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize("which", ["database", "server"])
def test_one_that_leads_elsewhere_is_none(server: Server, database: Any, which: str) -> None:
    """As when the compute was moved to another branch in between."""
    conn, other = connect(database.url("neondb_owner")), server.database()
    if which == "database":
        found = Reader(conn, other.url("neondb_owner"))
    else:
        found = Reader(conn, database.url("neondb_owner"))
        assert found._second is not None
        found._second._expected = ("2001-01-01 00:00:00+00", *found._second._expected[1:])
    try:
        assert not readied(found)
        assert found.snapshot() == database.anew()
    finally:
        found.close()
        other.drop()


@pytest.mark.usefixtures("two")
def test_one_that_does_not_answer_is_not_waited_for(database: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://u:hush@127.0.0.1:{silent.getsockname()[1]}/d"
        reader = Reader(connect(database.url("neondb_owner")), url)
        try:
            began = time.monotonic()
            assert reader.snapshot() == database.anew()
            assert not readied(reader, 0)
            assert reader.backends() == [reader._conn.info.backend_pid]
            assert time.monotonic() - began < 20
        finally:
            reader.close()


@pytest.mark.usefixtures("two")
def test_an_address_that_is_none_is_no_second(database: Any) -> None:
    reader = Reader(connect(database.url("neondb_owner")), "postgresql://u:hush@h:x/d")
    assert not readied(reader)
    assert reader.snapshot() == database.anew()
    reader.close()


def test_an_answer_that_nobody_takes_keeps_no_transaction_open(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or else nobody could build an index concurrently."""
    wide = ", ".join(f"a{n} text CHECK (a{n} <> '{'x' * 5000}')" for n in range(40))
    for n in range(8):
        two.database.run(f"CREATE TABLE wide{n} ({wide})")

    def failing(*_: Any, **__: Any) -> Any:
        raise psycopg2.errors.QueryCanceled("by somebody")

    monkeypatch.setattr(two.reader._changes, "since", failing)
    with pytest.raises(DatabaseError, match="by somebody"):
        two.reader.snapshot()
    with two.database.admin.cursor() as cursor:
        cursor.execute("SELECT state, backend_xmin FROM pg_stat_activity WHERE pid = %s", (two.second.backend,))
        assert cursor.fetchall() == [("idle", None)]
    monkeypatch.undo()
    two.same()
    assert two.second.ready()


def test_one_that_stops_answering_is_not_waited_for_long(two: Two) -> None:
    two.database.run(TABLES)
    backend = two.second.backend
    assert backend is not None
    os.kill(backend, signal.SIGSTOP)
    try:
        began = time.monotonic()
        found = two.whole()
        assert time.monotonic() - began < 30
    finally:
        os.kill(backend, signal.SIGCONT)
    assert found == two.database.anew()
    assert not two.second.ready()


def test_a_lock_is_waited_for_by_the_first_only(two: Two) -> None:
    two.database.run(f"{TABLES}; CREATE INDEX ON b (lower(y)); CREATE VIEW v AS SELECT x FROM a")
    other = connect(two.database.url("postgres"), autocommit=False)
    with other.cursor() as cursor:
        cursor.execute("LOCK TABLE a, b, v IN ACCESS EXCLUSIVE MODE")
    end = threading.Timer(1, other.close)
    end.start()
    assert two.whole() == two.database.anew()
    end.join()
    assert two.second.ready()
    two.same("ALTER TABLE b ADD c integer")


@pytest.mark.parametrize("there", [0, ALL_THERE])
def test_two_halves_of_two_moments_are_no_snapshot(two: Two, monkeypatch: pytest.MonkeyPatch, there: int) -> None:
    two.database.run(f"{TABLES}; CREATE VIEW v AS SELECT x FROM a")
    asked, done = two.reader._prepared.rows, []

    def late(cursor: Any, key: str, *more: Any, **values: Any) -> Any:
        if key.startswith("other half") and not done:
            done.append(two.database.run("ALTER TABLE b RENAME TO bb"))
        return asked(cursor, key, *more, **values)

    monkeypatch.setattr(two.reader._prepared, "rows", late)
    two.reader._changes.there = there
    found = two.whole()
    assert done
    assert found == two.database.anew()


class Proxy:
    """As Neon's, tells the client another process of the server than the one that it is connected to."""

    def __init__(self, port: int) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port, self._to = self.server.getsockname()[1], port
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown(socket.SHUT_RDWR)  # wakes who accepts
        self.server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, far = self.server.accept()[0], socket.create_connection(("127.0.0.1", self._to))
                for one, other, lie in ((near, far, False), (far, near, True)):
                    threading.Thread(target=self._pass, args=(one, other, lie), daemon=True).start()

    @staticmethod
    def _pass(one: socket.socket, other: socket.socket, lie: bool) -> None:
        with contextlib.closing(one), contextlib.suppress(OSError):
            while data := one.recv(1 << 16):
                at = data.find(b"K\0\0\0\x0c") if lie else -1
                if at >= 0:
                    data, lie = data[: at + 5] + b"\x01\x02\x03\x04" + data[at + 9 :], False
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)


def test_processes_are_the_server_s_also_behind_a_proxy(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neontest.postgres.snapshot._LARGE", 0)
    port = urlsplit(postgres_url).port
    assert port is not None
    proxy = Proxy(port)
    url = re.sub("sslmode=[a-z-]+", "sslmode=disable", postgres_url.replace(f":{port}/", f":{proxy.port}/"))
    reader = Reader(connect(url), url)
    assert reader._conn.info.backend_pid == 0x01020304
    pids = reader.backends()
    with contextlib.closing(connect(postgres_url)) as direct, direct.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY (%s)", (pids,))
        assert cursor.fetchall() == [(2,)]
    reader.close()
    proxy.close()


def test_an_interrupt_while_it_is_waited_for_leaves_no_half(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    two.database.run(TABLES)
    two.reader.snapshot()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "driven", interrupted)
    with pytest.raises(KeyboardInterrupt):
        two.whole()
    monkeypatch.undo()
    assert not two.second.ready()
    two.same()
    two.same("ALTER TABLE b ADD c integer")


def test_both_end_with_the_reader(two: Two) -> None:
    pids = two.reader.backends()
    assert len(set(pids)) == 2
    two.reader.close()
    until = time.monotonic() + 10
    left = 2
    while left and time.monotonic() < until:
        with two.database.admin.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s)", (pids,))
            ((left,),) = cursor.fetchall()
    assert left == 0
