"""Whole schemas: as projects have them, and the application's own through all its migrations."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from flask_migrate import upgrade

from app import create_app

ROOT = Path(__file__).parents[2]
SCHEMAS = tomllib.loads((Path(__file__).parent / "fill_schemas.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_table_of_a_real_schema_is_filled(filling: Any, name: str) -> None:
    filled = filling.fill(SCHEMAS[name]["sql"])
    filling.whole(filled)
    assert len(filled) == SCHEMAS[name]["sql"].count("CREATE TABLE") - SCHEMAS[name]["sql"].count("PARTITION OF")


def test_every_migration_of_the_application_applies_to_filled_tables(
    filling: Any, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    filling.made("")
    migrations = str(ROOT / "migrations")
    revisions = [each.revision for each in reversed(list(ScriptDirectory(migrations).walk_revisions()))]
    assert len(revisions) >= 4
    app = create_app(database.url("neondb_owner"))
    filler = filling.filler()
    for revision in revisions:
        with app.app_context():
            upgrade(directory=migrations, revision=revision)
            app.extensions["migrate"].db.engine.dispose()
        for each in filler.fill_new() or ():
            assert (each.why, each.rows >= 16) == (None, True), each
    assert filling.ask('SELECT count(*), count(DISTINCT lower(email)), count(years_old) FROM "user"') == [(20, 20, 16)]
