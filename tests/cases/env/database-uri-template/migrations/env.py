import os

from alembic import context
from sqlalchemy import create_engine, pool

assert os.environ["SQLALCHEMY_DATABASE_URI"].startswith("postgresql")
engine = create_engine(os.environ["SHOP_DATABASE_URI"], poolclass=pool.NullPool)

with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
