"""The shop's own way to migrate: env.py only runs with the connection that this hands over."""

import os
import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

direction, revision = sys.argv[1:]
config = Config(str(Path(__file__).with_name("alembic.ini")))

with create_engine(os.environ["DATABASE_URL"]).connect() as connection:
    config.attributes["connection"] = connection
    getattr(command, direction)(config, revision)
