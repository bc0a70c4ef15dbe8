"""What statements lock by their kind, against what the server shows inside a transaction."""

from __future__ import annotations

import pytest

from neontest.postgres.implied_locks import implied, split
from tests.postgres.conftest import Database

pytestmark = pytest.mark.every_postgres

SCHEMA = """
CREATE TABLE b (id int PRIMARY KEY);
CREATE TABLE a (id int PRIMARY KEY, b int, x int, CONSTRAINT later CHECK (x > 0) NOT VALID);
CREATE TABLE p (id int) PARTITION BY LIST (id); CREATE TABLE p1 (id int);
CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2);
CREATE INDEX a_x ON a (x); CREATE SEQUENCE s; CREATE VIEW v AS SELECT 1 AS one;
CREATE MATERIALIZED VIEW m AS SELECT 1 AS one; CREATE UNIQUE INDEX m_one ON m (one);
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER old BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION f();
"""
INSIDE = [
    "CREATE INDEX ON a (b)",
    "CREATE UNIQUE INDEX IF NOT EXISTS u ON ONLY public.a (id, b)",
    "ALTER TABLE a ADD COLUMN c int",
    "ALTER TABLE IF EXISTS ONLY a ADD c numeric(10, 2), DROP COLUMN x CASCADE",
    "ALTER TABLE a VALIDATE CONSTRAINT later",
    "ALTER TABLE a ALTER COLUMN x SET STATISTICS 5",
    "ALTER TABLE a ALTER x SET STATISTICS 5, ALTER b SET NOT NULL",
    "ALTER TABLE a SET (fillfactor = 50)",
    "ALTER TABLE a ADD CONSTRAINT k FOREIGN KEY (b) REFERENCES b (id) NOT VALID",
    "ALTER TABLE a ADD COLUMN bb int REFERENCES b (id)",
    "ALTER TABLE a DISABLE TRIGGER old",
    "ALTER TABLE p ATTACH PARTITION p1 FOR VALUES IN (1)",
    "ALTER TABLE p DETACH PARTITION p2",
    "ALTER TABLE a RENAME TO aa",
    "ALTER INDEX a_x RENAME TO a_y",
    "ALTER INDEX a_x SET (fillfactor = 50)",
    "ALTER SEQUENCE s RESTART",
    "ALTER VIEW v RENAME TO w",
    "CREATE TRIGGER t BEFORE INSERT OR UPDATE ON a FOR EACH ROW EXECUTE FUNCTION f()",
    "DROP TRIGGER old ON a",
    "CREATE POLICY y ON a USING (true)",
    "CREATE STATISTICS st ON b, x FROM a",
    "COMMENT ON TABLE a IS 'x on b'",
    "DROP TABLE a, b CASCADE",
    "DROP INDEX a_x",
    "DROP VIEW IF EXISTS v",
    "DROP MATERIALIZED VIEW m",
    "TRUNCATE TABLE a, ONLY b",
    "LOCK TABLE a, b IN SHARE ROW EXCLUSIVE MODE NOWAIT",
    "LOCK a",
    "REINDEX TABLE a",
    "REINDEX INDEX a_x",
    "REINDEX(VERBOSE, CONCURRENTLY off)TABLE a",
    "CLUSTER a USING a_x",
    "REFRESH MATERIALIZED VIEW m",
    "REFRESH MATERIALIZED VIEW CONCURRENTLY m",
    "ANALYZE a",
    "INSERT INTO a VALUES (1, 1, 1)",
    "WITH old AS (SELECT 1) UPDATE ONLY a SET x = 2",
    "DELETE FROM a WHERE id = 1",
    "CREATE INDEX i ON a (b); -- not; this\nALTER TABLE b ADD c text DEFAULT 'x; DROP TABLE a'",
]
ALONE = [
    ("CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON a (x)", {("a", "SHARE UPDATE EXCLUSIVE")}),
    ('create unique index  concurrently on "Odd Name" (x)', {('"Odd Name"', "SHARE UPDATE EXCLUSIVE")}),
    ("DROP INDEX CONCURRENTLY IF EXISTS s.i", {("s.i", "SHARE UPDATE EXCLUSIVE")}),
    ("REINDEX TABLE CONCURRENTLY a", {("a", "SHARE UPDATE EXCLUSIVE")}),
    ("REINDEX (VERBOSE) INDEX CONCURRENTLY i", {("i", "SHARE UPDATE EXCLUSIVE")}),
    ("REINDEX (CONCURRENTLY) TABLE a", {("a", "SHARE UPDATE EXCLUSIVE")}),
    ("reindex(verbose, concurrently true) index s.i", {("s.i", "SHARE UPDATE EXCLUSIVE")}),
    ("ALTER TABLE p DETACH PARTITION s.p1 CONCURRENTLY", {("p", "SHARE UPDATE EXCLUSIVE")}),
    ("ALTER TABLE p DETACH PARTITION p1 FINALIZE", {("p", "SHARE UPDATE EXCLUSIVE")}),
    ("ALTER TABLE p DETACH PARTITION p1", {("p", "ACCESS EXCLUSIVE"), ("p1", "ACCESS EXCLUSIVE")}),
    ("VACUUM a", {("a", "SHARE UPDATE EXCLUSIVE")}),
    ("VACUUM ANALYZE a", {("a", "SHARE UPDATE EXCLUSIVE")}),
    ("VACUUM (ANALYZE, FREEZE) a", {("a", "SHARE UPDATE EXCLUSIVE")}),
    ("VACUUM FULL a", {("a", "ACCESS EXCLUSIVE")}),
    ("VACUUM (FULL, ANALYZE) a", {("a", "ACCESS EXCLUSIVE")}),
    ("COPY a (x) FROM STDIN", {("a", "ROW EXCLUSIVE")}),
    ("SELECT 'DROP TABLE a'", set()),
    ("DO $$ BEGIN ALTER TABLE a ADD c int; END $$", set()),
    ("/* ALTER TABLE a */ SET x = 1", set()),
    (r"SELECT E'it\'s; DROP TABLE a'", set()),
    (r"ALTER TABLE a SET (note = E'it\'s), DROP'), VALIDATE CONSTRAINT later", {("a", "SHARE UPDATE EXCLUSIVE")}),
    (r"COMMENT ON TABLE a IS 'C:\'; DROP TABLE b", {("a", "SHARE UPDATE EXCLUSIVE"), ("b", "ACCESS EXCLUSIVE")}),
]
ORDER = (
    "AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareLock",
    "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock",
)  # fmt: skip


@pytest.mark.parametrize("sql", INSIDE)
def test_the_strongest_lock_of_a_statement_is_told_by_its_kind(shared: Database, sql: str):
    shared.run(SCHEMA)
    with shared.admin.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(sql)
        cursor.execute(
            "SELECT relation::int8, mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation IS NOT NULL"
            " AND locktype = 'relation'"
        )
        found = cursor.fetchall()
        cursor.execute("ROLLBACK")
        strongest: dict[int, str] = {}
        for oid, mode in sorted(found, key=lambda each: ORDER.index(each[1])):
            strongest[oid] = mode
        told = implied(sql)
        assert told
        for name, mode in told:
            cursor.execute("SELECT %s::regclass::oid::int8", (name,))
            ((oid,),) = cursor.fetchall()
            assert strongest[oid] == mode.title().replace(" ", "") + "Lock", (name, mode)
    shared.clear()


@pytest.mark.parametrize(("sql", "expected"), ALONE, ids=[each[0] for each in ALONE])
def test_what_runs_in_no_transaction_is_told_by_its_kind(sql: str, expected: set[tuple[str, str]]):
    assert set(implied(sql)) == expected


def test_statements_are_split_outside_of_quotes_and_comments():
    sql = "SELECT ';'; /* ; */ SELECT $a$;$$;$a$ -- ;\n; SELECT \";\"; ;"
    assert [" ".join(each.split()) for each in split(sql)][:3] == ["SELECT ';'", "SELECT $a$;$$;$a$", 'SELECT ";"']
