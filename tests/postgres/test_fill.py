"""What invented rows promise: every table filled in order, always the same, and a reason where it is not."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

ROWS = 20

TYPES = """
smallint integer bigint real double@precision numeric numeric(5,2) numeric(3,3) money boolean text varchar varchar(1)
varchar(3) varchar(10) varchar(500) char char(1) char(4) "char" name bytea date time timetz timestamp timestamptz
timestamp(0) interval uuid json jsonb inet cidr macaddr macaddr8 bit(1) bit(7) varbit varbit(5) point line lseg box
path polygon circle tsvector tsquery int4range int8range numrange daterange tsrange tstzrange int4multirange
datemultirange numrange[] integer[] text[] varchar(2)[] jsonb[] uuid[][] date[] boolean[] mood mood[] positive
small_text pair pair[] floatrange oid regclass pg_lsn jsonpath xid8 regtype words
"""


def test_an_ordinary_table_is_filled_and_its_text_is_distinct(filling: Any) -> None:
    filling.whole(
        filling.fill("CREATE TABLE t (id serial PRIMARY KEY, name text NOT NULL, email varchar(120) NOT NULL)")
    )
    assert filling.column("SELECT id FROM t ORDER BY id") == list(range(1, 21))
    filling.made("CREATE UNIQUE INDEX ON t (lower(name)); CREATE UNIQUE INDEX ON t (lower(email))")


def test_every_type_is_given_values(filling: Any) -> None:
    types = TYPES.split()
    columns = ", ".join(
        f"c{at} {type.replace('@', ' ')}, n{at} {type.replace('@', ' ')} NOT NULL" for at, type in enumerate(types)
    )
    filled = filling.fill(
        f"""CREATE TYPE mood AS ENUM ('sad', 'it''s ok', 'happy'); CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
        CREATE DOMAIN small_text AS text CHECK (length(VALUE) <= 4) CHECK (VALUE <> '');
        CREATE DOMAIN words AS text[] CHECK (cardinality(VALUE) < 3);
        CREATE TYPE pair AS (a integer, b "text", c mood); CREATE TYPE floatrange AS RANGE (subtype = float8);
        CREATE TABLE every (id bigint GENERATED ALWAYS AS IDENTITY, {columns})""",
    )
    filling.whole(filled)
    for at, type in enumerate(types):
        ((nulls, others),) = filling.ask(f"SELECT count(*) - count(c{at}), count(c{at}) FROM every")
        assert nulls in (4, 5), type
        assert others == ROWS - nulls
    assert set(filling.column(f"SELECT DISTINCT n{types.index('mood')}::text FROM every")) == {
        "sad",
        "it's ok",
        "happy",
    }


SHAPES = tomllib.loads((Path(__file__).parent / "fill_shapes.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("shape", SHAPES)
def test_all_rows_are_found_for(filling: Any, shape: str) -> None:
    filling.whole(filling.fill(SHAPES[shape]["sql"]))


def test_rows_are_spread_over_the_partitions(filling: Any) -> None:
    filling.fill(SHAPES["partitions by range"]["sql"])
    assert sorted(filling.column("SELECT count(*) FROM t GROUP BY tableoid")) == [6, 7, 7]
    filling.made(SHAPES["partitions of partitions"]["sql"].replace(" t ", " p ").replace(" t_", " p_"))
    filling.fill()
    assert filling.column("SELECT count(*) FROM p GROUP BY tableoid") == [10, 10]
    filling.made("CREATE TABLE h (id integer) PARTITION BY HASH (id)")
    filling.made("CREATE TABLE h0 PARTITION OF h FOR VALUES WITH (MODULUS 2, REMAINDER 0)")
    filling.made("CREATE TABLE h1 PARTITION OF h FOR VALUES WITH (MODULUS 2, REMAINDER 1)")
    filling.fill()
    assert len(filling.column("SELECT count(*) FROM h GROUP BY tableoid")) == 2


def test_values_at_the_limits_are_among_the_first_rows(filling: Any) -> None:
    filling.whole(
        filling.fill(
            """CREATE TABLE t (id serial PRIMARY KEY, name varchar(40) NOT NULL, note text NOT NULL, n integer NOT NULL,
            s smallint, b bigint NOT NULL, p numeric(6,2) NOT NULL, d date NOT NULL, at timestamptz NOT NULL,
            rating integer NOT NULL CHECK (rating BETWEEN 1 AND 5), half boolean, list integer[] NOT NULL)"""
        )
    )
    names = filling.column("SELECT name FROM t")
    assert max(map(len, names)) == 40
    assert {"", "é漢字🙂"} <= set(names)
    assert sum(name.isascii() and 0 < len(name) < 40 for name in names) == 17
    assert max(map(len, filling.column("SELECT note FROM t"))) == 200
    for column, most in (("n", 2**31 - 1), ("s", 2**15 - 1), ("b", 2**63 - 1)):
        assert {0, -1, most} <= set(filling.column(f"SELECT {column} FROM t"))
        assert filling.ask(f"SELECT count(*) - count(DISTINCT {column}) FROM t WHERE {column} IS NOT NULL") == [(0,)]
    assert {"9999.99", "0.00", "-9999.99"} <= set(filling.column("SELECT p::text FROM t"))
    assert {"1900-01-01", "2999-12-31"} <= set(filling.column("SELECT d::text FROM t"))
    assert {1, 5} <= set(filling.column("SELECT rating FROM t"))
    assert [] in filling.column("SELECT list FROM t")
    assert max(filling.column("SELECT id FROM t")) == 20
    assert "2999-12-31" in set(filling.column("SELECT (at AT TIME ZONE 'UTC')::date::text FROM t"))


def test_a_tree_has_a_root_and_no_circle(filling: Any) -> None:
    filling.whole(filling.fill("CREATE TABLE a (id serial PRIMARY KEY, parent_id integer REFERENCES a)"))
    assert filling.ask("SELECT count(*) FROM a WHERE parent_id IS NOT NULL")[0][0] >= 12
    assert filling.ask("SELECT count(*) FROM a WHERE parent_id >= id") == [(0,)]


def test_what_waits_in_a_circle_is_filled_afterwards(filling: Any) -> None:
    filling.whole(filling.fill(SHAPES["circle with a way out"]["sql"]))
    assert filling.ask("SELECT count(b_id) FROM a")[0][0] == 16


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 100])
def test_any_number_of_rows_is_kept_to(filling: Any, rows: int) -> None:
    filling.whole(filling.fill("CREATE TABLE t (id serial PRIMARY KEY, a text, b varchar(2) UNIQUE)", rows=rows), rows)
    nulls = filling.ask("SELECT count(*) - count(a) FROM t")[0][0]
    assert nulls == (0 if rows < 3 else 1 if rows <= 5 else rows // 5)


def test_no_rows_are_no_rows(filling: Any) -> None:
    assert filling.fill("CREATE TABLE t (id serial PRIMARY KEY)", rows=0) == {}
    assert filling.ask("SELECT count(*) FROM t") == [(0,)]


EVERYTHING = """
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TABLE u (id serial PRIMARY KEY, key uuid NOT NULL DEFAULT gen_random_uuid(), m mood, name text,
  made timestamptz NOT NULL DEFAULT now(), r real DEFAULT random(), j jsonb, d date CHECK (d > '2021-01-01'));
CREATE TABLE o (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, u_id integer REFERENCES u,
  up bigint REFERENCES o, net numeric(8,2) NOT NULL, gross numeric(8,2) NOT NULL, CHECK (gross = net * 2))
"""


def test_the_same_seed_gives_the_same_rows_and_another_one_others(server: Any, filling: Any) -> None:
    filling.whole(filling.fill(EVERYTHING, seed=7))
    rows = [filling.ask(f"SELECT * FROM {table} ORDER BY id") for table in ("u", "o")]
    for seed, same in ((7, True), (8, False)):
        sibling = server.database()
        try:
            other = type(filling)(sibling)
            other.whole(other.fill(EVERYTHING, seed=seed))
            assert ([other.ask(f"SELECT * FROM {table} ORDER BY id") for table in ("u", "o")] == rows) is same
        finally:
            sibling.drop()


def test_tables_that_have_rows_are_left_alone(filling: Any) -> None:
    filling.made("CREATE TABLE a (id serial PRIMARY KEY, n text); INSERT INTO a (n) VALUES (NULL)")
    filled = filling.fill("CREATE TABLE b (a_id integer NOT NULL REFERENCES a)")
    assert list(filled) == ["public.b"]
    assert filling.ask("SELECT id, n FROM a") == [(1, None)]
    assert set(filling.column("SELECT a_id FROM b")) == {1}


def test_a_table_that_the_filling_of_another_fills_is_left_alone(filling: Any) -> None:
    """By no trigger and no rule: the tables are asked again."""
    filled = filling.fill(
        "CREATE TABLE z (id integer); CREATE FUNCTION noted(n integer) RETURNS boolean LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO public.z VALUES (n); RETURN true; END';"
        "CREATE TABLE a (id serial PRIMARY KEY, n integer NOT NULL CHECK (noted(n)))"
    )
    assert list(filled) == ["public.a"]
    assert filling.ask("SELECT count(*) FROM z") == [(filling.ROWS,)]


def test_what_is_not_the_projects_own_data_is_left_alone(filling: Any, database: Any) -> None:
    database.run("CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw")
    database.run("CREATE FOREIGN TABLE f (a text) SERVER files OPTIONS (filename '/nowhere')")
    filled = filling.fill(
        "CREATE TABLE alembic_version (version_num varchar(32) NOT NULL); CREATE VIEW v AS SELECT 1 AS a;"
        "CREATE TABLE t (a integer)"
    )
    assert list(filled) == ["public.t"]
    assert filling.ask("SELECT count(*) FROM alembic_version") == [(0,)]


def test_types_of_extensions_are_given_values(filling: Any, database: Any) -> None:
    there = [name for name in ("citext", "hstore", "ltree", "cube", "isn") if database.has_extension(name)]
    assert "citext" in there
    for name in there:
        database.run(f"CREATE EXTENSION {name}")
    types = {"isn": "isbn"}
    columns = ", ".join(f"{name} {types.get(name, name)} NOT NULL" for name in there)
    filling.whole(filling.fill(f"CREATE TABLE t ({columns}, UNIQUE (citext))"))
    assert filling.ask("SELECT count(DISTINCT lower(citext::text)) FROM t") == [(20,)]


@pytest.mark.every_postgres
def test_what_only_newer_servers_know_is_filled_too(filling: Any, server: Any) -> None:
    if server.major < 18:
        filling.whole(filling.fill("CREATE TABLE t (a integer UNIQUE NULLS NOT DISTINCT)"))
        return
    filling.whole(
        filling.fill(
            """CREATE TABLE t (a int4range, during daterange, PRIMARY KEY (a, during WITHOUT OVERLAPS),
              twice integer GENERATED ALWAYS AS (upper(a) * 2) VIRTUAL);
            CREATE TABLE u (a int4range NOT NULL, during daterange NOT NULL,
              FOREIGN KEY (a, PERIOD during) REFERENCES t (a, PERIOD during));
            CREATE TABLE v (a integer, CONSTRAINT loose CHECK (a > 1000) NOT ENFORCED)"""
        )
    )
