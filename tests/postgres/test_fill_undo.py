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
