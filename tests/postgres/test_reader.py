"""What a reader promises: one object while nothing changes, every change seen, nobody else's business told."""

from __future__ import annotations

import contextlib
import re
import subprocess
import threading
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg2.errors
import pytest

from neontest.errors import DatabaseError
from neontest.postgres.asked import FAR, Asked
from neontest.postgres.catalog import rows_sql
from neontest.postgres.connect import connect
from neontest.postgres.diff import diff
from neontest.postgres.model import Snapshot
from neontest.postgres.probe import MOMENT, probe_sql
from neontest.postgres.snapshot import Reader, snapshot
from neontest.postgres.versions import version_tables


def lines(before: Any, after: Any) -> list[str]:
    return [difference.line() for difference in diff(before, after)]


def same_as_anew(database: Any, change: str = "") -> None:
    """After the change, the reader that has seen what was there before tells what one tells that has not."""
    before, _, _ = database.reader.snapshot(), database.counting.snapshot(), database.distant.snapshot()
    known = database.told(change)
    found, counted, anew = database.reader.snapshot(), database.counting.snapshot(known), database.anew()
    distant = database.distant.snapshot(known)
    assert found == anew, (change, lines(anew, found))
    assert counted == anew, (change, lines(anew, counted))
    assert distant == anew, (change, lines(anew, distant))
    # What was read anew tells as much as everything does.
    assert lines(before, found) == lines(before, anew)


@pytest.mark.parametrize("version", [140000, 150000, 160000, 170000, 180000])
def test_the_probe_covers_every_catalog_that_the_rows_come_from(version: int) -> None:
    read = set(re.findall(r"(?:FROM|JOIN)\s+(pg_[a-z_]+)\b(?!\()", rows_sql(version)))
    probed = set(re.findall(r"FROM (pg_[a-z_]+)\b", probe_sql(version)))
    assert read - probed == {"pg_aggregate", "pg_attrdef"}  # whose rows never change alone
    # What only deparsing functions read.
    assert {"pg_partitioned_table", "pg_enum", "pg_opclass", "pg_roles"} <= probed


def test_the_same_object_comes_back_while_nothing_changes(database: Any) -> None:
    database.run("CREATE TABLE t (id serial); INSERT INTO t DEFAULT VALUES")
    first = database.reader.snapshot()
    database.run("INSERT INTO t DEFAULT VALUES; SELECT nextval('t_id_seq'); DELETE FROM t; TRUNCATE t")
    database.run("ANALYZE t")
    database.run("VACUUM t")
    assert lines(first, database.reader.snapshot()) == []
    assert database.reader.snapshot() is database.reader.snapshot()


OTHERS = """
CREATE TABLE a (id serial PRIMARY KEY, x integer, y integer CONSTRAINT known UNIQUE);
CREATE TABLE b (id integer DEFAULT nextval('a_id_seq'), a integer REFERENCES a, of a, many a[]);
CREATE TABLE c (z integer) INHERITS (a);
CREATE TABLE d (id integer, a a) PARTITION BY LIST (id);
CREATE TABLE d1 PARTITION OF d FOR VALUES IN (1); CREATE INDEX top ON d (id);
CREATE VIEW v AS SELECT * FROM a JOIN b USING (id); CREATE VIEW w AS SELECT id, x FROM v;
CREATE MATERIALIZED VIEW m AS SELECT x FROM a; CREATE INDEX ON m (x);
CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE CONSTRAINT TRIGGER t AFTER INSERT ON b FROM a FOR EACH ROW EXECUTE FUNCTION g();
CREATE RULE r AS ON INSERT TO m2 DO ALSO INSERT INTO a (y) VALUES (1) ON CONFLICT ON CONSTRAINT known DO NOTHING;
CREATE POLICY p ON b USING (EXISTS (SELECT FROM a WHERE a.x = b.id));
CREATE STATISTICS s ON x, y FROM a;
CREATE TYPE mood AS ENUM ('sad'); CREATE DOMAIN feeling AS mood CONSTRAINT felt CHECK (VALUE <> 'sad');
CREATE TABLE e (id integer, one mood DEFAULT 'sad', many feeling[], CHECK (one = 'sad'::mood));
CREATE VIEW u AS SELECT id FROM e WHERE one = 'sad';
COMMENT ON COLUMN a.x IS 'x'; COMMENT ON INDEX known IS 'k'; COMMENT ON POLICY p ON b IS 'p';
""".replace("CREATE RULE", "CREATE TABLE m2 (); CREATE RULE")
NO_RELATIONS = """
CREATE FUNCTION f(one a) RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM a; END;
CREATE DOMAIN known_a AS a; CREATE PUBLICATION published FOR TABLE a
"""
CHANGES = """
ALTER TABLE a RENAME TO a2
ALTER TABLE a2 RENAME x TO x2
ALTER TABLE a2 RENAME CONSTRAINT known TO known2
ALTER TABLE a2 ADD more bigint
ALTER SEQUENCE a_id_seq RENAME TO numbers
ALTER INDEX top RENAME TO top2
ALTER VIEW v RENAME TO v2
ALTER VIEW v2 RENAME x TO x3
CREATE SCHEMA other; ALTER TABLE a2 SET SCHEMA other
DROP INDEX top2
ALTER TABLE d DETACH PARTITION d1
DROP TABLE d
COMMENT ON INDEX other.known2 IS NULL; COMMENT ON COLUMN other.a2.x2 IS 'y'
ALTER TABLE b RENAME TO other_b; CREATE TABLE b (id integer)
ALTER TABLE b RENAME TO b3; ALTER TABLE other_b RENAME TO b; ALTER TABLE b3 RENAME TO other_b
ALTER TYPE mood RENAME TO mood2
ALTER TYPE mood2 RENAME VALUE 'sad' TO 'so sad'
ALTER TYPE mood2 ADD VALUE 'glad'
ALTER DOMAIN feeling RENAME CONSTRAINT felt TO felt2
ALTER DOMAIN feeling SET DEFAULT 'glad'; GRANT USAGE ON TYPE mood2 TO PUBLIC
ALTER DOMAIN feeling RENAME TO feeling2; COMMENT ON TYPE mood2 IS 'm'; COMMENT ON TYPE feeling2 IS 'f'
COMMENT ON CONSTRAINT felt2 ON DOMAIN feeling2 IS 'c'
CREATE TYPE e_mood AS ENUM ('sad'); ALTER TABLE e ADD two e_mood
ALTER TABLE e DROP two; DROP TYPE e_mood; ALTER DOMAIN feeling2 DROP CONSTRAINT felt2
ALTER TYPE mood2 SET SCHEMA other; COMMENT ON TYPE other.mood2 IS NULL
DROP TYPE other.mood2 CASCADE
COMMENT ON SCHEMA public IS 'mine'
ALTER TABLE b DISABLE TRIGGER t; ALTER TABLE b SET (toast.autovacuum_enabled = off)
ALTER TABLE b RESET (toast.autovacuum_enabled)
ALTER TABLE e ALTER id SET DEFAULT 1
ALTER TABLE e ALTER id SET DEFAULT 2
ALTER TABLE e ALTER id DROP DEFAULT
ALTER TABLE e ADD twice integer GENERATED ALWAYS AS (id * 2) STORED
ALTER TABLE e ALTER twice DROP EXPRESSION
ALTER SEQUENCE other.numbers OWNED BY NONE
ALTER SEQUENCE other.numbers OWNED BY other.a2.more
ALTER SEQUENCE other.numbers OWNED BY other.a2.id
DROP TABLE other.a2 CASCADE
""".strip().splitlines()


@pytest.mark.parametrize("summed", [False, True], ids=["small", "large"])
@pytest.mark.parametrize("more", ["", NO_RELATIONS], ids=["relations", "others"])
def test_what_names_something_else_is_read_again_when_that_changes(
    database: Any, more: str, summed: bool, request: pytest.FixtureRequest
) -> None:
    if summed:
        request.getfixturevalue("large")
    database.run(OTHERS + more)
    database.reader.snapshot()
    for change in CHANGES:
        same_as_anew(database, change)


HOLDING = """
CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE DOMAIN feeling AS mood; CREATE DOMAIN moods AS mood[];
CREATE TYPE felt AS (one mood, many feeling[]); CREATE TYPE outside AS (inside felt);
CREATE TABLE t (a feeling[] DEFAULT '{sad}', b felt DEFAULT '(sad,{glad})', c outside DEFAULT '("(sad,{glad})")');
CREATE TABLE u (t t DEFAULT '({sad},,)', m moods DEFAULT '{glad}');
CREATE TABLE p (k feeling) PARTITION BY LIST (k); CREATE TABLE p1 PARTITION OF p FOR VALUES IN ('sad');
CREATE TABLE q (k integer) PARTITION BY LIST ((CASE WHEN k > 0 THEN 'sad'::mood ELSE 'glad'::mood END));
CREATE TABLE q1 PARTITION OF q FOR VALUES IN ('sad');
"""


def test_a_constant_is_read_again_when_a_type_deep_in_its_own_changes(database: Any) -> None:
    database.run(HOLDING)
    database.reader.snapshot()
    database.reader._whole = None  # nobody may
    for change in (
        "ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'",
        "ALTER TYPE mood RENAME VALUE 'glad' TO 'happy'",
        "ALTER TYPE mood RENAME TO mood2",
        "ALTER DOMAIN feeling RENAME TO feeling2",
        "ALTER TYPE felt RENAME TO felt2",
    ):
        same_as_anew(database, change)


def test_a_table_is_read_without_the_others(database: Any) -> None:
    database.run("CREATE TABLE a (id integer); CREATE TABLE b (id integer)")
    first = database.reader.snapshot()
    database.reader._whole = None  # nobody may
    database.run("ALTER TABLE a ADD CHECK (id > 0); CREATE INDEX ON a (id); CREATE TABLE c (id serial)")
    second = database.reader.snapshot()
    assert len(lines(first, second)) == 3
    database.run("CREATE TYPE mood AS ENUM ('sad'); ALTER TABLE a ADD e mood")
    assert len(lines(second, database.reader.snapshot())) == 2
    database.run("ALTER TYPE mood ADD VALUE 'glad'")
    database.run("ALTER TABLE a DROP e; DROP TYPE mood; CREATE DOMAIN d AS integer CHECK (VALUE > 0)")
    assert lines(second, database.reader.snapshot()) == ["domain d: added"]


OTHER_TABLES = "; ".join(f"CREATE TABLE other{n} (id integer)" for n in range(120))
"""More than are asked for one by one."""


@contextlib.contextmanager
def asked(reader: Reader) -> Iterator[list[str]]:
    """Names of the queries that are sent."""
    sent: list[str] = []
    rows = reader._prepared.rows

    def noted(cursor: Any, key: str, *more: Any, **named: Any) -> Any:
        sent.append(key)
        return rows(cursor, key, *more, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader._prepared, "rows", noted)
        yield sent


def numbers_are_the_probes(database: Any) -> None:
    with database.reader._conn.cursor() as cursor:
        cursor.execute(probe_sql(database.reader._conn.server_version))
        probed = {oid: int(digest) for oid, digest, _ in cursor.fetchall() if oid != MOMENT}
    assert database.reader._changes.state == probed


@pytest.mark.usefixtures("large")
def test_in_a_large_schema_only_what_was_written_and_what_is_undone_is_asked_for(database: Any) -> None:
    database.run("CREATE TABLE a (id serial PRIMARY KEY, b text)")
    holder = database.connect("postgres")
    holder.cursor().execute("BEGIN; SELECT pg_current_xact_id()")  # is open all the time
    database.run(OTHER_TABLES)
    first = database.reader.snapshot()
    for step, back in (
        ("ALTER TABLE a ADD c integer", "ALTER TABLE a DROP c"),
        ("CREATE INDEX i ON a (b)", "DROP INDEX i"),
        ("CREATE TABLE new (a integer REFERENCES a, t text, s serial)", "DROP TABLE new"),
        ("CREATE TYPE mood AS ENUM ('sad'); ALTER TABLE a ADD e mood", "ALTER TABLE a DROP e; DROP TYPE mood"),
        ("ALTER TABLE a ADD CONSTRAINT u UNIQUE (b), ALTER b SET NOT NULL", "ALTER TABLE a DROP CONSTRAINT u"),
        ("ALTER TABLE a ALTER b DROP NOT NULL; COMMENT ON COLUMN a.b IS 'x'", "COMMENT ON COLUMN a.b IS NULL"),
        ("CREATE DOMAIN d AS text CHECK (VALUE <> '')", "DROP DOMAIN d"),
        (
            "CREATE FUNCTION f() RETURNS integer LANGUAGE sql RETURN 1; ALTER TABLE a DROP b",
            "DROP FUNCTION f; ALTER TABLE a ADD b text",
        ),
        ("CREATE VIEW v AS SELECT id FROM a", "DROP VIEW v"),
        ("INSERT INTO a (b) VALUES ('x')", "DELETE FROM a"),
    ):
        for change in (step, back, step, back):
            with asked(database.reader) as sent:
                same_as_anew(database, change)
            assert sent
            assert "probe" not in sent
            numbers_are_the_probes(database)
    assert lines(first, database.reader.snapshot()) == []
    assert database.reader.snapshot() is database.reader.snapshot()
    assert database.reader._sure
    holder.close()


UNDONE = (
    ("ALTER TABLE a ADD c integer", "ALTER TABLE a DROP c"),
    ("CREATE INDEX i ON a (b)", "DROP INDEX i"),
    ("CREATE TABLE new (a integer REFERENCES a, t text, s serial)", "DROP TABLE new"),
    ("CREATE TYPE mood AS ENUM ('sad')", "DROP TYPE mood"),
    ("ALTER TABLE a ADD CONSTRAINT u UNIQUE (b)", "ALTER TABLE a DROP CONSTRAINT u"),
    ("COMMENT ON COLUMN a.b IS 'x'", "COMMENT ON COLUMN a.b IS NULL"),
    ("INSERT INTO a (b) VALUES ('x')", "DELETE FROM a"),
)


def undoing(database: Any) -> list[str]:
    """What a distant reader asks while that is done and undone, of one schema with another table."""
    database.run(
        "CREATE TABLE a (id serial PRIMARY KEY, b text); CREATE TYPE first AS ENUM ();COMMENT ON TYPE first IS 'x'"
    )
    database.distant.snapshot()
    for warm in ("CREATE TABLE warm ()", "DROP TABLE warm"):
        database.distant.snapshot(database.told(warm))
    with asked(database.distant) as sent:
        for step in (each for pair in UNDONE for each in pair):
            assert database.distant.snapshot(database.told(step)) == database.anew(), step
    return sent


def test_from_far_away_what_has_changed_is_read_with_what_says_so(database: Any) -> None:
    assert undoing(database) == ["since, rows 56"] * len(UNDONE) * 2


@pytest.mark.usefixtures("large")
def test_so_it_is_of_a_large_schema_whose_changes_are_known(database: Any) -> None:
    if database.server.major < 15:
        pytest.skip("nobody counts there")
    assert undoing(database) == ["changes, rows 56"] * len(UNDONE) * 2


def test_what_nobody_expected_and_what_is_of_a_new_kind_is_asked_for(database: Any) -> None:
    database.run(
        "CREATE TABLE a (id int, b text); "
        "CREATE TABLE c (id int CONSTRAINT positive CHECK (id > 0));"
        "CREATE INDEX c_id ON c (id); CREATE INDEX c_too ON c (id)"
    )
    for _ in range(2):
        database.distant.snapshot()
        database.run("CREATE TABLE other ()")
        database.distant.snapshot()
        database.run("DROP TABLE other")
    for change, asks in (
        # Its rows are gone, and nothing was written.
        ("DROP INDEX c_id", ["since, rows 0", "some 0"]),
        ("ALTER TABLE c DROP CONSTRAINT positive; CREATE TABLE fresh ()", ["since, rows 0"]),
        ("CREATE VIEW v AS SELECT 1 AS one", ["since, rows 0", "some 1"]),
        ("ALTER TABLE a SET (fillfactor = 50)", ["since, rows 1", "some 5"]),
        ("CREATE SEQUENCE s", ["since, rows 5", "some 21"]),
        ("COMMENT ON SCHEMA public IS 'x'", ["since, rows 21", "everything 21"]),
        ("CREATE TYPE mood AS ENUM ('sad')", ["since, rows 21", "some 29"]),
        ("COMMENT ON TABLE a IS 'x'", ["since, rows 29", "some 37"]),
        ("CREATE INDEX ON a (b)", ["since, rows 61"]),
        ("DROP INDEX c_too; ALTER TABLE fresh ADD x int", ["since, rows 61", "some 37"]),
        (OTHER_TABLES, ["since, rows 61", "everything 61"]),
        ("; ".join(f"ALTER TABLE other{n} ADD x int" for n in range(16)), ["since, rows 61"]),
        ("; ".join(f"ALTER TABLE other{n} ADD y int" for n in range(17)), ["since, rows 61", "some 37"]),
    ):
        database.run(change)
        with asked(database.distant) as sent:
            assert database.distant.snapshot() == database.anew(), change
        assert sent == asks, change


def test_a_sequence_is_read_again_only_where_its_own_column_is_called_otherwise(database: Any) -> None:
    database.run("CREATE TABLE a (id serial, b int, c int); CREATE SCHEMA other")
    database.reader.snapshot()
    others = ["probe", "some 0", "others"]
    for change, asks in (
        ("ALTER TABLE a RENAME b TO d", others),
        ("ALTER TABLE a RENAME id TO key", [*others, "some 16"]),
        ("ALTER TABLE a RENAME key TO k; ALTER TABLE a RENAME c TO key", [*others, "some 16"]),
        ("ALTER TABLE a RENAME d TO b", others),
        ("ALTER SEQUENCE a_id_seq OWNED BY a.b; ALTER TABLE a RENAME k TO id", ["probe", "some 16", "others"]),
        ("ALTER TABLE a RENAME TO aa", [*others, "some 16"]),
        ("ALTER TABLE aa RENAME b TO bb; CREATE TABLE a (b int)", [*others, "some 16"]),
        ('ALTER TABLE aa RENAME bb TO "B.b"', [*others, "some 16"]),
        ("ALTER TABLE aa RENAME id TO c", others),
    ):
        database.run(change)
        with asked(database.reader) as sent:
            assert database.reader.snapshot() == database.anew(), change
        assert sent == asks, change


def test_a_function_names_columns_where_nothing_is_rare(database: Any) -> None:
    database.run(
        "CREATE TABLE a (id int); CREATE TABLE b (id int, w int); CREATE TABLE c (w int); CREATE FUNCTION f()"
        " RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM a JOIN b USING (id) JOIN c USING (w); END"
    )
    same_as_anew(database, "ALTER TABLE a ADD w int")


@pytest.mark.parametrize(("seconds", "asks"), [(0.0, ["since, rows 0"]), (60.0, ["probe", "some 0"])])
def test_whether_it_is_far_away_is_what_answers_take(
    database: Any, monkeypatch: pytest.MonkeyPatch, seconds: float, asks: list[str]
) -> None:
    """The fastest answer of three says it, and those for which something was planned do not count."""
    monkeypatch.setattr("neontest.postgres.asked.FAR", seconds)
    database.run("CREATE TABLE a (id int)")
    reader = Reader(database.connect("neondb_owner"))
    with asked(reader) as sent:
        for _ in range(4):
            reader.snapshot()
    assert sent == ["probe", "everything 0", "probe", "probe", "probe"]
    database.run("ALTER TABLE a ADD b int")
    with asked(reader) as sent:
        assert reader.snapshot() == database.anew()
    assert sent == asks
    reader.close()


def test_one_fast_answer_says_that_it_is_near(monkeypatch: pytest.MonkeyPatch) -> None:
    class Cursor:
        seconds = FAR
        clock = 0.0

        def execute(self, _: str) -> None:
            self.clock += self.seconds

        def fetchall(self) -> list[None]:
            return []

    answers, cursor = Asked(), Cursor()
    monkeypatch.setattr("neontest.postgres.asked.time", SimpleNamespace(perf_counter=lambda: cursor.clock))
    for expected in (False, False, False, True, True):
        answers.rows(cursor, "one", "SELECT 1")
        assert answers.far is expected
    cursor.seconds = 0
    answers.rows(cursor, "two", "SELECT 2")
    assert answers.far  # it was planned
    answers.rows(cursor, "two", "SELECT 2")
    assert not answers.far
    cursor.seconds = FAR
    answers.rows(cursor, "two", "SELECT 2")
    assert not answers.far


def test_after_a_failure_everything_is_read_and_nothing_before(database: Any) -> None:
    database.distant.snapshot()
    database.run("CREATE TABLE a (id int)")
    database.distant._last = None
    with asked(database.distant) as sent:
        assert database.distant.snapshot() == database.anew()
    assert sent == ["probe", "everything 0"]


def test_a_comment_on_a_schema_of_postgres_s_own_that_was_renamed_is_seen(database: Any) -> None:
    database.run("ALTER SCHEMA information_schema RENAME TO mine")
    with contextlib.closing(Reader(database.connect("neondb_owner"))) as reader:
        for schema in ("mine", "public"):
            before = reader.snapshot()
            database.run(f"COMMENT ON SCHEMA {schema} IS 'x'")
            after = reader.snapshot()
            assert [line for line in lines(before, after) if line.startswith(f"schema {schema}: comment")]
            assert after == database.anew()
    database.run("ALTER SCHEMA mine RENAME TO information_schema")


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("change", ["REINDEX TABLE CONCURRENTLY t", "ALTER TABLE t ADD c{n} text"])
def test_a_toast_table_is_its_tables_and_what_is_called_like_one_is_not(database: Any, change: str) -> None:
    database.run("CREATE TABLE t (id integer, x text); CREATE TABLE other (id integer)")
    database.run("DO $$BEGIN EXECUTE format('CREATE TABLE pg_toast_%s (id integer)', 't'::regclass::oid); END$$")
    for n in range(4):
        database.reader.snapshot()
        database.run(change.format(n=n))
        same = database.reader.snapshot()
        numbers_are_the_probes(database)
        assert database.reader.snapshot() is same


@pytest.mark.usefixtures("large")
def test_what_leaves_only_another_sum_is_found_by_the_probe(database: Any) -> None:
    database.run("CREATE TABLE a (id integer); CREATE TABLE b (id serial); CREATE TABLE c (id integer)")
    first = database.reader.snapshot()
    same_as_anew(database, "ALTER TABLE c ADD more text")
    database.run("DROP TABLE b; ALTER TABLE a ADD more text")
    assert lines(first, database.reader.snapshot()) == [
        "table b: removed",
        "column a.more: added",
        "column c.more: added",
    ]
    for many in (OTHER_TABLES, OTHER_TABLES.replace("CREATE", "DROP").replace("(id integer)", "")):
        same_as_anew(database, many)
        numbers_are_the_probes(database)


NAMES = """
CREATE TABLE a (id integer PRIMARY KEY, x integer, y integer, z integer CONSTRAINT known UNIQUE);
CREATE TABLE b (id integer REFERENCES a, w text); CREATE TABLE c (w text, v integer); CREATE TABLE lone (x integer);
CREATE VIEW joined AS SELECT a.x, b.w, c.v FROM a JOIN b USING (id) JOIN c USING (w);
CREATE TABLE rows (a a DEFAULT '(1,2,3,4)', many a[]); CREATE TABLE rules (i integer);
CREATE RULE r AS ON INSERT TO rules DO ALSO INSERT INTO a (z) VALUES (1) ON CONFLICT ON CONSTRAINT known DO NOTHING;
CREATE FUNCTION f() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM a JOIN b USING (id); END;
CREATE SCHEMA hidden; CREATE TABLE hidden.d (id integer PRIMARY KEY); CREATE TABLE e (d integer REFERENCES hidden.d)
"""


@pytest.mark.parametrize(
    ("change", "all_of_it"),
    [
        ("ALTER TABLE a RENAME id TO old; ALTER TABLE a ADD id integer", True),
        ("ALTER TABLE a RENAME x TO t; ALTER TABLE a RENAME y TO x; ALTER TABLE a RENAME t TO y", True),
        ("ALTER TABLE a RENAME CONSTRAINT known TO former; ALTER TABLE a ADD CONSTRAINT known UNIQUE (z)", True),
        ("ALTER TABLE a RENAME TO t; ALTER TABLE lone RENAME TO a; ALTER TABLE t RENAME TO lone", True),
        ("ALTER TABLE a ADD w text", True),
        ("ALTER TABLE a ADD more text", True),
        ("ALTER TABLE b ADD v integer", True),
        ("ALTER TABLE lone RENAME x TO y", True),
        ("ALTER TABLE b SET SCHEMA hidden", True),
        ("ALTER TABLE hidden.d SET SCHEMA public", True),
        ("ALTER TABLE lone ALTER x TYPE bigint", True),
        ("ALTER TABLE lone ADD more text", False),
        ("ALTER TABLE lone DROP x; ALTER TABLE lone ADD x text", False),
        ("ALTER TABLE lone ADD UNIQUE (x); ALTER TABLE lone ALTER x SET DEFAULT 1", False),
        ("ALTER TABLE a ALTER x SET NOT NULL, ADD CHECK (x > 0); CREATE INDEX ON a (x, y)", False),
        ("CREATE TABLE fresh (id serial PRIMARY KEY, a integer REFERENCES a)", False),
        ("DROP TABLE lone", False),
        ("DROP VIEW joined", False),
    ],
)
def test_others_are_read_again_where_their_words_can_have_changed(database: Any, change: str, all_of_it: bool) -> None:
    database.run(NAMES.replace("hidden", "neon"))
    database.reader.snapshot()
    same_as_anew(database, change.replace("hidden", "neon"))
    assert ("others" in database.reader._prepared._names) is all_of_it
    same_as_anew(database, "ALTER TABLE c ADD last integer; ALTER TABLE c RENAME w TO w2")


HIDDEN = """
CREATE SCHEMA neon; CREATE TABLE neon.d (id integer PRIMARY KEY); CREATE TYPE neon.mood AS ENUM ('sad');
CREATE TABLE versions (version_num integer PRIMARY KEY); CREATE SEQUENCE neon.numbers;
CREATE TABLE t (d integer DEFAULT nextval('neon.numbers') REFERENCES neon.d, v integer REFERENCES versions,
  m neon.mood DEFAULT 'sad');
CREATE VIEW v AS SELECT version_num FROM versions JOIN neon.d ON d.id = version_num
"""


def test_what_is_not_read_itself_is_named_by_what_is(database: Any) -> None:
    database.run(HIDDEN)
    database.reader.snapshot()
    for change in (
        "ALTER TABLE neon.d RENAME TO d2",
        "ALTER TABLE versions RENAME TO versions2",
        "ALTER SEQUENCE neon.numbers RENAME TO numbers2",
        "ALTER TYPE neon.mood RENAME TO mood2",
        "ALTER TYPE neon.mood2 RENAME VALUE 'sad' TO 'blue'",
        "ALTER TABLE neon.d2 SET SCHEMA public",
        "ALTER TABLE versions2 ADD more integer",
        "ALTER TABLE versions2 RENAME TO versions3; ALTER TABLE versions3 DROP more",
        "ALTER TABLE versions3 RENAME version_num TO number",
    ):
        same_as_anew(database, change)


RENAMED = "ALTER TABLE b RENAME TO b2"


def disturbed(database: Any, monkeypatch: pytest.MonkeyPatch, during: str, other: str = RENAMED) -> None:
    """Take a snapshot after a change, while another session does something; `c` names `b`."""
    database.run("CREATE TABLE a (x integer PRIMARY KEY); CREATE TABLE b (x integer PRIMARY KEY REFERENCES a)")
    database.run("CREATE TABLE c (x integer REFERENCES b)")
    database.reader.snapshot()
    asked, done = database.reader._prepared.rows, []

    def asking(cursor: Any, name: str, *more: Any, **values: Any) -> Any:
        if name == during and not done:
            done.append(name)
            database.run(other)
        return asked(cursor, name, *more, **values)

    database.run("ALTER TABLE a RENAME TO a2")
    monkeypatch.setattr(database.reader._prepared, "rows", asking)
    database.reader.snapshot()
    assert done == [during]
    monkeypatch.undo()


@pytest.mark.parametrize("during", ["some 0", "others"])
def test_a_renaming_in_the_middle_of_reading_is_told_where_others_name_it(
    database: Any, monkeypatch: pytest.MonkeyPatch, during: str
) -> None:
    """What is read last then has its new name already when the next probe finds it changed."""
    disturbed(database, monkeypatch, during)
    same_as_anew(database)


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("other", [RENAMED, "ALTER TABLE a2 RENAME TO a3", "DROP TABLE b CASCADE"])
def test_what_is_committed_between_the_sum_and_the_reading_is_told_later_at_most(
    database: Any, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    disturbed(database, monkeypatch, "some 0", other)
    same_as_anew(database)


def test_it_is_told_though_the_next_reading_fails_at_first(database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    disturbed(database, monkeypatch, "others")
    asked, failed = database.reader._prepared.rows, []

    def failing(cursor: Any, name: str, *more: Any, **values: Any) -> Any:
        if not failed:
            failed.append(name)
            raise psycopg2.errors.UndefinedTable("gone meanwhile")
        return asked(cursor, name, *more, **values)

    monkeypatch.setattr(database.reader._prepared, "rows", failing)
    same_as_anew(database)
    assert failed


@pytest.mark.usefixtures("large")
def test_how_a_few_relations_are_looked_for_is_how_nothing_else_is(database: Any) -> None:
    """Whole tables are read over the same connection."""
    database.run("CREATE TABLE a (x integer PRIMARY KEY); CREATE TABLE b (x integer PRIMARY KEY REFERENCES a)")
    database.reader.snapshot()
    database.run("ALTER TABLE a RENAME TO a2")
    database.reader.snapshot()
    with database.reader._conn.cursor() as cursor:
        cursor.execute("SELECT name, setting FROM pg_settings WHERE name ~ '^enable_(hashjoin|mergejoin|seqscan)$'")
        assert dict(cursor.fetchall()) == dict.fromkeys(("enable_hashjoin", "enable_mergejoin", "enable_seqscan"), "on")
        cursor.execute(f"EXPLAIN (COSTS off) EXECUTE {database.reader._prepared._names['some 0']}('{{1}}')")
        planned = "\n".join(str(line) for (line,) in cursor.fetchall())
        assert "Seq Scan on pg_index" not in planned
        assert "Hash Join" not in planned


def test_a_rolled_back_change_is_none(database: Any) -> None:
    first = database.reader.snapshot()
    database.run("BEGIN; CREATE TABLE t (id integer); ROLLBACK")
    assert database.reader.snapshot() == first


def test_a_column_that_goes_and_comes_back_last_is_no_difference(database: Any) -> None:
    database.run("CREATE TABLE t (a integer, b text DEFAULT 'x' NOT NULL)")
    first = database.reader.snapshot()
    database.run("ALTER TABLE t DROP COLUMN b; ALTER TABLE t ADD COLUMN b text DEFAULT 'x' NOT NULL")
    assert database.reader.snapshot() == first


def test_a_not_null_that_goes_and_comes_back_after_a_rename_is_no_difference(database: Any) -> None:
    database.run("CREATE TABLE t (a integer NOT NULL); ALTER TABLE t RENAME a TO b")
    first = database.reader.snapshot()
    database.run("ALTER TABLE t ALTER b DROP NOT NULL")
    assert lines(first, database.reader.snapshot()) == ["column t.b: no longer not null"]
    database.run("ALTER TABLE t ALTER b SET NOT NULL")
    assert lines(first, database.reader.snapshot()) == []


def test_the_renaming_of_a_role_is_seen(database: Any, server: Any) -> None:
    server.run("CREATE ROLE early")
    try:
        database.run("CREATE TABLE t (a integer); GRANT SELECT ON t TO early")
        first = database.reader.snapshot()
        server.run("ALTER ROLE early RENAME TO late")
        assert lines(first, database.reader.snapshot()) == [
            "grant on table t to early: SELECT → none",
            "grant on table t to late: none → SELECT",
        ]
    finally:
        database.run("DROP TABLE t")
        server.run("DROP ROLE IF EXISTS early; DROP ROLE IF EXISTS late")


def test_what_extensions_own_is_left_out(database: Any) -> None:
    first = database.reader.snapshot()
    database.run("CREATE EXTENSION hstore")
    assert lines(first, database.reader.snapshot()) == ["extension hstore: added"]


def test_version_tables_are_left_out_and_told_apart(database: Any) -> None:
    first = database.reader.snapshot()
    database.run(
        """CREATE TABLE alembic_version (version_num varchar(32) CONSTRAINT alembic_version_pkc PRIMARY KEY);
        CREATE SCHEMA "Odd"; CREATE TABLE "Odd"."v 2" (gone integer, version_num varchar(32));
        ALTER TABLE "Odd"."v 2" DROP COLUMN gone; INSERT INTO "Odd"."v 2" VALUES ('b'), ('a');
        GRANT USAGE ON SCHEMA "Odd" TO PUBLIC; GRANT SELECT ON "Odd"."v 2", alembic_version TO PUBLIC"""
    )
    changes = lines(first, database.reader.snapshot())
    assert changes == ['schema "Odd": added']
    found = version_tables(database.connect("neondb_owner"))
    assert found == (('"Odd"."v 2"', ("a", "b")), ("public.alembic_version", ()))


def test_another_sessions_temporary_table_is_not_told(database: Any) -> None:
    first = database.reader.snapshot()
    database.run("CREATE TEMPORARY TABLE t (a serial PRIMARY KEY)")
    assert lines(first, database.reader.snapshot()) == []


def test_neons_own_schemas_are_left_out(database: Any) -> None:
    first = database.reader.snapshot()
    database.run(
        "CREATE SCHEMA neon; CREATE TABLE neon.t (a integer); CREATE FUNCTION neon.f() RETURNS integer RETURN 1"
    )
    assert lines(first, database.reader.snapshot()) == []


def test_no_secret_of_a_foreign_server_is_kept(database: Any) -> None:
    database.run(
        "CREATE FOREIGN DATA WRAPPER w;"
        "CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (host 'h', password 'hush, hush');"
        "CREATE USER MAPPING FOR postgres SERVER s OPTIONS (user 'u', passfile 'hush')"
    )
    told = snapshot(database.connect("postgres"))
    assert "hush" not in repr(told)
    assert "host=h" in repr(told)


def test_a_connection_without_autocommit_is_refused(database: Any) -> None:
    with pytest.raises(ValueError, match="autocommit"):
        Reader(connect(database.url("postgres"), autocommit=False))


def test_a_lost_connection_is_a_database_error(database: Any) -> None:
    with database.admin.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'neondb_owner' AND datname = %s",
            (database.name,),
        )
    with pytest.raises(DatabaseError, match="cannot read the schema"):
        database.reader.snapshot()


def test_changes_made_while_reading_are_survived(database: Any) -> None:
    """Another session drops and makes what is being deparsed: at worst a DatabaseError, and then the last state."""
    database.run("; ".join(f"CREATE TABLE t{n} (a integer PRIMARY KEY, b integer DEFAULT 1)" for n in range(40)))
    enough = threading.Event()
    other = database.connect("postgres")

    def churn() -> None:
        with other.cursor() as cursor:
            while not enough.is_set():
                for n in range(0, 40, 4):
                    cursor.execute(
                        f"DROP TABLE t{n}; CREATE TABLE t{n} (a integer PRIMARY KEY, b integer DEFAULT 1);"
                        f"CREATE INDEX ON t{n} (b); CREATE VIEW v{n} AS SELECT a FROM t{n}; DROP VIEW v{n}"
                    )

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(15):
            with contextlib.suppress(DatabaseError):
                database.reader.snapshot()
    finally:
        enough.set()
        thread.join()
    assert database.reader.snapshot() == snapshot(database.connect("neondb_owner"))


@pytest.mark.every_postgres
def test_a_restored_dump_gives_an_equal_snapshot(server: Any, database: Any) -> None:
    """Everything of the tables' and views' cases at once, dumped and restored into another database."""
    made = 0
    for path in ("tables", "views", "types", "routines"):
        for number, case in enumerate(
            tomllib.loads((Path(__file__).parent / f"kinds/{path}.toml").read_text())["case"]
        ):
            if "users" not in case["change"] or server.major < case.get("since", 0):
                continue
            schema = f"{path}{number}"
            sql = f"{case.get('setup', '')}; {case['change']}".replace("public.", f"{schema}.")
            if any(word in sql for word in ("ACCESS METHOD", "elsewhere", "SCHEMA", "allow_system", "FOREIGN DATA")):
                continue
            database.run(f"CREATE SCHEMA {schema}; SET search_path = {schema}")
            database.run(sql)
            made += 1
    assert made > 40
    bindir = server.binaries.bindir
    dumped = subprocess.run(
        [bindir / "pg_dump", "--schema-only", "-d", database.url("postgres")], check=True, capture_output=True
    )
    other = server.database()
    try:
        psql = [bindir / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", other.url("postgres")]
        subprocess.run(psql, input=dumped.stdout, check=True, capture_output=True)
        told = lines(database.reader.snapshot(), other.reader.snapshot())
        # A dump of the schema has no rows to fill them with.
        assert [line for line in told if not line.endswith("now unpopulated")] == []
    finally:
        other.drop()


@pytest.mark.parametrize(
    "alone",
    [
        "CREATE OPERATOR public.=== (LEFTARG = int4, RIGHTARG = int8, FUNCTION = int48eq)",
        'CREATE TEXT SEARCH CONFIGURATION public.c (PARSER = pg_catalog."default")',
        "CREATE OPERATOR FAMILY public.f USING btree",
        "CREATE AGGREGATE public.total (int4) (SFUNC = int4pl, STYPE = int4)",
        "CREATE TYPE public.r AS RANGE (SUBTYPE = int4)",
        "CREATE PUBLICATION p",
        "CREATE FOREIGN DATA WRAPPER w",
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO app",
        "CREATE DOMAIN public.d AS int",
        "CREATE TYPE public.c AS (a int)",
        "CREATE VIEW public.v AS SELECT 1 AS a",
    ],
)
def test_what_is_the_only_one_of_its_kind_is_seen(database: Any, alone: str) -> None:
    """A first snapshot asks for those kinds alone of which the probe sees something."""
    first = database.anew()
    database.run(alone)
    found = database.reader.snapshot()
    assert found != first
    assert found == database.anew()


UNCOMMON = {
    "a comment": "COMMENT ON TABLE public.t IS 'x'",
    "a column's comment": "COMMENT ON COLUMN public.t.a IS 'x'",
    "an index's comment": "COMMENT ON INDEX public.i IS 'x'",
    "a constraint's comment": "COMMENT ON CONSTRAINT c ON public.t IS 'x'",
    "a type's comment": "COMMENT ON TYPE public.mood IS 'x'",
    "a trigger's comment": "COMMENT ON TRIGGER g ON public.t IS 'x'",
    "a sequence": "CREATE SEQUENCE public.s",
    "a column's sequence": "ALTER TABLE public.t ADD s serial",
    "an identity": "ALTER TABLE public.t ADD s int GENERATED ALWAYS AS IDENTITY",
    "an enum": "CREATE TYPE public.mood AS ENUM ('sad')",
    "a domain": "CREATE DOMAIN public.d AS int",
    "options": "CREATE TABLE public.u () WITH (fillfactor = 50)",
    "options later": "ALTER TABLE public.t SET (autovacuum_enabled = off)",
    "options of a view": "CREATE VIEW public.v WITH (security_barrier) AS SELECT 1 AS a",
    "options of a toast table": "ALTER TABLE public.t SET (toast.autovacuum_enabled = off)",
    "tablespace": "ALTER TABLE public.t SET TABLESPACE elsewhere",
    "tablespace of an index": "ALTER INDEX public.i SET TABLESPACE elsewhere",
    "parents": "CREATE TABLE public.u () INHERITS (public.t)",
    "a parent later": "ALTER TABLE public.t INHERIT public.none",
    "partition": "CREATE TABLE public.p1 PARTITION OF public.p FOR VALUES IN (1)",
    "attached index": "CREATE TABLE public.p1 (a int); CREATE INDEX ON public.p1 (a); CREATE INDEX ON public.p (a);"
    " ALTER TABLE public.p ATTACH PARTITION public.p1 FOR VALUES IN (1)",
    "access method": "CREATE ACCESS METHOD other TYPE TABLE HANDLER heap_tableam_handler;"
    " CREATE TABLE public.u () USING other",
    "generated": "ALTER TABLE public.t ADD g int GENERATED ALWAYS AS (a + 1) STORED",
    "access method of a partitioned table": "CREATE ACCESS METHOD other TYPE TABLE HANDLER heap_tableam_handler;"
    " CREATE TABLE public.q (a int) PARTITION BY LIST (a) USING other",
    "access method of a materialized view": "CREATE ACCESS METHOD other TYPE TABLE HANDLER heap_tableam_handler;"
    " CREATE MATERIALIZED VIEW public.m USING other AS SELECT 1 AS a",
    "options of a column": "ALTER TABLE public.t ALTER a SET (n_distinct = 5)",
    "options of a foreign table": "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;"
    " CREATE FOREIGN TABLE public.f (a int OPTIONS (x 'y')) SERVER s OPTIONS (z '1')",
    "statistics target": "ALTER TABLE public.t ALTER b SET STATISTICS 7",
    "statistics target of an index": "ALTER INDEX public.i ALTER 1 SET STATISTICS 7",
}


@pytest.mark.parametrize("first", UNCOMMON.values(), ids=list(UNCOMMON))
def test_what_few_have_is_seen_when_it_comes(database: Any, first: str) -> None:
    """Of a schema in which nothing has any of it less is read: from the start, and when something changes."""
    database.run(
        "CREATE TABLE public.t (a int CONSTRAINT c CHECK (a > 0), b text); CREATE TABLE public.none ();"
        " CREATE INDEX i ON public.t (lower(b)); CREATE TABLE public.p (a int) PARTITION BY LIST (a)"
    )
    if "mood IS" in first:
        database.run("CREATE TYPE public.mood AS ENUM ('sad')")
    if "TRIGGER" in first:
        database.run(
            "CREATE TRIGGER g BEFORE INSERT ON public.t FOR EACH ROW"
            " EXECUTE FUNCTION suppress_redundant_updates_trigger()"
        )
    if "TABLESPACE" in first and database.server.major < 15:
        pytest.skip("only Postgres 15 and later have tablespaces in place")
    if "(a) USING other" in first and database.server.major < 17:
        pytest.skip("only Postgres 17 and later have access methods of partitioned tables")
    same_as_anew(database, first)
    assert snapshot(database.connect("neondb_owner")) == database.anew()
    same_as_anew(database, "ALTER TABLE public.t ADD c int")


def meanwhile(monkeypatch: pytest.MonkeyPatch, reader: Reader, act: Callable[[], None]) -> None:
    """Do something once between the probe and the reading of everything."""
    whole, done = reader._whole, []

    def reading(cursor: Any) -> Snapshot:
        if not done:
            done.append(True)
            act()
        return whole(cursor)

    monkeypatch.setattr(reader, "_whole", reading)


def test_what_comes_in_the_middle_of_the_first_reading_is_read_whole(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.run("CREATE TABLE t (a int)")
    meanwhile(
        monkeypatch,
        database.reader,
        lambda: database.run(
            "BEGIN; CREATE VIEW v AS SELECT * FROM t; CREATE DOMAIN d AS int; CREATE TABLE u (x d);"
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER TABLE t ALTER a SET DEFAULT f(); COMMIT"
        ),
    )
    assert database.reader.snapshot() == database.anew()


def test_a_first_reading_that_failed_does_not_spoil_the_next(database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock may be met while the query is prepared, or while it runs; then it stays prepared."""
    database.run("CREATE TABLE t (a int)")
    with database.reader._conn.cursor() as cursor:
        cursor.execute("SET lock_timeout = '100ms'")
    failed = 0
    for catalog in ("pg_attribute", "pg_index", "pg_policy", "pg_proc"):
        database.reader._last = None
        meanwhile(
            monkeypatch,
            database.reader,
            lambda: database.run(f"BEGIN; LOCK TABLE pg_catalog.{catalog} IN ACCESS EXCLUSIVE MODE"),  # noqa: B023
        )
        try:
            database.reader.snapshot()
        except DatabaseError:
            failed += 1
        database.run("ROLLBACK")
        monkeypatch.undo()
        database.run(f"CREATE TYPE {catalog}_ AS (a int)")
        assert database.reader.snapshot() == database.anew()
    assert failed


def test_relations_of_postgres_s_own_that_were_moved_are_seen_whole(database: Any) -> None:
    database.run("ALTER SCHEMA information_schema RENAME TO info")
    found = Reader(database.connect("neondb_owner"))
    try:
        assert found.snapshot() == database.anew()
        assert any(key.kind == "view" for key in found.snapshot().objects)
    finally:
        found.close()
