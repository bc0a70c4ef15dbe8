"""What an application can tell of how it is loaded."""

from __future__ import annotations

import pytest

pytest.importorskip("flask_migrate")

APP = """
import os, sys
from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

if "db" not in sys.argv:
    raise SystemExit("it would serve now, and upgrade its database first")
app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
Migrate(app, SQLAlchemy(app))
"""
ENV_PY = """
from alembic import context
from flask import current_app

with current_app.extensions["migrate"].db.engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""


def test_an_application_that_asks_how_it_was_started_sees_the_command_of_its_migrations(files, opened):
    files.write("app.py", APP)
    files.write("migrations/alembic.ini", "[alembic]\n")
    files.write("migrations/env.py", ENV_PY)
    files.table("a1", "first")
    assert opened().visit("upgrade", "head").moved
