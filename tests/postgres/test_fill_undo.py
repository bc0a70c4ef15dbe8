"""Invented rows are taken away again: then everything is as it was, or nothing was changed."""

from __future__ import annotations

from typing import Any

import pytest

SCHEMA = """
CREATE TABLE real (id serial PRIMARY KEY, name text); INSERT INTO real (name) VALUES ('a'), ('b');
CREATE TABLE u (id serial PRIMARY KEY, real_id integer NOT NULL REFERENCES real, name text UNIQUE);
CREATE TABLE o (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, u_id integer NOT NULL REFERENCES u);
CREATE SEQUENCE loose START 100; SELECT nextval('loose');
CREATE TABLE n (number bigint DEFAULT nextval('loose'), at date NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE n1 PARTITION OF n FOR VALUES FROM ('1900-01-01') TO ('2100-01-01');
CREATE TABLE old (id serial PRIMARY KEY); CREATE TABLE child () INHERITS (old);
"""
STATE = """
SELECT (SELECT array_agg(r ORDER BY id) FROM real r), (SELECT count(*) FROM u), (SELECT count(*) FROM o),
  (SELECT count(*) FROM n), (SELECT count(*) FROM old),
  (SELECT array_agg((sequencename, last_value) ORDER BY sequencename) FROM pg_sequences WHERE sequencename <> 'late')
"""

HIDDEN = """
CREATE TABLE hidden (u_id integer REFERENCES u); INSERT INTO hidden VALUES (NULL);
ALTER TABLE hidden ENABLE ROW LEVEL SECURITY; ALTER TABLE hidden FORCE ROW LEVEL SECURITY
"""


def test_everything_is_as_it_was(filling: Any) -> None:
    filling.made(SCHEMA)
    before = filling.ask(STATE)
    filler = filling.filler()
    filler.fill_empty()
    # What a revision may do meanwhile: another name, another shape, new tables that are filled as well.
    filling.made("ALTER TABLE o RENAME TO orders; ALTER TABLE u ADD COLUMN age integer; DROP TABLE child")
    filling.made(
        "CREATE SEQUENCE late; CREATE TABLE later (id integer DEFAULT nextval('late'), u_id integer REFERENCES u)"
    )
    filler.fill_new()
    assert filling.ask("SELECT (SELECT count(*) FROM later), (SELECT count(age) > 0 FROM u)") == [(20, True)]
    assert filling.ask(STATE.replace("FROM o)", "FROM orders)")) != before
    assert filler.withdraw()
    assert filling.ask(STATE.replace("FROM o)", "FROM orders)")) == before
    assert filling.ask("SELECT (SELECT count(*) FROM later), nextval('late')") == [(0, 1)]
    assert filling.ask("SELECT nextval('loose')") == [(101,)]


@pytest.mark.parametrize(
    ("and_this", "then"),
    [
        ("CREATE RULE noted AS ON INSERT TO o DO ALSO INSERT INTO real (name) VALUES ('c')", "SELECT"),
        ("CREATE TABLE empty_one (id integer)", "ALTER TABLE real ADD COLUMN age integer"),
        ("CREATE TABLE refers (u_id integer REFERENCES u)", "INSERT INTO refers SELECT id FROM u LIMIT 1"),
    ],
    ids=["a rule writes elsewhere", "a row that was there got a value", "a row that was not invented refers to one"],
)
def test_where_that_cannot_be_nothing_is_changed(filling: Any, and_this: str, then: str) -> None:
    filling.made(SCHEMA + and_this)
    filler = filling.filler()
    if "refers" in and_this:
        filling.made("INSERT INTO refers VALUES (NULL)")
    filler.fill_empty()
    filling.made(then)
    filler.fill_new()
    before = filling.ask(STATE)
    assert not filler.withdraw()
    assert filling.ask(STATE) == before
    assert before != [(None,)]


def test_sequences_stand_where_revisions_left_them(filling: Any) -> None:
    filling.made(
        "CREATE TABLE later (id serial); ALTER SEQUENCE later_id_seq RESTART WITH 1000;"
        "CREATE TABLE real (id integer); INSERT INTO real VALUES (1), (2); CREATE TABLE other (id integer)"
    )
    filler = filling.filler()
    filler.fill_empty()
    filling.made("ALTER TABLE real ADD COLUMN number serial")
    filler.fill_empty()
    filling.made("BEGIN; INSERT INTO real (id) VALUES (3); ROLLBACK")  # an upgrade that fails
    assert filler.withdraw()
    assert filling.ask("SELECT nextval('later_id_seq'), nextval('real_number_seq')") == [(1000, 3)]


def test_a_drawn_sequence_that_a_revision_has_set_cannot_be_set_back(filling: Any) -> None:
    filling.made("CREATE TABLE later (id serial)")
    filler = filling.filler()
    filler.fill_empty()
    filling.made("ALTER SEQUENCE later_id_seq RESTART WITH 1000")
    filler.fill_empty()
    assert not filler.withdraw()


def test_partitions_that_came_keep_their_rows_and_those_that_went_lose_invented_ones(filling: Any) -> None:
    filling.made(
        "CREATE TABLE p (at date NOT NULL) PARTITION BY RANGE (at);"
        "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('1900-01-01') TO ('2100-01-01');"
        "CREATE TABLE p2 (at date NOT NULL); INSERT INTO p2 VALUES ('2150-01-01')"
    )
    filler = filling.filler()
    filler.fill_empty()
    filling.made(
        "ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM ('2100-01-01') TO ('2200-01-01');"
        "ALTER TABLE p DETACH PARTITION p1"
    )
    assert filling.ask("SELECT count(*) FROM p1") == [(20,)]
    assert filler.withdraw()
    assert filling.ask("SELECT (SELECT count(*) FROM p1), (SELECT count(*) FROM p2)") == [(0, 1)]


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TRIGGER noted AFTER INSERT ON n1 FOR EACH ROW EXECUTE FUNCTION note()",
        "CREATE TRIGGER noted AFTER TRUNCATE ON o FOR EACH STATEMENT EXECUTE FUNCTION note()",
        HIDDEN,
    ],
    ids=["a partition's own trigger", "a trigger on TRUNCATE", "a policy hides rows that refer to invented ones"],
)
def test_what_would_change_more_is_left_alone(filling: Any, sql: str) -> None:
    filling.made(
        SCHEMA + "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN INSERT INTO public.real (name) VALUES ('c'); RETURN NULL; END$$;" + sql
    )
    filler = filling.filler()
    filler.fill_empty()
    before = filling.ask(STATE)
    assert not filler.withdraw()
    assert filling.ask(STATE) == before
    assert "hidden" not in sql or filling.ask("SELECT count(*) FROM hidden") == [(1,)]
