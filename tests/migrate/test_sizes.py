"""How large everything is after a visit is known as if it had been read again: also of what was let go of meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from neontest.migrate.traced import whole
from neontest.postgres.locks import Observer
from neontest.record import Visit
from tests.migrate.conftest import ENV_PY, Database, Files, Walked

EACH = ENV_PY.replace("target_metadata=None", "target_metadata=None, transaction_per_migration=True")
ROWS = "INSERT INTO t SELECT n FROM generate_series(1, 20000) n"
WIDE = "INSERT INTO t SELECT n, repeat('x', 9000) FROM generate_series(1, 200) n"
FILLED = f"CREATE TABLE t (id int PRIMARY KEY); {ROWS}"
EXTERNAL = "CREATE TABLE t (id int PRIMARY KEY, x text); ALTER TABLE t ALTER x SET STORAGE EXTERNAL"
CASES: dict[str, tuple[str, list[list[str]]]] = {
    "made, then filled": ("", [["CREATE TABLE t (id int PRIMARY KEY)"], [ROWS]]),
    "made with an index, then filled": ("CREATE TABLE t (id int)", [["CREATE INDEX i ON t (id)"], [ROWS]]),
    "made and filled": ("", [["CREATE TABLE t (id int PRIMARY KEY)", ROWS]]),
    "made, then filled with wide rows": ("", [EXTERNAL.split("; "), [WIDE]]),
    "a serial, then filled": (
        "",
        [
            ["CREATE TABLE t (id serial PRIMARY KEY)"],
            ["INSERT INTO t SELECT FROM generate_series(1, 20000)"],
            ["ALTER SEQUENCE t_id_seq RESTART 30000", "INSERT INTO t DEFAULT VALUES"],
            ["ALTER TABLE t DROP id"],
        ],
    ),
    "sequences": (
        "",
        [
            ["CREATE SEQUENCE s", "CREATE TABLE t (id int PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY)"],
            ["INSERT INTO t SELECT n FROM generate_series(1, 20000) n", "SELECT nextval('s'), setval('s', 9)"],
            ["TRUNCATE t RESTART IDENTITY", "INSERT INTO t VALUES (nextval('s'))"],
            ["ALTER SEQUENCE s AS smallint OWNED BY t.id", "ALTER TABLE t ALTER n TYPE bigint"],
            ["ALTER TABLE t RENAME id TO i", "ALTER TABLE t ALTER n DROP IDENTITY", "ALTER SEQUENCE s RENAME TO r"],
            ["SAVEPOINT p", "CREATE SEQUENCE z OWNED BY t.i", "ROLLBACK TO p", "SELECT nextval('r')"],
            ["DROP TABLE t"],
        ],
    ),
    "filled, with an index, and filled": (FILLED, [["CREATE INDEX i ON t (id)", "DELETE FROM t", ROWS]]),
    "emptied, then filled": (FILLED, [["TRUNCATE t"], [ROWS]]),
    "an index anew, then filled": ("CREATE TABLE t (id int PRIMARY KEY)", [["REINDEX TABLE t"], [ROWS]]),
    "rows in a part that is rolled back": (
        "CREATE TABLE t (id int PRIMARY KEY)",
        [["SAVEPOINT s", ROWS, "ROLLBACK TO s", "CREATE TABLE z ()"]],
    ),
    "wide rows in such a part": (
        EXTERNAL,
        [["INSERT INTO t VALUES (0)", "SAVEPOINT s", WIDE, "ROLLBACK WORK TO SAVEPOINT s", "CREATE TABLE z ()"]],
    ),
    "wide rows in such a part of a statement": (
        EXTERNAL,
        [
            [
                "INSERT INTO t VALUES (0)",
                f"DO $$ BEGIN BEGIN {WIDE}; RAISE 'no'; EXCEPTION WHEN OTHERS THEN NULL; END; END $$",
                "CREATE TABLE z ()",
            ]
        ],
    ),
    "rolled back to having read it": (
        FILLED,
        [["SELECT FROM t", "SAVEPOINT s", "TRUNCATE t", "ROLLBACK TO s", "CREATE TABLE z ()"]],
    ),
    "rolled back from a rename": (
        FILLED,
        [["SELECT FROM t", "SAVEPOINT s", "ALTER TABLE t RENAME TO u", "ROLLBACK TO s", "CREATE TABLE z ()"]],
    ),
    "rolled back from a drop": (
        FILLED,
        [["SELECT FROM t", "SAVEPOINT s", "DROP TABLE t", "ROLLBACK TO s", "CREATE TABLE z ()"]],
    ),
    "partitions": (
        "",
        [
            ["CREATE TABLE t (id int PRIMARY KEY) PARTITION BY RANGE (id)"],
            ["CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (100000)"],
            [ROWS],
            ["CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (100000) TO (200000) PARTITION BY RANGE (id)"],
            ["CREATE TABLE t3 PARTITION OF t2 FOR VALUES FROM (100000) TO (200000)", "INSERT INTO t VALUES (100001)"],
            ["CREATE INDEX ti ON t (id)"],
            ["ALTER TABLE t DETACH PARTITION t1"],
            ["INSERT INTO t1 SELECT n FROM generate_series(30001, 50000) n"],
        ],
    ),
    "a materialized view": (
        "CREATE TABLE t (id int PRIMARY KEY)",
        [
            ["CREATE MATERIALIZED VIEW m AS SELECT * FROM t", "CREATE UNIQUE INDEX mi ON m (id)"],
            [ROWS],
            ["REFRESH MATERIALIZED VIEW CONCURRENTLY m"],
            ["DELETE FROM t", "REFRESH MATERIALIZED VIEW m"],
        ],
    ),
}
"""What is there before, and revisions."""
TRUTH = """
SELECT c.oid, pg_total_relation_size(c.oid) - (SELECT sum(pg_relation_size(p, 'fsm') + pg_relation_size(p, 'vm'))
  FROM (SELECT c.oid UNION ALL SELECT indexrelid FROM pg_index WHERE indrelid IN (c.oid, c.reltoastrelid)
    UNION ALL SELECT c.reltoastrelid WHERE c.reltoastrelid <> 0) p(p))
FROM pg_class c WHERE c.oid >= 16384 AND c.relkind IN ('r', 'm')
"""


@pytest.fixture
def observer(database: Database) -> Iterator[Observer]:
    observer = Observer(database.connection, database.url)
    yield observer
    observer.close()


@pytest.mark.parametrize("way", ["each in its own transaction", "one transaction", "stairway"])
@pytest.mark.parametrize("name", CASES)
def test_what_is_known_is_what_is_there(
    files: Files, opened: Callable[..., Walked], database: Database, observer: Observer, name: str, way: str
) -> None:
    before, revisions = CASES[name]
    files.alembic(EACH if way.startswith("each") else ENV_PY).revision("first")
    for number, body in enumerate(revisions):
        files.revision(f"r{number}", "\n".join(f"op.execute({each!r})" for each in body))
    database.rows(f"{before}; SELECT 1")
    walk = opened()
    assert walk.visit("upgrade", "first").error is None
    walk.session.observer = observer
    observer.begin()
    known = observer.known

    def seen(visit: Visit) -> bool:
        nonlocal known
        assert visit.error is None, visit.error
        fresh = Observer(database.connection, database.url)
        fresh.begin()
        for table, each in fresh.known.items():
            if "alembic_version" not in each.name:
                assert observer.known[table] == each
        there = {each for each in fresh.known if "alembic_version" not in fresh.known[each].name}
        assert there == {each for each in observer.known if "alembic_version" not in observer.known[each].name}
        sizes = {each.relation: (each.before, each.after) for each in visit.sizes}
        assert sizes == {
            either.name: told
            for table in {**known, **fresh.known}
            if (either := fresh.known.get(table) or known[table]).kind in "rm" and "alembic" not in either.name
            if (told := (whole(known, table), whole(fresh.known, table)))[0] != told[1]
        }
        for table, size in database.rows(TRUTH):
            assert whole(fresh.known, int(str(table))) == size
        known = fresh.known
        return True

    if way == "stairway":
        walk.session.stairway([("upgrade", name) for name in files.written[1:]], step_seconds=60, after=seen)
    else:
        seen(walk.visit("upgrade", "head"))
