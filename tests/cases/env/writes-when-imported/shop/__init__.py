"""An application that keeps a diary of its starts."""

import os

from sqlalchemy import create_engine, text

engine = create_engine(os.environ["DATABASE_URL"])

with engine.begin() as connection:
    connection.execute(text("CREATE TABLE IF NOT EXISTS starts (at timestamptz NOT NULL)"))
    connection.execute(text("INSERT INTO starts VALUES (now())"))
