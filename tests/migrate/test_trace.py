"""What is seen of locks, rewrites, scans, rows and bytes of real migrations, against what the server itself says."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator

import psycopg2
import pytest

from neontest.local.cluster import Cluster
from neontest.migrate.attribution import quoted as quoted_here
from neontest.postgres.connect import connect
from neontest.postgres.locks import Observer
from neontest.postgres.names import quoted
from neontest.postgres.snapshot import Reader
from neontest.record import Lock, Statement, Visit
from tests.migrate.conftest import Database, Files, Walked, made

Opened = Callable[..., Walked]

TRUTH = """
import json, os

def note(op):
    cursor = op.get_bind().connection.cursor()
    cursor.execute("SELECT n.nspname || '.' || c.relname, c.oid::int8 FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid >= 16384")
    names = dict(cursor.fetchall())
    cursor.execute("SELECT relation::int8, mode FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation'"
        " AND relation >= 16384 AND granted")
    locks = cursor.fetchall()
    with open(os.path.join(os.path.dirname(__file__), 'truth.jsonl'), 'a') as file:
        file.write(json.dumps([names, locks]) + '\\n')
    cursor.close()
"""
"""Beside the project's code: reads the locks of the migration's own backend through the bare driver."""


@pytest.fixture
def watched(opened: Opened, database: Database) -> Iterator[Opened]:
    """A session whose visits are observed from beside, too."""
    observers: list[Observer] = []

    def watched(**options: object) -> Walked:
        walk = opened(**options)
        walk.session.observer = Observer(database.connection, database.url)
        observers.append(walk.session.observer)
        return walk

    yield watched
    for observer in observers:
        observer.close()


def modes(statement: Statement, **only: object) -> set[tuple[str, str]]:
    found = [each for each in statement.locks if all(getattr(each, name) == value for name, value in only.items())]
    return {(each.relation, each.mode) for each in found}


def lock(statement: Statement, relation: str, mode: str) -> Lock:
    (found,) = [each for each in statement.locks if (each.relation, each.mode) == (relation, mode)]
    return found


def upgraded(walk: Walked, to: str = "head") -> Visit:
    visit = walk.visit("upgrade", to)
    assert visit.error is None, visit.error
    return visit


FIDELITY = [
    "CREATE TABLE made (id serial PRIMARY KEY, t text)",
    "ALTER TABLE a ADD COLUMN c integer",
    "ALTER TABLE a ADD COLUMN d integer DEFAULT 7",
    "ALTER TABLE a ADD CONSTRAINT a_b FOREIGN KEY (b) REFERENCES b (id)",
    "CREATE INDEX a_x ON a (x)",
    "ALTER TABLE a ADD CONSTRAINT positive CHECK (x > 0) NOT VALID",
    "ALTER TABLE a VALIDATE CONSTRAINT positive",
    "COMMENT ON TABLE b IS 'said'",
    "CREATE VIEW seen AS SELECT id FROM b",
    'CREATE TABLE "Odd Näme" ("a""b" int)',
    'ALTER TABLE "Odd Näme" ADD COLUMN "c d" int',
    "ALTER TABLE b RENAME TO bb",
    "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "CREATE TRIGGER tr BEFORE INSERT ON bb FOR EACH ROW EXECUTE FUNCTION f()",
    "TRUNCATE c",
    "DROP VIEW seen",
    "ALTER TABLE c ALTER COLUMN t TYPE bigint USING t::bigint",
    "DROP TABLE made",
]
SCHEMA = """
CREATE TABLE b (id int PRIMARY KEY);
CREATE TABLE a (id int PRIMARY KEY, b int, x int);
CREATE TABLE c (id int PRIMARY KEY, t text);
INSERT INTO b SELECT generate_series(1, 50);
INSERT INTO a SELECT n, n, n FROM generate_series(1, 50) n;
INSERT INTO c SELECT n, n FROM generate_series(1, 50) n;
"""


def put(database: Database, sql: str = SCHEMA) -> None:
    with database.connection.cursor() as cursor:
        cursor.execute(sql)


def statements(*sql: str) -> str:
    return "\n".join(f"op.execute({each!r})" for each in sql)


def test_names_are_written_as_snapshots_write_them():
    for name in ("user", "User", "a b", 'a"b', "ä", "1st", "a$1"):
        assert quoted_here(name) == quoted(name)


def test_where_a_transaction_has_locked_much_each_lock_is_still_the_statements_that_took_it(
    files: Files, watched: Opened, database: Database
):
    """By then not every statement is looked after."""
    tables = [f"t{n}" for n in range(120)]
    put(database, "".join(f"CREATE TABLE {each} (id int PRIMARY KEY, a text); " for each in tables))
    body = [f"ALTER TABLE {each} ADD COLUMN b int" for each in tables]
    body[70] = "ALTER TABLE t70 ALTER COLUMN a TYPE int USING a::int"
    body[80] = "ALTER TABLE t80 ADD CONSTRAINT known FOREIGN KEY (id) REFERENCES t119 (id)"
    body[90] = "CREATE INDEX ix ON t90 (a)"
    body[100] = "INSERT INTO t100 VALUES (1)"
    files.alembic().revision("r1", statements(*body))
    visit = upgraded(watched())
    weak = ("ACCESS SHARE", "ROW SHARE")
    strong = [{pair for pair in modes(each) if pair[1] not in weak} for each in visit.statements]
    expected = [{(f"public.{each}", "ACCESS EXCLUSIVE")} for each in tables]
    expected[70] |= {("public.t70_pkey", "ACCESS EXCLUSIVE")}
    expected[80] = {("public.t80", "SHARE ROW EXCLUSIVE"), ("public.t119", "SHARE ROW EXCLUSIVE")}
    expected[90] = {("public.t90", "SHARE")}
    expected[100] = {("public.t100", "ROW EXCLUSIVE")}
    more = {at: found - new for at, (found, new) in enumerate(zip(strong, expected, strict=True)) if found - new}
    assert list(more) == [70, 90]  # the toast table with its index, and the index that is made
    assert [new - found for found, new in zip(strong, expected, strict=True) if new - found] == []
    assert [at for at, each in enumerate(visit.statements) if each.rewrote] == [70]
    assert [at for at, each in enumerate(visit.statements) if each.changed] == [100]


@pytest.mark.parametrize(("encoding", "name"), [("LATIN1", "t\xe4"), ("EUC_JP", "\u65e5\u672c"), ("SQL_ASCII", "t")])
def test_names_are_what_they_are_whatever_the_encoding_of_the_database(
    files: Files, opened: Opened, cluster: Cluster, encoding: str, name: str
):
    files.alembic().revision("r1", statements(f"ALTER TABLE {name} ADD {name} int"))
    with made(cluster, f"ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0") as database:
        put(database, f"CREATE TABLE {name} (id int)")
        walk = opened(url=database.url, guard=database.guard)
        walk.session.observer = observer = Observer(connect(database.url), database.url)
        reader = Reader(connect(database.url), database.url)
        (statement,) = upgraded(walk).statements
        observer.close()
        keys = reader.snapshot().objects
        reader.close()
        walk.session.close()
    assert modes(statement) == {(f"public.{quoted(name)}", "ACCESS EXCLUSIVE")}
    assert {key.name for key in keys if key.kind in ("table", "column")} == {quoted(name), "id"}


@pytest.mark.parametrize("schema", ["public", "6 public t", "12 | ", "a\tb\nc", "\u20ac |", '"'])
@pytest.mark.parametrize("name", ["t", " | 3 t", "|", "\n=", "\u20ac '\"\u20ac"])
def test_names_may_have_any_characters(files: Files, watched: Opened, database: Database, schema: str, name: str):
    title = f"{strict(schema)}.{strict(name)}"
    put(database, f"CREATE SCHEMA IF NOT EXISTS {strict(schema)}; CREATE TABLE {title} (id int)")
    files.alembic().revision("r1", statements(f"ALTER TABLE {title} ADD b int", f"DROP TABLE {title}"))
    added, dropped = upgraded(watched()).statements
    locked = {(f"{quoted(schema)}.{quoted(name)}", "ACCESS EXCLUSIVE")}
    assert (modes(added), modes(dropped)) == (locked, set())
    assert added.locks[0].held_seconds > 0


@pytest.mark.parametrize("client", ["LATIN1", "UTF8"])
def test_names_that_the_migrations_connection_cannot_say(
    files: Files, watched: Opened, database: Database, client: str
):
    """The driver does not learn that the migration has the server speak something else."""
    put(database, 'CREATE TABLE "\u20ac" (id int)')
    sql = 'ALTER TABLE U&"\\20AC" ADD b int'
    files.alembic().revision(
        "r1", statements(f"SET client_encoding TO '{client}'", sql, "RESET client_encoding", sql.replace(" b ", " c "))
    )
    _, added, _, again = upgraded(watched()).statements
    assert modes(added) == {('public."\u20ac"', "ACCESS EXCLUSIVE")}
    assert modes(again) == set()


def strict(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def test_every_lock_of_every_statement_is_seen_with_its_mode(files: Files, watched: Opened, database: Database):
    put(database)
    files.alembic().write("truth.py", TRUTH)
    body = "\n".join(f"op.execute({each!r}); truth.note(op)" for each in FIDELITY)
    files.revision("r1", "import truth\ntruth.note(op)\n" + body)
    visit = upgraded(watched())
    assert [each.sql for each in visit.statements] == FIDELITY
    first, *truth = [json.loads(line) for line in (files.root / "truth.jsonl").read_text().splitlines()]
    names, had = first[0], {tuple(each) for each in first[1]}
    strong = 0
    for statement, (names_after, after) in zip(visit.statements, truth, strict=True):
        names = {**names_after, **names}
        ours = {
            (names[relation.replace('""', "\0").replace('"', "").replace("\0", '"')], squeezed(mode))
            for relation, mode in modes(statement)
        }
        now = {tuple(each) for each in after}
        fresh = {(oid, mode) for oid, mode in now - had if oid in names.values()}
        assert ours == fresh, statement.sql
        assert modes(statement) == modes(statement, seen="statement")
        strong += sum(mode == "AccessExclusiveLock" for _, mode in fresh)
        names, had = names_after, now
    assert strong > 10


def squeezed(mode: str) -> str:
    """As pg_locks has it."""
    return mode.title().replace(" ", "") + "Lock"


REWRITES = [
    ("ALTER TABLE a ADD COLUMN g uuid DEFAULT gen_random_uuid()", {"a", "a_pkey", "a_x"}, {"a"}),
    ("ALTER TABLE a ALTER COLUMN x TYPE bigint", {"a", "a_pkey"}, {"a"}),  # a_x is another index then
    ("ALTER TABLE a ADD COLUMN g int DEFAULT 7", set(), set()),
    ("ALTER TABLE a ALTER COLUMN v TYPE varchar(40)", set(), set()),
    ("ALTER TABLE a ALTER COLUMN x SET NOT NULL", set(), {"a"}),
    ("ALTER TABLE a ADD CONSTRAINT p CHECK (x > 0)", set(), {"a"}),
    ("ALTER TABLE a ADD CONSTRAINT p CHECK (x > 0) NOT VALID", set(), set()),
    ("ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b (id)", set(), {"a", "b"}),
    ("ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b (id) NOT VALID", set(), set()),
    ("CREATE INDEX i ON a (b)", set(), {"a"}),
    ("REINDEX INDEX a_x", {"a_x"}, {"a"}),
    ("ALTER TABLE a RENAME COLUMN x TO y", set(), set()),
    ("TRUNCATE a", {"a", "a_pkey", "a_x"}, set()),
]


@pytest.mark.parametrize(("sql", "rewrote", "scanned"), REWRITES, ids=[each[0] for each in REWRITES])
def test_rewrites_and_scans_are_seen_and_nothing_else_is(files, watched, database, sql, rewrote, scanned):
    put(database, SCHEMA + "ALTER TABLE a ADD v varchar(10); CREATE INDEX a_x ON a (x);")
    files.alembic().revision("r1", statements(sql))
    (statement,) = upgraded(watched()).statements
    assert {each for each in statement.rewrote if ".pg_toast" not in each} == {f"public.{each}" for each in rewrote}
    assert set(statement.scanned) == {f"public.{each}" for each in scanned}


def test_scans_of_an_earlier_transaction_or_of_data_statements_are_not_the_next_ones(files, watched, database):
    put(database)
    env = files.root / "migrations/env.py"
    files.alembic()
    env.write_text(env.read_text().replace("target_metadata=None", "transaction_per_migration=True"))
    files.revision("r1", statements("ALTER TABLE a ADD CONSTRAINT p CHECK (x IS NOT NULL) NOT VALID"))
    validate = "with op.get_context().autocommit_block():\n    "
    files.revision("r2", validate + statements("ALTER TABLE a VALIDATE CONSTRAINT p"))
    files.revision("r3", statements("UPDATE a SET b = 1", "ALTER TABLE a ALTER COLUMN x SET NOT NULL"))
    files.revision("r4", validate + statements("UPDATE a SET b = 2"))
    files.revision("r5", statements("ALTER TABLE a ADD COLUMN z int", "ALTER TABLE a ADD CHECK (b > 0)"))
    found = upgraded(watched()).statements
    assert [(each.scanned, each.changed) for each in found] == [
        ((), ()),
        ((), ()),  # what autocommit read, only its kind can say
        ((), ("public.a",)),
        ((), ()),
        ((), ("public.a",)),
        ((), ()),
        (("public.a",), ()),
    ]
    assert [each.transaction > 0 for each in found] == [True, False, True, True, False, True, True]


def test_a_lock_is_held_until_the_commit_also_over_a_backfill(files, watched, database):
    put(database)
    files.alembic().revision(
        "r1",
        statements(
            "ALTER TABLE a ADD COLUMN c int",
            "UPDATE a SET c = 1 FROM (SELECT pg_sleep(0.3)) s",
            "SET LOCAL lock_timeout = '1500ms'",
            "ALTER TABLE b ADD COLUMN c int",
        ),
    )
    add, update, _, other = upgraded(watched()).statements
    taken = lock(add, "public.a", "ACCESS EXCLUSIVE")
    assert taken.held_seconds >= add.seconds + update.seconds > 0.3
    assert (taken.timeout_seconds, taken.existed, taken.rows, taken.kind) == (0, True, 50, "table")
    later = lock(other, "public.b", "ACCESS EXCLUSIVE")
    assert later.timeout_seconds == 1.5
    assert other.seconds <= later.held_seconds < taken.held_seconds - 0.3
    assert lock(update, "public.a", "ROW EXCLUSIVE").seen == "commit"
    assert (update.rows, update.changed, {each.transaction for each in (add, update, other)}) == (
        50,
        ("public.a",),
        {1},
    )


def test_what_data_statements_lock_and_functions_took_is_seen_before_the_commit(files, watched, database):
    put(database, SCHEMA + "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'DELETE FROM c'")
    files.alembic().revision(
        "r1",
        statements(
            "INSERT INTO b VALUES (99)",
            "LOCK TABLE a IN SHARE ROW EXCLUSIVE MODE",
            "DO 'BEGIN PERFORM pg_sleep(0.1); END'",
            "SELECT f()",
        ),
    )
    insert, locks, _, call = found = upgraded(watched()).statements
    assert {lock.seen for each in found for lock in each.locks} == {"commit"}
    assert lock(insert, "public.b", "ROW EXCLUSIVE").held_seconds > 0.1
    assert modes(locks) == {("public.a", "SHARE ROW EXCLUSIVE")}
    # A bound: from the first statement that could have been it.
    assert lock(call, "public.c", "ROW EXCLUSIVE").held_seconds > 0.1
    assert insert.changed == ("public.b",)
    assert call.changed == ("public.c",)
    assert all(not each.scanned for each in found)


def test_a_lock_that_a_block_or_an_explicit_one_takes_is_not_the_next_statements(files, watched, database):
    put(database)
    block = "DO 'BEGIN ALTER TABLE c ADD n int; PERFORM pg_sleep(0.1); END'"
    known = "ALTER TABLE b ADD CHECK (id > 0) NOT VALID"
    explicit, limit = "LOCK TABLE a", "SET LOCAL lock_timeout = '7s'"
    files.alembic().revision(
        "r1", statements(known, block, "ALTER TABLE c ADD m int", explicit, limit, "ALTER TABLE a ADD n int")
    )
    ran = {each.sql: each for each in upgraded(watched()).statements}
    assert lock(ran[block], "public.c", "ACCESS EXCLUSIVE").held_seconds > 0.1
    assert lock(ran[explicit], "public.a", "ACCESS EXCLUSIVE").timeout_seconds == 0


def test_a_table_that_two_revisions_write_is_changed_by_both(files, watched, database):
    put(database)
    files.alembic()
    files.revision("r1", statements("UPDATE a SET b = 1"), statements("UPDATE a SET b = 3"))
    files.revision("r2", statements("UPDATE a SET b = 2"), statements("DELETE FROM b WHERE id = 50"))
    walk = watched()
    assert [(each.revision, each.changed) for each in upgraded(walk).statements] == [
        ("r1", ("public.a",)),
        ("r2", ("public.a",)),
    ]
    assert [(each.revision, each.changed) for each in walk.visit("downgrade", "base").statements] == [
        ("r2", ("public.b",)),
        ("r1", ("public.a",)),
    ]


BESIDE = """op.execute("COMMENT ON TABLE made2 IS 'x'")
with op.get_bind().engine.connect() as other, other.begin():
    other.exec_driver_sql("INSERT INTO made2 SELECT generate_series(1, 5000)")
"""
"""On another connection, between the last look on env.py's and its commit."""
LESSER = """CREATE ROLE lesser; GRANT lesser TO CURRENT_USER; GRANT ALL ON alembic_version TO lesser;
CREATE TABLE raw (id int); INSERT INTO raw VALUES (1); GRANT USAGE ON SCHEMA public TO lesser; SET LOCAL ROLE lesser"""
LEFT = [
    *(each for each in FIDELITY if "Odd" not in each or "CREATE" in each),
    "CREATE TABLE parts (id int, t text) PARTITION BY RANGE (id)",
    "CREATE TABLE part PARTITION OF parts FOR VALUES FROM (0) TO (9); CREATE INDEX ON parts (id)",
    "INSERT INTO parts VALUES (1, 'x'); UPDATE a SET x = 2; DELETE FROM c",
    "CREATE MATERIALIZED VIEW held AS SELECT id FROM parts",
    "DROP INDEX a_x",
    "ALTER TABLE part ALTER COLUMN t SET STORAGE EXTERNAL",
    "ALTER INDEX parts_id_idx RENAME TO other",
    "SELECT nextval('made2_id_seq')",
    "SAVEPOINT s; ALTER TABLE a DROP COLUMN x; ROLLBACK TO s",
    "DROP TABLE parts CASCADE",
    "CREATE TEMPORARY TABLE short ON COMMIT DROP AS SELECT 1 AS x",
    LESSER,
    "DROP OWNED BY lesser; DROP ROLE lesser",
    "CREATE SCHEMA early; CREATE TABLE early.t (id int); INSERT INTO early.t VALUES (1)",
    "ALTER SCHEMA early RENAME TO late",
]


def test_what_a_visit_left_is_known_as_if_it_had_been_read_again(files, watched, database):
    put(database, SCHEMA + "CREATE TABLE made2 (id serial); ANALYZE b")
    files.alembic()
    for number, each in enumerate(LEFT):
        files.revision(f"r{number:02}", statements(each))
    files.revision("r99", BESIDE)
    asked = []

    class Asking(Observer):
        def renew(self, oids, *, newer, everything):
            asked.append(oids)
            super().renew(oids, newer=newer, everything=everything)

    walk, seen = watched(), []
    observer = walk.session.observer = Asking(database.connection, database.url)

    def after(visit):
        assert visit.error is None, visit.error
        fresh = Observer(database.connection, database.url)
        fresh.begin()
        ours = {oid: each for oid, each in observer.known.items() if "alembic_version" not in each.name}
        truth = {oid: each for oid, each in fresh.known.items() if "alembic_version" not in each.name}
        assert ours == truth, [each.sql for each in visit.statements]
        assert observer.wal <= fresh.wal
        seen.append(visit)
        return True

    walk.session.stairway([("upgrade", name) for name in files.written], step_seconds=60, after=after)
    assert len(seen) == len(LEFT) + 1
    assert len(asked) < 9  # most have seen enough by themselves
    observer.close()


def test_a_stairway_numbers_transactions_and_knows_what_existed_visit_by_visit(files, watched, database):
    put(database)
    files.alembic().table("r1", "made")
    files.revision(
        "r2",
        statements("INSERT INTO made VALUES (1), (2)", "ALTER TABLE made ADD COLUMN t uuid DEFAULT gen_random_uuid()"),
        statements("ALTER TABLE made DROP COLUMN t"),
    )
    walk = watched()
    steps = [("upgrade", "r1"), ("downgrade", "r1"), ("upgrade", "r1"), ("upgrade", "r2"), ("downgrade", "r2")]
    up, down, again, filled, emptied = walk.stairway(*steps)
    assert [each.error for each in (up, down, again, filled, emptied)] == [None] * 5
    assert {each.transaction for visit in (up, down, again, filled, emptied) for each in visit.statements} == {1}
    assert {each.revision for each in filled.statements} == {"r2"}
    assert not any(each.existed for each in up.statements[0].locks)
    assert lock(down.statements[0], "public.made", "ACCESS EXCLUSIVE").existed
    assert not any(each.existed for each in again.statements[0].locks)
    insert, alter = filled.statements
    assert insert.changed == ("public.made",)
    assert alter.rewrote[:1] == ("public.made",)
    taken = lock(alter, "public.made", "ACCESS EXCLUSIVE")
    assert (taken.existed, taken.rows) == (True, 0)
    assert lock(emptied.statements[0], "public.made", "ACCESS EXCLUSIVE").rows == 2
    (size,) = up.sizes
    assert (size.relation, size.before, size.after > 0) == ("public.made", 0, True)
    assert [(each.relation, each.after) for each in down.sizes] == [("public.made", 0)]
    assert all(visit.wal_bytes > 0 for visit in (up, down, again, filled, emptied))
    assert 0 < sum(each.wal_bytes for each in filled.statements) <= filled.wal_bytes


def test_what_a_failed_upgrade_did_counts_as_never_done(files, watched, database):
    put(database)
    change = "ALTER TABLE a ALTER COLUMN x TYPE bigint"
    files.alembic().revision("r1", statements(change, "SELECT 1 / 0"))
    walk = watched()
    failed = walk.visit("upgrade", "head")
    assert failed.error.sqlstate == "22012"
    assert failed.statements[0].rewrote[:1] == ("public.a",)
    files.last = None
    files.revision("r1", statements("ALTER TABLE a ADD COLUMN z int", change))
    first, second = upgraded(walk).statements
    assert (first.rewrote, second.rewrote[:1]) == ((), ("public.a",))


def test_locks_of_concurrent_builds_are_sampled_and_so_is_their_wait(files, watched, database):
    put(database)
    files.alembic().revision(
        "r1",
        "with op.get_context().autocommit_block():\n    "
        "op.execute('CREATE INDEX CONCURRENTLY i ON a (b)')\n    op.execute(\"SET lock_timeout = '3s'\")",
    )
    walk = watched()
    with beside(database) as watching:
        visit = walk.visit("upgrade", "head")
        watching.join()
    build = visit.statements[0]
    assert visit.error is None
    assert lock(build, "public.a", "SHARE UPDATE EXCLUSIVE").seen == "sampled"
    assert build.transaction == 0
    assert 0.05 < build.waited_seconds <= build.seconds
    assert lock(build, "public.a", "SHARE UPDATE EXCLUSIVE").held_seconds == build.seconds


@contextlib.contextmanager
def beside(database: Database) -> Iterator[threading.Thread]:
    """A writer that holds a lock on `a` until somebody has twice looked at what waits for it."""
    with (
        contextlib.closing(psycopg2.connect(database.url)) as writer,
        contextlib.closing(psycopg2.connect(database.url)) as looker,
    ):
        looker.autocommit = True
        writer.cursor().execute("UPDATE a SET b = 1 WHERE id = 1")
        releasing = threading.Thread(target=release, args=(looker, writer))
        releasing.start()
        try:
            yield releasing
        finally:
            releasing.join()


def release(looker, writer) -> None:
    seen = """
        SELECT EXISTS (SELECT FROM pg_locks l, pg_stat_activity o WHERE NOT l.granted AND l.waitstart IS NOT NULL
          AND o.application_name = 'neontest' AND o.state = 'idle' AND o.datname = current_database()
          AND o.query LIKE '%waitstart%' AND o.query_start > l.waitstart + interval '100 ms')"""
    with looker.cursor() as cursor:
        until, found = time.monotonic() + 30, False
        while not found and time.monotonic() < until:
            cursor.execute(seen)
            ((found,),) = cursor.fetchall()
    writer.rollback()


def test_a_wait_inside_a_transaction_is_sampled(files, watched, database):
    put(database)
    files.alembic().revision("r1", statements("ALTER TABLE a ADD COLUMN c int"))
    walk = watched()
    with beside(database) as watching:
        visit = walk.visit("upgrade", "head")
        watching.join()
    (alter,) = visit.statements
    assert visit.error is None
    assert 0.05 < alter.waited_seconds <= alter.seconds


def test_without_a_second_connection_autocommit_is_told_by_kind(files, watched, database):
    put(database)
    files.alembic().revision(
        "r1",
        "with op.get_context().autocommit_block():\n"
        "    op.execute(\"SET lock_timeout = '3s'\")\n"
        "    op.execute('CREATE INDEX CONCURRENTLY i ON a (b)')\n"
        "    op.execute('UPDATE b SET id = id')\n"
        "    op.execute('VACUUM FULL c')\n",
    )
    walk = watched()
    walk.session.observer = Observer(database.connection, database.url.replace("neondb_owner:", "nobody:"))
    _, build, update, vacuum = upgraded(walk).statements
    walk.session.observer.close()
    assert modes(build) == modes(build, seen="inferred") == {("public.a", "SHARE UPDATE EXCLUSIVE")}
    taken = lock(build, "public.a", "SHARE UPDATE EXCLUSIVE")
    assert (taken.timeout_seconds, taken.rows, taken.existed) == (3, 50, True)
    assert (update.changed, update.rows, modes(update)) == (("public.b",), 50, {("public.b", "ROW EXCLUSIVE")})
    assert modes(vacuum) == {("public.c", "ACCESS EXCLUSIVE")}
    assert vacuum.rewrote[:1] == ("public.c",)
    assert build.rewrote == ()


def test_without_an_observer_the_migrations_own_connection_says_what_it_can(files, opened, database):
    put(database)
    files.alembic().revision("r1", statements("ALTER TABLE a ADD COLUMN c int"))
    visit = upgraded(opened())
    assert modes(visit.statements[0]) == {("public.a", "ACCESS EXCLUSIVE")}
    assert (visit.statements[0].locks[0].rows, visit.statements[0].locks[0].existed) == (None, True)
    assert (visit.wal_bytes, visit.sizes) == (None, ())


def test_a_rewrite_in_autocommit_is_not_taken_for_the_next_transactions(
    files: Files, watched: Opened, database: Database
):
    put(database)
    rewrite, harmless = (
        "ALTER TABLE c ALTER t TYPE bigint USING t::bigint",
        "ALTER TABLE c ADD CHECK (id > 0) NOT VALID",
    )
    files.alembic().revision("r1", f"with op.get_context().autocommit_block():\n    op.execute({rewrite!r})")
    files.revision("r2", statements(harmless), down="r1")
    visit = upgraded(watched())
    # Whether the key's new file is seen, too, is a matter of luck.
    found = {each.sql: {*each.rewrote} - {"public.c_pkey"} for each in visit.statements}
    assert found == {rewrite: {"public.c"}, harmless: set()}


def test_a_rewrite_by_a_function_is_not_taken_for_the_next_statements(
    files: Files, watched: Opened, database: Database
):
    put(database)
    body = "BEGIN ALTER TABLE c ALTER id TYPE bigint; END"
    made = f"CREATE FUNCTION hidden() RETURNS void LANGUAGE plpgsql AS '{body}'"
    called, harmless = "SELECT hidden()", "ALTER TABLE a ADD CHECK (id > 0) NOT VALID"
    files.alembic().revision("r1", statements(made, called, harmless))
    visit = upgraded(watched())
    assert {each.sql: each.rewrote for each in visit.statements} == {made: (), called: ("public.c",), harmless: ()}


def test_a_rewrite_in_a_transaction_stays_its_own_after_autocommit(files: Files, watched: Opened, database: Database):
    put(database)
    before, rewrite = "ALTER TABLE c ADD COLUMN n integer", "ALTER TABLE c ALTER id TYPE bigint"
    slow = "UPDATE c SET t = (SELECT 1 FROM pg_sleep(0.01)) -- of another type"
    block = f"with op.get_context().autocommit_block():\n    op.execute({before!r})\n    op.execute({slow!r})"
    files.alembic().revision("r1", block)
    files.revision("r2", statements(rewrite), down="r1")
    visit = upgraded(watched())
    assert {each.sql: each.rewrote for each in visit.statements} == {before: (), slow: (), rewrite: ("public.c",)}


def test_the_rows_of_a_large_table_without_statistics_are_told_by_its_pages(database: Database):
    put(database, "CREATE TABLE big (id int, t text) WITH (autovacuum_enabled = off)")
    put(database, "INSERT INTO big SELECT n, repeat('x', n % 50) FROM generate_series(1, 250000) n")
    put(database, "CREATE MATERIALIZED VIEW few AS SELECT * FROM big LIMIT 10")
    observer = Observer(database.connection, database.url)
    try:
        observer.begin()
        rows = {each.name: each.rows for each in observer.known.values()}
        assert 240_000 <= (rows["public.big"] or 0) <= 260_000
        assert rows["public.few"] == 10
    finally:
        observer.close()


def test_a_partition_is_known_as_a_part_and_a_partitioned_table_by_all_rows_of_its_parts(files, watched, database):
    put(
        database,
        "CREATE TABLE p (id int, at int) PARTITION BY LIST (id);"
        "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);"
        'CREATE TABLE "P 2" PARTITION OF p FOR VALUES IN (2) PARTITION BY LIST (at);'
        'CREATE TABLE p21 PARTITION OF "P 2" FOR VALUES IN (1); CREATE TABLE p22 PARTITION OF "P 2" DEFAULT;'
        "CREATE TABLE loose (id int, at int); CREATE TABLE heir () INHERITS (loose);"
        "CREATE INDEX ON p (at); INSERT INTO p SELECT 1 + n % 2, n % 4 FROM generate_series(1, 400) n",
    )
    again = "REINDEX INDEX p1_at_idx"
    attach = "ALTER TABLE p ATTACH PARTITION loose FOR VALUES IN (3)"
    files.alembic().revision("r1", statements("CREATE INDEX ON p (id)", "DROP TABLE heir", attach, again))
    files.revision("r2", statements("CREATE TABLE p4 PARTITION OF p FOR VALUES IN (4)"), down="r1")
    index, dropped, attached, built, new = upgraded(watched()).statements
    found = {each.relation: (each.kind, each.rows, each.part_of) for each in index.locks if each.mode == "SHARE"}
    assert found == {
        "public.p": ("partitioned table", 400, ()),
        "public.p1": ("table", 200, ("public.p",)),
        'public."P 2"': ("partitioned table", 200, ("public.p",)),
        "public.p21": ("table", 100, ('public."P 2"', "public.p")),
        "public.p22": ("table", 100, ('public."P 2"', "public.p")),
    }
    assert lock(built, "public.p1_at_idx", "ACCESS EXCLUSIVE").part_of == ()
    assert {each.part_of for each in (*dropped.locks, *new.locks)} == {()}
    assert lock(attached, "public.loose", "ACCESS EXCLUSIVE").part_of == ()


def test_beyond_the_limit_no_lock_is_another_transactions(files: Files, watched: Opened) -> None:
    """What takes it is not told any more, and the last statement that is told took nothing."""
    files.alembic().revision(
        "a1",
        "for n in range(5_010):\n    op.execute('SELECT 1')\nwith op.get_bind().engine.begin() as other:\n"
        "    other.execute(sa.text('CREATE TABLE u ()'))",
    )
    visit = watched().visit("upgrade", "head")
    assert (len(visit.statements), visit.error) == (5_000, None)
    assert [each for each in visit.statements if each.locks] == []


def test_where_a_transaction_has_locked_much_no_lock_is_told_to_be_as_old_as_a_long_statement_before_it(
    files: Files, watched: Opened, database: Database
):
    tables = [f"t{n}" for n in range(90)]
    put(database, "".join(f"CREATE TABLE {each} (id int); " for each in tables))
    body = [f"ALTER TABLE {each} ADD COLUMN b int" for each in tables]
    body.insert(72, "SELECT pg_sleep(0.5)")
    files.alembic().revision("r1", statements(*body))
    visit = upgraded(watched())
    before, after = (lock(visit.statements[at], f"public.t{n}", "ACCESS EXCLUSIVE") for at, n in ((71, 71), (73, 72)))
    assert (after.seen, before.seen) == ("statement", "commit")
    assert before.held_seconds - after.held_seconds >= 0.5
