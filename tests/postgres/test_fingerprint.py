"""What fingerprints promise: whatever was lost or changed is named, with its number; nothing else is."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from neontest.errors import DatabaseError
from neontest.postgres import fingerprint, fingerprint_asking, fingerprint_sequences
from neontest.postgres.connect import Connection, connect
from neontest.postgres.data import ColumnChange, DataChange, Read, SequenceChange, TableChange
from neontest.postgres.fingerprint import compare, listed, read, tables
from neontest.postgres.fingerprint_model import COARSE_MASK, EXACT_MASK, State
from neontest.postgres.fingerprint_sql import SAMPLED, SETTINGS, print_sql, reading
from neontest.postgres.snapshot import Reader
from neontest.stop import FOREVER, Deadline

PLENTY = Deadline(FOREVER, what="the test")


@pytest.fixture
def db(shared: Any) -> Iterator[Any]:
    yield shared
    shared.clear()


def state(db: Any, like: State | None = None, *, conn: Connection | None = None, **more: Any) -> State:
    wanted = more.pop("wanted", None)
    return read(conn or db.admin, wanted, **{"how": "full", "deadline": PLENTY, "like": like, **more})


def changed(db: Any, sql: str, before: State, **more: Any) -> DataChange:
    """What the SQL did, as a comparison tells it."""
    db.run(sql)
    return compare(before, state(db, before, **more))


def one(change: DataChange) -> TableChange:
    (table,) = change.tables
    return table


def column(change: DataChange) -> ColumnChange:
    (found,) = one(change).columns
    return found


def oid(db: Any, name: str) -> int:
    with db.admin.cursor() as cursor:
        cursor.execute("SELECT %s::regclass::oid::int8", (name,))
        (found,) = cursor.fetchone()
        return int(found)


USERS = """CREATE TABLE users (id integer PRIMARY KEY, name text, phone text);
INSERT INTO users SELECT n, 'name ' || n, CASE WHEN n % 5 > 0 THEN '+49 ' || n END FROM generate_series(1, 100) n;"""
MANY = USERS.replace("1, 100", "1, 5000")
KEYLESS = USERS.replace(" PRIMARY KEY", "")


# What there is to read


def test_every_table_of_the_project_is_listed_once_and_nothing_else(db: Any) -> None:
    db.run(
        """CREATE TABLE plain (b integer, a integer NOT NULL, UNIQUE (b), UNIQUE (a));
        CREATE TABLE keyed (x text, y integer, z integer, PRIMARY KEY (z, x));
        CREATE TABLE deferred (a integer NOT NULL UNIQUE DEFERRABLE);
        CREATE TABLE partial (a integer NOT NULL); CREATE UNIQUE INDEX ON partial (a) WHERE a > 0;
        CREATE TABLE parts (id integer PRIMARY KEY) PARTITION BY RANGE (id);
        CREATE TABLE part PARTITION OF parts FOR VALUES FROM (0) TO (9) PARTITION BY RANGE (id);
        CREATE TABLE leaf PARTITION OF part FOR VALUES FROM (0) TO (5);
        CREATE SCHEMA "Odd "" one"; CREATE TABLE "Odd "" one"."user" ("a b" integer PRIMARY KEY);
        CREATE TABLE alembic_version (version_num varchar(32)); CREATE VIEW v AS SELECT 1; CREATE TEMP TABLE short ();
        CREATE MATERIALIZED VIEW m AS SELECT 1 AS one;"""
    )
    found = {table.name: table.key for table in tables(listed(db.admin))}
    assert found == {
        "public.plain": (2,),
        "public.keyed": (3, 1),
        "public.deferred": (),
        "public.partial": (),
        "public.parts": (1,),
        '"Odd "" one".user': (1,),
    }
    on = {key.on for key in db.reader.snapshot().objects if key.kind == "column"}
    assert set(found) <= on
    assert [table.bytes for table in tables(listed(db.admin))] == sorted(
        table.bytes for table in tables(listed(db.admin))
    )


def test_a_member_of_an_extension_is_no_table_of_the_project(db: Any) -> None:
    db.run("CREATE TABLE theirs (id integer); CREATE TABLE ours (id integer)")
    db.run("UPDATE pg_class SET relname = relname WHERE false; ALTER EXTENSION plpgsql ADD TABLE theirs")
    try:
        assert [table.name for table in tables(listed(db.admin))] == ["public.ours"]
    finally:
        db.run("ALTER EXTENSION plpgsql DROP TABLE theirs")


def test_a_column_is_known_by_the_type_that_its_domain_is_made_of(db: Any) -> None:
    db.run(
        "CREATE DOMAIN small AS numeric(5, 2); CREATE DOMAIN smaller AS small CHECK (value < 5);"
        "CREATE TABLE t (a smaller, b integer, c small, d integer GENERATED ALWAYS AS (b + 1) STORED)"
    )
    (table,) = tables(listed(db.admin))
    assert [(each.name, each.base, each.type) for each in table.columns] == [
        ("a", 1700, "public.smaller") if "." in table.columns[0].type else ("a", 1700, "smaller"),
        ("b", 23, "integer"),
        ("c", 1700, "public.small") if "." in table.columns[2].type else ("c", 1700, "small"),
        ("d", 23, "integer"),
    ]


@pytest.mark.every_postgres
def test_a_virtual_column_holds_nothing_and_is_not_read(db: Any) -> None:
    if db.server.major < 18:
        db.run("CREATE TABLE t (id integer PRIMARY KEY, a integer)")
    else:
        db.run("CREATE TABLE t (id integer PRIMARY KEY, a integer, b integer GENERATED ALWAYS AS (1 / a) VIRTUAL)")
    db.run("INSERT INTO t VALUES (1, 0)")
    (table,) = tables(listed(db.admin))
    assert [each.name for each in table.columns] == ["id", "a"]
    assert state(db).reads == (Read(table="public.t", rows=1),)


# Keyed tables


def test_nothing_differs_where_rows_were_only_moved_around(db: Any) -> None:
    db.run(USERS)
    before = state(db)
    change = changed(db, "UPDATE users SET name = name WHERE id % 3 = 0; CLUSTER users USING users_pkey", before)
    assert change == DataChange()
    assert not change


def test_a_lost_row_is_counted_and_so_is_a_new_one(db: Any) -> None:
    db.run(USERS)
    before = state(db)
    lost = changed(db, "DELETE FROM users WHERE id > 93", before)
    assert lost == DataChange(tables=(TableChange(table="public.users", before=100, after=93, lost=7),))
    both = changed(db, "INSERT INTO users VALUES (200, 'x'), (201, 'y')", before)
    assert (one(both).lost, one(both).added, one(both).exact) == (7, 2, True)


def test_a_table_with_new_rows_alone_lost_nothing(db: Any) -> None:
    db.run(USERS)
    change = changed(db, "INSERT INTO users VALUES (200, 'x')", state(db))
    assert change == DataChange(tables=(TableChange(table="public.users", before=100, after=101, added=1),))


def test_values_that_did_not_come_back_are_counted_with_those_that_there_were(db: Any) -> None:
    db.run(USERS)
    before = state(db)
    change = changed(db, "ALTER TABLE users DROP phone; ALTER TABLE users ADD phone text", before)
    assert column(change) == ColumnChange(column="phone", before=80, after=0, changed=80)
    db.run("UPDATE users SET phone = '+49 ' || id WHERE id % 5 > 0 AND id <= 40")
    assert column(changed(db, "", before)) == ColumnChange(column="phone", before=80, after=32, changed=48)
    assert changed(db, "UPDATE users SET phone = '+49 ' || id WHERE id % 5 > 0", before) == DataChange()


def test_a_large_table_says_at_least_how_many_values_did_not_come_back(db: Any) -> None:
    db.run(MANY)
    before = state(db)
    change = changed(db, "ALTER TABLE users DROP phone; ALTER TABLE users ADD phone text", before)
    assert column(change) == ColumnChange(column="phone", before=4000, after=0, changed=4000, exact=False)
    change = changed(
        db, "UPDATE users SET phone = '+49 ' || id WHERE id % 5 > 0; DELETE FROM users WHERE id < 4", before
    )
    assert one(change) == TableChange(table="public.users", before=5000, after=4997, lost=3, exact=False)
    other = changed(db, "UPDATE users SET name = 'x' WHERE id = 17", before)
    assert [(each.column, each.changed) for each in one(other).columns] == [("name", 1)]


def test_rows_replaced_in_a_large_table_are_lost_ones_and_new_ones(db: Any) -> None:
    db.run(MANY)
    change = changed(db, "UPDATE users SET id = id + 100000 WHERE id <= 10", state(db))
    assert (one(change).rekeyed, one(change).exact) == (False, False)
    assert 5 <= one(change).lost <= 10
    assert 5 <= one(change).added <= 10


def test_a_dropped_column_is_told_if_it_had_values(db: Any) -> None:
    db.run(USERS + "ALTER TABLE users ADD empty text")
    change = changed(db, "ALTER TABLE users DROP phone, DROP empty", state(db))
    assert column(change) == ColumnChange(column="phone", before=80, after=None)


def test_a_dropped_table_is_told_if_it_had_rows(db: Any) -> None:
    db.run(USERS + "CREATE TABLE empty (id integer)")
    change = changed(db, "DROP TABLE users, empty", state(db))
    assert change == DataChange(tables=(TableChange(table="public.users", before=100, lost=100),))


def test_a_new_column_and_a_new_table_change_nothing_that_was_there(db: Any) -> None:
    db.run(USERS)
    sql = "ALTER TABLE users ADD a text DEFAULT 'x'; CREATE TABLE t AS SELECT 1 AS one"
    assert changed(db, sql, state(db)) == DataChange()


def test_a_renamed_column_keeps_its_values(db: Any) -> None:
    db.run(USERS)
    before = state(db)
    assert changed(db, 'ALTER TABLE users RENAME phone TO "Phone no"', before) == DataChange()
    change = changed(db, "UPDATE users SET \"Phone no\" = 'x' WHERE id = 4", before)
    assert column(change) == ColumnChange(column="phone", became='"Phone no"', before=80, after=80, changed=1)


def test_a_renamed_table_keeps_its_rows(db: Any) -> None:
    db.run(USERS)
    before = state(db)
    change = changed(
        db, 'CREATE SCHEMA s; ALTER TABLE users SET SCHEMA s; ALTER TABLE s.users RENAME TO "User"', before
    )
    assert change == DataChange()
    change = changed(db, 'DELETE FROM s."User" WHERE id = 1', before)
    assert one(change) == TableChange(table="public.users", became='s."User"', before=100, after=99, lost=1)


def test_a_table_that_was_made_again_is_known_by_its_name(db: Any) -> None:
    db.run(USERS)
    before = state(db, wanted=[oid(db, "users")])
    again = "DROP TABLE users; CREATE TABLE users (name text, id integer PRIMARY KEY, phone text);"
    change = changed(db, again, before, wanted=[oid(db, "users")])
    assert one(change) == TableChange(table="public.users", before=100, after=0, lost=100)
    fill = USERS.partition(";")[2].replace("users", "users (id, name, phone)")
    assert changed(db, fill, before, wanted=list(before.prints)) == DataChange()


def test_a_key_that_changed_in_all_rows_is_told_and_not_a_loss_of_rows(db: Any) -> None:
    for sql in (USERS, MANY):
        db.run(sql)
        rows = one(changed(db, "UPDATE users SET id = id + 100000", state(db)))
        assert rows.rekeyed
        assert (rows.lost, rows.added, rows.columns) == (0, 0, ())
        db.run("DROP TABLE users")


def test_a_key_that_is_gone_is_told_with_what_else_is_missing(db: Any) -> None:
    db.run(USERS)
    rows = one(
        changed(
            db,
            "ALTER TABLE users DROP id; UPDATE users SET phone = NULL; DELETE FROM users WHERE name = 'name 7'",
            state(db),
        )
    )
    assert rows.rekeyed
    assert rows.lost == 1
    assert [(each.column, each.before, each.after) for each in rows.columns] == [
        ("name", 100, 99),
        ("phone", 80, 0),
        ("id", 100, None),
    ]


def test_rows_are_recognised_by_the_old_key_when_the_key_is_another(db: Any) -> None:
    db.run(USERS)
    before = state(db)
    sql = "ALTER TABLE users DROP CONSTRAINT users_pkey, ADD uid uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY"
    assert changed(db, sql, before) == DataChange()
    assert column(changed(db, "UPDATE users SET name = NULL WHERE id < 3", before)).changed == 2
    db.run("ALTER TABLE users DROP CONSTRAINT users_pkey")
    assert column(changed(db, "", before)).changed == 2


def test_rows_with_a_key_of_several_columns_are_recognised(db: Any) -> None:
    db.run(
        """CREATE TABLE t (a text, b integer, c timestamptz, v numeric, PRIMARY KEY (c, a, b));
        INSERT INTO t SELECT 'k' || n % 3, n, '2020-01-01'::timestamptz + n * interval '1 h', n
          FROM generate_series(1, 60) n;
        CREATE TABLE pairs (a integer, b integer, v integer, PRIMARY KEY (a, b));
        INSERT INTO pairs SELECT a, b, a * 10 + b FROM generate_series(0, 9) a, generate_series(0, 9) b"""
    )
    before = state(db)
    change = changed(db, "UPDATE t SET v = -v WHERE b <= 4; UPDATE pairs SET v = b * 10 + a", before)
    assert {each.table: [(c.column, c.changed, c.exact) for c in each.columns] for each in change.tables} == {
        "public.t": [("v", 4, True)],
        "public.pairs": [("v", 90, True)],
    }


def test_a_row_whose_key_columns_changed_places_is_another_row(db: Any) -> None:
    db.run("CREATE TABLE pairs (a integer, b integer, PRIMARY KEY (a, b)); INSERT INTO pairs VALUES (1, 2), (3, 4)")
    change = changed(db, "UPDATE pairs SET a = 2, b = 1 WHERE a = 1", state(db))
    assert (one(change).lost, one(change).added) == (1, 1)


def test_odd_names_are_read_like_any(db: Any) -> None:
    db.run(
        """CREATE SCHEMA "S %s"; CREATE TABLE "S %s"."T "" {x}" ("select" integer PRIMARY KEY, "c1" text, "k" text,
          "h1" text, "%(x)s; --" text);
        INSERT INTO "S %s"."T "" {x}" VALUES (1, 'a', 'b', 'c', 'd'), (2, 'a', 'b', 'c', 'd')"""
    )
    change = changed(db, """UPDATE "S %s"."T "" {x}" SET "%(x)s; --" = 'e' WHERE "select" = 1""", state(db))
    assert one(change).table == '"S %s"."T "" {x}"'
    assert column(change) == ColumnChange(column='"%(x)s; --"', before=2, after=2, changed=1)


def test_a_table_without_columns_has_rows_all_the_same(db: Any) -> None:
    db.run("CREATE TABLE none (); INSERT INTO none DEFAULT VALUES; INSERT INTO none DEFAULT VALUES")
    before = state(db)
    assert before.reads == (Read(table="public.none", rows=2),)
    assert changed(db, "", before) == DataChange()
    assert one(changed(db, "DELETE FROM none", before)).lost == 2


# Keyless tables


def test_a_table_without_a_key_is_compared_row_by_row(db: Any) -> None:
    db.run(KEYLESS)
    before = state(db)
    assert (
        changed(
            db,
            "CREATE TABLE t AS SELECT * FROM users ORDER BY phone; DELETE FROM users; INSERT INTO users TABLE t",
            before,
        )
        == DataChange()
    )
    assert one(changed(db, "DELETE FROM users WHERE id = 3", before)).lost == 1
    assert one(changed(db, "INSERT INTO users TABLE t LIMIT 1", before)).added == 1


def test_a_duplicate_in_a_table_without_a_key_is_an_added_row(db: Any) -> None:
    db.run(KEYLESS)
    change = changed(db, "INSERT INTO users TABLE users", state(db))
    assert one(change) == TableChange(table="public.users", before=100, after=200, added=100)


def test_without_a_key_the_column_whose_values_are_others_is_named(db: Any) -> None:
    db.run(KEYLESS)
    change = changed(db, "UPDATE users SET phone = NULL WHERE id <= 50", state(db))
    assert one(change).lost == one(change).added == 0
    assert column(change) == ColumnChange(column="phone", before=80, after=40, changed=40)


def test_without_a_key_values_that_changed_rows_are_seen(db: Any) -> None:
    db.run(KEYLESS)
    sql = "UPDATE users SET name = CASE id WHEN 1 THEN 'name 2' ELSE 'name 1' END WHERE id <= 2"
    change = changed(db, sql, state(db))
    assert (one(change).lost, one(change).added, one(change).columns) == (2, 2, ())


def test_without_a_key_a_row_that_was_replaced_is_lost(db: Any) -> None:
    db.run(KEYLESS)
    change = changed(db, "UPDATE users SET id = 1000, name = 'x', phone = 'y' WHERE id = 1", state(db))
    assert (one(change).lost, one(change).added, one(change).columns) == (1, 1, ())


def test_without_a_key_new_columns_are_left_out_and_dropped_ones_told(db: Any) -> None:
    db.run(KEYLESS)
    before = state(db)
    assert changed(db, "ALTER TABLE users ADD uid serial PRIMARY KEY", before) == DataChange()
    assert column(changed(db, "ALTER TABLE users DROP uid, DROP phone", before)) == ColumnChange(
        column="phone", before=80
    )
    change = changed(db, "UPDATE users SET name = 'x' WHERE id = 1", before)
    assert [(each.column, each.changed, each.exact) for each in one(change).columns] == [
        ("name", 1, False),
        ("phone", 0, True),
    ]


# Partitions, inheritance


def test_a_partitioned_table_is_read_once_and_as_one(db: Any) -> None:
    db.run(
        """CREATE TABLE parts (id integer PRIMARY KEY, v text) PARTITION BY RANGE (id);
        CREATE TABLE low PARTITION OF parts FOR VALUES FROM (0) TO (50);
        CREATE TABLE high PARTITION OF parts FOR VALUES FROM (50) TO (101);
        INSERT INTO parts SELECT n, 'v' || n FROM generate_series(1, 100) n"""
    )
    before = state(db, wanted=[oid(db, "low")])
    assert before.reads == (Read(table="public.parts", rows=100),)
    split = """ALTER TABLE parts DETACH PARTITION high;
    CREATE TABLE top PARTITION OF parts FOR VALUES FROM (50) TO (101);
    INSERT INTO parts SELECT * FROM high; DROP TABLE high"""
    assert changed(db, split, before, wanted=[oid(db, "low")]) == DataChange()
    assert one(changed(db, "DROP TABLE low", before)).lost == 49


def test_a_table_that_became_a_partition_is_the_same_table(db: Any) -> None:
    db.run(USERS)
    before = state(db)
    sql = """ALTER TABLE users RENAME TO users_old;
    CREATE TABLE users (id integer PRIMARY KEY, name text, phone text) PARTITION BY RANGE (id);
    ALTER TABLE users ATTACH PARTITION users_old FOR VALUES FROM (0) TO (1000)"""
    assert changed(db, sql, before) == DataChange()
    assert one(changed(db, "DELETE FROM users WHERE id = 1", before)).became == "public.users_old"


def test_a_child_by_inheritance_is_a_table_of_its_own(db: Any) -> None:
    db.run(USERS + "CREATE TABLE child (PRIMARY KEY (id)) INHERITS (users); INSERT INTO child VALUES (1, 'x')")
    before = state(db)
    assert {each.table: each.rows for each in before.reads} == {"public.users": 100, "public.child": 1}
    assert [each.table for each in changed(db, "DELETE FROM child", before).tables] == ["public.child"]


@pytest.mark.parametrize("key", ["", "ALTER TABLE large ADD PRIMARY KEY (id);"])
def test_a_large_table_is_read_by_several_processes_and_alike(db: Any, key: str) -> None:
    db.run(f"""CREATE TABLE large AS SELECT n AS id, repeat(md5(n::text), 15) AS t, n * 1.5 AS v
        FROM generate_series(1, 40000) n; {key} ANALYZE large""")
    db.run("SET max_parallel_workers = 0")
    alone = state(db)
    db.run("RESET max_parallel_workers")
    (table,) = tables(listed(db.admin))
    columns = {column.name: reading(column) for column in table.columns}
    by = [columns["id"]] if key else list(columns.values())
    rest = [each for name, each in columns.items() if not (key and name == "id")]
    with db.admin.cursor() as cursor:
        settings = SETTINGS | {"max_parallel_workers_per_gather": "2"}
        local = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in settings.items())
        query = print_sql(table, rest, by=by, keyed=bool(key), mask=COARSE_MASK)
        cursor.execute(f"SELECT {local}; EXPLAIN {query}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Workers Planned" in plan
    together = state(db)
    assert together.prints.keys() == alone.prints.keys()
    assert not compare(alone, together)
    assert not compare(together, alone)
    assert changed(db, "UPDATE large SET v = v + 1 WHERE id = 20000", alone)


def test_what_several_processes_may_not_do_one_does_alone(db: Any) -> None:
    """A function of the project's that says of itself what is not so."""
    db.run("""CREATE TYPE pair AS (a int, b int);
        CREATE FUNCTION told(p pair) RETURNS text LANGUAGE plpgsql PARALLEL SAFE IMMUTABLE AS
          $$ BEGIN PERFORM set_config('told.last', p.a::text, true); RETURN p.a || ',' || p.b; END $$;
        CREATE CAST (pair AS text) WITH FUNCTION told(pair);
        CREATE TABLE large AS SELECT n AS id, ROW(n, n)::pair AS p, repeat('x', 300) AS t
          FROM generate_series(1, 40000) n;
        ALTER TABLE large ADD PRIMARY KEY (id); ANALYZE large""")
    try:
        before = state(db)
        assert [(each.how, each.rows) for each in before.reads if each.table == "public.large"] == [("full", 40000)]
        assert one(changed(db, "UPDATE large SET p.b = 0 WHERE id = 7", before)).table == "public.large"
    finally:
        db.run("DROP TABLE large; DROP TYPE pair CASCADE")


# Sequences and large objects


def test_sequences_that_stand_elsewhere_are_told(db: Any) -> None:
    db.run(
        """CREATE SEQUENCE used; SELECT setval('used', 7); CREATE SEQUENCE unused; CREATE SEQUENCE gone;
        CREATE SEQUENCE set START 10 INCREMENT 5; CREATE TABLE t (a serial, b integer GENERATED ALWAYS AS IDENTITY);
        INSERT INTO t DEFAULT VALUES"""
    )
    before = state(db, wanted=[])
    assert before.prints == {}
    assert changed(db, "", before) == DataChange()
    sql = """SELECT nextval('used'), nextval('unused'), setval('set', 40, false); DROP SEQUENCE gone;
    INSERT INTO t DEFAULT VALUES; ALTER SEQUENCE used RENAME TO "Used\""""
    assert changed(db, sql, before, wanted=[]).sequences == (
        SequenceChange(sequence="public.gone", gone=True),
        SequenceChange(sequence="public.set", before=5, after=35),
        SequenceChange(sequence="public.t_a_seq", before=1, after=2),
        SequenceChange(sequence="public.t_b_seq", before=1, after=2),
        SequenceChange(sequence="public.unused", after=1),
        SequenceChange(sequence="public.used", before=7, after=8),
    )


def test_large_objects_are_counted(db: Any) -> None:
    db.run("SELECT lo_create(90001), lo_create(90002)")
    before = state(db)
    try:
        assert changed(db, "SELECT lo_unlink(90001)", before).large_objects == (2, 1)
    finally:
        db.run("SELECT lo_unlink(90002)")


# What cannot be read


def test_a_table_that_may_not_be_read_is_said_and_left_out(db: Any) -> None:
    db.run(
        USERS + "CREATE TABLE secret (id integer PRIMARY KEY); CREATE TABLE hidden (id integer PRIMARY KEY);"
        "ALTER TABLE hidden ENABLE ROW LEVEL SECURITY; GRANT SELECT ON users, hidden TO app; CREATE SEQUENCE closed"
    )
    conn = db.connect("app")
    before = state(db, conn=conn)
    why = "this role may not read all of its rows"
    assert sorted(before.reads, key=lambda each: each.table) == [
        Read(table="public.hidden", how="not", why=why),
        Read(table="public.secret", how="not", why=why),
        Read(table="public.users", rows=100),
    ]
    db.run("DROP TABLE secret, hidden")
    assert compare(before, state(db, before, conn=conn)) == DataChange()
    conn.close()


def test_what_was_not_reached_in_time_is_said(db: Any) -> None:
    db.run(USERS + "CREATE SEQUENCE numbers")
    late = Deadline(0, what="reading")
    found = state(db, deadline=late)
    assert found.prints == {}
    assert {each.table: each.how for each in found.reads} == {"public.users": "not", "sequences": "not"}
    assert compare(state(db), found) == DataChange()


def test_a_scan_that_takes_too_long_is_cancelled_and_said(db: Any) -> None:
    db.run(
        """CREATE TYPE slow AS (a integer);
        CREATE FUNCTION slow(slow) RETURNS text LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(600); RETURN 1; END';
        CREATE CAST (slow AS text) WITH FUNCTION slow(slow);
        CREATE TABLE first (id integer PRIMARY KEY); INSERT INTO first VALUES (1);
        CREATE TABLE stuck (id integer PRIMARY KEY, v slow); INSERT INTO stuck VALUES (1, ROW(1))"""
    )
    found = state(db, deadline=Deadline(2, what="reading"))
    assert found.reads == (
        Read(table="public.first", rows=1),
        Read(table="public.stuck", how="not", why="the time for reading rows was over"),
    )


def test_small_tables_are_read_together_and_alike(db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A far database costs a round trip a query; what is large, or has more rows than it seems, is asked for alone."""
    for n in range(120):
        db.run(f"CREATE TABLE t{n} (id integer PRIMARY KEY, v text)")
        db.run(f"INSERT INTO t{n} SELECT i, nullif('v' || i, 'v3') FROM generate_series(1, {n % 7}) i")
    db.run("CREATE TABLE more (id integer PRIMARY KEY); INSERT INTO more SELECT generate_series(1, 2500)")
    db.run("CREATE TABLE large (v text); INSERT INTO large SELECT repeat('x', 1000) FROM generate_series(1, 2500)")
    db.run("CREATE SEQUENCE used START 5; SELECT nextval('used'); CREATE SEQUENCE unused START 7")
    asked, queries = fingerprint.asked, []
    for module in (fingerprint, fingerprint_asking, fingerprint_sequences):
        monkeypatch.setattr(module, "asked", lambda *args, **more: queries.append(args[1]) or asked(*args, **more))
    together = state(db)
    assert len(queries) == 13 + 2  # the sequences are one of the small ones, and 121 make 13 queries
    monkeypatch.setattr(fingerprint_asking, "_TOGETHER", 1)
    apart = state(db)
    assert len(queries) == 15 + 1 + 121 + 2
    assert together.prints == apart.prints
    assert together.sequences == apart.sequences
    assert [(each.name, each.last, each.called) for each in together.sequences or ()] == [
        ("public.used", 5, True),
        ("public.unused", 7, False),
    ]
    assert len({each.rows for each in together.prints.values()}) == 8
    assert compare(together, apart) == DataChange()


@pytest.mark.parametrize("tables", ["", "CREATE TABLE t AS SELECT 1 AS id"])
def test_a_sequence_that_was_dropped_meanwhile_is_none(db: Any, tables: str) -> None:
    db.run("CREATE SEQUENCE stays; CREATE SEQUENCE goes;" + tables)
    listing = listed(db.admin)
    db.run("DROP SEQUENCE goes")
    found = state(db, listing=listing)
    assert [each.name for each in found.sequences or ()] == ["public.stays"]
    assert "sequences" not in {each.table for each in found.reads}
    listing = listed(db.admin)
    db.run("DROP SEQUENCE stays")
    assert state(db, listing=listing).sequences == ()


def test_sequences_of_a_schema_that_is_not_to_be_used_are_said_and_nothing_else_is_held_up(
    db: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    db.run(
        """CREATE SCHEMA hidden; CREATE SEQUENCE hidden.s; CREATE SEQUENCE shown;
        CREATE TABLE a AS SELECT 1 AS id; CREATE TABLE b AS SELECT 1 AS id;
        GRANT SELECT ON a, b TO app; GRANT SELECT ON SEQUENCE hidden.s, shown TO app"""
    )
    asked, queries = fingerprint.asked, []
    for module in (fingerprint, fingerprint_asking, fingerprint_sequences):
        monkeypatch.setattr(module, "asked", lambda *args, **more: queries.append(args[1]) or asked(*args, **more))
    with contextlib.closing(db.connect("app")) as conn:
        found = state(db, conn=conn)
    assert found.sequences is None
    assert {each.table: each.how for each in found.reads} == {
        "sequences": "not", "public.a": "full", "public.b": "full",
    }  # fmt: skip
    assert len(queries) == 1
    assert compare(found, state(db)) == DataChange()


def test_a_locked_table_is_said_when_the_time_is_over(db: Any) -> None:
    db.run(USERS + "CREATE TABLE other (id integer)")
    holder = connect(db.url("postgres"), autocommit=False)
    with holder.cursor() as cursor:
        cursor.execute("LOCK TABLE users")
        conn = db.connect("postgres")
        with conn.cursor() as short:
            short.execute("SET lock_timeout = '100ms'")
        found = state(db, conn=conn, deadline=Deadline(1.5, what="reading"))
        conn.close()
    holder.close()
    assert {each.table: each.how for each in found.reads} == {"public.users": "not", "public.other": "full"}
    assert found.sequences == ()


def test_no_value_of_a_row_gets_into_a_reason(db: Any) -> None:
    db.run("CREATE TABLE t (id integer PRIMARY KEY, v integer); INSERT INTO t VALUES (1, 5)")
    before = state(db)
    db.run("ALTER TABLE t ALTER v TYPE text USING 'confidential'")
    after = state(db, before)
    assert "confidential" not in repr(compare(before, after)) + repr(after.reads)
    assert (
        column(compare(before, after)).note == "its type changed to text, from which not every value can be cast back"
    )


def test_a_lost_connection_is_an_error_and_not_an_empty_answer(db: Any) -> None:
    db.run(USERS)
    conn = db.connect("postgres")
    db.run(f"SELECT pg_terminate_backend({conn.info.backend_pid})")
    with pytest.raises(DatabaseError):
        state(db, conn=conn)


def test_the_connection_keeps_its_settings(db: Any) -> None:
    db.run(USERS)
    conn = db.connect("postgres")
    with conn.cursor() as cursor:
        cursor.execute("SET timezone = 'Asia/Tokyo'; SET datestyle = 'German'; SET statement_timeout = '77s'")
        cursor.execute("SELECT name, setting FROM pg_settings ORDER BY name")
        settings = cursor.fetchall()
        first = state(db, conn=conn)
        cursor.execute("SELECT name, setting FROM pg_settings ORDER BY name")
        assert cursor.fetchall() == settings
    conn.autocommit = False
    with pytest.raises(ValueError, match="autocommit"):
        state(db, conn=conn)
    conn.close()
    assert compare(first, state(db)) == DataChange()


def test_a_reader_of_snapshots_can_lend_its_connection(db: Any) -> None:
    db.run(USERS)
    conn = db.connect("postgres")
    reader = Reader(conn)
    snapshot = reader.snapshot()
    assert state(db, conn=conn).reads == (Read(table="public.users", rows=100),)
    assert reader.snapshot() is snapshot
    reader.close()


# Cost


def test_a_table_is_scanned_once_and_never_sorted(db: Any) -> None:
    db.run(MANY + "ANALYZE users; CREATE TABLE loose AS TABLE users; ANALYZE loose")
    for table in tables(listed(db.admin)):
        keyed = bool(table.key)
        columns = [reading(each) for each in table.columns if each.number not in table.key]
        by = [reading(each) for each in table.columns if not keyed or each.number in table.key]
        ways = [(EXACT_MASK, 1), (COARSE_MASK, 1)]
        for mask, one_in in [*ways, (COARSE_MASK, SAMPLED)] if keyed else ways:
            with db.admin.cursor() as cursor:
                sql = print_sql(table, columns, by=by, keyed=keyed, mask=mask, one_in=one_in)
                cursor.execute(f"SET enable_sort = off; EXPLAIN (FORMAT JSON) {sql}")
                ((plans,),) = cursor.fetchall()
                cursor.execute("RESET enable_sort")
            nodes = list(every(plans[0]["Plan"]))
            assert [node["Node Type"] for node in nodes if "Scan" in node["Node Type"] and "Relation Name" in node] == [
                "Seq Scan"
            ]
            assert "Sort" not in {node["Node Type"] for node in nodes}, json.dumps(plans)


def every(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from every(child)


def test_what_is_kept_of_a_table_does_not_grow_with_its_rows(db: Any) -> None:
    db.run(
        USERS.replace("1, 100", "1, 2000")
        + MANY.replace("users", "many")
        + KEYLESS.replace("users", "loose").replace("1, 100", "1, 9000")
    )
    kept = {each.table.name: (each.mask, len(each.groups), each.rows) for each in state(db).prints.values()}
    assert kept["public.users"] == (EXACT_MASK, 2000, 2000)
    assert kept["public.many"][0] == kept["public.loose"][0] == COARSE_MASK
    assert kept["public.many"][1] <= 1024
    assert kept["public.loose"][1] <= 1024


def test_numbers_are_exact_for_few_rows_whatever_was_estimated(db: Any) -> None:
    db.run(
        MANY + "ANALYZE users; DELETE FROM users WHERE id > 1000; CREATE TABLE few AS SELECT * FROM users LIMIT 5;"
        "ANALYZE few; INSERT INTO few SELECT n FROM generate_series(1, 4000) n"
    )
    found = {each.table.name: (each.exact, each.rows) for each in state(db).prints.values()}
    assert found == {"public.users": (True, 1000), "public.few": (False, 4005)}


def test_a_table_that_grew_is_compared_with_what_it_was(db: Any) -> None:
    db.run(USERS)
    before = state(db)
    db.run("INSERT INTO users SELECT n, 'x' FROM generate_series(1000, 5000) n")
    added = one(changed(db, "", before))
    assert (added.lost, added.added, added.exact, added.columns) == (0, 4001, False, ())
    db.run("DELETE FROM users WHERE id >= 1000; ANALYZE users")
    assert changed(db, "", before) == DataChange()


SAMPLE = "hashint4extended(0, id::int8 # 0) & -288230376151711744 = 0"


def test_of_a_large_table_the_same_rows_are_sampled_each_time(db: Any) -> None:
    # What counts as large is estimated by the statistics: to say that it is takes less time than to fill it.
    db.run(
        """CREATE TABLE big (id integer PRIMARY KEY, v integer);
        INSERT INTO big SELECT n, n FROM generate_series(1, 9000) n;
        CREATE TABLE loose AS TABLE big; CREATE TABLE few AS SELECT 1 AS one; ANALYZE big, loose, few;
        UPDATE pg_class SET reltuples = 200000, relpages = 900 WHERE relname IN ('big', 'loose')"""
    )
    before = state(db, how="sample")
    assert sorted(before.reads, key=lambda each: each.table) == [
        Read(table="public.big", how="sample", rows=9000, why="it has more than 100,000 rows: one in 64 was read"),
        Read(table="public.few", rows=1),
        Read(table="public.loose", how="count", rows=9000, why="it has more than 100,000 rows and no key"),
    ]
    (big,) = [each for each in before.prints.values() if each.how == "sample"]
    with db.admin.cursor() as cursor:
        cursor.execute(f"SELECT count(*), min(id) FROM big WHERE {SAMPLE}")
        count, sampled = cursor.fetchone()
    assert sum(big.counts) == count
    assert 9000 / 64 * 0.6 < count < 9000 / 64 * 1.4
    # Its statistics say now that it is small: it is read as it was, all the same.
    assert changed(db, "UPDATE big SET v = v; CLUSTER big USING big_pkey", before, how="sample") == DataChange()
    sql = f"UPDATE big SET v = NULL WHERE id = {sampled}; DELETE FROM loose WHERE id = 1"
    change = changed(db, sql, before, how="sample")
    assert [(each.table, each.lost, each.one_in, each.exact) for each in change.tables] == [
        ("public.big", 0, 64, False),
        ("public.loose", 1, 1, False),
    ]
    assert change.tables[0].columns == (
        ColumnChange(column="v", before=count, after=count - 1, changed=1, exact=False),
    )
    lost = changed(db, "UPDATE big SET v = id; DELETE FROM big WHERE id > 8000", before, how="sample").tables[0]
    assert lost.lost == lost.before - (lost.after or 0) == 1000


def test_a_dropped_table_in_between_is_said(db: Any) -> None:
    db.run(USERS + "CREATE TABLE other AS SELECT 1 AS one")

    class Dropping(Deadline):
        """Another session drops the larger table when the smaller one is begun."""

        def left(self) -> float:
            db.run("DROP TABLE IF EXISTS users")
            return super().left()

    conn = db.connect("postgres")
    found = state(db, conn=conn, deadline=Dropping(60, what="reading"))
    conn.close()
    assert Read(table="public.users", how="not", why="it was dropped meanwhile") in found.reads


@pytest.mark.parametrize("rows", [20, 5_000])
def test_nulls_that_were_filled_are_an_addition(db: Any, rows: int) -> None:
    db.run("CREATE TABLE t (id integer PRIMARY KEY, v text)")
    db.run(f"INSERT INTO t SELECT i, CASE WHEN i % 5 > 0 THEN 'v' || i END FROM generate_series(1, {rows}) i")
    before = state(db)
    db.run("UPDATE t SET v = 'new' || id WHERE v IS NULL")
    (table,) = compare(before, state(db, before)).tables
    (column,) = table.columns
    assert (column.changed, column.filled) == (0, rows // 5)


@pytest.mark.parametrize("rows", [20, 5_000])
def test_a_column_that_was_added_again_full_of_another_value_has_changed(db: Any, rows: int) -> None:
    db.run("CREATE TABLE t (id integer PRIMARY KEY, v text)")
    db.run(f"INSERT INTO t SELECT i, CASE WHEN i % 5 > 0 THEN 'v' || i END FROM generate_series(1, {rows}) i")
    before = state(db)
    db.run("ALTER TABLE t DROP v; ALTER TABLE t ADD v text NOT NULL DEFAULT ''")
    (table,) = compare(before, state(db, before)).tables
    (column,) = table.columns
    assert column.changed >= min(rows * 4 // 5, 900)


def test_json_that_was_jsonb_for_a_while_is_what_it_was(db: Any) -> None:
    db.run(
        """CREATE TABLE t (id integer PRIMARY KEY, v json); INSERT INTO t VALUES (1, '{"bb" :1, "a": [1 , 2.50]}')"""
    )
    before = state(db)
    db.run("ALTER TABLE t ALTER v TYPE jsonb USING v::jsonb")
    assert not compare(before, state(db, before))
    db.run("ALTER TABLE t ALTER v TYPE json USING v::json")
    assert not compare(before, state(db, before))
    db.run("""UPDATE t SET v = '{"bb": 1, "a": [1, 2.51]}'""")
    (table,) = compare(before, state(db, before)).tables
    assert [(each.column, each.changed) for each in table.columns] == [("v", 1)]


def test_json_that_jsonb_does_not_take_is_compared_as_it_is_written(db: Any) -> None:
    db.run(r"""CREATE TABLE t (id integer PRIMARY KEY, v json); INSERT INTO t VALUES (1, '"\u0000"'), (2, '1')""")
    before = state(db)
    assert [each.how for each in before.reads] == ["full"]
    assert not compare(before, state(db, before))
    db.run("UPDATE t SET v = '2' WHERE id = 2")
    (table,) = compare(before, state(db, before)).tables
    assert [(each.column, each.changed) for each in table.columns] == [("v", 1)]


@pytest.mark.parametrize(
    "assign", ["IF true THEN NULL; END IF; NEW.updated_at =", 'NEW."updated_at" :=', "new.updated_at="]
)
def test_a_column_that_a_trigger_sets_at_each_update_is_known(db: Any, assign: str) -> None:
    db.run(
        """CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN ASSIGN clock_timestamp(); IF NEW.email = '' OR NEW.at = 'x' THEN NULL; END IF; RETURN NEW; END $$;
        CREATE TABLE t (id integer PRIMARY KEY, email text, at text, updated_at timestamptz DEFAULT now(), n integer);
        CREATE TRIGGER touch BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touch();
        INSERT INTO t VALUES (1, 'a', 'b')""".replace("ASSIGN", assign)
    )
    before = state(db)
    db.run("UPDATE t SET at = 'c'")
    (table,) = compare(before, state(db, before)).tables
    assert {each.column: each.stamped for each in table.columns} == {"at": False, "updated_at": True}
    db.run("ALTER TABLE t DISABLE TRIGGER touch")
    assert not any(each.stamped for table in tables(listed(db.admin)) for each in table.columns)
