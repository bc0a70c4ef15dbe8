"""The proposed line is run, and then the schema must be what it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy
from alembic.migration import MigrationContext
from alembic.operations import Operations

from neontest.mend import mending
from neontest.postgres.connect import Connection, connect
from neontest.postgres.diff import diff
from neontest.postgres.snapshot import snapshot

GROUND = """
CREATE TABLE "user" (id int PRIMARY KEY, age int, email text, "Odd ""name" int);
CREATE SCHEMA other; CREATE TABLE other.things (id int PRIMARY KEY, size int);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'
"""
CLEAR = 'DROP SCHEMA IF EXISTS other, "Odd" CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public'

ADDED = [
    "CREATE TABLE plain (id int)",
    'CREATE TABLE other."Odd table" (id int)',
    'ALTER TABLE "user" ADD name text',
    'ALTER TABLE other.things ADD "Odd" text',
    'CREATE INDEX ix_user_age ON "user" (age)',
    'CREATE INDEX "Odd ix" ON other.things (size)',
    'ALTER TABLE "user" ADD CONSTRAINT user_age_check CHECK (age > 0)',
    'ALTER TABLE "user" ADD CONSTRAINT user_email_key UNIQUE (email)',
    'ALTER TABLE other.things ADD CONSTRAINT "to user" FOREIGN KEY (size) REFERENCES public."user" (id)',
    "CREATE TYPE mood AS ENUM ('ok')",
    "CREATE TYPE other.\"Mood\" AS ENUM ('ok')",
    "CREATE SEQUENCE numbers",
    "CREATE DOMAIN other.positive AS int CHECK (VALUE > 0)",
    "CREATE TYPE pair AS (a int, b int)",
    "CREATE TYPE other.span AS RANGE (subtype = int)",
    'CREATE VIEW old AS SELECT id FROM "user"',
    'CREATE MATERIALIZED VIEW other.older AS SELECT id FROM public."user"',
    "CREATE FUNCTION other.add(a int, b numeric) RETURNS int LANGUAGE sql AS 'SELECT a'",
    "CREATE PROCEDURE work(a text) LANGUAGE sql AS 'SELECT 1'",
    'CREATE TRIGGER touched BEFORE UPDATE ON "user" FOR EACH ROW EXECUTE FUNCTION touch()',
    'CREATE POLICY "only me" ON "user" USING (true)',
    'CREATE RULE quiet AS ON DELETE TO "user" DO INSTEAD NOTHING',
    'CREATE SCHEMA "Odd"',
    "CREATE EXTENSION hstore",
]
REMOVED = [
    ('CREATE INDEX ix_user_age ON "user" (age) WHERE age > 3', "DROP INDEX ix_user_age"),
    ('ALTER TABLE "user" ADD CONSTRAINT c CHECK (age > 0)', 'ALTER TABLE "user" DROP CONSTRAINT c'),
    ("ALTER TABLE other.things ADD UNIQUE (size)", "ALTER TABLE other.things DROP CONSTRAINT things_size_key"),
    (
        'CREATE TRIGGER touched BEFORE UPDATE ON "user" FOR EACH ROW EXECUTE FUNCTION touch()',
        'DROP TRIGGER touched ON "user"',
    ),
    ('CREATE RULE quiet AS ON DELETE TO "user" DO INSTEAD NOTHING', 'DROP RULE quiet ON "user"'),
]


@pytest.fixture
def connection(postgres_url: str) -> Iterator[Connection]:
    connection = connect(postgres_url)
    execute(connection, CLEAR)
    execute(connection, GROUND)
    yield connection
    execute(connection, "SET search_path = public; " + CLEAR)
    connection.close()


def execute(connection: Connection, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def run(line: str, url: str) -> None:
    engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg2://"))
    with engine.begin() as connection:
        eval(line, {"op": Operations(MigrationContext.configure(connection))})
    engine.dispose()


@pytest.mark.parametrize("statement", ADDED)
def test_the_line_removes_what_was_left_behind(connection: Connection, postgres_url: str, statement: str) -> None:
    execute(connection, "SET search_path = public")
    before = snapshot(connection)
    execute(connection, "SET search_path = public")
    execute(connection, statement)
    (difference,) = diff(before, snapshot(connection))
    line = mending(difference)
    assert line is not None
    run(line, postgres_url)
    assert diff(before, snapshot(connection)) == ()


@pytest.mark.parametrize(("make", "lose"), REMOVED)
def test_the_line_brings_back_what_was_lost(connection: Connection, postgres_url: str, make: str, lose: str) -> None:
    execute(connection, make)
    before = snapshot(connection)
    execute(connection, "SET search_path = public")
    execute(connection, lose)
    (difference,) = diff(before, snapshot(connection))
    line = mending(difference)
    assert line is not None
    run(line, postgres_url)
    assert diff(before, snapshot(connection)) == ()


def test_where_only_a_person_can_know_nothing_is_proposed(connection: Connection) -> None:
    before = snapshot(connection)
    execute(connection, 'ALTER TABLE public."user" ALTER age SET DEFAULT 3, DROP email')
    assert [mending(each) for each in diff(before, snapshot(connection))] == [None, None]
