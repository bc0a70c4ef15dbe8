"""Values of every type, and types that change: another value is seen, an equal one is not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from neontest.postgres.data import ColumnChange, DataChange
from neontest.postgres.fingerprint import compare, listed, read, tables
from neontest.postgres.fingerprint_model import COARSE_MASK, EXACT_MASK, State
from neontest.postgres.fingerprint_sql import FAMILIES, print_sql, reading
from neontest.stop import FOREVER, Deadline

DIFFERENT = (
    ("smallint", "1", "-1"),
    ("integer", "1", "2"),
    ("bigint", "5", "4294967300"),
    ("boolean", "true", "false"),
    ("oid", "1", "4294967295"),
    ("real", "1.5", "-1.5"),
    ("double precision", "0", "5e-324"),
    ("double precision", "NaN", "Infinity"),
    ("numeric", "5", "-5"),
    ("numeric", "1", "10000"),
    ("numeric", "NaN", "Infinity"),
    ("numeric", "Infinity", "-Infinity"),
    ("numeric(10, 2)", "0.01", "0.02"),
    ("text", "a", "A"),
    ("text", "", " "),
    ("varchar(9)", "\u00e9", "e\u0301"),
    ("char(5)", "a", "b"),
    ('"char"', "a", "b"),
    ("name", "a", "b"),
    ("bytea", "\\x00ff", "\\x00fe"),
    ("uuid", "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"),
    ("date", "2024-02-29", "infinity"),
    ("date", "4713-01-01 BC", "5874897-12-31"),
    ("time", "00:00", "24:00"),
    ("timetz", "12:00+01", "12:00+02"),
    ("timestamp", "2024-01-01", "2024-01-01 00:00:00.000001"),
    ("timestamptz", "2024-01-01 00:00+00", "2024-01-01 00:00+01"),
    ("interval", "1 month", "30 days"),
    ("interval", "1 day", "24 hours"),
    ("inet", "10.0.0.1/8", "10.0.0.1"),
    ("cidr", "10.0.0.0/8", "10.0.0.0/9"),
    ("macaddr", "08:00:2b:01:02:03", "08:00:2b:01:02:04"),
    ("money", "1.00", "-1.00"),
    ("bit(3)", "101", "100"),
    ("varbit", "1", "10"),
    ("json", '{"a": 1}', '{"a": 2}'),
    ("jsonb", '{"a": 1}', '{"a": -1}'),
    ("jsonb", "[[1], 2]", "[[1, 2]]"),
    ("jsonb", '"1"', "1"),
    ("jsonpath", "$.a", "$.b"),
    ("xml", "<a/>", "<b/>"),
    ("point", "(1,2)", "(2,1)"),
    ("box", "(1,1),(0,0)", "(2,1),(0,0)"),
    ("polygon", "((0,0),(1,1))", "((0,0),(1,2))"),
    ("tsvector", "a:1", "a:2"),
    ("tsquery", "a & b", "a | b"),
    ("int4range", "[1,5)", "[1,6)"),
    ("numrange", "[-5,5)", "[5,5]"),
    ("int4multirange", "{[1,5)}", "{[1,2),[3,5)}"),
    ("integer[]", "{{1,2},{3,4}}", "{1,2,3,4}"),
    ("integer[]", "{}", "{NULL}"),
    ("numeric[]", "{5}", "{-5}"),
    ("text[]", "{a,b}", '{"a,b"}'),
    ("json[]", '{"{}"}', '{"[]"}'),
    ("pg_lsn", "0/1", "1/0"),
    ("regclass", "pg_class", "pg_type"),
    ("mood", "sad", "happy"),
    ("pair", "(1,a)", "(1,b)"),
    ("pair", "(,)", "(0,)"),
    ("positive", "1", "10000"),
    ("moods", "{sad}", "{sad,sad}"),
)
EQUAL = (
    ("numeric", "1.0", "1.000"),
    ("numeric", "1000", "1e3"),
    ("double precision", "0", "-0"),
    ("real", "0.1", "0.10"),
    ("jsonb", '{"b": 1, "a": 2}', '{"a":2,"b":1}'),
    ("char(5)", "a", "a  "),
    ("timestamptz", "2024-01-01 00:00+00", "2024-01-01 01:00+01"),
    ("inet", "10.0.0.1/32", "10.0.0.1"),
    ("positive", "2", "2.00"),
)
TYPES = """CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE TYPE pair AS (a integer, b text);
CREATE DOMAIN positive AS numeric CHECK (value > 0); CREATE DOMAIN moods AS mood[];"""
OWN = {"mood", "pair", "positive", "moods"}


@pytest.fixture
def db(shared: Any) -> Iterator[Any]:
    yield shared
    shared.clear()


def state(db: Any, like: State | None = None) -> State:
    return read(db.admin, None, how="full", deadline=Deadline(FOREVER, what="the test"), like=like)


def typed(db: Any, pairs: tuple[tuple[str, str, str], ...], key: str) -> dict[str, tuple[str, str, str]]:
    """A table a pair of values, three rows of the first; the pairs by table."""
    db.run(TYPES)
    known = {}
    for n, (kind, one, _) in enumerate(pairs):
        if kind == "xml" and not has_xml(db):
            continue
        db.run(f"CREATE TABLE t{n} (id integer{key}, v {kind})")
        with db.admin.cursor() as cursor:
            cursor.execute(f"INSERT INTO t{n} VALUES (1, %s), (2, %s), (3, NULL)", (one, one))
        known[f"public.t{n}"] = pairs[n]
    return known


def has_xml(db: Any) -> bool:
    with db.admin.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_config WHERE name = 'CONFIGURE' AND setting LIKE '%%with-libxml%%'")
        return bool(cursor.fetchone()[0])


def update(db: Any, known: dict[str, tuple[str, str, str]]) -> None:
    for table, (_, _, other) in known.items():
        with db.admin.cursor() as cursor:
            cursor.execute(f"UPDATE {table} SET v = %s WHERE id = 2", (other,))


@pytest.mark.parametrize("key", [" PRIMARY KEY", ""], ids=["keyed", "keyless"])
def test_another_value_of_any_type_is_seen_and_told_as_one(db: Any, key: str) -> None:
    known = typed(db, DIFFERENT, key)
    before = state(db)
    assert compare(before, state(db, before)) == DataChange()
    update(db, known)
    after = state(db, before)
    change = compare(before, after)
    missed = [pair for table, pair in known.items() if table not in {each.table for each in change.tables}]
    assert missed == []
    wrong = {known[each.table]: each.columns for each in change.tables if [c.changed for c in each.columns] != [1]}
    assert wrong == {}
    for table in known:
        db.run(f"UPDATE {table} SET v = (SELECT v FROM {table} WHERE id = 1) WHERE id = 2")
    assert compare(before, state(db, before)) == DataChange()


def test_an_equal_value_is_no_change(db: Any) -> None:
    known = typed(db, EQUAL, " PRIMARY KEY")
    before = state(db)
    update(db, known)
    wrong = [known[each.table] for each in compare(before, state(db, before)).tables]
    assert wrong == []


def test_every_type_that_can_be_a_key_tells_rows_apart(db: Any) -> None:
    db.run(TYPES)
    with db.admin.cursor() as cursor:
        cursor.execute(
            """SELECT DISTINCT format_type(c.opcintype, NULL) FROM pg_opclass c JOIN pg_am a ON a.oid = c.opcmethod
            WHERE a.amname = 'btree' AND c.opcdefault"""
        )
        sortable = {str(kind) for (kind,) in cursor.fetchall()}
    sortable |= {"mood", "positive", "char(5)", "numeric(10, 2)"}
    # A month and 30 days are equal to an index.
    pairs = [pair for pair in DIFFERENT if pair[0] in sortable - {"interval"}]
    for n, (kind, one, other) in enumerate(pairs):
        db.run(f"CREATE TABLE t{n} (id {kind} PRIMARY KEY, v integer)")
        with db.admin.cursor() as cursor:
            cursor.execute(f"INSERT INTO t{n} VALUES (%s, 1), (%s, 2)", (one, other))
    assert len(pairs) > 20
    before = state(db)
    assert {len(each.groups) for each in before.prints.values()} == {2}
    for n in range(len(pairs)):
        db.run(f"UPDATE t{n} SET v = 3 - v")
    change = compare(before, state(db, before))
    assert {tuple((c.column, c.changed) for c in each.columns) for each in change.tables} == {(("v", 2),)}
    assert len(change.tables) == len(pairs)


CHANGES = (
    ("integer", "7", "bigint", "v::bigint", 0),
    ("integer", "7", "text", "v::text", 0),
    ("integer", "7", "numeric", "v::numeric", 0),
    ("integer", "7", "double precision", "v::float8", 0),
    ("integer", "7", "boolean", "v::boolean", 1),
    ("boolean", "true", "integer", "v::integer", 0),
    ("boolean", "true", "text", "v::text", 0),
    ("text", "7", "integer", "v::integer", 0),
    ("text", "007", "integer", "v::integer", 1),
    ("text", "A0000000-0000-0000-0000-000000000001", "uuid", "v::uuid", 1),
    ("text", "sad", "mood", "v::mood", 0),
    ("mood", "sad", "text", "v::text", 0),
    ("text", "abcdef", "varchar(3)", "v::varchar(3)", 1),
    ("text", "abc", "char(5)", "v::char(5)", 0),
    ("numeric(10, 2)", "1.50", "integer", "v::integer", 1),
    ("numeric(10, 2)", "2.00", "integer", "v::integer", 0),
    ("numeric(10, 2)", "1.50", "numeric(12, 4)", "v", 0),
    ("real", "1.1", "double precision", "v", 0),
    ("real", "1.1", "text", "v::text", 0),
    ("double precision", "1.1", "real", "v::real", 1),
    ("uuid", "00000000-0000-0000-0000-000000000001", "text", "v::text", 0),
    ("timestamp", "2024-01-01 12:00", "timestamptz", "v AT TIME ZONE 'UTC'", 0),
    ("timestamp", "2024-01-01 12:00", "timestamptz", "v AT TIME ZONE 'Asia/Tokyo'", 1),
    ("timestamp", "2024-01-01 12:00", "date", "v::date", 1),
    ("date", "2024-01-01", "text", "v::text", 0),
    ("jsonb", '{"a": 1}', "text", "v::text", 0),
    ("jsonb", '{"a": 1}', "json", "v::json", 0),
    ("json", '{"a" :1}', "text", "v::text", 0),
    ("bytea", "\\x01", "text", "v::text", 0),
    ("positive", "2.50", "numeric", "v", 0),
    ("integer[]", "{1,2}", "bigint[]", "v::bigint[]", 0),
)


def test_where_a_type_changed_values_compare_as_the_type_that_they_were(db: Any) -> None:
    db.run("SET timezone = 'UTC';" + TYPES)
    for n, (kind, value, _, _, _) in enumerate(CHANGES):
        db.run(f"CREATE TABLE t{n} (id integer PRIMARY KEY, v {kind})")
        with db.admin.cursor() as cursor:
            cursor.execute(f"INSERT INTO t{n} VALUES (1, %s), (2, NULL)", (value,))
    before = state(db)
    for n, (_, _, kind, using, _) in enumerate(CHANGES):
        db.run(f"ALTER TABLE t{n} ALTER v TYPE {kind} USING {using}")
    found = {each.table: each.columns[0] for each in compare(before, state(db, before)).tables}
    wrong = [
        (each, found.get(f"public.t{n}"))
        for n, each in enumerate(CHANGES)
        if (found[f"public.t{n}"].changed if f"public.t{n}" in found else 0) != each[4]
    ]
    assert wrong == []
    assert [each.note for each in found.values()] == [None] * len(found)
    for n, (kind, _, _, _, lost) in enumerate(CHANGES):
        if not lost and kind not in ("boolean", "positive"):
            db.run(f"ALTER TABLE t{n} ALTER v TYPE {kind} USING v::text::{kind}")
    back = {each.table for each in compare(before, state(db, before)).tables}
    assert back <= {f"public.t{n}" for n, each in enumerate(CHANGES) if each[4]}


def test_an_enum_that_was_made_again_has_the_same_values(db: Any) -> None:
    db.run(TYPES + "CREATE TABLE t (id integer PRIMARY KEY, v mood); INSERT INTO t VALUES (1, 'sad'), (2, 'happy')")
    before = state(db)
    db.run(
        """ALTER TABLE t ALTER v TYPE text; DROP DOMAIN moods; DROP TYPE mood;
        CREATE TYPE mood AS ENUM ('happy', 'sad'); ALTER TABLE t ALTER v TYPE mood USING v::mood"""
    )
    assert compare(before, state(db, before)) == DataChange()


def test_values_that_cannot_be_cast_back_are_only_counted_and_the_others_compared(db: Any) -> None:
    db.run(
        """CREATE TABLE t (id integer PRIMARY KEY, a integer, b integer, c integer, d text);
        INSERT INTO t SELECT n, n, n, n, '{}' FROM generate_series(1, 9) n"""
    )
    before = state(db)
    db.run(
        """ALTER TABLE t ALTER a TYPE text USING CASE WHEN a < 3 THEN 'odd' ELSE a::text END, ALTER b TYPE text,
        ALTER c TYPE point USING CASE WHEN c > 2 THEN point(c, c) END, ALTER d TYPE jsonb USING d::jsonb;
        UPDATE t SET b = '0' WHERE id = 9"""
    )
    (change,) = compare(before, state(db, before)).tables
    assert change.columns == (
        ColumnChange(
            column="a", before=9, after=9, exact=False,
            note="its type changed to text, from which not every value can be cast back",
        ),
        ColumnChange(column="b", before=9, after=9, changed=1),
        ColumnChange(
            column="c", before=9, after=7, changed=2, exact=False,
            note="its type changed to point, from which not every value can be cast back",
        ),
        ColumnChange(
            column="d", before=9, after=9, exact=False, note="text became jsonb: its values were only counted"
        ),
    )  # fmt: skip


def test_a_key_whose_type_changed_still_recognises_rows(db: Any) -> None:
    db.run("CREATE TABLE t (id integer PRIMARY KEY, v text); INSERT INTO t SELECT n, n FROM generate_series(1, 9) n")
    before = state(db)
    db.run("ALTER TABLE t ALTER id TYPE text; UPDATE t SET v = 'x' WHERE id = '3'")
    (change,) = compare(before, state(db, before)).tables
    assert change.columns == (ColumnChange(column="v", before=9, after=9, changed=1),)
    db.run("UPDATE t SET id = 'key ' || id")
    (change,) = compare(before, state(db, before)).tables
    assert change.rekeyed


def test_folding_groups_gives_what_the_server_gives(db: Any) -> None:
    db.run(
        """CREATE TABLE keyed (id integer PRIMARY KEY, a text, b numeric); CREATE TABLE loose (id integer, a text);
        INSERT INTO keyed SELECT n, CASE WHEN n % 3 > 0 THEN n END, n FROM generate_series(1, 1500) n;
        INSERT INTO loose SELECT n % 400, n % 400 FROM generate_series(1, 1500) n"""
    )
    prints = state(db).prints
    for table in tables(listed(db.admin)):
        fine = prints[table.oid]
        assert fine.mask == EXACT_MASK
        for mask in (COARSE_MASK, 7, 0):
            keyed = bool(table.key)
            columns = [reading(each) for each in table.columns if each.number not in table.key]
            by = [reading(each) for each in table.columns if not keyed or each.number in table.key]
            with db.admin.cursor() as cursor:
                cursor.execute(print_sql(table, columns, by=by, keyed=keyed, mask=mask))
                rows = sorted(tuple(int(value or 0) for value in row) for row in cursor.fetchall())
            folded = fine.folded(mask)
            held = [folded.groups, folded.counts, folded.keys] + ([folded.whole] if keyed else [])
            held += [numbers for each in folded.columns for numbers in (each.sums, each.filled)]
            words = [(row[0], *(value % 2**64 for value in row[1:])) for row in rows]
            assert words == list(zip(*held, strict=True))


def test_every_type_with_a_hash_of_its_own_is_tried_here(db: Any) -> None:
    with db.admin.cursor() as cursor:
        cursor.execute(
            "SELECT format_type(oid, NULL), oid::int8 FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace"
        )
        names = {int(number): str(name) for name, number in cursor.fetchall()}
        cursor.execute(
            "SELECT unnest(%s::regtype[])::oid::int8", ([kind for kind, _, _ in DIFFERENT if kind not in OWN],)
        )
        tried = {int(number) for (number,) in cursor.fetchall()}
    assert {names[number] for number in FAMILIES if number not in tried} == set()
