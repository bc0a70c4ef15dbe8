"""Alembic's version tables: read in one round trip where they are known, and what is seen of them from beside."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from neontest.errors import DatabaseError
from neontest.postgres.connect import Connection
from neontest.postgres.snapshot import Reader
from neontest.postgres.versions import Versions, fill_version_tables, version_tables
from tests.postgres.conftest import counted

USUAL = "CREATE TABLE alembic_version (version_num varchar(32)); INSERT INTO alembic_version VALUES ('b'), ('a');"
ODD = """CREATE SCHEMA "we%ird ""s"; CREATE TABLE "we%ird ""s"."a%s\\x' é" (version_num text);
INSERT INTO "we%ird ""s"."a%s\\x' é" VALUES ('x%y')"""
ODD_NAME = '''"we%ird ""s"."a%s\\x' é"'''


@pytest.fixture
def conn(database: Any) -> Iterator[Connection]:
    conn = database.connect("postgres")
    Reader(conn)  # whose settings a run's connection has
    yield conn
    conn.close()


def test_known_ones_take_one_round_trip_and_new_ones_another(database: Any, conn: Connection) -> None:
    database.run(USUAL)
    with counted(conn, 2):
        found = version_tables(conn)
    assert found == (("public.alembic_version", ("a", "b")),)
    with counted(conn, 1):
        assert version_tables(conn, found) == found
    database.run(ODD)
    with counted(conn, 2):
        both = version_tables(conn, found)
    assert both == ((ODD_NAME, ("x%y",)), *found)
    with counted(conn, 1):
        assert version_tables(conn, both) == both


@pytest.mark.parametrize(
    "instead",
    [
        "",
        "CREATE TABLE alembic_version (other text)",
        "CREATE TABLE alembic_version (version_num text, other text)",
        "CREATE TABLE t (x integer); CREATE INDEX alembic_version ON t (x)",
        "CREATE VIEW alembic_version AS SELECT (1 / 0)::text AS version_num",
    ],
)
def test_what_took_the_name_of_a_known_one_does_not_matter(database: Any, conn: Connection, instead: str) -> None:
    database.run(USUAL)
    known = version_tables(conn)
    database.run("DROP TABLE alembic_version;" + instead)
    assert version_tables(conn, known) == ()


def test_what_can_never_be_read_is_an_error_and_no_endless_loop(database: Any) -> None:
    database.run(
        """CREATE TABLE v (version_num text); INSERT INTO v VALUES ('a'); ALTER TABLE v ENABLE ROW LEVEL SECURITY;
        GRANT SELECT ON v TO PUBLIC;
        CREATE FUNCTION f() RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE undefined_table; END$$;
        CREATE POLICY p ON v USING (f())"""
    )
    with contextlib.closing(database.connect("app")) as conn:
        for like in ((), (("public.v", ()),)):
            with pytest.raises(DatabaseError, match="cannot read the version table"):
                version_tables(conn, like)


def test_names_with_signs_of_a_format_are_written_as_well(database: Any, conn: Connection) -> None:
    database.run(ODD)
    fill_version_tables(conn, ((ODD_NAME, ("x%y", "z%s")),))
    assert version_tables(conn) == ((ODD_NAME, ("x%y", "z%s")),)


def test_a_move_is_seen_only_where_the_one_table_made_it(database: Any, conn: Connection) -> None:
    versions = Versions(conn, version_tables(conn))
    assert not versions.moved((), ("a",), seconds=5)  # there is no table
    database.run("CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('a')")
    assert versions.moved((), ("a",), seconds=5)
    assert not versions.moved((), ("a",), seconds=5)  # it was there before
    assert not versions.moved(("a",), ("a",), seconds=5)  # that is no move
    database.run("UPDATE alembic_version SET version_num = 'b'")
    assert not versions.moved(("x",), ("b",), seconds=5)  # it did not come from there
    database.run("UPDATE alembic_version SET version_num = 'c'")
    assert not versions.moved(("b",), ("d",), seconds=5)
    database.run("DELETE FROM alembic_version")
    assert versions.moved(("c",), (), seconds=5)
    database.run("INSERT INTO alembic_version VALUES ('a'), ('b')")
    assert versions.moved((), ("b", "a"), seconds=5)
    database.run("CREATE TABLE other AS TABLE alembic_version; DELETE FROM alembic_version")
    assert not versions.moved(("a", "b"), (), seconds=5)  # two tables
    database.run("DROP TABLE alembic_version; DELETE FROM other WHERE version_num = 'b'")
    assert versions.moved((), ("a",), seconds=5) is False  # of two, nobody knows which it was
    database.run("CREATE TABLE more AS SELECT 'b' AS version_num")
    assert not versions.moved(("a",), ("a", "b"), seconds=5)  # one has the one, the other the other


def test_a_locked_table_says_nothing_and_takes_a_second_at_most(database: Any, conn: Connection) -> None:
    database.run(USUAL)
    versions = Versions(conn, version_tables(conn))
    with contextlib.closing(database.connect("postgres")) as holder, holder.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("LOCK TABLE alembic_version; DELETE FROM alembic_version")
        answers: list[bool] = []
        asking = threading.Thread(target=lambda: answers.append(versions.moved(("a", "b"), (), seconds=600)))
        asking.start()
        asking.join(9)  # a Reader's connection waits ten seconds
        cursor.execute("COMMIT")
        asking.join()
    assert answers == [False]
    with conn.cursor() as cursor:
        cursor.execute("SELECT current_setting('lock_timeout'), current_setting('statement_timeout')")
        assert cursor.fetchone() == ("10s", "0")
    with counted(conn, 0):  # no time is left
        assert not versions.moved(("a", "b"), (), seconds=0.0)
