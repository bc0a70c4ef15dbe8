from __future__ import annotations

import os

import flask_migrate
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask

from app.database import Base, db

pytestmark = pytest.mark.skipif(
    os.environ.get("NEONTEST_CELL") in ("old-new", "new-old"), reason="these models are of another schema, on purpose"
)


def test_the_models_agree_with_the_migrated_schema(app: Flask) -> None:
    with db.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_flask_db_check_finds_nothing_to_migrate(app: Flask) -> None:
    flask_migrate.check()
