"""When rows stood in the way of a statement: each is run, fails, and is asked about with the state it failed with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg2
import psycopg2.extensions
import pytest

from neontest.postgres import feasibility
from neontest.postgres.connect import Connection
from neontest.postgres.data import Violation
from neontest.postgres.demand import Cast, Check
from neontest.postgres.demands import demands
from neontest.postgres.feasibility import violations
from neontest.postgres.questions import fast, questions
from neontest.postgres.relations import Relations
from neontest.postgres.snapshot import Reader
from neontest.stop import Deadline

pytestmark = pytest.mark.every_postgres

PEOPLE = """
CREATE TABLE people (id int PRIMARY KEY, email text, age int, boss int, born text);
INSERT INTO people SELECT n, CASE WHEN n <= 3 THEN 'secret@example.org' ELSE 'p' || n END,
    CASE WHEN n > 15 THEN NULL ELSE n END, CASE WHEN n = 7 THEN 999 END,
    CASE WHEN n % 5 = 0 THEN 'unknown' ELSE '1990' END
FROM generate_series(1, 20) AS n;
"""
"""Twenty rows: three share an email, five have no age, one has a boss who is nobody, four were born "unknown"."""
LOGS = """
CREATE TABLE logs (at date NOT NULL, n int) PARTITION BY RANGE (at);
CREATE TABLE logs_old PARTITION OF logs FOR VALUES FROM (MINVALUE) TO ('2020-01-01');
CREATE TABLE logs_rest PARTITION OF logs DEFAULT;
INSERT INTO logs SELECT date '2024-01-01' + n, n FROM generate_series(0, 9) AS n;
CREATE TABLE more (at date NOT NULL, n int);
INSERT INTO more SELECT date '2019-12-30' + n, n FROM generate_series(0, 3) AS n;
"""


def ids(*numbers: int) -> tuple[str, ...]:
    return tuple(f"id={number}" for number in numbers)


@dataclass(frozen=True, kw_only=True)
class Case:
    name: str
    sql: str
    found: tuple[Violation, ...]
    setup: str = PEOPLE
    since: int = 0


def bad(kind: Any, columns: str, count: int, keys: tuple[str, ...] = (), **more: Any) -> Violation:
    return Violation(
        **{"table": "public.people", "rows": 20, **more},
        kind=kind,
        columns=tuple(columns.split()),
        count=count,
        keys=keys,
    )


NO_AGE = bad("not null", "age", 5, ids(16, 17, 18, 19, 20))
SHARED = bad("unique", "email", 3, ids(1, 2, 3))
NOBODY = bad("foreign key", "boss", 1, ids(7))
UNKNOWN = bad("cast", "born", 4, ids(5, 10, 15, 20))
FIRST_TEN = ids(*range(1, 11))

CASES = [
    Case(
        name="a new column without a default",
        sql="ALTER TABLE people ADD COLUMN phone VARCHAR(20) NOT NULL",
        found=(bad("not null", "phone", 20, FIRST_TEN),),
    ),
    Case(
        name="a new column of a type that was rolled back",
        sql="BEGIN; CREATE TYPE mood AS ENUM ('a'); ALTER TABLE people ADD mood mood NOT NULL",
        found=(bad("not null", "mood", 20, FIRST_TEN),),
    ),
    Case(
        name="a new column with null for its default",
        sql="ALTER TABLE IF EXISTS ONLY public.people ADD IF NOT EXISTS phone text DEFAULT NULL NOT NULL",
        found=(bad("not null", "phone", 20, FIRST_TEN),),
    ),
    Case(
        name="a new column that is computed",
        sql="ALTER TABLE people ADD COLUMN older int GENERATED ALWAYS AS (age + 1) STORED NOT NULL",
        found=(bad("not null", "older", 5, NO_AGE.keys),),
    ),
    Case(
        name="a new column that all rows have alike",
        sql="ALTER TABLE people ADD COLUMN code text DEFAULT 'x' CONSTRAINT own UNIQUE",
        found=(bad("unique", "code", 20, FIRST_TEN),),
    ),
    Case(
        name="a new column whose default its own check refuses",
        sql="ALTER TABLE people ADD COLUMN score numeric(4, 1) DEFAULT 0 NOT NULL CHECK (score > 0)",
        found=(bad("check", "score", 20, FIRST_TEN),),
    ),
    Case(
        name="a new column that refers to nothing",
        sql="ALTER TABLE people ADD COLUMN team int DEFAULT 77 REFERENCES people (id) ON DELETE CASCADE",
        found=(bad("foreign key", "team", 20, FIRST_TEN),),
    ),
    Case(name="set not null", sql="ALTER TABLE people ALTER COLUMN age SET NOT NULL", found=(NO_AGE,)),
    Case(
        name="set not null, with comments and quotes",
        sql='/* a /* nested */ one */ alter table "public" . "people" -- here\n alter "age" set not null;',
        found=(NO_AGE,),
    ),
    Case(name="unique", sql="ALTER TABLE people ADD CONSTRAINT uq UNIQUE (email)", found=(SHARED,)),
    Case(
        name="unique with nulls alike",
        sql="ALTER TABLE people ADD UNIQUE NULLS NOT DISTINCT (boss)",
        found=(bad("unique", "boss", 19, ids(1, 2, 3, 4, 5, 6, 8, 9, 10, 11)),),
        since=15,
    ),
    Case(
        name="a primary key over nulls",
        sql="ALTER TABLE people DROP CONSTRAINT people_pkey, ADD PRIMARY KEY (id, age)",
        found=(NO_AGE,),
    ),
    Case(
        name="a primary key over duplicates",
        setup="CREATE TABLE tags (tag text); INSERT INTO tags VALUES ('secret'), ('secret'), ('other')",
        sql="ALTER TABLE tags ADD CONSTRAINT pk PRIMARY KEY (tag)",
        found=(bad("unique", "tag", 2, table="public.tags", rows=3),),
    ),
    Case(
        name="a foreign key",
        sql="ALTER TABLE people ADD CONSTRAINT fk_boss FOREIGN KEY(boss) REFERENCES people (id) ON DELETE SET NULL",
        found=(NOBODY,),
    ),
    Case(
        name="a foreign key to a primary key that is not named",
        sql="ALTER TABLE people ADD FOREIGN KEY (boss) REFERENCES public.people DEFERRABLE INITIALLY DEFERRED",
        found=(NOBODY,),
    ),
    Case(
        name="a foreign key of two columns, all or none",
        setup=PEOPLE + "ALTER TABLE people ADD UNIQUE (id, email)",
        sql="ALTER TABLE people ADD FOREIGN KEY (boss, email) REFERENCES people (id, email) MATCH FULL",
        found=(bad("foreign key", "boss email", 20, FIRST_TEN),),
    ),
    Case(
        name="a check",
        sql="ALTER TABLE people ADD CONSTRAINT ck CHECK (people.age > 2 AND email <> 'a)b'';' AND age %% 7 <> 0)",
        found=(bad("check", "age email", 4, ids(1, 2, 7, 14)),),
    ),
    Case(
        name="an exclusion",
        setup="CREATE TABLE stays (id int PRIMARY KEY, during int4range, gone bool);"
        "INSERT INTO stays VALUES (1, '[1,5)', false), (2, '[4,8)', false), (3, '[8,9)', false), (4, '[1,9)', true)",
        sql="ALTER TABLE stays ADD CONSTRAINT ex EXCLUDE USING gist (during WITH &&) WHERE (NOT gone)",
        found=(bad("exclusion", "during", 2, ids(1, 2), table="public.stays", rows=4),),
    ),
    Case(
        name="to validate a check",
        setup=PEOPLE + "ALTER TABLE people ADD CONSTRAINT adult CHECK (age >= 2) NOT VALID",
        sql="ALTER TABLE people VALIDATE CONSTRAINT adult",
        found=(bad("check", "age", 1, ids(1)),),
    ),
    Case(
        name="to validate a foreign key",
        setup=PEOPLE + 'ALTER TABLE people ADD CONSTRAINT "its Boss" FOREIGN KEY (boss) REFERENCES people NOT VALID',
        sql='ALTER TABLE people VALIDATE CONSTRAINT "its Boss"',
        found=(NOBODY,),
    ),
    Case(
        name="to validate that nothing is null",
        setup=PEOPLE + "ALTER TABLE people ADD CONSTRAINT aged NOT NULL age NOT VALID",
        sql="ALTER TABLE people VALIDATE CONSTRAINT aged",
        found=(NO_AGE,),
        since=18,
    ),
    Case(name="a unique index", sql="CREATE UNIQUE INDEX ix ON people (email)", found=(SHARED,)),
    Case(
        name="a unique index, concurrently, over an expression, for some rows",
        sql="CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS ix ON public.people USING btree"
        " (lower(email) text_pattern_ops DESC NULLS LAST, (id / 10)) INCLUDE (age) WITH (fillfactor = 70)"
        " WHERE id <> 2",
        found=(bad("unique", "email id", 2, ids(1, 3)),),
    ),
    Case(
        name="an index over what cannot be computed",
        sql="CREATE INDEX ON people ((born::int)) WHERE id > 5",
        found=(bad("cast", "born", 3, ids(10, 15, 20)),),
    ),
    Case(
        name="a cast",
        sql="ALTER TABLE people ALTER COLUMN born TYPE INTEGER USING born::integer",
        found=(UNKNOWN,),
    ),
    Case(
        name="a cast in the long form",
        sql="ALTER TABLE people ALTER born SET DATA TYPE smallint USING CAST(born AS smallint)",
        found=(UNKNOWN,),
    ),
    Case(
        name="a cast of an expression",
        sql="ALTER TABLE people ALTER COLUMN born TYPE date USING (trim(born) || '-02-01')::date",
        found=(UNKNOWN,),
    ),
    Case(
        name="a string that is too long",
        sql="ALTER TABLE people ALTER COLUMN email TYPE varchar(10)",
        found=(bad("cast", "email", 3, ids(1, 2, 3)),),
    ),
    Case(
        name="a number that is too large",
        sql="ALTER TABLE people ALTER COLUMN boss TYPE numeric(3, 1)",
        found=(bad("cast", "boss", 1, ids(7)),),
    ),
    Case(
        name="a cast to an enum",
        setup=PEOPLE + "CREATE TYPE \"Year\" AS ENUM ('1990', '1991')",
        sql='ALTER TABLE people ALTER COLUMN born TYPE "Year" USING born::"Year"',
        found=(UNKNOWN,),
    ),
    Case(
        name="a cast to a domain",
        setup=PEOPLE + "CREATE DOMAIN small AS int CHECK (VALUE < 14)",
        sql="ALTER TABLE people ALTER COLUMN age TYPE small",
        found=(bad("cast", "age", 2, ids(14, 15)),),
    ),
    Case(
        name="a cast by a function that refuses",
        setup=PEOPLE + "CREATE FUNCTION strict(text) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN"
        " IF $1 = 'unknown' THEN RAISE EXCEPTION 'no: %', $1; END IF; RETURN 1; END $$",
        sql="ALTER TABLE people ALTER COLUMN born TYPE int USING strict(born)",
        found=(UNKNOWN,),
    ),
    Case(
        name="several actions, of which one fails",
        sql="ALTER TABLE people ADD COLUMN note text DEFAULT 'a, b', ALTER COLUMN email SET DEFAULT '',"
        " ADD CONSTRAINT ck CHECK (note = 'a, b' AND (age < 15 OR age IS NULL)), DROP COLUMN born",
        found=(bad("check", "note age", 1, ids(15)),),
    ),
    Case(
        name="a check of a domain",
        setup=PEOPLE + "CREATE DOMAIN years AS int; ALTER TABLE people ALTER age TYPE years",
        sql="ALTER DOMAIN years ADD CONSTRAINT adult CHECK (value > 2)",
        found=(bad("check", "age", 2, ids(1, 2)),),
    ),
    Case(
        name="to validate a check of a domain",
        setup=PEOPLE + "CREATE DOMAIN years AS int; ALTER TABLE people ALTER age TYPE years;"
        "ALTER DOMAIN years ADD CONSTRAINT adult CHECK (VALUE > 2) NOT VALID",
        sql="ALTER DOMAIN public.years VALIDATE CONSTRAINT adult",
        found=(bad("check", "age", 2, ids(1, 2)),),
    ),
    Case(
        name="a domain without nulls",
        setup=PEOPLE + "CREATE DOMAIN years AS int; ALTER TABLE people ALTER age TYPE years",
        sql="ALTER DOMAIN years SET NOT NULL",
        found=(NO_AGE,),
    ),
    Case(
        name="to attach a partition of a range",
        setup=LOGS,
        sql="ALTER TABLE logs ATTACH PARTITION more FOR VALUES FROM ('2020-01-01') TO ('2020-01-02')",
        found=(bad("check", "at", 3, table="public.more", rows=4),),
    ),
    Case(
        name="a partition of rows that the default one has",
        setup=LOGS,
        sql="CREATE TABLE new PARTITION OF logs FOR VALUES FROM ('2024-01-08') TO (MAXVALUE)",
        found=(bad("check", "at", 3, table="public.logs_rest", rows=10),),
    ),
    Case(
        name="to attach a default partition of rows that another one should have",
        setup=LOGS + "DROP TABLE logs_rest",
        sql="ALTER TABLE logs ATTACH PARTITION more DEFAULT",
        found=(bad("check", "at", 2, table="public.more", rows=4),),
    ),
    Case(
        name="to attach a partition of a list",
        setup="CREATE TABLE l (id int, c text) PARTITION BY LIST (lower(c));"
        "CREATE TABLE p (id int PRIMARY KEY, c text);"
        "INSERT INTO p VALUES (1, 'A'), (2, NULL), (3, 'b'), (4, 'secret')",
        sql="ALTER TABLE l ATTACH PARTITION p FOR VALUES IN ('a', NULL, 'b')",
        found=(bad("check", "c", 1, ids(4), table="public.p", rows=4),),
    ),
    Case(
        name="to attach a partition of a hash",
        setup="CREATE TABLE h (id int) PARTITION BY HASH (id); CREATE TABLE p (id int PRIMARY KEY);"
        "CREATE TABLE q PARTITION OF h FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
        "INSERT INTO h SELECT n FROM generate_series(1, 100) n"
        " WHERE satisfies_hash_partition('h'::regclass, 2, 0, n); INSERT INTO p SELECT id FROM q ORDER BY id LIMIT 2",
        sql="ALTER TABLE h ATTACH PARTITION p FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
        found=(bad("check", "id", 2, ids(1, 2), table="public.p", rows=2),),
    ),
    Case(
        name="an update to null",
        setup=PEOPLE + "ALTER TABLE people ALTER email SET NOT NULL",
        sql="UPDATE people SET email = nullif(email, 'secret@example.org'), age = 0 WHERE id <> 1",
        found=(bad("not null", "email", 2, ids(2, 3)),),
    ),
    Case(
        name="an update to what another row has",
        setup=PEOPLE + "CREATE UNIQUE INDEX ON people (email) WHERE id > 3",
        sql="UPDATE people SET email = 'p20' WHERE id = 4",
        found=(bad("unique", "email", 2, ids(4, 20)),),
    ),
    Case(
        name="an update that a check refuses",
        setup=PEOPLE + "ALTER TABLE people ADD CHECK (age < 20)",
        sql="UPDATE people SET age = age + 10",
        found=(bad("check", "age", 6, ids(10, 11, 12, 13, 14, 15)),),
    ),
    Case(
        name="an update that cannot be computed",
        sql="UPDATE people SET age = born::int WHERE id > 9",
        found=(bad("cast", "age", 3, ids(10, 15, 20)),),
    ),
    Case(
        name="an insert of what is there",
        sql="INSERT INTO people (id, email) VALUES (1, 'secret')",
        found=(bad("unique", "id", 0),),
    ),
    Case(
        name="a delete of what is referred to",
        setup=PEOPLE + "CREATE TABLE pets (owner int REFERENCES people); INSERT INTO pets VALUES (1), (2)",
        sql="DELETE FROM people WHERE id = 1",
        found=(bad("foreign key", "owner", 0, table="public.pets", rows=2),),
    ),
    Case(
        name="a key of two columns with odd names",
        setup='CREATE TABLE "My Table" ("A b" text, n int, x int, PRIMARY KEY (n, "A b"));'
        """INSERT INTO "My Table" VALUES (E'o''ne\ntwo', 1, NULL), ('z', 1, 3)""",
        sql='ALTER TABLE "My Table" ALTER x SET NOT NULL',
        found=(bad("not null", "x", 1, ('(n=1, "A b"=o\'ne two)',), table='public."My Table"', rows=2),),
    ),
    Case(
        name="a table without a key",
        setup="CREATE TABLE loose (secret text); INSERT INTO loose VALUES (NULL), ('a')",
        sql="ALTER TABLE loose ALTER secret SET NOT NULL",
        found=(bad("not null", "secret", 1, table="public.loose", rows=2),),
    ),
]


@pytest.fixture
def rows(shared: Any) -> Iterator[Any]:
    yield shared
    shared.clear()


@pytest.fixture
def conn(rows: Any) -> Connection:
    """A reader's connection: in autocommit, with an empty search_path."""
    made: Connection = rows.asking()
    return made


def failing(database: Any, sql: str) -> str:
    """Run it, alone or as one transaction; what it failed with."""
    with pytest.raises(psycopg2.Error) as caught:
        database.run(sql.replace("%%", "%"))
    database.run("ROLLBACK" if sql.startswith("BEGIN") else "")
    return str(caught.value.pgcode)


def ask(conn: Connection, sql: str, sqlstate: str | None = None, **more: Any) -> tuple[Violation, ...]:
    return violations(conn, sql, **{"sqlstate": sqlstate, "deadline": Deadline(60, what="the probe"), **more})


def content(database: Any) -> list[Any]:
    """Everything that could have been changed: the schema, and the rows of all tables."""
    with database.admin.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
        texts = []
        for (name,) in sorted(cursor.fetchall()):
            cursor.execute(f'SELECT t::text, xmin::text FROM public."{name}" t ORDER BY 1, 2')
            texts.append((name, cursor.fetchall()))
    return [database.reader.snapshot(), texts]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_rows_that_a_statement_fails_on_are_counted_and_named_by_key(
    case: Case, rows: Any, conn: Connection
) -> None:
    if rows.server.major < case.since:
        pytest.skip(f"Postgres {rows.server.major} has no such thing")
    rows.run(case.setup)
    sqlstate = failing(rows, case.sql)
    rows.run("DROP INDEX IF EXISTS ix")  # what CONCURRENTLY leaves behind
    before = content(rows)
    found = ask(conn, case.sql, sqlstate)
    assert found == case.found
    assert "secret@" not in repr(found)
    assert "unknown" not in repr(found)
    assert content(rows) == before
    assert conn.info.transaction_status == psycopg2.extensions.TRANSACTION_STATUS_IDLE
    assert conn.autocommit
    with conn.cursor() as cursor:
        cursor.execute("SHOW search_path")
        assert cursor.fetchone() == ("",)
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)


def test_without_a_state_every_action_of_a_statement_is_asked_about(rows: Any, conn: Connection) -> None:
    rows.run(PEOPLE)
    sql = (
        "ALTER TABLE people ALTER age SET NOT NULL, ADD UNIQUE (email), ADD CHECK (id > 0),"
        " ADD FOREIGN KEY (boss) REFERENCES people, ALTER born TYPE int USING born::int"
    )
    assert ask(conn, sql) == (NO_AGE, SHARED, NOBODY, UNKNOWN)
    assert ask(conn, sql, "23503") == (NOBODY,)


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE people ADD CONSTRAINT ck CHECK (age > 100) NOT VALID",
        "ALTER TABLE people ADD FOREIGN KEY (boss) REFERENCES people (id) NOT VALID",
        "ALTER TABLE people ADD COLUMN serial bigserial NOT NULL",
        "ALTER TABLE people ADD COLUMN own int GENERATED BY DEFAULT AS IDENTITY (START 5) NOT NULL",
        "ALTER TABLE people ADD COLUMN at timestamptz DEFAULT now() NOT NULL",
        "ALTER TABLE people ADD COLUMN made uuid DEFAULT gen_random_uuid() UNIQUE",
        "ALTER TABLE people ADD COLUMN IF NOT EXISTS email text NOT NULL",
        "ALTER TABLE people ADD COLUMN lively alive NOT NULL",
        "ALTER TABLE people ALTER COLUMN born TYPE text",
        "CREATE UNIQUE INDEX ix ON people (email) WHERE id > 2",
        "CREATE INDEX ix ON people (email)",
        "CREATE TABLE other (id int PRIMARY KEY)",
        "INSERT INTO people (id) VALUES (21)",
        "SELECT 1",
    ],
)
def test_a_statement_that_succeeds_has_no_violations(sql: str, rows: Any, conn: Connection) -> None:
    rows.run(PEOPLE + "CREATE DOMAIN alive AS bool DEFAULT true")
    assert ask(conn, sql) == ()
    rows.run(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "ALTER TABLE",
        "ALTER TABLE people ALTER COLUMN phone SET NOT NULL",
        "ALTER TABLE nobody ALTER COLUMN age SET NOT NULL",
        "ALTER TABLE people ADD CHECK (age > %(least)s)",
        "ALTER TABLE people ADD CHECK (age > 5",
        "ALTER TABLE people ADD CHECK (age > 5))",
        "ALTER TABLE people ADD CHECK ('age)",
        "ALTER TABLE people ADD CHECK (age > nothing)",
        "ALTER TABLE people ADD CHECK (age > 5\0)",
        "ALTER TABLE people ADD CHECK (age > 5) /* no end",
        "ALTER TABLE people ADD UNIQUE USING INDEX ix",
        "ALTER TABLE people ADD FOREIGN KEY (boss) REFERENCES bosses",
        "ALTER TABLE people ADD FOREIGN KEY (boss, age) REFERENCES people",
        "ALTER TABLE people ATTACH PARTITION people FOR VALUES IN (1)",
        "ALTER TABLE people ATTACH PARTITION people FOR VALUES WITH (MODULUS)",
        "ALTER TABLE people VALIDATE CONSTRAINT none",
        "ALTER TABLE people ALTER COLUMN born TYPE nothing USING born::nothing",
        "ALTER TABLE people ALTER COLUMN nothing TYPE int USING nothing::int",
        "ALTER DOMAIN none ADD CHECK (VALUE > 1)",
        "CREATE UNIQUE INDEX ON people (nothing)",
        "UPDATE people SET age = %(age)s",
        "UPDATE people AS p SET age = 1",
        "UPDATE people SET (age, boss) = (1, 2, 3)",
        "UPDATE people SET age",
        "DELETE FROM people",
        "\ud800",
        "§$%&/()=?`",
    ],
)
def test_what_is_not_understood_or_not_there_is_no_answer(sql: str, rows: Any, conn: Connection) -> None:
    rows.run(PEOPLE)
    for sqlstate in (None, "23502", "23505", "23503", "23514", "23P01", "22P02", "P0001"):
        assert ask(conn, sql, sqlstate) == (), sqlstate
    assert conn.info.transaction_status == psycopg2.extensions.TRANSACTION_STATUS_IDLE


@pytest.mark.parametrize("sqlstate", ["42P01", "42804", "40P01", "55P03", "57014", "0A000", "25006"])
def test_a_failure_that_rows_are_not_to_blame_for_asks_nothing(sqlstate: str, rows: Any, conn: Connection) -> None:
    rows.run(PEOPLE)
    assert ask(conn, "ALTER TABLE people ALTER age SET NOT NULL") == (NO_AGE,)
    assert ask(conn, "ALTER TABLE people ALTER age SET NOT NULL", sqlstate) == ()


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE people ADD CHECK (spoil())",
        "ALTER TABLE people ALTER COLUMN age TYPE bool USING spoil()",
        "ALTER TABLE people ADD COLUMN x bool DEFAULT spoil() NOT NULL",
        "CREATE UNIQUE INDEX ON people ((spoil())) WHERE spoil()",
        "UPDATE people SET boss = nextval('numbers')",
        "ALTER TABLE people ADD CHECK (set_config('search_path', 'evil', false) IS NULL)",
        # Not SQL that would ever have reached this: whatever gets past the parentheses stays inside a block.
        "ALTER TABLE people ADD CHECK (true) IS FALSE; COMMIT; DROP TABLE people; SELECT (true)",
        "ALTER TABLE people ADD CHECK (E'\\'' = ')'); COMMIT; DROP TABLE people; --')",
    ],
)
def test_an_expression_with_side_effects_changes_nothing(sql: str, rows: Any, conn: Connection) -> None:
    rows.run(
        PEOPLE + "CREATE SEQUENCE numbers; CREATE FUNCTION spoil() RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN"
        " DELETE FROM people; PERFORM nextval('numbers'); RETURN false; END $$"
    )
    before = content(rows)
    for sqlstate in (None, "23502", "23514", "22P02"):
        ask(conn, sql, sqlstate)
    assert content(rows) == before
    with conn.cursor() as cursor:
        cursor.execute("SHOW search_path")
        assert cursor.fetchone() == ("",)
        cursor.execute("SELECT is_called FROM public.numbers")
        assert cursor.fetchone() == (False,)


@pytest.mark.parametrize(
    "demand",
    [
        Check(
            table="people",
            condition="true)) SELECT 1; COMMIT; DROP TABLE public.people;"
            " WITH bad AS MATERIALIZED (SELECT 1 AS id WHERE (true",
            columns=("age",),
        ),
        Cast(
            table="people",
            value='1) INTO "neontest value"; COMMIT; DROP TABLE public.people; SELECT (1',
            type="int",
            columns=("age",),
        ),
    ],
)
def test_even_text_that_ends_its_expression_cannot_end_the_transaction(
    demand: Any, rows: Any, conn: Connection
) -> None:
    """As if it had been taken for an expression."""
    rows.run(PEOPLE)
    before = content(rows)

    def answered() -> None:
        with feasibility._reading(conn, "public", Deadline(60, what="it")) as cursor:
            known = Relations(cursor)
            list(feasibility._answers(questions(demand, known, None), known, conn.server_version, cursor))

    with pytest.raises(psycopg2.Error, match=r"transaction"):
        answered()
    assert content(rows) == before


def test_the_search_path_of_the_migration_decides_which_table_is_meant(rows: Any, conn: Connection) -> None:
    rows.run(PEOPLE + "CREATE SCHEMA app; CREATE TABLE app.people (id int PRIMARY KEY, age int)")
    rows.run("INSERT INTO app.people VALUES (1, NULL), (2, 2)")
    sql = "ALTER TABLE people ALTER age SET NOT NULL"
    (found,) = ask(conn, sql, search_path="app, public")
    assert (found.table, found.count, found.rows, found.keys) == ("app.people", 1, 2, ("id=1",))
    assert ask(conn, sql) == (NO_AGE,)
    assert ask(conn, sql, search_path="nowhere") == ()


def test_the_roles_own_search_path_is_the_migrations(rows: Any) -> None:
    rows.run(PEOPLE + "CREATE SCHEMA app; CREATE TABLE app.people (id int PRIMARY KEY, age int)")
    rows.run("INSERT INTO app.people VALUES (1, NULL), (2, 2)")
    rows.run("ALTER ROLE CURRENT_USER SET search_path = app, public")
    conn = rows.connect("postgres")
    try:
        Reader(conn).snapshot()
        (found,) = ask(conn, "ALTER TABLE people ALTER age SET NOT NULL")
        assert (found.table, found.count) == ("app.people", 1)
    finally:
        conn.close()
        rows.run("ALTER ROLE CURRENT_USER RESET search_path")


def test_children_are_asked_too_unless_they_are_not_meant(rows: Any, conn: Connection) -> None:
    rows.run(PEOPLE + "CREATE TABLE children () INHERITS (people); INSERT INTO children VALUES (100), (101)")
    (found,) = ask(conn, "ALTER TABLE people ALTER age SET NOT NULL")
    assert (found.count, found.rows) == (7, 22)
    (found,) = ask(conn, "ALTER TABLE ONLY people ADD CHECK (age IS NOT NULL) NO INHERIT")
    assert (found.count, found.rows) == (5, 20)
    rows.run("UPDATE children SET boss = 555")
    (found,) = ask(conn, "ALTER TABLE people ADD FOREIGN KEY (boss) REFERENCES people")
    assert (found.count, found.rows) == (1, 20)


def test_a_role_that_owns_the_tables_and_is_no_superuser_gets_the_same_answers(rows: Any) -> None:
    rows.run("GRANT CREATE, USAGE ON SCHEMA public TO neondb_owner")
    own = rows.connect("neondb_owner")
    try:
        with own.cursor() as cursor:
            cursor.execute(PEOPLE)
        Reader(own)
        assert ask(own, "ALTER TABLE people ALTER age SET NOT NULL", "23502") == (NO_AGE,)
        assert ask(own, "ALTER TABLE people ALTER born TYPE int USING (born)::int", "22P02") == (UNKNOWN,)
        with own.cursor() as cursor:
            cursor.execute("DROP TABLE public.people")
    finally:
        own.close()


def test_what_takes_longer_than_the_deadline_is_no_answer(rows: Any, conn: Connection) -> None:
    rows.run(PEOPLE)
    sql = "ALTER TABLE people ADD CHECK (pg_sleep(100) IS NULL)"
    assert ask(conn, sql, deadline=Deadline(0.2, what="the probe")) == ()
    assert ask(conn, "ALTER TABLE people ALTER age SET NOT NULL", deadline=Deadline(0, what="the probe")) == ()
    assert ask(conn, "ALTER TABLE people ALTER age SET NOT NULL", deadline=Deadline(float("inf"), what="it")) == (
        NO_AGE,
    )


def test_a_connection_that_is_not_idle_or_is_closed_is_left_alone(rows: Any, conn: Connection) -> None:
    rows.run(PEOPLE)
    with conn.cursor() as cursor:
        cursor.execute("BEGIN")
        assert ask(conn, "ALTER TABLE people ALTER age SET NOT NULL") == ()
        assert conn.info.transaction_status == psycopg2.extensions.TRANSACTION_STATUS_INTRANS
        cursor.execute("ROLLBACK")
    assert ask(conn, "ALTER TABLE people ALTER age SET NOT NULL") == (NO_AGE,)
    conn.close()
    assert ask(conn, "ALTER TABLE people ALTER age SET NOT NULL") == ()


def test_the_quick_way_and_the_way_row_by_row_say_the_same(rows: Any, conn: Connection) -> None:
    rows.run(PEOPLE)
    quick = "ALTER TABLE people ALTER COLUMN born TYPE int USING born::int"
    slow = "ALTER TABLE people ALTER COLUMN born TYPE int USING (born::int)"
    assert ask(conn, quick) == ask(conn, slow) == (UNKNOWN,)
    with feasibility._reading(conn, "public", Deadline(60, what="it")) as cursor:
        known = Relations(cursor)
        asked = [
            question for sql in (quick, slow) for each in demands(sql) for question in questions(each, known, None)
        ]
        assert [each.plain for each in asked] == [True, False]
        assert fast(asked[0], known) is not None


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("UPDATE people SET id = %(id)s", (bad("unique", "id", 0),)),
        ("UPDATE people p SET id = p.age FROM people o", (bad("unique", "id", 0),)),
        ("UPDATE people SET id = 1 WHERE id = %(id)s", (bad("unique", "id", 0),)),
        ("UPDATE people SET age = %(age)s", ()),
    ],
)
def test_rows_that_nobody_can_count_have_their_constraint_named_where_it_is_the_only_one(
    sql: str, found: Any, rows: Any, conn: Connection
) -> None:
    rows.run(PEOPLE)
    assert ask(conn, sql, "23505") == found
