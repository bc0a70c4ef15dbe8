"""An upgrade that is stopped before one of its statements, on real servers and by each driver that is here."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import pytest

from neontest.errors import Stopped
from neontest.migrate.reports import Paused, Resumed
from neontest.stop import Deadline
from tests.migrate.conftest import MINUTE, Database, Files, Walked

ASYNC_ENV = """
import asyncio, os
from alembic import context
from sqlalchemy import pool
from sqlalchemy.ext.asyncio import create_async_engine

def migrate(connection):
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()

async def main():
    engine = create_async_engine(os.environ["DATABASE_URL"], poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()

asyncio.run(main())
"""


class Asked:
    """A pause that notes what it was told, and answers as it was made to."""

    looking = False

    def __init__(self, at: int, *, after: bool = False, go: bool = False, error: BaseException | None = None) -> None:
        self.at, self.after = at, after
        self._go, self._error = go, error
        self.told: list[Paused | Resumed] = []

    def paused(self, report: Paused) -> bool:
        self.told.append(report)
        if self._error is not None:
            raise self._error
        return self._go

    def look(self) -> None:
        raise AssertionError("nothing was to be looked at")

    def resumed(self, report: Resumed) -> None:
        self.told.append(report)


def visit(walked: Walked, pause: Asked):
    return walked.session.visit("upgrade", "head", deadline=Deadline(MINUTE, what="the upgrade"), pause=pause)


@pytest.fixture
def three(files: Files) -> Files:
    return files.alembic().revision(
        "a1",
        "op.execute('CREATE TABLE one (id int)')\n"
        "op.get_bind().execute(sa.text('INSERT INTO one SELECT :number'), {'number': 1})\n"
        "with op.get_context().autocommit_block():\n    op.execute('CREATE TABLE two (id int)')",
    )


def driven(files: Files, opened: Callable[..., Walked], driver: str) -> Walked:
    """A session whose env.py uses this driver."""
    if importlib.util.find_spec(driver) is None:
        pytest.skip(f"{driver} is not installed")
    if driver == "asyncpg":
        files.write("migrations/env.py", ASYNC_ENV)
    return opened(asynchronous=driver == "asyncpg")


@pytest.mark.parametrize("driver", ["psycopg2", "asyncpg"])
def test_a_statement_in_a_transaction_is_cancelled_by_the_server_itself(
    three: Files, opened: Callable[..., Walked], database: Database, driver: str
) -> None:
    walked = driven(three, opened, driver)
    pause = Asked(2)
    failed = visit(walked, pause)
    assert failed.error is not None
    assert (failed.error.sqlstate, failed.error.revision) == ("57014", "a1")
    assert (failed.error.file, failed.error.line) == ("migrations/versions/a1.py", 10)
    assert "INSERT INTO one" in (failed.error.sql or "")
    (paused,) = pause.told
    assert isinstance(paused, Paused)
    assert (paused.backend, paused.statement.line) == (0, 10)
    assert not database.has("one")
    # The session is of further use: another upgrade goes through.
    assert walked.visit("upgrade", "head").error is None
    assert database.has("two")


@pytest.mark.parametrize("driver", ["psycopg2", "asyncpg"])
def test_a_statement_in_autocommit_leaves_what_was_committed_before_it(
    three: Files, opened: Callable[..., Walked], database: Database, driver: str
) -> None:
    walked = driven(three, opened, driver)
    pause = Asked(3)
    assert visit(walked, pause).error is not None
    (paused,) = pause.told
    assert isinstance(paused, Paused)
    assert paused.backend > 0
    assert "public" in paused.search_path
    assert (database.has("one"), database.has("two")) == (True, False)


def test_a_statement_that_is_let_go_is_waited_for(three: Files, opened: Callable[..., Walked]) -> None:
    walked = opened()
    pause = Asked(3, go=True)
    visited = visit(walked, pause)
    assert (visited.error, visited.moved) == (None, True)
    assert [type(each) for each in pause.told] == [Paused, Resumed]
    assert pause.told[1] == Resumed(ended=True)
    assert len(visited.statements) == 3


def test_the_moment_after_the_last_statement_is_that_of_the_version_table(
    three: Files, opened: Callable[..., Walked], database: Database
) -> None:
    walked = opened()
    pause = Asked(3, after=True)
    assert visit(walked, pause).error is not None
    (paused,) = pause.told
    assert isinstance(paused, Paused)
    assert "alembic_version" in paused.statement.sql
    assert database.has("two")
    assert walked.session.current() == ()


def test_a_statement_that_never_comes_is_no_pause(three: Files, opened: Callable[..., Walked]) -> None:
    pause = Asked(99)
    assert visit(opened(), pause).moved
    assert pause.told == []


def test_a_stop_while_it_is_paused_ends_the_worker(
    three: Files, opened: Callable[..., Walked], database: Database
) -> None:
    walked = opened()
    with pytest.raises(Stopped):
        visit(walked, Asked(3, error=Stopped(2)))
    walked.session.kill()
    assert not walked.session.alive
    assert not database.has("two")
