"""What Postgres says of indexes and foreign keys, read from snapshots."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import psycopg2
import pytest

from neontest.postgres.indexes import UnindexedKey, newly_invalid, newly_unindexed

if TYPE_CHECKING:
    from tests.postgres.conftest import Database

TABLES = (
    'CREATE TABLE people (id int PRIMARY KEY, a int, b int, UNIQUE (a, b)); CREATE TABLE "Notes" (x int, "Y z" int);'
)
KEY = 'ALTER TABLE "Notes" ADD CONSTRAINT k FOREIGN KEY ("Y z") REFERENCES people (id);'
PAIR = 'ALTER TABLE "Notes" ADD CONSTRAINT k FOREIGN KEY (x, "Y z") REFERENCES people (a, b);'
DROP = 'DROP TABLE IF EXISTS "Notes", notes, parted, people CASCADE'


def unindexed(database: Database, start: str, change: str) -> tuple[UnindexedKey, ...]:
    database.run(TABLES + start)
    before = database.reader.snapshot()
    database.run(change)
    after = database.reader.snapshot()
    database.run(DROP)
    return newly_unindexed(before, after)


def test_a_new_foreign_key_without_an_index_is_named_with_its_columns(shared: Database) -> None:
    (key,) = unindexed(shared, "", KEY)
    assert key == UnindexedKey(table='public."Notes"', name="k", columns=('"Y z"',), references="public.people")


@pytest.mark.parametrize(
    ("index", "key"),
    [
        ('CREATE INDEX i ON "Notes" ("Y z")', KEY),
        ('CREATE INDEX i ON "Notes" USING hash ("Y z")', KEY),
        ('CREATE INDEX i ON "Notes" ("Y z" DESC NULLS LAST, x) INCLUDE (x)', KEY),
        ('CREATE INDEX i ON "Notes" ("Y z") WHERE "Y z" IS NOT NULL', KEY),
        ('ALTER TABLE "Notes" ADD PRIMARY KEY ("Y z", x)', KEY),
        ('CREATE INDEX i ON "Notes" ("Y z", x)', PAIR),
        ('CREATE INDEX i ON "Notes" (x, "Y z", abs(x))', PAIR),
    ],
)
def test_an_index_that_begins_with_its_columns_serves_it(shared: Database, index: str, key: str) -> None:
    assert unindexed(shared, index, key) == ()


@pytest.mark.parametrize(
    ("index", "key"),
    [
        ('CREATE INDEX i ON "Notes" (x, "Y z")', KEY),
        ('CREATE INDEX i ON "Notes" ("Y z") WHERE x > 0', KEY),
        ('CREATE INDEX i ON "Notes" (abs("Y z"))', KEY),
        ('CREATE INDEX i ON "Notes" USING brin ("Y z")', KEY),
        ("CREATE INDEX i ON people (a)", KEY),
        ('CREATE INDEX i ON "Notes" (x)', PAIR),
        ('CREATE INDEX i ON "Notes" (coalesce(x, 1), "Y z")', PAIR),
    ],
)
def test_an_index_that_cannot_look_it_up_does_not(shared: Database, index: str, key: str) -> None:
    assert [each.name for each in unindexed(shared, index, key)] == ["k"]


def test_an_index_that_comes_with_the_key_counts(shared: Database) -> None:
    assert unindexed(shared, "", KEY + 'CREATE INDEX i ON "Notes" ("Y z")') == ()


@pytest.mark.parametrize(
    "change",
    [
        'ALTER TABLE "Notes" RENAME TO notes',
        'ALTER TABLE "Notes" RENAME CONSTRAINT k TO other',
        'ALTER TABLE "Notes" RENAME COLUMN "Y z" TO y',
        "ALTER TABLE people RENAME TO persons; ALTER TABLE persons RENAME TO people",
    ],
)
def test_a_key_that_was_there_is_not_new_by_another_name(shared: Database, change: str) -> None:
    assert unindexed(shared, KEY, change) == ()


def test_a_key_of_a_partitioned_table_is_told_once(shared: Database) -> None:
    parted = (
        "CREATE TABLE parted (p int REFERENCES people (id)) PARTITION BY LIST (p);"
        "CREATE TABLE part PARTITION OF parted FOR VALUES IN (1);"
    )
    assert [each.table for each in unindexed(shared, "", parted)] == ["public.parted"]
    assert unindexed(shared, "", parted + "CREATE INDEX ON parted (p)") == ()


def test_an_index_that_failed_to_build_is_left_invalid_and_serves_no_key(shared: Database) -> None:
    shared.run(TABLES + 'INSERT INTO "Notes" VALUES (1, NULL), (1, NULL)')
    before = shared.reader.snapshot()
    with suppress(psycopg2.errors.UniqueViolation):
        shared.run('CREATE UNIQUE INDEX CONCURRENTLY "I x" ON "Notes" (x)')
    broken = shared.reader.snapshot()
    assert newly_invalid(before, broken) == ('public."I x"',)
    assert newly_invalid(broken, broken) == ()
    shared.run('TRUNCATE "Notes"; ALTER TABLE "Notes" ADD CONSTRAINT k FOREIGN KEY (x) REFERENCES people (id)')
    assert [each.name for each in newly_unindexed(broken, shared.reader.snapshot())] == ["k"]
    shared.run(DROP)


def test_an_index_on_a_partitioned_table_alone_is_not_called_broken(shared: Database) -> None:
    shared.run(
        "CREATE TABLE parted (p int) PARTITION BY LIST (p); CREATE TABLE part PARTITION OF parted FOR VALUES IN (1)"
    )
    before = shared.reader.snapshot()
    shared.run("CREATE INDEX i ON ONLY parted (p)")
    assert newly_invalid(before, shared.reader.snapshot()) == ()
    shared.run(DROP)
