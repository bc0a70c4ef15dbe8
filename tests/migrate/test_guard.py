"""No Postgres but the branch is written to while a project is loaded and migrated, whichever way it connects."""

from __future__ import annotations

import pytest

from neontest.errors import WrongDatabase
from tests.migrate.conftest import ENV_PY

OTHER = "import os\nimport sqlalchemy as sa\nother = sa.create_engine(os.environ['OTHER'])\n"
WRITE = "sa.text('CREATE SCHEMA written')"
ROADS = {
    "begin": f"with other.begin() as c:\n    c.execute({WRITE})",
    "autocommit": f"with other.connect().execution_options(isolation_level='AUTOCOMMIT') as c:\n    c.execute({WRITE})",
    "raw": "c = other.raw_connection()\nc.cursor().execute('CREATE SCHEMA written')\nc.commit()",
    "session": f"from sqlalchemy.orm import Session\nwith Session(other) as s:\n    s.execute({WRITE})\n    s.commit()",
    "creator": "import psycopg2\nplain = os.environ['OTHER'].replace('+psycopg2', '')\nother = sa.create_engine("
    "'postgresql+psycopg2://', creator=lambda: psycopg2.connect(plain))\nwith other.begin() as c:\n"
    f"    c.execute({WRITE})",
    "listener": "@sa.event.listens_for(other, 'connect')\ndef first(driver, record):\n"
    "    driver.cursor().execute('CREATE SCHEMA written')\n    driver.commit()\nother.connect()",
    "thread": f"import threading\ndef write():\n    with other.begin() as c:\n        c.execute({WRITE})\n"
    "thread = threading.Thread(target=write)\nthread.start()\nthread.join()",
    "swallowed": f"try:\n    with other.begin() as c:\n        c.execute({WRITE})\nexcept:\n    pass",
    "asyncpg": "import asyncio\nfrom sqlalchemy.ext.asyncio import create_async_engine\nasync def write():\n"
    "    url = sa.make_url(os.environ['OTHER']).set(drivername='postgresql+asyncpg', query={})\n"
    f"    async with create_async_engine(url).begin() as c:\n        await c.execute({WRITE})\nasyncio.run(write())",
}
"""Ways to another Postgres, each of which writes at once."""


@pytest.fixture
def start(opened, elsewhere):
    """Open the session with OTHER leading to a server that is not the branch."""
    url = elsewhere.url.replace("postgresql://", "postgresql+psycopg2://")
    return lambda **options: opened(environ={"OTHER": url}, **options)


def refused(caught, elsewhere):
    assert elsewhere.name in caught.value.message
    assert "127.0.0.1" in caught.value.message
    assert "nothing was run there" in caught.value.message
    assert 'other-databases = "allow"' in caught.value.hint
    assert elsewhere.one("SELECT count(*) FROM pg_namespace WHERE nspname = 'written'") == 0


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_env_py_writes_nowhere_before_it_configures(files, start, elsewhere, road):
    files.alembic(OTHER + ROADS[road] + "\n" + ENV_PY).table("a1", "first")
    with pytest.raises(WrongDatabase) as caught:
        start()
    refused(caught, elsewhere)


@pytest.mark.parametrize("stairway", [False, True])
@pytest.mark.parametrize("road", ["begin", "swallowed", "asyncpg"])
def test_a_migration_writes_nowhere_else(files, start, elsewhere, road, stairway):
    files.alembic().revision("a1", OTHER + ROADS[road])
    walk = start()
    with pytest.raises(WrongDatabase) as caught:
        walk.stairway(("upgrade", "a1")) if stairway else walk.visit("upgrade", "head")
    refused(caught, elsewhere)


def test_a_module_writes_nowhere_else_while_it_is_imported(files, start, elsewhere):
    files.alembic("import models\n" + ENV_PY).table("a1", "first")
    files.write("models.py", OTHER + ROADS["swallowed"])
    with pytest.raises(WrongDatabase) as caught:
        start()
    refused(caught, elsewhere)


def test_a_flask_application_writes_nowhere_else_while_it_is_made(files, start, elsewhere):
    pytest.importorskip("flask_migrate")
    files.write("app.py", OTHER + ROADS["begin"])
    files.write("migrations/alembic.ini", "[alembic]\n")
    files.write("migrations/env.py", "from flask import current_app\n" + ENV_PY)
    files.table("a1", "first")
    with pytest.raises(WrongDatabase) as caught:
        start()
    refused(caught, elsewhere)


def test_another_database_of_the_branch_and_other_kinds_of_databases_are_left_alone(files, start, database):
    body = (
        "url = op.get_bind().engine.url\nwith sa.create_engine(url.set(database='postgres')).connect() as c:\n"
        "    c.execute(sa.text('SELECT 1'))\nwith sa.create_engine('sqlite://').begin() as c:\n"
        "    c.execute(sa.text('CREATE TABLE t (x)'))"
    )
    files.alembic().revision("a1", body)
    assert start().visit("upgrade", "head").moved


@pytest.mark.parametrize("driver", ["psycopg2", "asyncpg"])
def test_the_look_leaves_no_transaction_behind(files, start, database, driver):
    """Two connections: SQLAlchemy itself tidies the first of an engine."""
    look = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%' AND datname = current_database()"
    make = {
        "psycopg2": "e = sa.create_engine(url)\nkept = [e.raw_connection(), e.raw_connection()]\n",
        "asyncpg": "import asyncio\nfrom sqlalchemy.ext.asyncio import create_async_engine\nasync def connected():\n"
        "    e = create_async_engine(url.set(drivername='postgresql+asyncpg'))\n"
        "    return [await e.raw_connection(), await e.raw_connection()]\nkept = asyncio.run(connected())\n",
    }
    env_py = (
        "import os\nimport psycopg2\nimport sqlalchemy as sa\nfrom sqlalchemy.engine import make_url\n"
        "url = make_url(os.environ['DATABASE_URL']).set(query={})\n"
        f"{make[driver]}cursor = psycopg2.connect('').cursor()\n"
        f'cursor.execute("{look}")\nprint("idle in transaction:", cursor.fetchone()[0])\n'
    )
    files.alembic(env_py + ENV_PY).revision("a1")
    walk = start()
    walk.session.close()
    assert "idle in transaction: 0" in walk.printed


def test_a_second_database_is_used_where_that_is_allowed(files, start, elsewhere, database):
    files.alembic(OTHER + "other.connect().close()\n" + ENV_PY).revision("a1", OTHER + ROADS["begin"])
    assert start(other_databases="allow").visit("upgrade", "head").moved
    assert elsewhere.one("SELECT count(*) FROM pg_namespace WHERE nspname = 'written'") == 1


def test_what_is_allowed_is_not_to_migrate_another_database(files, start, elsewhere):
    files.alembic(ENV_PY.replace("connectable.connect()", "other.begin()").replace("config =", OTHER + "config =", 1))
    files.table("a1", "first")
    with pytest.raises(WrongDatabase, match="nothing was migrated there, but statements may have run") as caught:
        start(other_databases="allow")
    assert elsewhere.name in caught.value.message
    assert not elsewhere.has("alembic_version")
