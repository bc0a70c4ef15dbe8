"""Connections: secrets stay secret, signals get through, waiting has an end."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from contextlib import closing
from typing import Any
from urllib.parse import quote

import pytest

from neontest.errors import DatabaseError, Stopped
from neontest.local.roles import OWNER, set_password
from neontest.postgres.connect import (
    advisory_guard,
    connect,
    connect_when_ready,
    execute,
    mapped,
    place,
    server_version,
    without_secrets,
)
from neontest.stop import Deadline, Stop

pytestmark = pytest.mark.every_postgres

SECRET = "p%w:o@r/d'x"


def test_sqlalchemys_url_works(database: Any) -> None:
    url = database.url("postgres").replace("postgresql://", "postgresql+psycopg2://")
    with connect(url).cursor() as cursor:
        cursor.execute("SELECT current_setting('application_name')")
        assert cursor.fetchone() == ("neontest",)


def test_a_connection_asks_whether_its_server_can_still_be_reached(database: Any) -> None:
    set_password(database.admin, OWNER, SECRET)
    port = database.server.cluster.port
    connection = connect(f"postgresql://{OWNER}:{quote(SECRET, safe='')}@127.0.0.1:{port}/{database.name}")
    with closing(connection), socket.socket(fileno=os.dup(connection.fileno())) as tcp:
        assert tcp.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        if sys.platform == "linux":
            assert tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
            assert tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000


def test_the_version_is_a_number(database: Any, server: Any) -> None:
    assert server_version(database.admin) // 10000 == server.major


@pytest.mark.parametrize("text", ["", " \n", "-- nothing yet\n", "/* nothing */ ;; -- yet"])
def test_a_text_without_a_statement_does_nothing(database: Any, text: str) -> None:
    execute(database.admin, text)
    execute(database.admin, f"{text}\nCREATE TABLE t (id integer); {text}")
    with pytest.raises(DatabaseError, match=r'^seeding: relation "t" already exists \(42P07\)$'), mapped("seeding"):
        execute(database.admin, "-- again\nCREATE TABLE t (id integer)")
    with pytest.raises(DatabaseError, match="can't execute COPY"), mapped("seeding"):
        execute(database.admin, f"{text}\nCOPY t FROM STDIN")


def test_an_advisory_guard_is_found_by_another_connection(database: Any) -> None:
    classid, objid = advisory_guard(database.admin)
    with database.connect("neondb_owner").cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND objid = %s AND objsubid = 2"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            (classid, objid),
        )
        assert cursor.fetchone() == (1,)
    assert advisory_guard(database.admin) != (classid, objid)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://u:{quote(SECRET, safe='')}@127.0.0.1:1/db",
        f"postgresql://u:{SECRET}@127.0.0.1:1/db",
        f"postgresql://127.0.0.1:1/db?user=u&password={quote(SECRET, safe='')}",
        f"postgresql://u:{quote(SECRET, safe='')}@127.0.0.1:nonsense/db",
        f"postgresql://u:{quote(SECRET, safe='')}@127.0.0.1:1/db?nonsense=1",
    ],
)
def test_no_password_in_an_error(url: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        connect(url, timeout=5)
    told = f"{caught.value.message} {caught.value!r} {caught.value.__cause__!r}"
    assert SECRET not in told
    assert quote(SECRET, safe="") not in told


def test_texts_lose_the_password_in_every_spelling() -> None:
    url = f"postgresql://u:{quote(SECRET, safe='')}@h/db"
    text = without_secrets(f"a {SECRET} b {quote(SECRET, safe='')} c\npassword=other d {url}", url)
    assert text == "a *** b *** c password=*** d postgresql://u:***@h/db"


def test_a_place_is_told_without_its_password() -> None:
    assert place("postgresql://u:p@h:5432/my%20db") == 'database "my db" at h:5432'
    assert place("nonsense") == "the database"


def test_a_server_that_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://u:hush@127.0.0.1:{silent.getsockname()[1]}/db"
        with pytest.raises(DatabaseError, match=r"did not answer within 0.2 s"):
            connect(url, timeout=0.2)


def test_waiting_ends_at_the_deadline_with_the_last_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(DatabaseError, match="cannot connect"):
        connect_when_ready(f"postgresql://u@127.0.0.1:{port}/db", Deadline(0.3, what="the compute"), Stop())


def test_a_refusal_that_waiting_does_not_mend_is_told_at_once(database: Any) -> None:
    url = database.url("postgres").replace(f"/{database.name}?", "/nowhere?")
    deadline = Deadline(3600, what="the compute")
    with pytest.raises(DatabaseError, match="does not exist"):
        connect_when_ready(url, deadline, Stop())


def test_a_ready_database_is_connected_to(database: Any) -> None:
    assert connect_when_ready(database.url("postgres"), Deadline(60, what="the compute"), Stop()).autocommit


def test_a_signal_ends_a_running_query(database: Any) -> None:
    stop = Stop()
    before = signal.signal(signal.SIGUSR1, lambda number, _: stop.request(number))
    conn = database.connect("postgres")
    pid = conn.get_backend_pid()

    def when_it_sleeps() -> None:
        with database.admin.cursor() as cursor:
            running = None
            while running != ("active",):
                cursor.execute(
                    "SELECT state FROM pg_stat_activity WHERE pid = %s AND query LIKE 'SELECT pg_sleep%%'", (pid,)
                )
                running = cursor.fetchone()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    thread = threading.Thread(target=when_it_sleeps)
    try:
        thread.start()
        with pytest.raises(Stopped), conn.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(600)")
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, before)
    assert conn.closed


def test_a_failed_query_says_what_was_being_done(database: Any) -> None:
    with (
        pytest.raises(DatabaseError, match=r'cannot look: relation "nothing" does not exist .*42P01'),
        mapped("cannot look"),
    ):
        database.run("SELECT * FROM nothing")
