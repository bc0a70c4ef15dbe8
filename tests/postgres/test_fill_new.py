"""After an upgrade: new tables get rows, new columns values, and nothing old changes."""

from __future__ import annotations

from typing import Any

import pytest

from neontest.postgres import fill_columns
from neontest.postgres.fill_session import Session
from neontest.rows import Plan, Rows
from neontest.stop import Deadline


def test_new_tables_and_new_columns_are_filled_and_nothing_else_changes(filling: Any) -> None:
    filling.made("CREATE TABLE u (id serial PRIMARY KEY, name text); CREATE TABLE e (id serial PRIMARY KEY)")
    filler = filling.filler()
    filler.fill_empty()
    filling.made("DELETE FROM e")
    before = filling.ask("SELECT id, name FROM u ORDER BY id")
    filling.made(
        """ALTER TABLE u ADD COLUMN age integer, ADD COLUMN kind text NOT NULL DEFAULT 'x',
          ADD COLUMN twice integer GENERATED ALWAYS AS (age * 2) STORED, ADD COLUMN boss integer REFERENCES u,
          ADD COLUMN code varchar(4) UNIQUE;
        CREATE TABLE o (id serial PRIMARY KEY, u_id integer NOT NULL REFERENCES u);
        CREATE TABLE seeded (id serial PRIMARY KEY, note text); INSERT INTO seeded (note) VALUES (NULL)"""
    )
    filled = {each.table: each for each in filler.fill_new()}
    assert list(filled) == ["public.o", "public.u"]
    assert (filled["public.o"].rows, filled["public.o"].columns, filled["public.o"].why) == (20, (), None)
    assert (filled["public.u"].columns, filled["public.u"].why) == (("age", "kind", "boss", "code"), None)
    assert 15 <= filled["public.u"].rows <= 20
    assert filling.ask("SELECT id, name FROM u ORDER BY id") == before
    assert filling.ask("SELECT count(age), count(code), count(*) FILTER (WHERE kind = 'x') FROM u") == [(16, 16, 20)]
    assert filling.ask("SELECT count(*) FROM u WHERE boss >= id") == [(0,)]
    assert filling.ask("SELECT count(boss) > 11 FROM u") == [(True,)]
    assert filling.ask("SELECT note FROM seeded") == [(None,)]
    assert filling.ask("SELECT count(*) FROM e") == [(0,)]
    assert filler.fill_new() is None


def test_a_table_that_comes_again_is_new_again(filling: Any) -> None:
    filler = filling.filler()
    for _ in range(2):
        filling.made("CREATE TABLE t (id serial PRIMARY KEY, a text)")
        assert [(each.table, each.rows) for each in filler.fill_new()] == [("public.t", 20)]
        filling.made("ALTER TABLE t ADD COLUMN b text")
        assert [(each.table, each.columns) for each in filler.fill_new()] == [("public.t", ("b",))]
        filling.made("ALTER TABLE t DROP COLUMN b; ALTER TABLE t ADD COLUMN b text")
        assert [(each.table, each.columns) for each in filler.fill_new()] == [("public.t", ("b",))]
        filling.made("DROP TABLE t")
        assert filler.fill_new() is None


def test_where_nothing_is_new_the_next_filling_still_sees_what_is_gone(filling: Any) -> None:
    filling.made("CREATE TABLE t (id serial PRIMARY KEY, gone text); CREATE TABLE v (id serial PRIMARY KEY)")
    reader = filling.reader()
    plan = Plan(rows=20, seed=0, how="full", seconds=60, deadline=Deadline(60, what="the test"))
    rows = Rows(filling.conn, plan, forget=lambda: None)
    rows.invent(reader.snapshot())
    filling.made("TRUNCATE t; ALTER TABLE t DROP COLUMN gone; DROP TABLE v")
    rows.grow(reader.snapshot())
    assert filling.ask("SELECT count(*) FROM t") == [(0,)]
    rows.invent(reader.snapshot())
    assert filling.ask("SELECT count(*) FROM t") == [(20,)]


def test_a_table_with_a_trigger_or_rule_on_update_is_left_alone_and_said(filling: Any) -> None:
    filling.made(
        """CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN NEW.changed := NEW.changed + 1; RETURN NEW; END$$;
        CREATE TABLE t (id serial PRIMARY KEY, changed integer NOT NULL);
        CREATE TABLE some (id serial PRIMARY KEY, changed integer NOT NULL);
        CREATE TABLE r (id serial PRIMARY KEY);
        CREATE TRIGGER touching BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touch();
        CREATE TRIGGER touching BEFORE UPDATE OF changed ON some FOR EACH ROW EXECUTE FUNCTION touch();
        CREATE RULE off AS ON UPDATE TO r DO INSTEAD NOTHING""".replace(" some ", ' "some" ')
    )
    filler = filling.filler()
    filler.fill_empty()
    before = filling.ask("SELECT id, changed FROM t ORDER BY id")
    for table in ("t", '"some"', "r"):
        filling.made(f"ALTER TABLE {table} ADD COLUMN a integer")
    assert [(each.table, each.rows, each.columns, each.why) for each in filler.fill_new()] == [
        ("public.r", 0, ("a",), "its rule off would run on UPDATE, and could change other columns"),
        ("public.some", 16, ("a",), None),
        ("public.t", 0, ("a",), "its trigger touching would run on UPDATE, and could change other columns"),
    ]
    assert filling.ask("SELECT id, changed FROM t ORDER BY id") == before


def test_only_as_many_rows_as_were_asked_for_get_values(filling: Any) -> None:
    filling.made("CREATE TABLE big (id integer PRIMARY KEY); INSERT INTO big SELECT generate_series(1, 500)")
    filler = filling.filler()
    filling.made("ALTER TABLE big ADD COLUMN a text")
    (filled,) = filler.fill_new()
    assert (filled.rows, filled.columns) == (16, ("a",))
    assert filling.ask("SELECT count(a), max(id) FILTER (WHERE a IS NOT NULL) <= 20 FROM big") == [(16, True)]


def test_values_of_new_columns_are_sent_together_and_are_those_that_would_be_sent_row_by_row(
    filling: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A far database costs a round trip a statement. Where one is refused, each row is tried by itself."""
    sent: list[int] = []
    send = Session.send
    monkeypatch.setattr(Session, "send", lambda session, *given: sent.append(1) or send(session, *given))
    more = "ADD a varchar(3) UNIQUE, ADD b numeric(5, 2), ADD c jsonb, ADD d date[], ADD e smallint CHECK (e > 100)"
    found = []
    for how, column in (("at once", ""), ("row by row", ""), ("refused", ", ADD f integer CHECK (f % 5 = id % 5)")):
        filling.made("CREATE TABLE t (id serial PRIMARY KEY, name text NOT NULL)")
        filler = filling.filler()
        filler.fill_empty()
        filling.made(f"ALTER TABLE t {more}{column}")
        with monkeypatch.context() as patched:
            if how == "row by row":
                patched.setattr(fill_columns._Updating, "_at_once", lambda *_: None)
            sent.clear()
            (filled,) = filler.fill_new()
        found.append((filled.rows, filled.why, filling.ask("SELECT id, a, b, c::text, d::text, e FROM t ORDER BY id")))
        assert (len(sent) == 1) is (how == "at once")
        assert filled.rows > 15
        filling.made("DROP TABLE t CASCADE")
    assert found[0] == found[1]
    assert found[2][0] > 15


def test_a_policy_that_leaves_rows_out_is_not_taken_for_rows_with_values(filling: Any) -> None:
    filling.made("CREATE TABLE t (id serial PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 20)")
    filling.made("CREATE ROLE guarded LOGIN; GRANT ALL ON t TO guarded; ALTER TABLE t ENABLE ROW LEVEL SECURITY")
    try:
        filling.made("CREATE POLICY seen ON t FOR SELECT USING (true)")
        filling.made("CREATE POLICY few ON t FOR UPDATE USING (id <= 5)")
        filler = filling.filler(user="guarded")
        filling.made("ALTER TABLE t ADD a integer")
        (filled,) = filler.fill_new()
        assert 0 < filled.rows == filling.ask("SELECT count(a) FROM t")[0][0] <= 5
    finally:
        filling.conn.close()
        filling.made("DROP TABLE t; DROP ROLE guarded")


def test_a_new_column_of_partitions_keeps_to_its_checks_and_keys(filling: Any) -> None:
    filling.made(
        """CREATE TABLE t (id integer NOT NULL, a date NOT NULL) PARTITION BY RANGE (a);
        CREATE TABLE t1 PARTITION OF t FOR VALUES FROM ('2024-01-01') TO ('2024-03-01');
        CREATE TABLE t2 PARTITION OF t FOR VALUES FROM ('2024-03-01') TO ('2024-06-01');
        CREATE TABLE k (x integer, y integer, PRIMARY KEY (x, y))"""
    )
    filler = filling.filler()
    filler.fill_empty()
    filling.made(
        """ALTER TABLE t ADD COLUMN b date, ADD CHECK (b > a), ADD COLUMN x integer, ADD COLUMN y integer,
        ADD FOREIGN KEY (x, y) REFERENCES k, ADD COLUMN s text CHECK (s IN ('new', 'old'))"""
    )
    (filled,) = filler.fill_new()
    assert (filled.columns, filled.why) == (("b", "x", "y", "s"), None)
    assert filling.ask("SELECT count(b) >= 14, count(x), count(y), count(s), count(DISTINCT s) FROM t") == [
        (True, 16, 16, 16, 2)
    ]
