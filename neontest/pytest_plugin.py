"""Fixtures for a project's own tests: a throw-away branch at head, its URL, an engine, a connection rolled back.

What `[tool.neontest]` in the root directory's pyproject.toml and the environment say, holds as for `neontest run`. A
suite that `neontest run` runs uses the branch that it was given. Nothing is imported, started or asked for until a test
asks for a fixture.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, NoReturn

import pytest

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine
    from sqlalchemy.orm import Session

    from neontest.errors import NeontestError

BLOCKING: Final = ("psycopg2", "psycopg", "pg8000")
"""SQLAlchemy's drivers for an Engine that is not asynchronous."""


class Url(str):
    """A connection string that keeps its password out of tracebacks and assertion messages."""

    __slots__ = ()

    def __repr__(self) -> str:
        return hidden(str.__repr__(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class NeontestBranch:
    """A branch at head, for the tests of one session."""

    id: str
    name: str
    url: Url = field(repr=False)
    """The direct connection string, `postgresql://…`, as psycopg and psql take it: a secret."""
    driver: str
    """The driver that the project uses, by SQLAlchemy's name."""


def hidden(text: str) -> str:
    from neontest.redact import Redactor

    return Redactor().text(text)


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """pytest would show two texts that differ in full."""
    if isinstance(left, Url) or isinstance(right, Url):
        return [hidden(f"{left!r} {op} {right!r}")]
    return None


@pytest.fixture(scope="session")
def neontest_branch(pytestconfig: pytest.Config) -> Iterator[NeontestBranch]:
    """A throw-away branch of the parent, upgraded to head; given back at the end of the session.

    Each worker of pytest-xdist has one of its own, but for a suite of `neontest run`, which shares that run's. If the
    session is killed, the process that holds the branch gives it back.
    """
    from neontest.errors import NeontestError
    from neontest.holder import Holder
    from neontest.lent import BRANCH, read

    holder, problem = None, None
    try:
        if shared := os.environ.get(BRANCH):
            lent = read(shared)
        else:
            holder = Holder(pytestconfig.rootpath, os.environ)
            lent = holder.branch
    except NeontestError as error:
        problem = error
    if problem is not None:
        fail(problem)
    yield NeontestBranch(id=lent.id, name=lent.name, url=Url(lent.url), driver=lent.driver)
    if holder is not None:
        try:
            holder.end()
        except NeontestError as error:
            problem = error
        if problem is not None:
            fail(problem)


@pytest.fixture(scope="session")
def neontest_url(neontest_branch: NeontestBranch) -> str:
    """The branch's direct URL as SQLAlchemy takes it, with the driver that the project uses: a secret.

    Its `repr` hides the password; `str` and everything made of it, such as an f-string, does not.
    """
    return sqlalchemy_url(neontest_branch, neontest_branch.driver)


@pytest.fixture(scope="session")
def neontest_engine(neontest_branch: NeontestBranch) -> Iterator[Engine]:
    """A SQLAlchemy Engine on the branch, disposed of before the branch is given back.

    It is never asynchronous: a project that uses asyncpg makes its own, of `neontest_url`.
    """
    from sqlalchemy import create_engine

    installed = [each for each in (neontest_branch.driver, *BLOCKING) if each in BLOCKING and find_spec(each)]
    if not installed:
        pytest.fail(f"neontest_engine needs one of {', '.join(BLOCKING)}, and none is installed", pytrace=False)
    # A Neon compute that slept meanwhile has dropped its connections.
    engine = create_engine(sqlalchemy_url(neontest_branch, installed[0]), pool_pre_ping=True)
    yield engine
    engine.dispose()


@pytest.fixture
def neontest_connection(neontest_engine: Engine) -> Iterator[Connection]:
    """A connection in a transaction that is rolled back after the test, so that no test sees another's rows.

    Code under test that commits is given a Session on it that commits to a savepoint instead (SQLAlchemy 2), as
    `neontest_session` is:

        Session(bind=neontest_connection, join_transaction_mode="create_savepoint")

    What is not rolled back, as in any Postgres: the values that sequences have given out. A commit of the connection
    itself is refused, as its rows would stay for all tests that follow.
    """
    from sqlalchemy import event

    with neontest_engine.connect() as connection:
        event.listen(connection, "commit", refuse_commit)
        transaction = connection.begin()
        yield connection
        if transaction.is_active:
            transaction.rollback()


@pytest.fixture
def neontest_session(neontest_connection: Connection) -> Iterator[Session]:
    """An ORM Session of which a commit, too, is undone after the test: it commits to a savepoint.

    SQLAlchemy 2: https://docs.sqlalchemy.org/en/20/orm/session_transaction.html, "Joining a Session into an External
    Transaction" (2026-11).
    """
    import sqlalchemy
    from sqlalchemy.orm import Session

    if sqlalchemy.__version__.startswith("1."):
        pytest.fail(f"neontest_session needs SQLAlchemy 2; {sqlalchemy.__version__} is installed", pytrace=False)
    with Session(bind=neontest_connection, join_transaction_mode="create_savepoint") as session:
        yield session


def refuse_commit(connection: Connection) -> NoReturn:
    # SQLAlchemy takes the transaction to be over, whatever is raised here, and would not reset the connection.
    connection.connection.rollback()
    pytest.fail(
        "neontest_connection is rolled back after the test and cannot be committed: use neontest_session, or a Session"
        ' on it with join_transaction_mode="create_savepoint"'
    )


def sqlalchemy_url(branch: NeontestBranch, driver: str) -> Url:
    from neontest.migrate.environment import UrlForms

    return Url(UrlForms.parse(branch.url).url(driver))


def fail(error: NeontestError) -> NoReturn:
    """End the fixture with what neontest has to say, and without its traceback."""
    pytest.fail(f"neontest: {error.message}" + (f"\n  {error.hint}" if error.hint else ""), pytrace=False)
