"""Definitions put together from the catalogs are the server's own, letter for letter, and are put together at all."""

from __future__ import annotations

from typing import Any

import pytest

from neontest.postgres.catalog import KINDS, LISTED
from neontest.postgres.definitions import composed, constraint, index
from neontest.postgres.kind import prelude

TABLES = """
CREATE SCHEMA "Odd one"; CREATE TYPE mood AS ENUM ('sad'); CREATE DOMAIN short AS varchar(8);
CREATE DOMAIN whole AS integer NOT NULL; CREATE COLLATION byte FROM "C";
CREATE TABLE plain (gone integer, id bigint PRIMARY KEY, a integer NOT NULL, b text, v varchar(20), c char(4),
  "order" integer, "Two words" text, "quo""te" text, m mood, s short, w whole, t timestamptz, n numeric(10, 2), j jsonb,
  u uuid, arr integer[], r int4range, x text COLLATE byte, net inet, cid cidr, flag boolean, bits bit(3), name name,
  oid oid, days interval, vec oidvector, one "char");
ALTER TABLE plain DROP COLUMN gone;
CREATE TABLE "Odd one"."select" ("From" integer PRIMARY KEY, "a,b" text UNIQUE, UNIQUE ("From", "a,b"));
CREATE TABLE pair (x integer, y text, PRIMARY KEY (y, x));
CREATE TABLE parts (id integer, at date, PRIMARY KEY (id, at), UNIQUE (at, id)) PARTITION BY RANGE (at);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE child (more integer) INHERITS (plain);
CREATE MATERIALIZED VIEW seen AS SELECT id, b FROM plain;
CREATE TABLE empty ();
"""
pytestmark = pytest.mark.every_postgres

INDEXES = [
    "(a)", "(b)", "(v)", "(c)", "(m)", "(s)", "(w)", "(t)", "(n)", "(j)", "(u)", "(arr)", "(r)", "(x)", "(net)",
    "(cid)", "(flag)", "(bits)", "(name)", "(oid)", "(days)", "(vec)", "(one)", "(a, b)", "(b, a, id)", '("order")',
    '("Two words", "quo""te")', "(a DESC)", "(a NULLS FIRST)", "(a, b DESC NULLS LAST)", '(b COLLATE "C")',
    '(x COLLATE "default")', "(x COLLATE byte)", "(b text_pattern_ops)", "(v varchar_pattern_ops)", "(v varchar_ops)",
    "(v text_ops)", "(c bpchar_ops)", "(cid inet_ops)", "(a) INCLUDE (b)", "(a) WITH (fillfactor = 70)",
    "(a) WHERE flag", "(lower(b))", "((a + 1))", "(a, (b || v))", "USING hash (a)", "USING gin (arr)", "USING brin (t)",
    "USING gist (r)", "USING spgist (r)",
]  # fmt: skip
OTHERS = """
CREATE UNIQUE INDEX one_only ON plain (a, b); CREATE INDEX "Index of" ON "Odd one"."select" ("a,b");
CREATE INDEX ON parts (at); CREATE INDEX ON ONLY parts (id); CREATE INDEX ON seen (b); CREATE UNIQUE INDEX ON seen (id);
CREATE INDEX ON child (more, a);
"""
NOT_DISTINCT = (
    "CREATE UNIQUE INDEX ON plain (a, u) NULLS NOT DISTINCT; ALTER TABLE pair ADD UNIQUE NULLS NOT DISTINCT (x)"
)
CONSTRAINTS = [
    "CHECK (a > 0)", "CHECK (a > 1) NOT VALID", "CHECK (a > 2) NO INHERIT", "UNIQUE (a)", "UNIQUE (a, b) DEFERRABLE",
    "UNIQUE (u) INCLUDE (a)", "UNIQUE (n) WITH (fillfactor = 70)", "EXCLUDE USING gist (r WITH &&)",
    "EXCLUDE USING btree (a WITH =) WHERE (flag)", "FOREIGN KEY (a) REFERENCES plain",
    'FOREIGN KEY (a) REFERENCES "Odd one"."select"', 'FOREIGN KEY ("order", b) REFERENCES pair (x, y)',
    "FOREIGN KEY (a, b) REFERENCES pair (x, y) MATCH FULL", "FOREIGN KEY (a) REFERENCES plain ON DELETE CASCADE",
    "FOREIGN KEY (a) REFERENCES plain ON DELETE RESTRICT ON UPDATE CASCADE",
    "FOREIGN KEY (a) REFERENCES plain ON UPDATE RESTRICT", "FOREIGN KEY (a) REFERENCES plain ON UPDATE SET NULL",
    "FOREIGN KEY (a) REFERENCES plain ON UPDATE SET DEFAULT", "FOREIGN KEY (a) REFERENCES plain ON DELETE SET NULL",
    "FOREIGN KEY (a) REFERENCES plain ON DELETE SET DEFAULT", "FOREIGN KEY (a) REFERENCES plain NOT VALID",
    "FOREIGN KEY (a) REFERENCES plain DEFERRABLE", "FOREIGN KEY (a) REFERENCES plain DEFERRABLE INITIALLY DEFERRED",
    "FOREIGN KEY (oid) REFERENCES other",
]  # fmt: skip
LATER = {
    15: ["FOREIGN KEY (a, b) REFERENCES pair (x, y) ON DELETE SET NULL (a)"],
    18: ["FOREIGN KEY (a) REFERENCES plain NOT ENFORCED", "CHECK (a > 3) NOT ENFORCED", "NOT NULL b",
         "NOT NULL v NOT VALID", "NOT NULL c NO INHERIT",
         "FOREIGN KEY (a, PERIOD r) REFERENCES spans (id, PERIOD during)"],
}  # fmt: skip
"""Since which major version."""
SPANS = """CREATE EXTENSION IF NOT EXISTS btree_gist;
CREATE TABLE spans (id integer, during int4range, PRIMARY KEY (id, during WITHOUT OVERLAPS))"""


@pytest.fixture
def zoo(database: Any) -> Any:
    major = database.server.major
    database.run(TABLES)
    if major >= 18 and database.has_extension("btree_gist"):
        database.run(SPANS)
    # Of an extension's tables nothing is listed.
    database.run("CREATE TABLE other (o oid PRIMARY KEY)")
    if database.has_extension("hstore"):
        database.run("CREATE EXTENSION hstore; ALTER EXTENSION hstore ADD TABLE other")
    for text in INDEXES:
        database.run(f"CREATE INDEX ON plain {text}")
    database.run(OTHERS + (NOT_DISTINCT if major >= 15 else ""))
    for text in [*CONSTRAINTS, *(each for since, more in LATER.items() if major >= since for each in more)]:
        if "PERIOD" not in text or database.has_extension("btree_gist"):
            database.run(f"ALTER TABLE plain ADD {text}")
    return database


def told(database: Any, version: int) -> tuple[list[Any], list[Any]]:
    """(definition, the server's, put together without it or NULL) of every index and of every constraint."""
    found = []
    with database.admin.cursor() as cursor:
        cursor.execute("SET search_path = ''")
        for name, ours in (("index", index(version)), ("constraint", constraint(version))):
            (kind,) = (kind for kind in KINDS if kind.name == name)
            server = kind.facts["definition"]
            assert server in ours
            cursor.execute(
                f"WITH RECURSIVE {prelude()}, {LISTED} SELECT {ours}, {server}, {ours.replace(server, 'NULL')}"
                f" FROM {composed(kind, version).source}"
            )
            found.append(cursor.fetchall())
        cursor.execute("RESET search_path")
    indexes, constraints = found
    return indexes, constraints


def test_each_is_the_servers_own(zoo: Any) -> None:
    indexes, constraints = told(zoo, zoo.admin.server_version)
    assert [row[:2] for row in indexes + constraints if row[0] != row[1]] == []
    assert len(indexes) > len(INDEXES)
    assert len(constraints) > len(CONSTRAINTS)


def test_the_common_ones_are_put_together(zoo: Any) -> None:
    indexes, constraints = told(zoo, zoo.admin.server_version)
    composed = {row[2] for row in indexes + constraints}
    expected = {
        "CREATE INDEX plain_a_idx ON public.plain USING btree (a)",
        "CREATE INDEX plain_v_idx ON public.plain USING btree (v)",
        'CREATE INDEX "Index of" ON "Odd one"."select" USING btree ("a,b")',
        "CREATE UNIQUE INDEX one_only ON public.plain USING btree (a, b)",
        "CREATE INDEX parts_at_idx ON ONLY public.parts USING btree (at)",
        "PRIMARY KEY (y, x)",
        "FOREIGN KEY (a) REFERENCES public.plain(id) ON UPDATE CASCADE ON DELETE RESTRICT",
        "CHECK ((a > 2)) NO INHERIT",
        'FOREIGN KEY ("order", b) REFERENCES public.pair(x, y)',
    }
    if zoo.server.major >= 18:
        expected |= {"NOT NULL b"}
    assert expected - composed == set()
    assert {row[0] for row in indexes + constraints if row[2] is None} >= {
        "CREATE INDEX plain_lower_idx ON public.plain USING btree (lower(b))",
        "UNIQUE (a)",
    }


OWN = (
    "CREATE OPERATOR CLASS own DEFAULT FOR TYPE {type} USING btree AS OPERATOR 1 <({base}, {base}), OPERATOR 2"
    " <=({base}, {base}), OPERATOR 3 =({base}, {base}), OPERATOR 4 >=({base}, {base}), OPERATOR 5 >({base}, {base}),"
    " FUNCTION 1 ({type}, {type}) {function}({base}, {base})"
)
PREFERRED = """
CREATE TYPE my; CREATE FUNCTION my_in(cstring) RETURNS my LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION my_out(my) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE TYPE my (INPUT = my_in, OUTPUT = my_out, LIKE = text, CATEGORY = 'S', PREFERRED = true, COLLATABLE = true);
CREATE CAST (varchar AS my) WITHOUT FUNCTION AS IMPLICIT; CREATE CAST (my AS text) WITHOUT FUNCTION AS IMPLICIT;
"""


@pytest.mark.parametrize(
    ("setup", "type", "base", "function"),
    [
        ("", "varchar", "text", "bttextcmp"),
        (PREFERRED, "my", "text", "bttextcmp"),
        ("CREATE DOMAIN whole AS integer;", "whole", "integer", "btint4cmp"),
        ("CREATE TYPE mood AS ENUM ('sad');", "mood", "anyenum", "enum_cmp"),
    ],
    ids=["varchar", "preferred", "domain", "enum"],
)
def test_an_operator_class_of_ones_own_is_asked_about(
    database: Any, setup: str, type: str, base: str, function: str
) -> None:
    """It is the default, or no longer is the server's: varchar's, too, where there is something else to take it for."""
    database.run(f"{setup} CREATE TABLE t (v varchar, o {type}); CREATE INDEX i ON t (v); CREATE INDEX j ON t (o)")
    before, _ = told(database, database.admin.server_version)
    assert next(row[2] for row in before if "(v)" in row[1]) is not None
    database.run(OWN.format(type=type, base=base, function=function))
    if type != "varchar":
        database.run("CREATE INDEX k ON t (o own)")
    after, _ = told(database, database.admin.server_version)
    assert [row[0] for row in after] == [row[1] for row in after]
