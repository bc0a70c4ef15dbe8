"""What the application asks of its database."""

import os

from sqlalchemy import create_engine, text

with create_engine(os.environ["DATABASE_URL"]).connect() as connection:
    connection.execute(text("SELECT age FROM users"))
