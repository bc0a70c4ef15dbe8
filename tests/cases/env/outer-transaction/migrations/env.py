import os

from alembic import context
from sqlalchemy import create_engine, pool

engine = create_engine(os.environ["DATABASE_URL"], poolclass=pool.NullPool)

with engine.begin() as connection:
    context.configure(connection=connection)
    context.run_migrations()
