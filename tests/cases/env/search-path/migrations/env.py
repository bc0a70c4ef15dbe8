import os

from alembic import context
from sqlalchemy import create_engine, pool, text

engine = create_engine(os.environ["DATABASE_URL"], poolclass=pool.NullPool)

with engine.connect() as connection:
    connection.execute(text("CREATE SCHEMA IF NOT EXISTS shop"))
    connection.execute(text("SET search_path TO shop"))
    connection.commit()
    connection.dialect.default_schema_name = "shop"
    context.configure(connection=connection, version_table_schema="shop")
    with context.begin_transaction():
        context.run_migrations()
