import os
from pathlib import Path

from alembic import context
from sqlalchemy import create_engine, pool

root = Path(__file__).parent.parent
context.script.version_locations = [str(path) for path in sorted(root.glob("*/migrations"))]

engine = create_engine(os.environ["DATABASE_URL"], poolclass=pool.NullPool)

with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
