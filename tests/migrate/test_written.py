"""What a trace knows of transactions is enough to find what they changed, or else it shows that it is not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from neontest.migrate import reports
from neontest.migrate.written import Written
from neontest.postgres.changes import Changes
from neontest.postgres.connect import connect
from neontest.postgres.counted import Known
from neontest.postgres.snapshot import Reader
from neontest.record import Direction, Visit
from tests.migrate.conftest import ENV_PY, Database, Files, created, made

TABLES = "CREATE TABLE a (id int PRIMARY KEY, x text); CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a)"
SQL = {
    "column": ("ALTER TABLE a ADD y int DEFAULT 7", "ALTER TABLE a DROP y"),
    "table": ("CREATE TABLE c (id serial PRIMARY KEY, t text)", "DROP TABLE c"),
    "index": ("CREATE INDEX a_x ON a (x)", "DROP INDEX a_x"),
    "enum": ("CREATE TYPE mood AS ENUM ('sad')", "DROP TYPE mood"),
    "grant": ("GRANT SELECT ON a TO PUBLIC", "REVOKE SELECT ON a FROM PUBLIC"),
    "rows": ("INSERT INTO a VALUES (1)", "DELETE FROM a"),
    "function": ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "DROP FUNCTION f()"),
    "several": (
        "ALTER TABLE b RENAME TO bb; CREATE VIEW b AS SELECT 1 AS one",
        "DROP VIEW b; ALTER TABLE bb RENAME TO b",
    ),
}
RAW = "op.get_bind().connection.cursor().execute({!r})"
"""Which no event tells of."""


@pytest.fixture
def reader(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    monkeypatch.setattr("neontest.postgres.changes.SUMMED", 0)
    one = Reader(connect(database.url), database.url)
    yield one
    one.close()


def walked(files: Files, opened, database: Database, reader: Reader, *steps: tuple[Direction, str]) -> list[bool]:
    """Whether each step's changes were found by counts; what was found is what there is."""
    walk, by_counts = opened(), []
    counted = Changes._counted
    reader.snapshot()

    def noted(self: Changes, *what: object) -> object:
        found = counted(self, *what)  # type: ignore[arg-type]
        if self is reader._changes:
            by_counts.append(found is not None)
        return found

    def after(visit: Visit) -> bool:
        assert visit.error is None, visit.error
        found = reader.snapshot(Known(*walk.session.written.taken(reader.database, counted=reader.counts)))
        anew = Reader(connect(database.url))
        assert found == anew.snapshot(), visit
        anew.close()
        return True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Changes, "_counted", noted)
        walk.session.stairway(steps, step_seconds=60, after=after)
    return by_counts


def test_each_step_of_a_stairway_is_found_by_counts(files, opened, database, reader):
    with database.connection.cursor() as cursor:
        cursor.execute(TABLES)
    files.alembic()
    steps: list[tuple[Direction, str]] = []
    for name, (up, down) in SQL.items():
        files.revision(name, f"op.execute({up!r})", f"op.execute({down!r})")
        steps += [("upgrade", name), ("downgrade", name), ("upgrade", name)]
    # Before the first one Alembic makes its table; before the second one nobody has asked for counts.
    assert walked(files, opened, database, reader, *steps) == [False, False] + [True] * (len(steps) - 2)


LEAVES = """
other = sys.left_open = sa.create_engine(op.get_bind().engine.url).connect()
other.begin()
for sql in ("CREATE TABLE q ()", "SAVEPOINT s", "GRANT SELECT ON a TO PUBLIC"):
    other.exec_driver_sql(sql)
op.execute("ALTER TABLE b ADD y int")
""".strip()
ENDS = """
op.execute("ALTER TABLE b DROP y")
sys.left_open.exec_driver_sql("CREATE TABLE q2 ()")
sys.left_open.commit()
""".strip()
OTHERWISE = {
    "nothing at all": ("pass", "pass"),
    "savepoint": (
        "with op.get_bind().begin_nested():\n    op.execute('ALTER TABLE a ADD y int')",
        "with op.get_bind().begin_nested():\n    op.execute('ALTER TABLE a DROP y')",
    ),
    "autocommit": (
        "with op.get_context().autocommit_block():\n    op.execute('CREATE INDEX CONCURRENTLY i ON a (x)')",
        "with op.get_context().autocommit_block():\n    op.execute('DROP INDEX CONCURRENTLY i')",
    ),
    "the version table": (
        "op.execute('ALTER TABLE alembic_version ADD x int')\nop.execute('CREATE INDEX v ON alembic_version (x)')",
        "op.execute('ALTER TABLE alembic_version DROP x')",
    ),
    "a transaction left open, with a part": (LEAVES, ENDS),
    "over the bare driver": (
        "op.execute('ALTER TABLE a ADD y int')\n" + RAW.format("DROP TABLE b"),
        "op.execute('ALTER TABLE a DROP y')\n" + RAW.format("CREATE TABLE b (id int)"),
    ),
    "over the bare driver, an index": (
        "op.execute('ALTER TABLE a ADD y int')\n" + RAW.format("CREATE INDEX i ON b (a)"),
        RAW.format("DROP INDEX i") + "\nop.execute('ALTER TABLE a DROP y')\n" + RAW.format("ALTER TABLE b DROP a"),
    ),
}


@pytest.mark.parametrize("how", OTHERWISE)
def test_what_the_trace_does_not_know_all_of_is_looked_for(files, opened, database, reader, how):
    with database.connection.cursor() as cursor:
        cursor.execute(TABLES)
    up, down = OTHERWISE[how]
    files.alembic().table("r0", "c").table("r1", "d").table("r2", "e").revision("r3", up, down)
    steps = [("upgrade", f"r{n}") for n in range(4)]
    by_counts = walked(files, opened, database, reader, *steps, ("downgrade", "r3"))
    assert by_counts[:3] == [False, False, True]
    # What is made is counted all the same, whoever makes it.
    made = {
        "over the bare driver": [False, True],
        "over the bare driver, an index": [True, False],
    }
    assert by_counts[3:] == made.get(how, [False, False])


TWO_PHASES = ENV_PY.replace(
    "        with context.begin_transaction():\n            context.run_migrations()",
    "        context.run_migrations()\n        transaction.prepare()\n        transaction.commit()",
).replace("        context.configure(", "        transaction = connection.begin_twophase()\n        context.configure(")


@pytest.mark.parametrize("by_hand", [False, True], ids=["engine", "by hand"])
def test_what_is_committed_in_two_phases_is_not_known(files, opened, clusters, by_hand):
    """It is counted when it is committed, and brought in when the server likes."""
    cluster = created(clusters, f"br-two-phases-{int(by_hand)}")
    with closing(cluster.admin()) as admin, admin.cursor() as cursor:
        cursor.execute("ALTER SYSTEM SET max_prepared_transactions = 4")
    cluster.stop()
    cluster.start()
    up = "op.execute('CREATE TABLE c ()')\n"
    if by_hand:
        up += "op.execute(\"PREPARE TRANSACTION 'one'\")\nop.execute(\"COMMIT PREPARED 'one'\")"
    files.alembic(ENV_PY if by_hand else TWO_PHASES)
    files.revision("r0").revision("r1", up)
    with made(cluster) as database:
        walk = opened(url=database.url, guard=database.guard)
        for revision in ("r0", "r1"):
            walk.session.written.taken(database.name, counted=True)
            visit = walk.visit("upgrade", revision)
            assert visit.error is None, visit.error
        assert database.has("c")
        xids, oids, *_ = walk.session.written.taken(database.name, counted=True)
        assert (xids, len(oids)) == ((), 1)
        walk.session.close()


def test_where_counting_was_switched_off_meanwhile_it_is_looked_for(files, opened, database, reader, cluster):
    with database.connection.cursor() as cursor:
        cursor.execute(TABLES)
    sql = ("SET LOCAL track_counts = off", SQL["grant"][0], "SET LOCAL track_counts = on", "ALTER TABLE b ADD y int")
    files.alembic().table("r0", "c").table("r1", "d").table("r2", "e")
    files.revision("r3", "\n".join(f"op.execute({each!r})" for each in sql))
    with closing(cluster.admin()) as admin, admin.cursor() as cursor:
        cursor.execute("GRANT SET ON PARAMETER track_counts TO neondb_owner")
        try:
            by_counts = walked(files, opened, database, reader, *(("upgrade", f"r{n}") for n in range(4)))
        finally:
            cursor.execute("REVOKE SET ON PARAMETER track_counts FROM neondb_owner")
    assert by_counts == [False, False, True, False]


def test_where_nobody_counts_it_is_looked_for(files, opened, database, reader, cluster):
    with closing(cluster.admin()) as admin, admin.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {database.name} SET track_counts = off")
    files.alembic().table("r0", "c").table("r1", "d")
    steps = [("upgrade", "r0"), ("upgrade", "r1"), ("downgrade", "r1")]
    assert walked(files, opened, database, reader, *steps) == [False, False, False]


def looked(
    transaction: int, xid: int | None, made: int = 0, deleted: int = 0, database: str | None = "db"
) -> reports.Looked:
    return reports.Looked(
        transaction=transaction, statement=None, at=0, seconds=0, timeout=0, wal=0, xid=xid, made=made, deleted=deleted,
        database=database, relations=(), gone=(),
    )  # fmt: skip


def ended(transaction: int, *, known: bool = True) -> reports.Ended:
    return reports.Ended(transaction=transaction, at=0, rolled_back=False, known=known)


def test_of_transactions_that_have_ended_the_last_look_counts():
    written = Written()
    for report in (looked(1, None), looked(1, 7, 2, 0), looked(2, 8, 1, 1), looked(1, 7, 3, 2), ended(1), ended(2)):
        written.take(report)
    assert written.taken("db", counted=True) == ((7, 8), (), 4, 3)
    assert written.taken("db", counted=True) == ((), (), 0, 0)


@pytest.mark.parametrize(
    "said",
    [
        [looked(1, 7)],  # not ended
        [looked(1, 7), ended(1, known=False)],  # in two phases, or more than was told
        [looked(1, None), ended(1)],  # nothing written
        [looked(0, 7), ended(1)],  # in autocommit
        [looked(1, 7, database="other"), ended(1)],
        [looked(1, 7, database=None), ended(1)],  # nobody knows where
        [ended(1)],
    ],
)
def test_other_transactions_are_not_known(said: list[reports.Looked | reports.Ended]):
    written = Written()
    for report in said:
        written.take(report)
    assert written.taken("db", counted=True) == ((), (), 0, 0)


def test_what_was_open_when_others_were_taken_is_never_known():
    written = Written()
    written.take(looked(1, 7, 2, 2))
    assert written.taken("db", counted=True) == ((), (), 0, 0)
    for report in (looked(1, 7, 3, 2), ended(1), looked(2, 8), ended(2)):
        written.take(report)
    assert written.taken("db", counted=True) == ((8,), (), 0, 0)
