import os

from alembic import context
from sqlalchemy import create_engine, pool, text

engine = create_engine(os.environ["DATABASE_URL"], poolclass=pool.NullPool)

with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        try:
            context.run_migrations()
        finally:
            # In a failed transaction this fails too, and its error is the one that is seen.
            connection.execute(text("SELECT set_config('shop.migrated', 'yes', false)"))
