import os
import sys

from alembic import context
from sqlalchemy import create_engine, pool

for number in range(2_000):
    print(f"{number:06} loading the settings of the shop, one after the other, and telling everyone about it")
    print(f"{number:06} deprecated: this shop will close", file=sys.stderr)
print('{"type": "done"}', flush=True)

engine = create_engine(os.environ["DATABASE_URL"], poolclass=pool.NullPool)

with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
