"""Statements are known by their words, whatever stands around them."""

from __future__ import annotations

import pytest

from neontest.statements import (
    Mentioned,
    bare,
    brief,
    builds,
    concurrent,
    kind,
    mentions,
    moves_rows,
    rewritten,
    unquoted,
)


def test_comments_and_texts_are_out_of_the_way() -> None:
    sql = """-- it's 'new'
    INSERT /* ; DROP */ INTO "a--b" (note)  VALUES ('SET NOT NULL', E'x', $t$ UPDATE 'x' $t$, 'it''s')"""
    assert bare(sql) == "INSERT INTO \"a--b\" (note) VALUES ('', '', , '')"


@pytest.mark.parametrize(
    ("sql", "rest"),
    [
        (r"SELECT E'it\'s secret', 1", "SELECT '', 1"),
        (r"SELECT e'a\\', 'secret'", "SELECT '', ''"),
        (r"SELECT 'C:\', 'secret'", "SELECT '', ''"),
        (r"SELECT date'secret\', 'secret'", "SELECT date'', ''"),
        ("INSERT INTO a VALUES ('it''s secret …", "INSERT INTO a VALUES (''"),
        ("DO $x$ SELECT 'secret …", "DO"),
        ("SELECT a$b$c, 'secret'", "SELECT a$b$c, ''"),
        ("SELECT 'secret''x' || b, ''", "SELECT '' || b, ''"),
    ],
)
def test_no_text_is_left_however_it_is_written(sql: str, rest: str) -> None:
    assert brief(sql) == rest


def test_a_sentence_holds_the_beginning_only() -> None:
    assert brief("SELECT 'secret'") == "SELECT ''"
    assert brief("ALTER TABLE users " + "x" * 80) == "ALTER TABLE users " + "x" * 51 + "…"


@pytest.mark.parametrize(
    ("name", "parts"),
    [("users", ("users",)), ("App.Users", ("app", "users")), ('"App"."a.""b"', ("App", 'a."b'))],
)
def test_names_are_read_as_postgres_reads_them(name: str, parts: tuple[str, ...]) -> None:
    assert unquoted(name) == parts


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        ("ALTER TABLE a ADD b INTEGER REFERENCES c", "foreign key"),
        ("ALTER TABLE a ADD CONSTRAINT x FOREIGN KEY (b) REFERENCES c NOT VALID", None),
        ("ALTER TABLE a ADD CHECK (b > 0)", "check"),
        ("ALTER TABLE a ADD CHECK (b > 0) NOT VALID", None),
        ("ALTER TABLE a VALIDATE CONSTRAINT x", None),
        ("alter table a alter b set not null", "set not null"),
        ('ALTER TABLE a ALTER COLUMN "B c" SET DATA TYPE text', "type"),
        ("ALTER TABLE a ADD PRIMARY KEY (b)", "unique"),
        ("ALTER TABLE a ADD CONSTRAINT x UNIQUE USING INDEX y", None),
        ("ALTER TABLE a ADD COLUMN b int, ADD CONSTRAINT x UNIQUE (b)", "unique"),
        ("ALTER TABLE a ADD COLUMN b text UNIQUE", "unique"),
        ('ALTER TABLE a ADD COLUMN "unique" text', None),
        ("CREATE INDEX ON a (b)", "index"),
        ("CREATE INDEX CONCURRENTLY x ON a (b)", None),
        ("REINDEX(VERBOSE) TABLE a", "index"),
        ("REINDEX (CONCURRENTLY) TABLE a", None),
        ("REINDEX (CONCURRENTLY off) TABLE a", "index"),
        ("ALTER TABLE a ATTACH PARTITION b FOR VALUES IN (1)", "attach"),
        ("ALTER TABLE a SET UNLOGGED", "storage"),
        ("REFRESH MATERIALIZED VIEW a", "refresh"),
        ("REFRESH MATERIALIZED VIEW CONCURRENTLY a", None),
        ("VACUUM (FULL) a", "pack"),
        ("ALTER TABLE a ADD COLUMN b uuid DEFAULT gen_random_uuid()", "default"),
        ("ALTER TABLE a ADD COLUMN b integer", None),
        ("ALTER TABLE a DROP COLUMN b", None),
        ("CREATE TABLE a (b integer REFERENCES c, CHECK (b > 0), UNIQUE (b))", None),
        ("COMMENT ON TABLE a IS 'ALTER TABLE a SET NOT NULL'", None),
    ],
)
def test_each_kind_is_known_and_its_quick_form_is_none(sql: str, name: str | None) -> None:
    found = kind(sql)
    assert (found.name if found else None) == name


@pytest.mark.parametrize(
    ("sql", "moves"),
    [
        ("UPDATE a SET b = 1", True),
        ("-- all\nDELETE FROM a", True),
        ("INSERT INTO a SELECT * FROM b", True),
        ("WITH old AS (SELECT 1) UPDATE a SET b = 1", True),
        ("INSERT INTO a (b) VALUES ('SELECT')", False),
        ("ALTER TABLE a ADD COLUMN b int; UPDATE a SET b = 1", False),
        ("SELECT 1", False),
    ],
)
def test_changes_of_as_many_rows_as_there_are_are_told_from_those_of_a_few(sql: str, moves: bool) -> None:
    assert moves_rows(sql) is moves


@pytest.mark.parametrize(
    ("sql", "refused"),
    [
        ("CREATE UNIQUE INDEX CONCURRENTLY x ON a (b)", True),
        ("drop index concurrently if exists x", True),
        ("REINDEX (VERBOSE) TABLE CONCURRENTLY a", True),
        ("REINDEX(CONCURRENTLY) TABLE a", True),
        ("REINDEX TABLE CONCURRENTLY offers", True),
        ("REINDEX (CONCURRENTLY FALSE) TABLE a", False),
        ("ALTER TABLE a DETACH PARTITION b CONCURRENTLY", True),
        ("REFRESH MATERIALIZED VIEW CONCURRENTLY a", False),
        ("CREATE INDEX x ON a (b) -- not CONCURRENTLY", False),
    ],
)
def test_where_postgres_refuses_a_transaction_is_known(sql: str, refused: bool) -> None:
    assert concurrent(sql) is refused


def test_all_indexes_of_a_text_are_found() -> None:
    sql = 'CREATE INDEX ON a (b); CREATE UNIQUE INDEX IF NOT EXISTS y ON s."B" (c); CREATE INDEX z ON ONLY d (e)'
    assert [(each.table, each.what, each.fix) for each in builds(sql)] == [
        ("a", "index", None),
        ('s."B"', "index y", None),
    ]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("ALTER TABLE a ADD COLUMN c int, ADD CONSTRAINT u UNIQUE (d)", ["a: the index of u"]),
        ('ALTER TABLE ONLY s."A b" ADD c numeric(9, 2), add primary key (d)', ['s."A b": the index of PRIMARY KEY']),
        (
            "ALTER TABLE a ADD EXCLUDE USING gist (r WITH &&), ADD UNIQUE (d)",
            ["a: the index of EXCLUDE", "a: the index of UNIQUE"],
        ),
        ("ALTER TABLE a ADD COLUMN IF NOT EXISTS e text DEFAULT 'x,' UNIQUE", ["a: the index of the new column e"]),
        ("ALTER TABLE a ADD e bigserial CONSTRAINT k PRIMARY KEY", ["a: the index of the new column e"]),
        ("ALTER TABLE a ADD CONSTRAINT u UNIQUE USING INDEX u, ADD c int", []),
        ('ALTER TABLE a ADD COLUMN "unique" int, ADD CHECK (c > 0), ADD FOREIGN KEY (c) REFERENCES b, DROP d', []),
        ("ALTER TABLE a ADD COLUMN c int; ALTER TABLE b ADD UNIQUE (d)", ["b: the index of UNIQUE"]),
        ("REINDEX TABLE a", ["a: a again"]),
        ("REINDEX(VERBOSE) TABLE a", ["a: a again"]),
        ("REINDEX (CONCURRENTLY) TABLE a", []),
        ("REINDEX (VERBOSE, CONCURRENTLY) INDEX x", []),
        ("REINDEX (CONCURRENTLY FALSE) INDEX x", ["None: x again"]),
    ],
)
def test_an_index_is_found_wherever_it_is_built(sql: str, expected: list[str]) -> None:
    assert [f"{each.table}: {each.what}" for each in builds(sql)] == expected


def test_the_code_of_an_index_has_the_names_as_the_catalogs_have_them() -> None:
    (built,) = builds("CREATE INDEX Ix ON Big (Email, NAME)")
    assert "op.create_index('ix', 'big', ['email', 'name'], postgresql_concurrently=True)" in (built.fix or "")


def test_a_constraint_takes_over_its_finished_index() -> None:
    assert rewritten('ALTER TABLE s."A" ADD CONSTRAINT u UNIQUE (b, c)') == (
        "with op.get_context().autocommit_block():\n"
        "    op.execute('CREATE UNIQUE INDEX CONCURRENTLY u ON s.\"A\" (b, c)')\n"
        "op.execute('ALTER TABLE s.\"A\" ADD CONSTRAINT u UNIQUE USING INDEX u')"
    )


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE a ADD CONSTRAINT x UNIQUE (b), ADD COLUMN d int",
        "ALTER TABLE a ADD CONSTRAINT x UNIQUE (b) DEFERRABLE",
        "ALTER TABLE a ADD COLUMN b text UNIQUE",
        "REINDEX (CONCURRENTLY) TABLE a",
        "CREATE INDEX x ON a (b); CREATE INDEX y ON a (c)",
        "CREATE INDEX x ON a (b) WHERE c = 'it'",
        "CREATE INDEX x ON a (b) WHERE c %% 2 = 0",
        "ALTER TABLE a ADD CONSTRAINT x CHECK (b > 0), ADD COLUMN d int",
        "ALTER TABLE a ADD CHECK (b > 0)",
        "ALTER TABLE a ALTER b SET NOT NULL, ALTER c SET NOT NULL",
        "ALTER TABLE a ALTER COLUMN b TYPE text",
        "CREATE INDEX x ON a (b …",
    ],
)
def test_code_is_only_given_where_it_is_known_for_certain(sql: str) -> None:
    assert rewritten(sql) is None


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE users SET a = 1",
        "UPDATE Public.USERS SET a = 1",
        "UPDATE users2 SET users$ = 1, my_users = 2",
        'ALTER TABLE "Odd Name" ADD a"b int',
        "SELECT 1",
    ],
)
def test_many_relations_are_looked_for_as_one_is(sql: str) -> None:
    relations = ["public.users", "app.users", "public.users2", 'public."Odd Name"', 'public."a""b"', 'public."Users"']
    many = Mentioned()
    many.add(relations)
    assert many.all == set(relations)
    assert many.by(sql) == {each for each in relations if mentions(sql, each)}
