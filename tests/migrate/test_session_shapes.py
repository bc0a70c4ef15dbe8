"""The shapes of projects that a session walks: env.py styles, graphs, configurations, habits."""

from __future__ import annotations

import pytest

from neontest.errors import WrongDatabase
from tests.migrate.conftest import ENV_PY

BEGINS = ENV_PY.replace("connectable.connect() as connection", "connectable.begin() as connection")
TWICE = ENV_PY.replace(
    "        context.configure(connection=connection, target_metadata=None)\n"
    "        with context.begin_transaction():\n            context.run_migrations()\n",
    "        for schema in ('one', 'two'):\n"
    "            connection.exec_driver_sql(f'CREATE SCHEMA IF NOT EXISTS {schema}')\n"
    "            connection.exec_driver_sql(f'SET search_path TO {schema}')\n"
    "            connection.commit()\n"
    "            context.configure(connection=connection, version_table_schema=schema)\n"
    "            with context.begin_transaction():\n                context.run_migrations()\n",
)
SETS = ENV_PY.replace(
    "        context.configure(",
    "        connection.exec_driver_sql(\"SET lock_timeout = '7s'\")\n"
    "        connection.exec_driver_sql('SELECT pg_advisory_lock(815)')\n        connection.commit()\n"
    "        context.configure(",
)
GIVES = "    for each in context.script.walk_revisions():\n        each.module.TABLE = 'acme'"
UP_DOWN_UP = ("upgrade", "downgrade", "upgrade")


def stairs(*revisions):
    return [(direction, revision) for revision in revisions for direction in UP_DOWN_UP]


@pytest.mark.parametrize("env_py", [ENV_PY, BEGINS, SETS], ids=["generic", "begins", "sets"])
@pytest.mark.parametrize("isolate", [False, True])
def test_each_step_is_committed_when_it_is_told(files, opened, database, env_py, isolate):
    files.alembic(env_py).table("a1", "first").table("b2", "second")
    walk = opened(isolate=isolate)
    seen = []

    def after(visit):
        assert (visit.error, visit.moved) == (None, True)
        seen.append((visit.to, database.has("first"), database.has("second")))
        return True

    walk.session.stairway(stairs("a1", "b2"), step_seconds=30, after=after)
    a1, b2 = ("a1", True, False), ("b2", True, True)
    assert seen == [a1, (None, False, False), a1, b2, a1, b2]
    assert walk.visit("downgrade", "base").moved


def test_the_stairway_ends_when_it_is_told_to(files, opened, database):
    files.alembic().table("a1", "first").table("b2", "second")
    walk = opened()
    walk.session.stairway(stairs("a1", "b2"), step_seconds=30, after=lambda visit: False)
    assert walk.session.current() == ("a1",)


def test_an_env_py_that_migrates_two_schemas_walks_both(files, opened, database):
    files.alembic(TWICE).table("a1", "first").table("b2", "second")
    walk = opened()
    visits = walk.stairway(*stairs("a1", "b2"))
    assert [visit.moved for visit in visits] == [True] * 6
    assert database.has("one.second")
    assert database.has("two.second")
    assert walk.visit("downgrade", "base").moved
    assert not database.has("two.first")


def test_a_version_table_of_another_name_and_schema(files, opened, database):
    files.alembic(ENV_PY.replace("target_metadata=None", "version_table='v', version_table_schema='meta'"))
    files.table("a1", "first")
    with database.connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA meta")
        cursor.execute("CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('other')")
    walk = opened()
    assert walk.visit("upgrade", "head").moved
    assert walk.session.current() == ("a1",)
    assert all("meta" not in statement.sql for statement in walk.visit("downgrade", "base").statements)


def test_a_section_of_another_name_gets_the_url(files, opened):
    files.alembic(section="billing", options="[alembic]\nscript_location = nowhere").table("a1", "first")
    assert opened(find={"section": "billing"}).visit("upgrade", "head").moved


def test_an_option_named_url_is_the_branch_too(files, opened):
    env_py = ENV_PY.replace('prefix="sqlalchemy."', 'prefix=""').replace(
        "config.get_section(config.config_ini_section)", "{'url': config.get_main_option('url')}"
    )
    files.alembic(env_py, options="url = postgresql://prod/real").table("a1", "first")
    assert opened().visit("upgrade", "head").moved


def test_pyproject_alone_is_enough(files, opened):
    files.write("migrations/env.py", ENV_PY)
    files.write("pyproject.toml", '[tool.alembic]\nscript_location = "%(here)s/migrations"\nprepend_sys_path = ["."]\n')
    files.table("a1", "first")
    assert opened().visit("upgrade", "head").moved


def test_x_arguments_and_the_command_line_reach_env_py(files, opened):
    env_py = ENV_PY + (
        "\nimport sys\nprint('saw', context.get_x_argument(as_dictionary=True), sys.argv, "
        "config.cmd_opts.cmd[0].__name__, context.get_revision_argument())\n"
    )
    files.alembic(env_py).table("a1", "first")
    walk = opened(x_arguments=("tenant=blue", "dry=1"))
    walk.visit("upgrade", "head")
    walk.session.close()
    assert "saw {'tenant': 'blue', 'dry': '1'} ['alembic', 'upgrade', 'head'] upgrade a1" in walk.printed


def test_several_version_locations_branches_merges_and_dependencies(files, opened, database):
    files.alembic(options="version_locations = %(here)s/migrations/versions %(here)s/other\n")
    files.table("a1", "first").table("a2", "second")
    files.revision("o1", "op.create_table('third', sa.Column('id', sa.Integer))", "op.drop_table('third')",
                   after=None, folder="other", head="branch_labels = ('other',)\ndepends_on = 'a1'")  # fmt: skip
    files.revision("m1", after=("a2", "o1"), folder="other")
    walk = opened()
    ids = [revision.id for revision in walk.session._loaded.history]
    assert sorted(ids) == ["a1", "a2", "m1", "o1"]
    up = walk.visit("upgrade", "head")
    assert (up.to, up.moved) == ("m1", True)
    down = walk.visit("downgrade", "a1")
    assert (down.moved, down.to, database.has("third"), database.has("first")) == (True, "a1", False, True)
    visits = walk.stairway(*stairs("a2", "o1", "m1"))
    assert [visit.moved for visit in visits] == [True] * 9
    assert visits[6].from_ == "a2, o1"


def test_several_heads_on_purpose_go_back_to_several(files, opened, database):
    files.alembic().table("a1", "first").table("a2", "second")
    files.revision("b1", after=None).table("b2", "third")
    files.revision("c1", "op.execute('CREATE TABLE fourth ()')", "op.execute('DROP TABLE fourth')", after=None)
    walk = opened()
    assert walk.visit("upgrade", "a1, b1").moved
    assert walk.visit("upgrade", "heads").to == "a2, b2, c1"
    assert database.has("fourth")
    down = walk.visit("downgrade", "a1, b1")
    assert (down.from_, down.to, down.moved) == ("a2, b2, c1", "a1, b1", True)
    assert not database.has("fourth")
    assert walk.visit("upgrade", "heads").moved
    assert walk.visit("downgrade", "base").moved
    assert not database.has("first")


def test_version_locations_that_only_env_py_sets_are_in_the_loaded_history(files, opened):
    files.alembic(ENV_PY.rpartition("run_migrations_online()")[0] + PLUGIN).table("a1", "first")
    files.revision("p1", folder="migrations/plugin")
    walk = opened()
    loaded = walk.session._loaded
    assert [(revision.id, revision.file) for revision in loaded.history] == [
        ("a1", "migrations/versions/a1.py"),
        ("p1", "migrations/plugin/p1.py"),
    ]
    assert [place.name for place in loaded.version_locations] == ["versions", "plugin"]
    assert walk.visit("upgrade", "head").to == "p1"


PLUGIN = """
from pathlib import Path
here = Path(__file__).parent
context.script.__dict__.pop('_version_locations', None)
context.script.version_locations = [str(here / 'versions'), str(here / 'plugin')]
run_migrations_online()
"""


def test_revision_ids_with_dots(files, opened):
    files.alembic().table("1.0.1", "first").table("1.0.2", "second")
    walk = opened()
    assert walk.visit("upgrade", "1.0.2").moved
    assert walk.visit("downgrade", "1.0.1").to == "1.0.1"
    assert [visit.moved for visit in walk.stairway(*stairs("1.0.2"))] == [True] * 3


def test_autocommit_blocks_and_concurrent_indexes(files, opened, database):
    block = "with op.get_context().autocommit_block():\n    op.execute('{}')"
    files.alembic().table("a1", "first").revision(
        "b2",
        block.format("CREATE INDEX CONCURRENTLY ix ON first (id)"),
        block.format("DROP INDEX CONCURRENTLY ix"),
    )
    walk = opened()
    assert [walk.visit(direction, to).moved for direction, to in (("upgrade", "head"), ("downgrade", "a1"))] == [
        True,
        True,
    ]
    assert [visit.error for visit in walk.stairway(*stairs("b2"))] == [None] * 3
    assert database.has("ix")


def test_each_visit_has_a_new_connection(files, opened):
    pooled = ENV_PY.replace(", poolclass=pool.NullPool", "").replace(
        "    connectable = engine_from_config(",
        "    import builtins\n    builtins.kept = getattr(builtins, 'kept', None)\n"
        "    connectable = builtins.kept = builtins.kept or engine_from_config(",
    )
    files.alembic(pooled)
    files.revision("a1", "op.execute('CREATE TEMP TABLE t ()')", "op.execute('DROP TABLE t')")
    walk = opened()
    assert walk.visit("upgrade", "head").moved
    assert walk.visit("downgrade", "base").error.kind == "UndefinedTable"


def test_each_visit_has_a_modules_variables_as_they_are_written(files, opened):
    seen = "seen.append({0})\nassert seen == [{0}], seen"
    files.alembic().revision("a1", seen.format(1), seen.format(2), head="seen = []")
    files.revision("b2", seen.format(3), seen.format(4), head="seen = []")
    walk = opened()
    ways = [("upgrade", "a1"), ("upgrade", "head"), ("downgrade", "base"), ("upgrade", "head"), ("downgrade", "a1")]
    assert [walk.visit(*way).moved for way in ways] == [True] * 5
    other = opened()
    assert other.stairway(("upgrade", "b2"))[0].moved
    assert other.visit("downgrade", "base").moved


def test_two_schemas_of_one_visit_share_a_modules_variables(files, opened, database):
    up, down = (
        "seen.append(1)\nop.execute(f'CREATE TABLE t{len(seen)} ()')",
        "op.execute('DROP TABLE IF EXISTS t1, t2')",
    )
    files.alembic(TWICE).revision("a1", up, down, head="seen = []")
    walk = opened()
    for direction, to in (("upgrade", "head"), ("downgrade", "base"), ("upgrade", "head")):
        assert walk.visit(direction, to).moved
    assert [database.has(name) for name in ("one.t1", "two.t2", "one.t2", "two.t1", "one.t3", "two.t4")] == [
        True, True, False, False, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("env_py", "head"),
    [
        (ENV_PY.replace("    with connectable", f"{GIVES}\n    with connectable"), ""),
        (
            ENV_PY.replace(
                "\nrun_migrations_online()", "\nimport os\nos.environ['TENANT'] = 'acme'\nrun_migrations_online()"
            )
            + "del os.environ['TENANT']\n",
            "TABLE = os.environ.get('TENANT', 'nobody')",
        ),
    ],
    ids=["in their modules", "while they are read"],
)
def test_what_env_py_gives_its_revisions_they_have_at_each_visit(files, opened, database, env_py, head):
    """They are read while env.py runs, and are those that it finds in `context.script`."""
    files.alembic(env_py)
    files.revision("a1", "op.execute(f'CREATE TABLE {TABLE} ()')", "op.execute(f'DROP TABLE {TABLE}')", head=head)
    walk = opened()
    for direction, to in (("upgrade", "head"), ("downgrade", "base"), ("upgrade", "head")):
        assert walk.visit(direction, to).moved
    assert database.has("acme")


def test_the_migrations_helpers_are_told_by_the_migrations_line(files, opened):
    files.alembic().write(
        "helper.py", "from alembic import op\ndef make(name):\n    op.execute(f'CREATE TABLE {name} ()')\n"
    )
    files.revision("a1", "from helper import make\nmake('first')")
    (statement,) = opened().visit("upgrade", "head").statements
    assert (statement.sql, statement.file, statement.line) == ("CREATE TABLE first ()", "migrations/versions/a1.py", 10)


def test_the_url_in_the_environment_leads_to_the_branch(files, opened):
    env_py = ENV_PY.replace("engine_from_config", "create_engine").replace(
        'config.get_section(config.config_ini_section), prefix="sqlalchemy."', "__import__('os').environ['APP_DB']"
    )
    files.alembic(env_py).table("a1", "first")
    assert opened(templates={"APP_DB": "{url}"}).visit("upgrade", "head").moved


@pytest.mark.parametrize("how", ["{url}", "postgresql+psycopg2://{user}:{password}@{host}:{port}/{database}"])
def test_another_database_is_refused_before_anything_is_migrated(files, opened, database, cluster, how):
    env_py = ENV_PY.replace("engine_from_config", "create_engine").replace(
        'config.get_section(config.config_ini_section), prefix="sqlalchemy."', "__import__('os').environ['APP_DB']"
    )
    swallowing = env_py.replace(
        "run_migrations_online()\n", "try:\n    run_migrations_online()\nexcept:\n    pass\n"
    ).replace("def try:\n    run_migrations_online()\nexcept:\n    pass\n", "def run_migrations_online():\n")
    for number, text in enumerate((env_py, swallowing)):
        files.alembic(text).table(f"a{number}", "first")
        with pytest.raises(WrongDatabase, match=database.name) as caught:
            opened(templates={"APP_DB": how}, guard=(database.guard[0], database.guard[1] ^ 1))
        assert "tool.neontest.env" in caught.value.hint
        assert "neondb_owner" not in str(caught.value)
        assert not database.has("alembic_version")


def test_what_env_py_set_before_configure_outlives_the_guards_look(files, opened):
    env_py = ENV_PY.replace(
        "        context.configure(",
        "        connection.exec_driver_sql('SET LOCAL lock_timeout = 4321')\n        context.configure(",
    )
    env_py = env_py.replace("connectable.connect()", "connectable.begin()")
    files.alembic(env_py).revision("a1", "print('is', op.get_bind().exec_driver_sql('SHOW lock_timeout').scalar())")
    walk = opened()
    walk.visit("upgrade", "head")
    walk.session.close()
    assert "is 4321ms" in walk.printed
