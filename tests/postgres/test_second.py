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
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from neontest.postgres import second as module
from neontest.postgres.connect import connect
from neontest.postgres.probe import ALL_THERE
from neontest.postgres.snapshot import Reader
from tests.postgres.conftest import Counted, Database, Server
from tests.postgres.test_reader import OTHERS, same_as_anew

TABLES = "CREATE TABLE a (x integer PRIMARY KEY); CREATE TABLE b (x integer PRIMARY KEY REFERENCES a, y text)"


def sent(database: Database) -> int:
    """What the reader asks the first connection for one snapshot."""
    conn, before = database.reader._conn, Counted.sent
    conn.cursor_factory = Counted
    try:
        database.reader.snapshot()
    finally:
        conn.cursor_factory = None
    return Counted.sent - before


def test_what_changes_again_is_read_beside_the_probe(database: Any) -> None:
    database.run(TABLES)
    database.reader.snapshot()
    database.run("ALTER TABLE b ADD c integer")
    database.reader.snapshot()
    for change in (
        "ALTER TABLE b DROP c",
        "ALTER TABLE b ADD c text; CREATE INDEX ON b (y)",
        "COMMENT ON TABLE b IS ''",
    ):
        database.run(change)
        assert sent(database) == 1, change
        same_as_anew(database)
    for change in ("ALTER TABLE a ADD c integer", "CREATE TABLE c ()"):  # not what was likely
        database.run(change)
        assert sent(database) > 1, change
        same_as_anew(database)


def test_what_is_gone_was_likely_and_what_names_it_is_read_all_the_same(database: Any) -> None:
    database.run(OTHERS)
    database.reader.snapshot()
    for change in (
        "CREATE TABLE fresh (x integer PRIMARY KEY); CREATE VIEW seen AS SELECT x FROM fresh",
        "DROP VIEW seen; ALTER TABLE fresh RENAME x TO y",
        "DROP TABLE fresh; CREATE TABLE fresh (z integer)",
        "ALTER TABLE fresh RENAME TO stale",
        "ALTER TABLE a RENAME x TO xx",
        "ALTER TABLE a RENAME TO aa",
        "ALTER TABLE aa RENAME TO a; ALTER TABLE a RENAME xx TO x",
    ):
        same_as_anew(database, change)


@pytest.mark.usefixtures("large")
def test_a_large_schema_is_told_the_same(database: Any) -> None:
    database.run(OTHERS)
    database.reader.snapshot()
    for change in ("ALTER TABLE c ADD q integer", "ALTER TABLE c DROP q", "ALTER TABLE c ADD q integer UNIQUE"):
        same_as_anew(database, change)


def halves(reader: Reader) -> Any:
    """Everything, half of it over each connection."""
    reader._last, reader._state, reader._large = None, {}, True
    return reader.snapshot()


def test_two_halves_are_the_whole(server: Any, shared: Any) -> None:
    database: Database = shared
    for path in ("tables", "views", "types", "routines"):
        for case in tomllib.loads((Path(__file__).parent / f"kinds/{path}.toml").read_text())["case"][::3]:
            if server.major < case.get("since", 0):
                continue
            database.run(f"{case.get('setup', '')}; {case['change']}")
            found = halves(database.reader)
            assert found == database.anew()
            assert {key.kind for key in found.objects} >= {"schema"}
            database.clear()
    assert database.second.ready()


@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize(
    "change", ["ALTER TABLE b RENAME y TO z", "ALTER TABLE a RENAME TO c", "CREATE INDEX ON b (y)"]
)
def test_what_is_committed_after_the_second_has_answered_is_told(
    database: Any, monkeypatch: pytest.MonkeyPatch, half: bool, change: str
) -> None:
    database.run(TABLES)
    database.reader.snapshot()
    database.run("ALTER TABLE a ADD c integer; ALTER TABLE b ADD c integer")
    database.reader.snapshot()
    database.run("ALTER TABLE a DROP c; ALTER TABLE b DROP c")
    probed, done = database.reader._probed, []

    def late(cursor: Any) -> Any:
        assert database.second.asked
        module.driven(database.second._conn)  # it has read all by now
        if not done:
            done.append(database.run(change))
        return probed(cursor)

    monkeypatch.setattr(database.reader, "_probed", late)
    found = halves(database.reader) if half else database.reader.snapshot()
    assert done
    monkeypatch.undo()
    assert found == database.anew()
    same_as_anew(database, "ALTER TABLE b ADD d integer")


@pytest.mark.parametrize("half", [True, False])
def test_without_it_all_is_asked_of_the_first(database: Any, half: bool) -> None:
    database.run(TABLES)
    database.reader.snapshot()
    database.run("ALTER TABLE b ADD c integer")
    database.reader.snapshot()
    pid = database.second.backend
    database.run(f"ALTER TABLE b DROP c; SELECT pg_terminate_backend({pid}, 5000)")
    assert (halves(database.reader) if half else database.reader.snapshot()) == database.anew()
    assert not database.second.ready()
    same_as_anew(database, "ALTER TABLE b ADD c integer")


def readied(reader: Reader, seconds: float = 10) -> bool:
    assert reader._second is not None
    return reader._second.ready(seconds)


def test_one_that_is_refused_is_none(database: Any) -> None:
    database.run(f"{TABLES}; ALTER DATABASE {database.name} CONNECTION LIMIT 0")
    try:
        database.reader._second = module.Second(database.url("neondb_owner"), "SELECT 1, pg_backend_pid()", (1,))
        assert not readied(database.reader)
        same_as_anew(database, "ALTER TABLE a ADD c integer")
    finally:
        database.run(f"ALTER DATABASE {database.name} CONNECTION LIMIT -1")


@pytest.mark.parametrize("which", ["database", "server"])
def test_one_that_leads_elsewhere_is_none(server: Server, database: Any, which: str) -> None:
    """As when the compute was moved to another branch in between."""
    if which == "database":
        other = server.database()
        found, end = Reader(database.connect("neondb_owner"), other.url("neondb_owner")), other.drop
    else:
        reader = Reader(database.connect("neondb_owner"), database.url("neondb_owner"))
        second = reader._second
        assert second is not None
        second._expected = ("2001-01-01 00:00:00+00", *second._expected[1:])
        found, end = reader, lambda: None
    try:
        assert not readied(found)
        assert found.snapshot() == database.reader.snapshot()
    finally:
        found.close()
        end()


def test_one_that_does_not_answer_is_not_waited_for(database: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://u:hush@127.0.0.1:{silent.getsockname()[1]}/d"
        reader = Reader(database.connect("neondb_owner"), url)
        try:
            first = reader.snapshot()
            began = time.monotonic()
            for _ in range(50):
                assert reader.snapshot() is first
            assert not readied(reader, 0)
            assert reader.backends() == [reader._conn.info.backend_pid]
            assert time.monotonic() - began < 5
        finally:
            reader.close()


def test_an_address_that_is_none_is_no_second(database: Any) -> None:
    reader = Reader(database.connect("neondb_owner"), "postgresql://u:hush@h:x/d")
    assert not readied(reader)
    assert reader.snapshot() == database.reader.snapshot()
    reader.close()


def test_it_keeps_no_transaction_open_between_two_snapshots(database: Any) -> None:
    """Or else nobody could build an index concurrently."""
    wide = ", ".join(f'a_column_with_quite_a_long_name_indeed_{n} varchar(255) COLLATE "C"' for n in range(1500))
    for n in range(8):
        database.run(f"CREATE TABLE wide{n} ({wide})")
    database.reader.snapshot()
    database.run("; ".join(f"COMMENT ON TABLE wide{n} IS 'x'" for n in range(8)))
    database.reader.snapshot()
    database.reader.snapshot()  # nothing has changed: nobody needs what was likely
    with database.admin.cursor() as cursor:
        cursor.execute("SELECT state, backend_xmin FROM pg_stat_activity WHERE pid = %s", (database.second.backend,))
        assert cursor.fetchall() == [("idle", None)]


@pytest.mark.parametrize("what", ["some", "nothing changed", "half"])
def test_one_that_stops_answering_is_not_waited_for_long(database: Any, what: str) -> None:
    database.run(TABLES)
    database.reader.snapshot()
    database.run("ALTER TABLE b ADD c integer")
    database.reader.snapshot()
    if what == "some":
        database.run("ALTER TABLE b DROP c")
    backend = database.second.backend
    os.kill(backend, signal.SIGSTOP)
    try:
        began = time.monotonic()
        found = halves(database.reader) if what == "half" else database.reader.snapshot()
        assert time.monotonic() - began < 30
    finally:
        os.kill(backend, signal.SIGCONT)
    assert found == database.anew()
    assert not database.second.ready()


def test_a_lock_on_what_nobody_wants_is_not_waited_for(database: Any) -> None:
    database.run(f"{TABLES}; CREATE INDEX ON b (lower(y)); CREATE VIEW v AS SELECT x FROM a")
    first = database.reader.snapshot()
    with connect(database.url("postgres"), autocommit=False) as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE a, b, v IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        assert database.reader.snapshot() is first
        assert time.monotonic() - began < 5
    other.close()
    assert database.second.ready()
    same_as_anew(database, "ALTER TABLE b ADD c integer")


@pytest.mark.parametrize("there", [0, ALL_THERE])
def test_two_halves_of_two_moments_are_no_snapshot(database: Any, monkeypatch: pytest.MonkeyPatch, there: int) -> None:
    database.run(f"{TABLES}; CREATE VIEW v AS SELECT x FROM a")
    asked, done = database.reader._asked, []

    def late(cursor: Any, key: str, *more: Any, **values: Any) -> Any:
        if key.startswith("other half") and not done:
            done.append(database.run("ALTER TABLE b RENAME TO bb"))
        return asked(cursor, key, *more, **values)

    monkeypatch.setattr(database.reader, "_asked", late)
    database.reader._there = there
    found = halves(database.reader)
    assert done
    assert found == database.anew()


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


def test_processes_are_the_server_s_also_behind_a_proxy(postgres_url: str) -> None:
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


@pytest.mark.parametrize("act", [Reader.snapshot, halves], ids=["some", "half"])
def test_an_interrupt_while_it_is_waited_for_leaves_no_answer_to_another_question(
    database: Any, monkeypatch: pytest.MonkeyPatch, act: Callable[[Reader], object]
) -> None:
    database.run(TABLES)
    database.reader.snapshot()
    database.run("ALTER TABLE b ADD c integer")
    database.reader.snapshot()
    database.run("ALTER TABLE b DROP c")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "driven", interrupted)
    with pytest.raises(KeyboardInterrupt):
        act(database.reader)
    monkeypatch.undo()
    assert not database.second.ready()
    same_as_anew(database)


def test_both_end_with_the_reader(database: Any) -> None:
    reader = Reader(database.connect("neondb_owner"), database.url("neondb_owner"))
    assert readied(reader)
    pids = reader.backends()
    assert len(set(pids)) == 2
    reader.close()
    until = time.monotonic() + 10
    left = 2
    while left and time.monotonic() < until:
        with database.admin.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s)", (pids,))
            ((left,),) = cursor.fetchall()
    assert left == 0
