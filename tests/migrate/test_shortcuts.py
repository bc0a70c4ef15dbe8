"""What is cut short of Alembic's bookkeeping: the same statements, heads and errors as Alembic's own."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import pytest
from alembic.runtime.migration import RevisionStep
from alembic.script.revision import Revision, RevisionMap

from neontest.migrate.shortcuts import unmerging
from tests.migrate.conftest import Database, Files, Walked

ENV = """
import json, os
import psycopg2.extensions
from alembic import context
from sqlalchemy import create_engine, event, pool

class Cursor(psycopg2.extensions.cursor):
    def execute(self, statement, parameters=None):
        if "version" in statement:
            with open("sent", "a") as file:
                file.write(json.dumps([str(statement), str(dict(parameters or {}))]) + chr(10))
        return super().execute(statement, parameters)

URL = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg2://")
engine = create_engine(URL, poolclass=pool.NullPool, connect_args={"cursor_factory": Cursor})
LISTENER
with engine.connect() as connection:
    context.configure(connection=connection, OPTIONS)
    with context.begin_transaction():
        context.run_migrations()
"""
BEFORE = """
@event.listens_for(engine, "before_execute")
def given(connection, clause, *rest):
    assert not isinstance(clause, str), "SQLAlchemy's form of it is what the project expects"
"""
COMPILED = """
@event.listens_for(engine, "before_cursor_execute")
def compiled(connection, cursor, statement, parameters, context, many):
    if "UPDATE" in statement:
        parameters["a"] = context.compiled.string
"""
IMPL = """
from alembic.ddl.postgresql import PostgresqlImpl

class Told(PostgresqlImpl):
    __dialect__ = "postgresql"

    def _exec(self, construct, *rest, **more):
        if "UPDATE" in str(construct):
            with open("sent", "a") as file:
                file.write(json.dumps(["mine", ""]) + chr(10))
        return super()._exec(construct, *rest, **more)
"""

COUNTED = """
from alembic.ddl.impl import DefaultImpl

if not hasattr(DefaultImpl, "plain"):
    def told(self, construct, *rest, **more):
        if "UPDATE" in str(construct):
            with open("sent", "a") as file:
                file.write(json.dumps(["mine", ""]) + chr(10))
        return self.plain(construct, *rest, **more)

    DefaultImpl.plain, DefaultImpl._exec = DefaultImpl._exec, told
"""

COMPILES = """
from sqlalchemy.sql.compiler import SQLCompiler

if not hasattr(SQLCompiler, "plain"):
    def told(self, *rest, **more):
        with open("sent", "a") as file:
            file.write(json.dumps(["mine", ""]) + chr(10))
        return self.plain(*rest, **more)

    SQLCompiler.plain, SQLCompiler.visit_update = SQLCompiler.visit_update, told
"""

DONE = """
@event.listens_for(engine, "do_execute")
def done(cursor, statement, parameters, context):
    if "UPDATE" in statement:
        assert context is not None, "what is sent is SQLAlchemy's"
        with open("sent", "a") as file:
            file.write(json.dumps(["mine", ""]) + chr(10))
"""
ECHO = """
import logging

class Handler(logging.Handler):
    def emit(self, record):
        if "UPDATE" in record.getMessage():
            with open("sent", "a") as file:
                file.write(json.dumps(["mine", ""]) + chr(10))

logger = logging.getLogger("sqlalchemy.engine.Engine")
logger.handlers[:], logger.propagate = [Handler()], False
engine = create_engine(URL, poolclass=pool.NullPool, echo=True, connect_args={"cursor_factory": Cursor})
"""
MINE = """
from sqlalchemy.engine import Connection

class Mine(Connection):
    def execute(self, statement, *rest, **more):
        if "UPDATE" in str(statement):
            with open("sent", "a") as file:
                file.write(json.dumps(["mine", ""]) + chr(10))
        return super().execute(statement, *rest, **more)

engine._connection_cls = Mine
"""
DIALECT = """
def told(cursor, statement, parameters, context=None, plain=engine.dialect.do_execute):
    if context.isupdate:
        with open("sent", "a") as file:
            file.write(json.dumps(["mine", ""]) + chr(10))
    return plain(cursor, statement, parameters, context)

engine.dialect.do_execute = told
"""
ALONE = """
engine = engine.execution_options(isolation_level="AUTOCOMMIT")
"""
TOLD = """
import sqlalchemy.exc

plain = context.plain = getattr(context, "plain", context.run_migrations)
def run_migrations():
    try:
        plain()
    except sqlalchemy.exc.DBAPIError as error:
        with open("sent", "a") as file:
            told = f"caught {type(error).__name__} {error.statement} {dict(error.params)}"
            file.write(json.dumps([told, ""]) + chr(10))
        raise
context.run_migrations = run_migrations
"""
STOPS = """CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {0}; RETURN NEW; END $$;
CREATE TRIGGER stop BEFORE UPDATE ON alembic_version FOR EACH ROW WHEN (NEW.version_num = 'c3') EXECUTE FUNCTION stop()
"""


def sent(files: Files, *, between: tuple[str, ...] = ("UPDATE", "INSERT", "DELETE")) -> list[list[str]]:
    found = [json.loads(line) for line in (files.root / "sent").read_text().splitlines()]
    (files.root / "sent").unlink()
    return [each for each in found if each[0].startswith(between)]


def project(files: Files, *, listener: str = "", options: str = "") -> None:
    files.alembic(ENV.replace("LISTENER", listener).replace("OPTIONS", options))


@pytest.mark.parametrize(
    "options",
    ["", "version_table='a % version {0}'", "version_table='version', version_table_schema='has \"quotes\"'"],
)
def test_the_statements_are_those_that_alembic_sends(
    files: Files, opened: Callable[..., Walked], database: Database, options: str
) -> None:
    database.rows('CREATE SCHEMA "has ""quotes"""; SELECT 1')
    for each in ("a1", "b 2", "c%3", "d.4", "e_5"):
        files.revision(each)
    found = []
    for listener in (BEFORE, ""):
        project(files, listener=listener, options=options)
        walk = opened()
        visits = [walk.visit(*each) for each in (("upgrade", "heads"), ("downgrade", "base"), ("upgrade", "heads"))]
        visits += walk.stairway(("downgrade", "e_5"), ("upgrade", "e_5"), ("downgrade", "e_5"), ("downgrade", "d.4"))
        visits += [walk.visit("downgrade", "base")]
        assert [each.error for each in visits] == [None] * len(visits)
        assert all(each.moved for each in visits)
        found.append(sent(files))
    assert found[0] == found[1]
    assert len([each for each in found[0] if each[0].startswith("UPDATE")]) == 3 * 4 + 4 + 2


def test_a_version_that_somebody_else_changed_is_told_in_alembic_s_words(
    files: Files, opened: Callable[..., Walked]
) -> None:
    """Also where two rows are changed at once, and where the migration itself fails."""
    project(files)
    files.revision("a1").revision("b2").revision("c3").revision("d4", "op.execute('DELETE FROM alembic_version')")
    files.revision("e5", "op.execute('SELECT 1 / 0')")
    walk = opened()
    assert walk.visit("upgrade", "c3").moved
    failed = walk.visit("upgrade", "d4").error
    assert failed is not None
    assert "expected to match one row when updating 'c3' to 'd4'" in failed.message
    assert walk.visit("upgrade", "c3").error is None
    walk.stairway(("downgrade", "c3"), ("upgrade", "c3"))
    (failed,) = (visit.error for visit in walk.stairway(("upgrade", "d4")))
    assert failed is not None
    assert "expected to match one row when updating 'c3' to 'd4'" in failed.message
    assert walk.session.current() == ("c3",)


@pytest.mark.parametrize(
    ("listener", "own"),
    [
        *((BEFORE, 0), (COMPILED, 0), (ALONE, 0), (COMPILES, 1)),
        *((listener, 3) for listener in (IMPL, COUNTED, DONE, ECHO, MINE, DIALECT)),
    ],
)
def test_who_looks_at_the_statement_sees_what_alembic_made(
    files: Files, opened: Callable[..., Walked], listener: str, own: int
) -> None:
    project(files, listener=listener)
    for each in ("a1", "b2", "c3", "d4"):
        files.revision(each)
    walk = opened()
    assert walk.visit("upgrade", "head").error is None
    assert len(sent(files, between=("mine",))) == own


@pytest.mark.parametrize(
    ("stops", "kind", "caught"),
    [
        ("RAISE 'not now' USING ERRCODE = '55000'", "ObjectNotInPrerequisiteState", "OperationalError"),
        ("PERFORM 1 / 0", "DivisionByZero", "DataError"),
        ("PERFORM pg_terminate_backend(pg_backend_pid())", "lost", "OperationalError"),
    ],
)
def test_what_stops_the_statement_is_told_as_where_sqlalchemy_sends_it(
    files: Files, opened: Callable[..., Walked], database: Database, stops: str, kind: str, caught: str
) -> None:
    for each in ("a1", "b2", "c3", "d4"):
        files.revision(each)
    found = []
    for listener in (BEFORE, ""):
        project(files, listener=listener + TOLD)
        walk = opened()
        assert walk.visit("upgrade", "a1").moved
        database.rows(f"{STOPS.format(stops)}; SELECT 1")
        failures = [walk.visit("upgrade", "head").error]
        failures += [visit.error for visit in walk.stairway(("upgrade", "b2"), ("upgrade", "c3"))[1:]]
        said = [each[0] for each in sent(files, between=("caught",))]
        database.rows("DROP FUNCTION stop() CASCADE; SELECT 1")
        assert walk.visit("upgrade", "c3").moved
        assert walk.visit("downgrade", "base").moved
        found.append((failures, said))
    assert found[0] == found[1]
    (failures, said) = found[1]
    assert [(each and each.kind, each and each.revision) for each in failures] == [(kind, "c3")] * 2
    update = "UPDATE alembic_version SET version_num='c3' WHERE alembic_version.version_num = 'b2'"
    assert [each and each.sql for each in failures] == [update] * 2
    assert said == [f"caught {caught} {update} {{}}"] * 2


def test_one_that_hangs_is_named(files: Files, opened: Callable[..., Walked], database: Database) -> None:
    for each in ("a1", "b2", "c3"):
        files.revision(each)
    project(files)
    walk = opened()
    assert walk.visit("upgrade", "a1").moved
    database.rows(f"{STOPS.format('PERFORM pg_sleep(60)')}; SELECT 1")
    _, hung = walk.stairway(("upgrade", "b2"), ("upgrade", "c3"), seconds=1)
    assert hung.error is not None
    assert (hung.error.kind, hung.error.revision) == ("timeout", "c3")
    assert hung.error.sql == "UPDATE alembic_version SET version_num='c3' WHERE alembic_version.version_num = 'b2'"


def test_a_schema_that_is_another_from_some_revision_on_is_another_for_the_version_table_too(
    files: Files, opened: Callable[..., Walked], database: Database
) -> None:
    project(files)
    files.revision("a1").revision("b2")
    files.revision("c3", "op.get_bind().execution_options(schema_translate_map={None: 'tenant'})").revision("d4")
    failed = opened().visit("upgrade", "head").error
    assert failed is not None
    assert 'relation "tenant.alembic_version" does not exist' in failed.message
    assert not database.has("alembic_version") or database.rows("SELECT * FROM alembic_version") == []


def test_a_statement_that_changes_too_much_or_nothing_is_sent_once(
    files: Files, opened: Callable[..., Walked], database: Database
) -> None:
    project(files, options="version_table_pk=False")
    files.revision("a1").revision("b2").revision("c3", "op.execute(\"INSERT INTO alembic_version VALUES ('b2')\")")
    failed = opened().visit("upgrade", "head").error
    assert failed is not None
    assert "when updating 'b2' to 'c3' in 'alembic_version'; 2 found" in failed.message
    assert [each[0] for each in sent(files, between=("UPDATE",))][1:] == [
        "UPDATE alembic_version SET version_num='c3' WHERE alembic_version.version_num = 'b2'"
    ]


@pytest.mark.parametrize("seed", range(40))
def test_a_step_down_leaves_what_alembic_says(seed: int) -> None:
    chance = random.Random(seed)
    names = [f"r{number}" for number in range(chance.randint(2, 25))]
    revisions = []
    for number, name in enumerate(names):
        below = chance.sample(names[:number], min(number, chance.choice((0, 1, 1, 1, 1, 2))))
        needs = chance.sample(names[:number], min(number, chance.choice((0, 0, 0, 1))))
        revisions.append(Revision(name, tuple(below) or None, dependencies=tuple(needs) or None))
    graph = RevisionMap(lambda: revisions)
    plain, quick = RevisionStep._unmerge_to_revisions, unmerging(RevisionStep._unmerge_to_revisions)
    for revision in graph._revision_map.values():
        if revision is None:
            continue
        step = RevisionStep.__new__(RevisionStep)
        step.revision_map, step.revision, step.is_upgrade = graph, revision, False
        for heads in [{revision.revision}, *({revision.revision, *chance.sample(names, 1)} for _ in range(5))]:
            assert set(quick(step, heads)) == set(plain(step, heads)), (revision, heads)
