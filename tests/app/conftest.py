"""The application's own suite: on DATABASE_URL where it is set, else on a Postgres of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import flask_migrate
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import scoped_session, sessionmaker

from app import create_app
from app.database import db


@pytest.fixture(scope="session")
def app(request: pytest.FixtureRequest) -> Iterator[Flask]:
    """The application on a database whose schema the migrations made."""
    url = os.environ.get("DATABASE_URL") or request.getfixturevalue("postgres_url")
    application = create_app(url)
    with application.app_context():
        if "NEONTEST" not in os.environ:  # else the database is as it is meant to be, also at another revision
            flask_migrate.upgrade()
        yield application
        db.engine.dispose()


@pytest.fixture
def client(app: Flask) -> Iterator[FlaskClient]:
    """A client whose every write is rolled back: commits inside end a savepoint only."""
    connection = db.engine.connect()
    transaction = connection.begin()
    usual = db.session
    db.session = scoped_session(sessionmaker(bind=connection, join_transaction_mode="create_savepoint"))
    yield app.test_client()
    db.session.remove()
    db.session = usual
    transaction.rollback()
    connection.close()
