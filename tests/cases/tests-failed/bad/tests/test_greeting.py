import os

import pytest
from sqlalchemy import create_engine, text


@pytest.fixture
def connection():
    engine = create_engine(os.environ["DATABASE_URL"])
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def test_a_user_is_greeted_by_name(connection):
    connection.execute(text("INSERT INTO users (full_name) VALUES ('Ada')"))
    assert connection.scalar(text("SELECT 'Hello, ' || name FROM users")) == "Hello, Ada"
    connection.rollback()
