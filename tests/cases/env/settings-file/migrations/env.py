import json
import os
from pathlib import Path

from alembic import context
from sqlalchemy import create_engine, pool

settings = json.loads(Path(os.environ["SHOP_SETTINGS"]).read_text())
engine = create_engine(settings["database"]["url"], poolclass=pool.NullPool)

with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
