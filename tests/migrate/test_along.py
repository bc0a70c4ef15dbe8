"""A look that goes along with what Alembic writes: the same end of each migration, and as much seen, as where it goes
alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec
import pytest

from neontest.postgres.locks import Observer
from neontest.record import Failure, Statement, Visit
from tests.migrate.conftest import ENV_PY, Database, Files, Walked, made
from tests.migrate.proxied import Proxy

UPDATE = "UPDATE alembic_version SET version_num='r4' WHERE alembic_version.version_num = 'r3'"
STOPS = """CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {0}; RETURN NEW; END $$;
CREATE TRIGGER stop BEFORE UPDATE ON alembic_version FOR EACH ROW WHEN (NEW.version_num = 'r4') EXECUTE FUNCTION stop()
"""
OTHERS = "connect_args={'cursor_factory': type('C', (psycopg2.extensions.cursor,), {})}, "


def env(options: str = "", *, alone: bool = False) -> str:
    """`alone`: the project has cursors of its own, and nothing goes along with what they send."""
    text = ENV_PY.replace("target_metadata=None", f"transaction_per_migration=True{options}")
    if alone:
        text = "import psycopg2.extensions\n" + text.replace("poolclass", OTHERS + "poolclass")
    return text


@dataclass
class Seen:
    visits: list[Visit]
    along: int

    @property
    def error(self) -> Failure | None:
        return self.visits[-1].error


Climb = Callable[..., Seen]


@pytest.fixture
def climb(files: Files, opened: Callable[..., Walked], database: Database, proxy: Proxy) -> Climb:
    """Up the stairway, or up at once; what was seen, and how many looks went along."""

    def climb(*, stairway: bool, seconds: float = 60, on: Database = database, trace: bool = True) -> Seen:
        port = urlsplit(on.url).port
        walk = opened(url=on.url.replace(f":{port}/", f":{proxy.port}/"), guard=on.guard, trace=trace)
        walk.session.observer = observer = Observer(on.connection, on.url)
        proxy.along = 0
        if stairway:
            visits = walk.stairway(*(("upgrade", name) for name in files.written), seconds=seconds)
        else:
            visits = [walk.visit("upgrade", "head", seconds=seconds)]
        walk.session.kill()
        observer.close()
        return Seen(visits, proxy.along)

    return climb


def revisions(files: Files, last: str = "", *, count: int = 6) -> None:
    for number in range(count):
        body = f"op.execute('CREATE TABLE t{number} (id int PRIMARY KEY, t text)')"
        files.revision(f"r{number}", f"{body}\n{last}" if last and number == 4 else body)


@pytest.mark.parametrize("stairway", [True, False], ids=["stairway", "visit"])
@pytest.mark.parametrize(
    ("stops", "kind"),
    [
        ("RAISE 'not now' USING ERRCODE = '55000'", "ObjectNotInPrerequisiteState"),
        ("PERFORM 1 / 0", "DivisionByZero"),
        ("PERFORM pg_terminate_backend(pg_backend_pid())", "lost"),
        ("RETURN NULL", "CommandError"),
    ],
)
def test_what_stops_alembic_s_statement_is_told_as_where_nothing_goes_along(
    files: Files, climb: Climb, cluster, database: Database, stops: str, kind: str, stairway: bool
) -> None:
    revisions(files)
    found = []
    with made(cluster) as other:
        for alone, on in ((True, other), (False, database)):
            files.alembic(env(alone=alone))
            on.rows(
                "CREATE TABLE alembic_version (version_num varchar(32) NOT NULL PRIMARY KEY);"
                f"{STOPS.format(stops)}; SELECT 1"
            )
            seen = climb(stairway=stairway, on=on)
            assert (seen.along > 0) is not alone
            assert on.rows("SELECT version_num FROM alembic_version") == [("r3",)]
            assert not on.has("t4")
            found.append(seen.error)
    assert found[0] == found[1]
    assert found[0] is not None
    assert (found[0].kind, found[0].revision) == (kind, "r4")
    assert found[0].sql == (None if kind == "CommandError" else UPDATE)


def test_one_that_hangs_is_named_and_ended(files: Files, climb: Climb, database: Database) -> None:
    revisions(files)
    files.alembic(env())
    database.rows(
        "CREATE TABLE alembic_version (version_num varchar(32) NOT NULL PRIMARY KEY);"
        f"{STOPS.format('PERFORM pg_sleep(60)')}; SELECT 1"
    )
    seen = climb(stairway=True, seconds=1)
    assert seen.along
    assert seen.error is not None
    assert (seen.error.kind, seen.error.revision, seen.error.sql) == ("timeout", "r4", UPDATE)
    active = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'UPDATE alembic_version%'"
    assert database.one(active) == 0


BY_HAND = {
    "gone": "DELETE FROM alembic_version",
    "there already": "UPDATE alembic_version SET version_num = 'r4'",
    "two": "INSERT INTO alembic_version VALUES ('r3')",
    "another": "UPDATE alembic_version SET version_num = 'r9'",
    "there already, and looked after": "UPDATE alembic_version SET version_num = 'r4'",
}


@pytest.mark.parametrize("how", BY_HAND)
def test_a_version_that_the_migration_wrote_itself_is_told_in_alembic_s_words(
    files: Files, climb: Climb, cluster, database: Database, how: str
) -> None:
    more = "\nop.execute('CREATE TABLE u ()')\nop.execute('INSERT INTO t0 VALUES (1)')" if "looked" in how else ""
    revisions(files, f"op.execute({BY_HAND[how]!r}){more}")
    found = []
    with made(cluster) as other:
        for alone, on in ((True, other), (False, database)):
            files.alembic(env(", version_table_pk=False", alone=alone))
            seen = climb(stairway=True, on=on)
            assert (seen.along > 0) is not alone
            found.append(seen.error)
    assert found[0] == found[1]
    assert found[0] is not None
    assert "expected to match one row when updating 'r3' to 'r4'" in found[0].message
    assert found[0].message.endswith("2 found" if how == "two" else "0 found")


@pytest.mark.parametrize(
    ("options", "goes"),
    [
        (", version_table='Has \"quotes\"', version_table_schema='An other'", True),
        (", version_table='a % version'", False),
        ("", True),
    ],
)
def test_any_name_of_the_version_table(
    files: Files, climb: Climb, database: Database, options: str, goes: bool
) -> None:
    database.rows('CREATE SCHEMA "An other"; SELECT 1')
    revisions(files)
    files.alembic(env(options))
    seen = climb(stairway=True)
    assert [visit.error for visit in seen.visits] == [None] * 6
    assert all(visit.moved for visit in seen.visits)
    assert (seen.along > 0) is goes


KINDS = (
    "op.execute('CREATE TABLE t (id serial PRIMARY KEY, t text)')",
    "op.execute('CREATE TABLE u (id int PRIMARY KEY, t int)')",
    "op.execute(\"INSERT INTO t (t) SELECT repeat('x', n) FROM generate_series(1, 3000) n\")",
    "op.execute('ALTER TABLE u ADD FOREIGN KEY (t) REFERENCES t (id)')",
    "op.execute('CREATE INDEX i ON t (t)')",
    "op.execute('ALTER TABLE t ALTER id TYPE bigint')",
    "op.execute('UPDATE t SET t = id::text')\nop.execute('ALTER TABLE t ADD v int DEFAULT 1 + random()')",
    "op.execute('ALTER TABLE u ADD x int')\nop.execute('INSERT INTO u SELECT id, id FROM t')",
    "op.execute(\"SET LOCAL lock_timeout = '3s'\")\nop.execute('ALTER TABLE u RENAME TO v')",
    "op.execute('TRUNCATE t CASCADE')\nop.execute('DROP TABLE v')",
    "pass",
    "op.execute('DELETE FROM t')",
    "op.execute('DROP TABLE t')",
)


@pytest.mark.parametrize("stairway", [True, False], ids=["stairway", "visit"])
def test_as_much_is_seen(files: Files, climb: Climb, cluster, database: Database, stairway: bool) -> None:
    for number, body in enumerate(KINDS):
        files.revision(f"r{number:02}", body)
    found = []
    with made(cluster) as other:
        for alone, on in ((True, other), (False, database)):
            each = env(alone=alone)
            files.alembic(each if stairway else each.replace("transaction_per_migration=True", ""))
            seen = climb(stairway=stairway, on=on)
            assert [visit.error for visit in seen.visits] == [None] * len(seen.visits)
            assert (seen.along > 0) is not alone
            found.append(seen.visits)
    if stairway:
        assert timeless(found[0]) == timeless(found[1])
    before, after = ([each for visit in visits for each in visit.statements] for visits in found)
    told = [[(each.sql, each.rewrote, each.scanned, each.changed) for each in some] for some in (before, after)]
    assert plain(str(told[0])) == plain(str(told[1]))
    assert all_locks(before) == all_locks(after)
    assert len(all_locks(after)) > 20
    # In one transaction a look tells more of rows that were written, if it comes before the next revision.
    insert = next(each for each in after if each.sql.startswith("INSERT"))
    assert ("public.t", "ROW EXCLUSIVE") in all_locks([insert])


def all_locks(statements: list[Statement]) -> set[tuple[str, str]]:
    found = [(lock.relation, lock.mode) for each in statements for lock in each.locks]
    return {(plain(relation), mode) for relation, mode in found}


def timeless(visits: list[Visit]) -> str:
    """Without what differs from one time to the next."""
    text = msgspec.json.format(msgspec.json.encode(visits)).decode()
    return plain(re.sub(r'"(\w*seconds|wal_bytes)": [\d.e-]+', r'"\1": 0', text))


def plain(text: str) -> str:
    """With the same number in all names of toast tables."""
    return re.sub(r"pg_toast_\d+", "pg_toast_0", text)


def test_what_a_migration_did_before_it_failed_in_python_is_seen(files: Files, climb: Climb) -> None:
    revisions(files, "raise ValueError('no')")
    files.alembic(env())
    seen = climb(stairway=True)
    assert seen.error is not None
    assert (seen.error.kind, seen.error.message) == ("ValueError", "no")
    (statement,) = seen.visits[-1].statements
    assert {lock.seen for lock in statement.locks} == {"statement"}
    assert ("public.t4", "ACCESS EXCLUSIVE") in {(lock.relation, lock.mode) for lock in statement.locks}
