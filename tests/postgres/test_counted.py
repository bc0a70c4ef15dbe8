"""What is found by counts is what is found by looking; what they do not prove is looked for."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

import neontest
from neontest.postgres import changes
from neontest.postgres.connect import connect
from neontest.postgres.counted import Known, changes_sql, follows, only
from neontest.postgres.diff import diff
from neontest.postgres.probe import ALONE

pytestmark = pytest.mark.usefixtures("large")

SCHEMA = """
CREATE TYPE mood AS ENUM ('sad'); CREATE DOMAIN small AS integer CONSTRAINT tiny CHECK (VALUE < 9);
CREATE TABLE a (id serial PRIMARY KEY, x text, y mood, z small); CREATE INDEX a_x ON a (x);
CREATE TABLE b (id integer, a integer REFERENCES a); CREATE VIEW v AS SELECT id FROM b;
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER t BEFORE INSERT ON b FOR EACH ROW EXECUTE FUNCTION f(); COMMENT ON COLUMN b.a IS 'said'
"""


@contextmanager
def looking(database: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[None]]:
    """What is appended when the counts were not enough."""
    changes, looked = database.counting._changes, []
    probed: Callable[..., Any] = changes._probed

    def noted(*given: Any, **more: Any) -> Any:
        looked.append(None)
        return probed(*given, **more)

    with monkeypatch.context() as patch:
        patch.setattr(changes, "_probed", noted)
        yield looked


def same(database: Any, known: Known) -> None:
    found, distant, anew = database.counting.snapshot(known), database.distant.snapshot(known), database.anew()
    assert found == anew, [each.line() for each in diff(anew, found)]
    assert distant == anew, [each.line() for each in diff(anew, distant)]
    # What was changed last is looked at in any case.
    database.counting._changes._last = database.distant._changes._last = ()


def put(database: Any, schema: str = SCHEMA) -> None:
    database.told(schema)
    same(database, Known())
    same(database, database.told("CREATE TABLE warm ()"))  # from now on it is known what was counted


CHANGES = """
ALTER TABLE a ADD more integer
ALTER TABLE a ADD much integer DEFAULT 7
ALTER TABLE a DROP much
ALTER TABLE a DROP CONSTRAINT a_pkey CASCADE
DROP INDEX a_x
CREATE TABLE c (id serial PRIMARY KEY, a integer, t text DEFAULT 'x')
DROP TABLE c
GRANT SELECT ON b TO PUBLIC
GRANT SELECT (id) ON a TO PUBLIC
REVOKE SELECT ON b FROM PUBLIC; ALTER TABLE a ADD one_more integer
COMMENT ON COLUMN b.a IS NULL
COMMENT ON TYPE mood IS 'm'
COMMENT ON SCHEMA public IS 's'
DROP TRIGGER t ON b
DROP FUNCTION f()
CREATE TYPE other AS ENUM ('x')
ALTER TYPE other ADD VALUE 'y'
DROP TYPE other
ALTER DOMAIN small DROP CONSTRAINT tiny
ALTER DOMAIN small SET DEFAULT 1
ALTER DOMAIN small ADD CONSTRAINT tiny CHECK (VALUE < 10)
CREATE TYPE span AS RANGE (subtype = integer)
DROP TYPE span
CREATE EXTENSION pgcrypto
ALTER EXTENSION pgcrypto DROP FUNCTION gen_random_bytes(integer)
ALTER EXTENSION pgcrypto ADD FUNCTION gen_random_bytes(integer)
DROP EXTENSION pgcrypto
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO PUBLIC
CREATE SCHEMA s; ALTER TABLE b SET SCHEMA s
DROP SCHEMA s CASCADE
DROP DOMAIN small CASCADE
DROP TABLE a CASCADE
DROP TYPE mood
SELECT txid_current()
""".strip().splitlines()


def test_the_counts_are_enough_for_whatever_one_transaction_does(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if database.server.major < 15:
        pytest.skip("nobody counts there")
    put(database)
    for change in CHANGES:
        if "pgcrypto" in change and not database.has_extension("pgcrypto"):
            continue
        with looking(database, monkeypatch) as looked:
            same(database, database.told(change))
        assert not looked, change


LATE = """
CREATE FUNCTION ddl() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  EXECUTE 'CREATE TABLE dd' || NEW.id || '()'; DROP INDEX IF EXISTS a_x; RETURN NULL; END$$;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON b DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ddl()
"""
WHATEVER = """
INSERT INTO b VALUES (7)
ALTER TABLE a ADD q int; INSERT INTO b VALUES (8)
CREATE TEMP TABLE tt (id int PRIMARY KEY) ON COMMIT DROP; ALTER TABLE a ADD r int
DO $$BEGIN BEGIN ALTER TABLE a ADD s int; EXCEPTION WHEN others THEN NULL; END; END$$
DO $$BEGIN BEGIN DROP TABLE b CASCADE; RAISE 'x'; EXCEPTION WHEN others THEN NULL; END; ALTER TABLE a ADD tt int; END$$
CREATE FUNCTION adds() RETURNS int LANGUAGE plpgsql AS $$BEGIN ALTER TABLE a ADD u int; DROP VIEW v; RETURN 1; END$$
SELECT adds()
CREATE TABLE p (id int, k int) PARTITION BY LIST (k); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)
CREATE TABLE p2 (id int, k int); CREATE INDEX pi ON p (id)
ALTER TABLE p ATTACH PARTITION p2 FOR VALUES IN (2)
ALTER TABLE p DETACH PARTITION p1
CREATE TABLE i (zz int) INHERITS (a)
ALTER TABLE i NO INHERIT a
ALTER TABLE a ADD inh int
CREATE DOMAIN d2 AS small; ALTER TABLE b ADD dd d2
ALTER DOMAIN d2 RENAME TO d3
GRANT SELECT ON ALL TABLES IN SCHEMA public TO app
REASSIGN OWNED BY app TO boss
DROP OWNED BY app
CREATE PUBLICATION pp FOR TABLE a
ALTER PUBLICATION pp ADD TABLE b
DROP PUBLICATION pp
ALTER TABLE a ENABLE ROW LEVEL SECURITY; CREATE POLICY pol ON a USING (true)
ALTER POLICY pol ON a USING (false)
DROP POLICY pol ON a
CREATE RULE ru AS ON DELETE TO b DO INSTEAD NOTHING
DROP RULE ru ON b
CREATE STATISTICS st ON id, q FROM a
ALTER STATISTICS st SET STATISTICS 7
ALTER STATISTICS st RENAME TO st2
COMMENT ON STATISTICS st2 IS 'x'
DROP STATISTICS st2
CREATE TYPE comp AS (x int)
CREATE TABLE oft OF comp
ALTER TYPE comp ADD ATTRIBUTE y text CASCADE
ALTER TYPE comp DROP ATTRIBUTE x CASCADE
COMMENT ON COLUMN comp.y IS 'why'
ALTER TABLE b ADD idd int GENERATED ALWAYS AS IDENTITY
ALTER TABLE b ALTER idd SET INCREMENT 5
ALTER TABLE b ALTER idd DROP IDENTITY
CREATE SEQUENCE sq
ALTER SEQUENCE sq INCREMENT 3 OWNED BY a.id
ALTER SEQUENCE sq OWNED BY NONE
COMMENT ON SEQUENCE sq IS 's'
SELECT nextval('sq')
DROP SEQUENCE sq
CREATE MATERIALIZED VIEW mv AS SELECT id FROM a
REFRESH MATERIALIZED VIEW mv
CREATE UNIQUE INDEX mvi ON mv (id)
CLUSTER a USING a_pkey
DROP MATERIALIZED VIEW mv
ALTER TABLE a ALTER x TYPE varchar(10)
ALTER TABLE a RENAME TO aa
ALTER TABLE aa RENAME x TO xx
ALTER TABLE aa RENAME TO a
CREATE SCHEMA s2; ALTER TYPE mood SET SCHEMA s2; ALTER TABLE a SET SCHEMA s2
ALTER SCHEMA s2 RENAME TO s3
DROP SCHEMA s3 CASCADE
COMMENT ON CONSTRAINT nn ON b IS 'c'
CREATE ROLE nobody_else
ALTER ROLE nobody_else RENAME TO somebody_else
GRANT SELECT ON b TO somebody_else
DROP OWNED BY somebody_else; DROP ROLE somebody_else
ALTER TABLE b SET UNLOGGED
ALTER TABLE b SET (fillfactor = 50)
ALTER TABLE b REPLICA IDENTITY FULL
ALTER TABLE b CLUSTER ON bpk
ALTER TABLE b SET (toast.autovacuum_enabled=off)
CREATE FOREIGN DATA WRAPPER w; CREATE SERVER srv FOREIGN DATA WRAPPER w; CREATE FOREIGN TABLE ft (id int) SERVER srv
ALTER FOREIGN TABLE ft ADD x int
ALTER FOREIGN TABLE ft OPTIONS (ADD a 'b')
DROP FOREIGN DATA WRAPPER w CASCADE
LOCK TABLE b
TRUNCATE b
VACUUM b
ANALYZE b
DROP DOMAIN IF EXISTS d3 CASCADE
DROP DOMAIN IF EXISTS small CASCADE
""".strip().splitlines()
MANY = (
    "".join(f"CREATE TABLE many{n} (id int PRIMARY KEY, t text);" for n in range(300)),
    "".join(f"ALTER TABLE many{n} ADD u int;" for n in range(300)),
    "".join(f"DROP TABLE many{n};" for n in range(300)),
)


@pytest.mark.parametrize(
    "unseen",
    ["", "ALTER TABLE unseen ADD u{n} int", "GRANT SELECT ON unseen TO app; REVOKE SELECT ON unseen FROM app",
     "DROP TABLE IF EXISTS u{n}; CREATE TABLE u{n} (id int); DROP TABLE IF EXISTS u{before}"],
)  # fmt: skip
def test_what_is_found_is_what_there_is_whatever_was_done(database: Any, unseen: str) -> None:
    """By a deferred trigger as the transaction ends, in a subtransaction, to hundreds, after the trace has looked, …"""
    keyed = SCHEMA.replace("CREATE TABLE b (id integer,", "CREATE TABLE b (id integer CONSTRAINT bpk PRIMARY KEY,")
    put(database, f"{keyed}; ALTER TABLE b ADD nn integer CONSTRAINT nn CHECK (nn > 0); CREATE TABLE unseen (); {LATE}")
    for n, change in enumerate((*WHATEVER, *MANY), 1):
        same(database, database.told(change, unseen.format(n=n, before=n - 1)))


def test_transactions_that_are_known_can_be_several(database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    put(database)
    first, second = database.told("DROP TABLE b CASCADE"), database.told("ALTER TABLE a DROP x")
    with looking(database, monkeypatch) as looked:
        both: list[Any] = [getattr(first, each) + getattr(second, each) for each in Known._fields]
        same(database, Known(*both))
    assert not looked


@pytest.mark.parametrize("unseen", ["DROP TABLE b", "DROP INDEX a_x", "DROP TYPE alone", "ALTER TABLE b DROP a"])
@pytest.mark.parametrize("seen", ["ALTER TABLE a ADD more integer", "DROP VIEW v"])
def test_what_is_done_after_the_trace_has_looked_is_found(
    database: Any, seen: str, unseen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over the bare driver, say, that tells nobody."""
    put(database, f"{SCHEMA}; DROP VIEW v; CREATE VIEW v AS SELECT 1 AS one; CREATE TYPE alone AS ENUM ()")
    same(database, database.told(seen, unseen))


@pytest.mark.parametrize("other", ["DROP TABLE b CASCADE", "GRANT SELECT ON b TO PUBLIC", "CREATE TABLE c ()"])
def test_what_somebody_else_does_is_found(database: Any, other: str) -> None:
    put(database)
    known = database.told("ALTER TABLE a ADD more integer")
    database.run(other)
    same(database, known)


def test_what_was_open_the_last_time_is_found_when_it_is_not(database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    put(database)
    with closing(connect(database.url("postgres"))) as other, other.cursor() as cursor:
        cursor.execute("BEGIN; GRANT SELECT ON b TO PUBLIC")
        database.counting.snapshot()
        with looking(database, monkeypatch) as looked:
            same(database, database.told("ALTER TABLE a ADD more integer"))
        assert not looked or database.server.major < 15
        cursor.execute("COMMIT")
    same(database, database.told("ALTER TABLE a ADD even_more integer"))


def test_a_part_that_was_rolled_back_is_none(database: Any) -> None:
    put(database)
    same(database, database.told("SAVEPOINT p; DROP TABLE b CASCADE; ROLLBACK TO p; ALTER TABLE a ADD more integer"))
    same(database, database.told("SAVEPOINT p; DROP TABLE b CASCADE; RELEASE p; ALTER TABLE a DROP more"))


def test_counts_that_were_reset_prove_nothing(database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if database.server.major < 15:
        pytest.skip("nobody counts there")
    put(database)
    database.run("SELECT pg_stat_reset()")
    with looking(database, monkeypatch) as looked:
        same(database, database.told("ALTER TABLE a ADD more integer"))
    assert looked


def test_it_is_told_though_the_next_reading_fails(database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    put(database)
    known = database.told("ALTER TABLE a ADD more integer; DROP TABLE b CASCADE")
    with monkeypatch.context() as patch:
        patch.setattr(database.counting, "_renewed", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            database.counting.snapshot(known)
    same(database, database.told("CREATE TABLE c ()"))
    same(database, database.told("ALTER TABLE a DROP more"))


BLOCKED = "SELECT 5::oid, (SELECT '0' FROM (SELECT pg_advisory_lock(77), pg_advisory_unlock(77)) l), 0 UNION ALL"
"""Waits after its snapshot was taken, before it counts."""


def test_what_ends_between_the_look_at_the_catalogs_and_the_counts_is_found_later(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(database)
    first, found = database.told("ALTER TABLE a ADD more integer"), []
    with monkeypatch.context() as patch, closing(connect(database.url("postgres"))) as other, other.cursor() as cursor:
        plain = changes_sql(180000 if database.server.major == 18 else database.server.major * 10000)
        patch.setattr(changes, "changes_sql", lambda _: f"{BLOCKED} SELECT * FROM ({plain}) o")
        cursor.execute("SELECT pg_advisory_lock(77)")
        thread = threading.Thread(target=lambda: found.append(database.counting.snapshot(first)))
        thread.start()
        waiting = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 77 AND NOT granted"
        while thread.is_alive():
            cursor.execute(waiting)
            if cursor.rowcount:
                break
        second = database.told("CREATE FUNCTION g() RETURNS integer LANGUAGE sql AS 'SELECT 1'")
        cursor.execute("SELECT pg_advisory_unlock(77)")
        thread.join()
    assert found
    database.counting._changes._last = ()
    same(database, second)


def counts(made: int, deleted: int) -> list[int]:
    catalogs = 60
    return [made, *[5] * (catalogs - 1), deleted, *[5] * (catalogs - 1), 4]


@pytest.mark.parametrize(
    ("known", "now", "proved"),
    [
        (Known(made=3, deleted=2), counts(13, 12), True),
        (Known(made=2, deleted=2), counts(13, 12), True),  # made since somebody looked
        (Known(made=4, deleted=2), counts(13, 12), False),  # not all that is known of was brought in
        (Known(made=3, deleted=1), counts(13, 12), False),  # deleted since somebody looked
        (Known(made=3, deleted=3), counts(13, 12), False),
        (Known(), counts(10, 10), True),
        (Known(), counts(9, 10), False),  # reset
    ],
)
def test_counts_that_are_all_in(known: Known, now: list[int], proved: bool) -> None:
    assert follows(known, counts(10, 10), now) is proved


def test_the_trace_counts_what_the_reader_does() -> None:
    """Its module is the worker's, and nobody else can import it."""
    source = Path(neontest.__file__).parent / "migrate" / "looks.py"
    (found,) = re.findall(r'^CATALOGS = """(.*?)"""', source.read_text(), re.DOTALL | re.MULTILINE)
    assert sorted(found.split()) == sorted(ALONE)


@pytest.mark.parametrize(
    ("xids", "before", "now", "proved"),
    [
        ([5], "5:5:", "6:6:", True),
        ([5, 6], "5:5:", "7:7:", True),
        ([5, 7], "5:5:", "7:7:", False),
        ([5], "5:5:", "7:7:", False),
        ([4], "5:5:", "6:6:", False),
        ([5], "5:5:", "5:5:", True),
        ([6], "4:6:4", "4:7:4", True),
        ([6], "4:6:4", "7:7:", False),
        ([4, 6], "4:6:4", "7:7:", False),
        ([6], "4:6:4,5", "4:7:4,5", True),
        ([5], "5:5:", "5:7:5", False),
        ([5], "5:5:", "6:7:6", True),
        ([5], "5:5:", "6:9:6", False),
        ([5], "5:5:", "4000000005:4000000005:", False),
    ],
)
def test_transactions_that_are_all_there_were(xids: list[int], before: str, now: str, proved: bool) -> None:
    assert only(xids, before, now) is proved
