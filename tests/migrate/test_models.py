"""The models of real projects compared with a real database, by the session's `models`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from neontest.errors import WrongDatabase
from neontest.record import Models
from neontest.stop import Deadline
from tests.migrate import pairs
from tests.migrate.conftest import ENV_PY, Database, Files, Walked
from tests.migrate.pairs import PAIRS, NotBuilt, Pair

REPOSITORY = Path(__file__).parents[2]
Opened = Callable[..., Walked]

MODELS_PY = """
import sqlalchemy as sa
metadata = sa.MetaData({convention})
{tables}
"""
CONVENTION = 'naming_convention={"ck": "ck_%(table_name)s_%(constraint_name)s"}'
TABLES = """
order = sa.Table("order", metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("state", sa.Enum("new", "paid", "sent", name="State"), nullable=False),
    sa.Column("pieces", sa.Integer, nullable=False),
    sa.CheckConstraint("pieces > 0", name="pieces"),
)
"""
UPGRADE = """op.create_table(
    "order",
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("state", sa.Enum("new", "paid", "sent", name="State"), nullable=False),
    sa.Column("pieces", sa.Integer, nullable=False),
    sa.CheckConstraint("pieces > 0", name={check}),
)"""
DOWNGRADE = 'op.drop_table("order")\nsa.Enum(name="State").drop(op.get_bind())'
CONFIGURED = "target_metadata=metadata"


def project(
    files: Files, tables: str = TABLES, *, convention: str = "", options: str = CONFIGURED, more: str = ""
) -> Files:
    """A project with models and a first revision that makes what TABLES says."""
    files.write("models.py", MODELS_PY.format(convention=convention, tables=tables))
    env_py = ENV_PY.replace("target_metadata=None", options)
    files.alembic(f"from models import metadata\n{more}\n{env_py}")
    check = "op.f('ck_order_pieces')" if convention else "'pieces'"
    return files.revision("a1", UPGRADE.format(check=check), DOWNGRADE)


def upgraded(opened: Opened, **options: object) -> Walked:
    walk = opened(**options)
    visit = walk.visit("upgrade", "heads")
    assert (visit.error, visit.moved) == (None, True)
    return walk


def compared(walk: Walked) -> Models:
    return walk.session.models(Deadline(60, what="comparing the models"))


def differences(models: Models) -> list[str]:
    assert models.note is None
    return [each.what for each in models.drift]


def lines(models: Models) -> str:
    return "\n".join(each.line for each in models.drift if each.line)


def mended(files: Files, opened: Opened, models: Models) -> Models:
    """What is left to say when the lines are a revision, and ran; what only a person can know is left."""
    files.revision("z9", "from sqlalchemy.dialects import postgresql\n" + lines(models))
    return compared(upgraded(opened))


def everything(database: Database) -> list[tuple[object, ...]]:
    """The catalogs' rows and the version table's, and what was written since the server began."""
    return [
        *database.rows("SELECT oid, xmin, relname, relfilenode FROM pg_class WHERE oid >= 16384 ORDER BY 1"),
        *database.rows("SELECT oid, xmin, conname FROM pg_constraint WHERE oid >= 16384 ORDER BY 1"),
        *database.rows("SELECT oid, xmin, typname FROM pg_type WHERE oid >= 16384 ORDER BY 1"),
        *database.rows("SELECT oid, xmin, proname FROM pg_proc WHERE oid >= 16384 ORDER BY 1"),
        *database.rows("SELECT ctid, xmin, version_num FROM alembic_version"),
    ]


# -- nothing to say


@pytest.mark.parametrize("convention", ["", CONVENTION], ids=["plain", "naming-convention"])
def test_models_that_match_have_no_drift(files, opened, convention):
    walk = upgraded(project(files, convention=convention) and opened)
    assert compared(walk) == Models(tables=1)


def test_names_that_postgres_cuts_match(files, opened):
    long = "t" + "_and_so_on" * 5
    table = f'sa.Table("{long}", metadata, sa.Column("n", sa.Integer), sa.CheckConstraint("n > 0", name="positive_n"))'
    project(files, f"{TABLES}\nlong = {table}", convention=CONVENTION)
    files.revision("b2", f"from models import metadata\nmetadata.tables[{long!r}].create(op.get_bind())")
    walk = upgraded(opened)
    assert compared(walk) == Models(tables=2)


def test_checks_without_a_name_are_nobodys_drift(files, opened):
    table = 'sa.Table("n", metadata, sa.Column("n", sa.Integer, sa.CheckConstraint("n > 0")))'
    project(files, f"{TABLES}\nn = {table}").revision("b2", 'op.execute("CREATE TABLE n (n int CHECK (n > 0))")')
    assert compared(upgraded(opened)) == Models(tables=2)


def test_what_a_type_needs_only_elsewhere_is_not_missed(files, opened):
    """Boolean and Enum have a CHECK of their own on a database without such types, which Postgres is not."""
    column = 'sa.Column("b", sa.Boolean(name="b_is", create_constraint=True)),'
    column += ' sa.Column("e", sa.Enum("x", name="E", create_constraint=True))'
    project(files, f'{TABLES}\nt = sa.Table("t", metadata, {column})')
    up = """op.execute('CREATE TYPE "E" AS ENUM ($$x$$)'.replace("$$", "'"))"""
    files.revision("b2", up + """\nop.execute('CREATE TABLE t (b bool, e "E")')""")
    assert compared(upgraded(opened)) == Models(tables=2)


def test_partitions_and_tables_of_extensions_are_nobodys_models(files, opened, database, cluster):
    table = 'sa.Table("event", metadata, sa.Column("at", sa.Integer), postgresql_partition_by="RANGE (at)")'
    project(files, f"{TABLES}\nevent = {table}")
    files.revision(
        "b2",
        "op.execute('CREATE TABLE event (at int) PARTITION BY RANGE (at)')\n"
        "op.execute('CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (0) TO (9)')",
    )
    walk = upgraded(opened)
    with contextlib.closing(cluster.admin(database.name)) as admin, admin.cursor() as cursor:
        cursor.execute("CREATE TABLE public.spatial_ref_sys (id int)")
        cursor.execute("ALTER EXTENSION plpgsql ADD TABLE public.spatial_ref_sys")
    assert compared(walk) == Models(tables=2)


def test_no_version_table_is_ever_drift(files, opened, database):
    project(files, options=f'{CONFIGURED}, version_table="v", version_table_schema="public"')
    with database.connection.cursor() as cursor:
        cursor.execute("CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('x')")
        cursor.execute("CREATE TABLE other_versions (version_num text)")
    assert compared(upgraded(opened)) == Models(tables=1)


# -- every kind of drift

PIECES = 'sa.Column("pieces", sa.Integer, nullable=False),'
CHECK = 'sa.CheckConstraint("pieces > 0", name="pieces"),'
VALUES = '"new", "paid", "sent"'


def replaced(old: str, new: str) -> str:
    assert old in TABLES
    return TABLES.replace(old, new)


def with_column(column: str) -> str:
    return replaced(PIECES, f"{PIECES}\n    sa.Column({column}),")


def with_constraint(constraint: str) -> str:
    return f"{TABLES}\norder.append_constraint({constraint})"


DRIFTS = {
    "a column": (with_column('"note", sa.String(50)'), ["add column order.note"]),
    "a column too many": (
        replaced(PIECES, "").replace(CHECK, ""),
        ["remove check constraint pieces on order", "remove column order.pieces"],
    ),
    "a type": (replaced('s", sa.Integer', 's", sa.BigInteger'), ["modify type of order.pieces: INTEGER → BIGINT"]),
    "NOT NULL": (
        replaced(", nullable=False),\n    sa.Ch", "),\n    sa.Ch"),
        ["modify nullability of order.pieces: NOT NULL → NULL"],
    ),
    "a table": (f"{TABLES}\nsa.Table('team', metadata, sa.Column('id', sa.Integer))", ["add table team"]),
    "an index": (f"{TABLES}\nsa.Index('ix_pieces', order.c.pieces)", ["add index ix_pieces on order"]),
    "a unique constraint": (
        with_constraint('sa.UniqueConstraint("pieces", name="uq")'),
        ["add unique constraint uq on order"],
    ),
    "a foreign key": (
        with_constraint('sa.ForeignKeyConstraint(["pieces"], ["order.id"], name="fk")'),
        ["add foreign key fk on order: pieces → order(id)"],
    ),
    "a comment": (f"{TABLES}\norder.comment = 'all of them'", ["modify comment of table order"]),
    "a check": (
        with_constraint('sa.CheckConstraint(order.c.pieces < 1000, name="few")'),
        ["add check constraint few on order"],
    ),
    "a check of a column": (
        replaced("sa.Integer, null", "sa.Integer, sa.CheckConstraint('pieces <> 7', name='seven'), null"),
        ["add check constraint seven on order"],
    ),
    "a check with odd characters": (
        with_constraint("""sa.CheckConstraint("state::text NOT LIKE '%:x'", name='Odd "one"')"""),
        ['add check constraint Odd "one" on order'],
    ),
    "a check too many": (replaced(CHECK, ""), ["remove check constraint pieces on order"]),
    "an enum's last value": (
        replaced(VALUES, f"""{VALUES}, "it's:back 5%" """),
        ["""add value "it's:back 5%" to enum State"""],
    ),
    "an enum's first value": (replaced(VALUES, f'"draft", {VALUES}'), ["add value 'draft' to enum State"]),
    "an enum's values in the middle": (
        replaced(VALUES, '"new", "seen", "read", "paid", "sent"'),
        ["add value 'seen' to enum State", "add value 'read' to enum State"],
    ),
    "an enum": (with_column('"kind", sa.Enum("a", "b", name="kind")'), ["add enum kind", "add column order.kind"]),
    "a list of an enum": (
        with_column('"kinds", sa.ARRAY(sa.Enum("a", name="kind"))'),
        ["add enum kind", "add column order.kinds"],
    ),
}
"""The models, and what they differ in from what the revision makes."""


RARE = (
    "a check",
    "a check of a column",
    "a check too many",
    "an enum's first value",
    "an enum's last value",
)
"""Others like these are always tried."""


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.thorough if kind in RARE else ()) for kind in DRIFTS]
)
def test_each_kind_of_drift_is_named_and_its_line_mends_it(files, opened, kind):
    tables, told = DRIFTS[kind]
    models = compared(upgraded(project(files, tables) and opened))
    assert differences(models) == told
    assert mended(files, opened, models).drift == ()


def test_what_only_the_database_has_is_named_and_its_lines_mend_it(files, opened):
    project(files).revision(
        "b2",
        'op.create_index("ix", "order", ["pieces"])\n'
        'op.create_unique_constraint("uq", "order", ["pieces", "id"])\n'
        'op.create_foreign_key("fk", "order", "order", ["pieces"], ["id"])\n'
        "op.create_table_comment('order', 'all of them')",
    )
    models = compared(upgraded(opened))
    assert sorted(differences(models)) == [
        "remove comment of table order",
        "remove foreign key fk on order",
        "remove index ix on order",
        "remove unique constraint uq on order",
    ]
    assert mended(files, opened, models) == Models(tables=1)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ('"new", "paid"', "remove value 'sent' from enum State"),
        ('"new", "sent", "paid"', "order of enum State: new, paid, sent → new, sent, paid"),
    ],
)
def test_what_postgres_cannot_undo_in_an_enum_is_said_without_a_line(files, opened, values, told):
    models = compared(upgraded(project(files, replaced(VALUES, values)) and opened))
    assert [(each.what, each.line) for each in models.drift] == [(told, None)]


def test_a_new_table_comes_with_its_indexes_and_a_gone_one_without(files, opened):
    project(files, f'{TABLES}\nsa.Table("b", metadata, sa.Column("n", sa.Integer, index=True))').table("b2", "gone")
    files.revision("c3", 'op.create_index("ix_gone", "gone", ["id"])')
    models = compared(upgraded(opened))
    assert differences(models) == ["add table b", "remove table gone"]
    assert lines(models).split("\n") == [
        "op.create_table('b',",
        "    sa.Column('n', sa.Integer(), nullable=True)",
        ")",
        "op.create_index(op.f('ix_b_n'), 'b', ['n'], unique=False)",
        "op.drop_table('gone')",
    ]
    assert mended(files, opened, models) == Models(tables=2)


def test_lines_under_a_naming_convention_make_the_names_that_the_models_have(files, opened):
    fewer = replaced(CHECK, 'sa.CheckConstraint("id > 0", name="id"),')
    models = compared(upgraded(project(files, fewer, convention=CONVENTION) and opened))
    assert differences(models) == [
        "remove check constraint ck_order_pieces on order",
        "add check constraint ck_order_id on order",
    ]
    assert mended(files, opened, models) == Models(tables=1)


def test_tables_and_enums_of_other_schemas(files, opened, database):
    table = 'sa.Table("t", metadata, sa.Column("k", sa.Enum("a", "b", name="k", schema="shop")),'
    table += ' sa.Column("n", sa.Integer), sa.CheckConstraint("n > 0", name="n_ck"), schema="shop")'
    project(files, f"{TABLES}\n{table}", options=f"{CONFIGURED}, include_schemas=True")
    files.revision(
        "b2",
        'op.execute("CREATE SCHEMA shop CREATE TABLE t (n int)")\nop.execute("CREATE TYPE shop.k AS ENUM (\'b\')")',
    )
    models = compared(upgraded(opened))
    assert sorted(differences(models)) == [
        "add check constraint n_ck on shop.t",
        "add column shop.t.k",
        "add value 'a' to enum shop.k",
    ]
    assert mended(files, opened, models) == Models(tables=2)


# -- as the project configured it


def test_include_object_and_include_name_are_honoured(files, opened):
    filters = """
def include_object(object, name, type_, reflected, compare_to):
    return not (reflected and compare_to is None and name.startswith("legacy")) and name != "untold"
def include_name(name, type_, parent_names):
    return name not in ("hidden", "hidden_ck")
"""
    options = f"{CONFIGURED}, include_object=include_object, include_name=include_name"
    untold = 'order.append_constraint(sa.CheckConstraint("id > 0", name="untold"))'
    project(files, f"{TABLES}\n{untold}", options=options, more=filters)
    files.table("b2", "legacy_things").table("c3", "hidden").table("d4", "seen")
    files.revision("e5", "op.execute('ALTER TABLE \"order\" ADD CONSTRAINT legacy_ck CHECK (id > 0)')\n"
                         "op.execute('ALTER TABLE \"order\" ADD CONSTRAINT hidden_ck CHECK (id > 0)')")  # fmt: skip
    assert differences(compared(upgraded(opened))) == ["remove table seen"]


def test_server_defaults_are_compared_only_where_env_py_says_so(files, opened):
    tables = TABLES.replace("sa.Integer, nullable=False", "sa.Integer, nullable=False, server_default='1'")
    walk = upgraded(project(files, tables) and opened)
    assert compared(walk) == Models(tables=1)
    walk.session.close()
    env_py = files.root / "migrations/env.py"
    env_py.write_text(env_py.read_text().replace(CONFIGURED, f"{CONFIGURED}, compare_server_default=True"))
    assert differences(compared(opened())) == ["modify server default of order.pieces: none → 1"]


def test_a_rewriter_is_followed_and_another_hook_is_not_called(files, opened):
    rewriter = """
from alembic.autogenerate import rewriter
from alembic.operations import ops
writer = rewriter.Rewriter()
@writer.rewrites(ops.AddColumnOp)
def no_new_columns(context, revision, op):
    return []
def hook(context, revision, directives):
    print("called")
    raise SystemExit(3)
"""
    tables = DRIFTS["a column"][0]
    walk = upgraded(
        project(files, tables, options=f"{CONFIGURED}, process_revision_directives=writer", more=rewriter) and opened
    )
    assert compared(walk) == Models(tables=1)
    walk.session.close()
    env_py = files.root / "migrations/env.py"
    env_py.write_text(env_py.read_text().replace("directives=writer", "directives=hook"))
    other = opened()
    assert differences(compared(other)) == ["add column order.note"]
    other.session.close()
    assert "called" not in other.printed


def test_what_a_plugin_of_alembics_finds_too_is_told_once(files, opened):
    pytest.importorskip("alembic.ext.checkconstraint_byname")
    plugins = '["alembic.autogenerate.*", "alembic.ext.checkconstraint_byname"]'
    tables = replaced(CHECK, 'sa.CheckConstraint("id > 0", name="id"),')
    walk = upgraded(project(files, tables, options=f"{CONFIGURED}, autogenerate_plugins={plugins}") and opened)
    assert sorted(differences(compared(walk))) == [
        "add check constraint id on order",
        "remove check constraint pieces on order",
    ]


def test_an_env_py_in_autocommit(files, opened, database):
    project(files, DRIFTS["a check"][0])
    env_py = files.root / "migrations/env.py"
    pool = "poolclass=pool.NullPool"
    env_py.write_text(env_py.read_text().replace(pool, f'{pool}, isolation_level="AUTOCOMMIT"'))
    walk = upgraded(opened)
    before = everything(database)
    assert differences(compared(walk)) == ["add check constraint few on order"]
    assert everything(database) == before


def test_more_differences_than_anybody_reads_are_counted(files, opened):
    many = 'many = [sa.Table(f"t{n}", metadata, sa.Column("id", sa.Integer)) for n in range(1100)]'
    told = differences(compared(upgraded(project(files, f"{TABLES}\n{many}") and opened)))
    assert len(told) == 1001
    assert told[-1] == "… and 100 more"


def test_several_metadata_are_one(files, opened):
    tables = (
        TABLES + '\nsecond = sa.MetaData()\nsa.Table("second", second, sa.Column("id", sa.Integer, primary_key=True))'
    )
    files = project(files, tables, options="target_metadata=[metadata, models.second]", more="import models")
    walk = upgraded(files.table("b2", "second") and opened)
    assert compared(walk) == Models(tables=2)


TWO = """
        for metadata, name in ((models.metadata, "one"), (models.second, "two")):
            context.configure(connection=connection, target_metadata=metadata, version_table=name)
            with context.begin_transaction():
                context.run_migrations()

run_migrations_online()
"""


def test_environments_that_share_a_database_do_not_want_each_others_tables_gone(files, opened):
    second = 'sa.Table("second", second, sa.Column("id", sa.Integer), sa.Column("more", sa.Integer))'
    files.write("models.py", MODELS_PY.format(convention="", tables=f"{TABLES}\nsecond = sa.MetaData()\n{second}"))
    files.alembic("import models\n" + ENV_PY[: ENV_PY.index("        context.configure(")] + TWO)
    only = "if op.get_context().version_table == 'one':\n    "
    files.revision("a1", only + UPGRADE.format(check="'pieces'").replace("\n", "\n    "))
    files.revision(
        "b2",
        "\n".join(
            only.replace("one", "two") + f"op.create_table({name!r}, sa.Column('id', sa.Integer))"
            for name in ("second", "gone")
        ),
    )
    assert sorted(differences(compared(upgraded(opened)))) == ["add column second.more", "remove table gone"]


# -- nothing is written


PLUGIN = """
from alembic.autogenerate import comparators
import sqlalchemy as sa

@comparators.dispatch_for("schema")
def tries(autogen_context, upgrade_ops, schemas):
    sql = "CREATE OR REPLACE FUNCTION tried() RETURNS int LANGUAGE sql AS 'SELECT 1'"
    autogen_context.connection.execute(sa.text(sql))
"""


@pytest.mark.parametrize("more", ["", PLUGIN], ids=["alembic-alone", "a-plugin-that-writes"])
def test_nothing_is_written(files, opened, database, more):
    tables = TABLES + 'sa.Table("team", metadata, sa.Column("id", sa.Integer, primary_key=True))'
    walk = upgraded(project(files, tables, more=more) and opened)
    before = everything(database)
    assert "add table team" in differences(compared(walk))
    assert everything(database) == before
    assert walk.session.current() == ("a1",)
    assert walk.visit("downgrade", "base").moved


def test_without_a_version_table_none_is_made(files, opened, database):
    walk = project(files) and opened()
    assert differences(compared(walk)) == ["add table order"]
    assert not database.has("alembic_version")


# -- why nothing is compared


def test_no_metadata_is_said(files, opened):
    walk = upgraded(project(files, options="target_metadata=None") and opened)
    assert compared(walk) == Models(note="env.py gives context.configure() no target_metadata")


def test_metadata_without_models_is_said_and_no_table_is_drift(files, opened):
    walk = upgraded(project(files, "") and opened)
    assert compared(walk) == Models(note="target_metadata has no tables: env.py imports no models")


def test_metadata_of_something_else_is_said_and_no_table_is_drift(files, opened):
    walk = upgraded(project(files, TABLES.replace('"order"', '"invoice"')) and opened)
    assert compared(walk) == Models(tables=1, note="target_metadata knows none of the database's tables (public.order)")


def test_schemas_that_env_py_does_not_include_are_said(files, opened):
    table = 'sa.Table("t", metadata, sa.Column("n", sa.Integer), schema="shop")'
    project(files, f"{TABLES}\n{table}").revision("b2", 'op.execute("CREATE SCHEMA shop CREATE TABLE t (n int)")')
    note = "not compared: tables in shop, as env.py does not include_schemas"
    assert compared(upgraded(opened)) == Models(tables=2, note=note)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("raise RuntimeError('not again')", "env.py failed when it ran once more: RuntimeError: not again"),
        ("sys.exit(4)", "env.py failed when it ran once more: exit: the process was asked to exit with status 4"),
        ("os._exit(5)", "exit"),
    ],
)
def test_an_env_py_that_fails_when_it_runs_again_is_a_note(files, opened, fault, told):
    walk = upgraded(project(files, more="import os, sys\n" + f"if os.path.exists('stop'):\n    {fault}") and opened)
    files.write("stop", "")
    models = compared(walk)
    assert models.drift == ()
    assert told in str(models.note)


def test_a_model_that_cannot_be_compared_is_a_note_and_the_walk_goes_on(files, opened):
    plugin = PLUGIN.replace("CREATE OR REPLACE FUNCTION tried()", "CREATE FUNKTION tried()")
    walk = upgraded(project(files, more=plugin) and opened)
    assert compared(walk) == Models(
        tables=1, note='Alembic\'s autogenerate failed: SyntaxError: syntax error at or near "FUNKTION"'
    )
    assert walk.visit("downgrade", "base").moved


def test_a_password_in_what_is_told_is_hidden(files, opened, database):
    walk = upgraded(
        project(files, more=f"import os\nif os.path.exists('stop'):\n    raise RuntimeError({database.url!r})")
        and opened
    )
    files.write("stop", "")
    note = compared(walk).note or ""
    assert "***" in note
    assert database.url.split(":")[2].split("@")[0] not in note


def test_another_database_is_refused(files, opened, elsewhere):
    url = elsewhere.url.replace("postgresql://", "postgresql+psycopg2://")
    project(
        files, more=f"import os, sqlalchemy as sa\nif os.path.exists('stop'):\n    sa.create_engine({url!r}).connect()"
    )
    walk = upgraded(opened)
    files.write("stop", "")
    with pytest.raises(WrongDatabase):
        compared(walk)


def test_a_project_with_commands_of_its_own_that_does_not_load_is_a_note(files, opened):
    from neontest.migrate.session import Commands

    project(files, more="raise RuntimeError('only by make')")
    walk = opened(commands=Commands(upgrade=("true",), downgrade=("true",)))
    assert compared(walk).note == "the project is migrated by its own command, and does not load without it"


# -- projects


def test_the_guides_application_has_no_drift(files, opened):
    for name in ("app", "migrations"):
        (files.root / name).symlink_to(REPOSITORY / name)
    walk = upgraded(opened, environ={"FLASK_APP": "app"})
    assert compared(walk) == Models(tables=1)


ASYNC = """
import asyncio, os
from alembic import context
from models import metadata
from sqlalchemy import pool
from sqlalchemy.ext.asyncio import async_engine_from_config

def migrate(connection):
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()

async def main():
    engine = async_engine_from_config(
        context.config.get_section(context.config.config_ini_section), prefix="sqlalchemy.", poolclass=pool.NullPool
    )
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()

asyncio.run(main())
"""


def test_an_asynchronous_env_py(files, opened):
    pytest.importorskip("asyncpg")
    project(files, DRIFTS["an enum's first value"][0])
    files.write("migrations/env.py", ASYNC)
    walk = upgraded(opened, asynchronous=True)
    assert differences(compared(walk)) == ["add value 'draft' to enum State"]


@pytest.fixture(scope="module", params=pairs.params(*PAIRS[:1], *PAIRS[2:4], *PAIRS[6:]), ids=str)
def environment(request: pytest.FixtureRequest, environments: Path):
    pair: Pair = request.param
    try:
        return pair, pairs.build(pair, environments)
    except NotBuilt as reason:
        pytest.skip(f"{pair}: {reason}")


def test_old_and_new_releases_find_the_same(environment, files, opened, database):
    pair, python = environment
    tables = TABLES.replace('"new", "paid"', '"new"').replace(
        "sa.CheckC", 'sa.Column("note", sa.String(50)),\n    sa.CheckC'
    )
    tables += "order.append_constraint(sa.CheckConstraint('pieces <> 7', name='seven'))\n"
    tables += 'sa.Table("team", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("b", sa.Boolean))'
    project(files, tables).table("b2", "gone").revision(
        "c3", "op.execute('ALTER TABLE \"order\" ADD CONSTRAINT old CHECK (id > 0)')"
    )
    walk = upgraded(opened, python=python)
    assert walk.session.interpreter.sqlalchemy == pair.sqlalchemy
    before = everything(database)
    models = compared(walk)
    assert sorted(differences(models)) == [
        "add check constraint seven on order",
        "add column order.note",
        "add table team",
        "remove check constraint old on order",
        "remove table gone",
        "remove value 'paid' from enum State",
    ]
    assert everything(database) == before
    files.revision("z9", lines(models))
    again = compared(upgraded(opened, python=python))
    assert differences(again) == ["remove value 'paid' from enum State"]
