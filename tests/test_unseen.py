"""Rollbacks that lose what a plain upgrade, downgrade, upgrade never notices: each is seen, by its revision."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from neontest.report import Report
from tests.conftest import Ran, environment, run_neontest

ENV_PY = """
import os
from alembic import context
from sqlalchemy import create_engine

with create_engine(os.environ["DATABASE_URL"]).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""

START = """
CREATE TABLE owner (id int PRIMARY KEY);
CREATE TABLE item (
  id serial PRIMARY KEY, phone text, state text DEFAULT 'new', price int, code text,
  owner int CONSTRAINT item_owner REFERENCES owner ON DELETE CASCADE,
  CONSTRAINT price_positive CHECK (price > 0), CONSTRAINT one_code UNIQUE (code)
);
CREATE INDEX ix_open ON item (state) WHERE state = 'new';
CREATE ROLE reader_of_items;
GRANT SELECT ON item TO reader_of_items;
ALTER TABLE item ENABLE ROW LEVEL SECURITY;
CREATE POLICY cheap ON item USING (price < 100);
COMMENT ON TABLE item IS 'what is sold';
CREATE SEQUENCE ticket START 1000 INCREMENT 10;
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.state := ''stamped''; RETURN NEW; END';
CREATE TRIGGER stamping BEFORE UPDATE ON item FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE SCHEMA audit;
CREATE TABLE audit.log (id int PRIMARY KEY, what text NOT NULL);
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TABLE feeling (id int PRIMARY KEY, mood mood);
INSERT INTO owner VALUES (1);
INSERT INTO item (phone, price, code, owner) SELECT '555-' || n, n, 'c' || n, 1 FROM generate_series(1, 30) n;
"""


@dataclass(frozen=True, kw_only=True)
class Unseen:
    """An upgrade and the rollback of it that does not bring back what it should."""

    up: str
    down: str
    check: str = "schema-restored"
    says: str
    """In the finding's details."""


CLASSES = {
    "values-of-a-nullable-column": Unseen(
        up="ALTER TABLE item DROP COLUMN phone",
        down="ALTER TABLE item ADD COLUMN phone text",
        check="data-loss",
        says="30 of 30 non-null values of item.phone did not come back",
    ),
    "a-default": Unseen(
        up="ALTER TABLE item ALTER COLUMN state SET DEFAULT 'fresh'",
        down="ALTER TABLE item ALTER COLUMN state DROP DEFAULT",
        says="default",
    ),
    "the-predicate-of-a-partial-index": Unseen(
        up="DROP INDEX ix_open", down="CREATE INDEX ix_open ON item (state)", says="index ix_open"
    ),
    "on-delete": Unseen(
        up="ALTER TABLE item DROP CONSTRAINT item_owner",
        down="ALTER TABLE item ADD CONSTRAINT item_owner FOREIGN KEY (owner) REFERENCES owner",
        says="ON DELETE CASCADE",
    ),
    "a-check": Unseen(
        up="ALTER TABLE item DROP CONSTRAINT IF EXISTS price_positive, ADD CONSTRAINT priced CHECK (price IS NOT NULL)",
        down="ALTER TABLE item DROP CONSTRAINT priced",
        says="price_positive",
    ),
    "a-policy": Unseen(
        up="DROP POLICY cheap ON item",
        down="CREATE POLICY cheap ON item USING (true)",
        says="policy cheap",
    ),
    "a-grant": Unseen(
        up="REVOKE ALL ON item FROM reader_of_items", down="SELECT 1",
        check="downgrade-does-nothing", says="reader_of_items",
    ),
    "a-comment": Unseen(
        up="COMMENT ON TABLE item IS 'what is bought'", down="COMMENT ON TABLE item IS NULL", says="comment"
    ),
    "a-sequence": Unseen(
        up="DROP SEQUENCE ticket", down="CREATE SEQUENCE ticket", says="sequence ticket"
    ),
    "a-function-and-its-trigger": Unseen(
        up="DROP TRIGGER IF EXISTS stamping ON item; DROP FUNCTION stamp()",
        down="CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        says="trigger stamping",
    ),
    "another-schema": Unseen(
        up="CREATE TABLE audit.entry (id int PRIMARY KEY)",
        down="DROP TABLE audit.entry; ALTER TABLE audit.log ALTER COLUMN what DROP NOT NULL",
        says="audit.log",
    ),
    "values-of-an-enum": Unseen(
        up="ALTER TYPE mood ADD VALUE IF NOT EXISTS 'so so' BEFORE 'bad'", down="COMMENT ON TYPE mood IS NULL",
        check="downgrade-does-nothing", says="so so",
    ),
    "a-unique-constraint-that-is-an-index-now": Unseen(
        up="ALTER TABLE item DROP CONSTRAINT IF EXISTS one_code",
        down="CREATE UNIQUE INDEX one_code ON item (code)",
        says="one_code",
    ),
}  # fmt: skip


def revision(number: int, up: str, down: str) -> str:
    above = f"'r{number - 1:02}'" if number else None
    return (
        f"from alembic import op\nrevision = 'r{number:02}'\ndown_revision = {above}\n"
        f"def upgrade():\n    op.execute({up!r})\ndef downgrade():\n    op.execute({down!r})\n"
    )


@pytest.fixture
def ran(local_state: Path, tmp_path: Path) -> Ran:
    """One run over a project whose every revision has one of these faults; the parent has rows of its own."""
    versions = tmp_path / "migrations" / "versions"
    versions.mkdir(parents=True)
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/migrations\n")
    (tmp_path / "migrations" / "env.py").write_text(ENV_PY)
    (versions / "r00.py").write_text(revision(0, START, "SELECT 1"))
    for number, each in enumerate(CLASSES.values(), start=1):
        (versions / f"r{number:02}.py").write_text(revision(number, each.up, each.down))
    args = ("run", "--no-tests", "--from-revision", "r00")
    return run_neontest(*args, cwd=tmp_path, environ=environment(local_state), json=tmp_path / "r.json")


def told(report: Report, number: int, check: str) -> str:
    """What the findings of a check on a revision say."""
    found = [each for each in report.findings if each.revision == f"r{number:02}" and each.check == check]
    return "\n".join(line for each in found for line in (each.message, *each.details))


def test_each_is_seen_though_nothing_fails_on_the_way(ran: Ran) -> None:
    said = {name: told(ran.report, number, each.check) for number, (name, each) in enumerate(CLASSES.items(), start=1)}
    assert {name: text for name, text in said.items() if CLASSES[name].says not in text} == {}, ran.out
    walks = [walk for walk in ran.report.walks if walk.kind == "stairway"]
    assert len(walks) == len(CLASSES)
    assert [visit.error for walk in walks for visit in walk.visits] == [None] * 3 * len(CLASSES)
