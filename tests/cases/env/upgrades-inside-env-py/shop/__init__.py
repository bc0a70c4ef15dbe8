"""An application that brings its database to head whenever it is imported.

Its env.py imports it, and Alembic cannot run inside of itself: `alembic current` fails here, too.
"""

import os

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

engine = create_engine(os.environ["DATABASE_URL"])
command.upgrade(Config("alembic.ini"), "head")
