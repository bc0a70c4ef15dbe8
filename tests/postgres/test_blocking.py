"""Statements that commit on their way are known, and made to wait on the table that they name."""

from __future__ import annotations

import pytest

from neontest.errors import DatabaseError
from neontest.postgres.blocking import Blocker, waits_in_the_middle
from tests.postgres.conftest import Database


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE INDEX CONCURRENTLY ON t (a)",
        "create unique index concurrently if not exists ix on only app.t using gin (a)",
        '/* first */ CREATE INDEX CONCURRENTLY -- the name\n ix ON "My table" (a)',
        'CREATE INDEX CONCURRENTLY "ix--1" ON t (a)',
        "DROP INDEX CONCURRENTLY IF EXISTS ix",
        "REINDEX INDEX CONCURRENTLY ix",
        "REINDEX (VERBOSE, CONCURRENTLY) TABLE t",
        "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY",
    ],
)
def test_what_commits_on_its_way_is_known(sql: str) -> None:
    assert waits_in_the_middle(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE INDEX ix ON t (a)",
        "ALTER TYPE mood ADD VALUE 'sad'",
        "ALTER TABLE p DETACH PARTITION p1",
        "REFRESH MATERIALIZED VIEW CONCURRENTLY m",
        "VACUUM t",
        "INSERT INTO t VALUES ('CREATE INDEX CONCURRENTLY ix ON t (a)')",
        "",
    ],
)
def test_what_is_done_or_not_done_as_a_whole_is_not(sql: str) -> None:
    assert not waits_in_the_middle(sql)


@pytest.mark.parametrize(
    ("sql", "path"),
    [
        ('CREATE INDEX CONCURRENTLY ON "a""b.c" (id)', "app, public"),
        ('CREATE INDEX CONCURRENTLY ON app."a""b.c" (id)', ""),
        ("DROP INDEX CONCURRENTLY app.ix", '"$user"'),
        ("DROP INDEX CONCURRENTLY ix", "app"),
    ],
)
def test_the_table_is_found_as_the_statements_own_connection_would(shared: Database, sql: str, path: str) -> None:
    shared.run(
        "CREATE SCHEMA app AUTHORIZATION neondb_owner; SET ROLE neondb_owner;"
        'CREATE TABLE app."a""b.c" (id int); CREATE INDEX ix ON app."a""b.c" (id); RESET ROLE'
    )
    blocker = Blocker(shared.url("neondb_owner"), sql, path)
    held = """SELECT string_agg(mode, ',') FROM pg_locks WHERE relation = 'app."a""b.c"'::regclass AND granted"""
    with shared.admin.cursor() as cursor:
        cursor.execute(held)
        assert cursor.fetchone() == ("RowExclusiveLock",)
        cursor.execute("SELECT pg_backend_pid()")
        row = cursor.fetchone()
    assert row is not None
    blocker.cancel(row[0], shared.admin)  # it does not wait for this one, so nothing happens to it
    assert not blocker.cancelled
    blocker.close()
    shared.run('LOCK TABLE app."a""b.c" IN ACCESS EXCLUSIVE MODE NOWAIT'.join(("BEGIN; ", "; COMMIT")))


def test_a_table_that_is_not_there_cannot_hold_up_anything(shared: Database) -> None:
    for sql in ("CREATE INDEX CONCURRENTLY ON nowhere (id)", "DROP INDEX CONCURRENTLY IF EXISTS nowhere"):
        with pytest.raises(DatabaseError, match="there is no nowhere"):
            Blocker(shared.url("neondb_owner"), sql, "public")
