import os

from alembic import context
from sqlalchemy import create_engine, pool

arguments = context.get_x_argument(as_dictionary=True)
if arguments["tenant"] != "acme" or "verbose" not in context.get_x_argument():
    raise SystemExit("alembic -x tenant=NAME -x verbose upgrade head")

engine = create_engine(os.environ["DATABASE_URL"], poolclass=pool.NullPool)

with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
