"""What a file with masking rules may be, and what a run with less than all data does."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from neontest import whose
from neontest.errors import ConfigError
from neontest.local.binaries import find
from neontest.local.engine import LocalNeon
from tests.conftest import Run

RULE = {
    "database_name": "neondb", "schema_name": "public", "table_name": "a", "column_name": "email",
    "masking_function": "anon.fake_email()",
}  # fmt: skip
ENV_PY = """
import os
from alembic import context
from sqlalchemy import create_engine

engine = create_engine(os.environ["DATABASE_URL"])
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
REVISION = """from alembic import op
revision = "{id}"
down_revision = {down!r}


def upgrade():
    op.execute({up!r})


def downgrade():
    op.execute({back!r})
"""
LOOK = """import os, sys, psycopg2
cursor = psycopg2.connect(os.environ["DATABASE_URL"].replace("+psycopg2", "")).cursor()
cursor.execute("SELECT email FROM a")
found = cursor.fetchall()
cursor.execute("SELECT version_num FROM alembic_version")
assert cursor.fetchall() == [("r2",)]
assert len(found) == int(sys.argv[1]) and "real" not in str(found), found
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project of two revisions, with a seed and masking rules."""
    versions = tmp_path / "migrations" / "versions"
    versions.mkdir(parents=True)
    first = REVISION.format(id="r1", down=None, up="CREATE TABLE a (email text NOT NULL)", back="DROP TABLE a")
    again = REVISION.format(
        id="r2", down="r1", up="ALTER TABLE a ADD COLUMN b int", back="ALTER TABLE a DROP COLUMN IF EXISTS c"
    )
    files = {
        "alembic.ini": "[alembic]\nscript_location = %(here)s/migrations\n",
        "migrations/env.py": ENV_PY,
        "migrations/versions/r1.py": first,
        "migrations/versions/r2.py": again,
        "seed.sql": "INSERT INTO a VALUES ('real@corp.test'), ('really@corp.test')",
        "rules.json": json.dumps([RULE]),
        "look.py": LOOK,
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_rules_are_read_from_toml_and_from_json(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text("[[masking_rules]]\n" + "\n".join(f'{k} = "{v}"' for k, v in RULE.items()))
    (tmp_path / "bare.json").write_text(json.dumps([RULE]))
    (tmp_path / "named.json").write_text(json.dumps({"masking_rules": [RULE]}))
    found = {whose.rules(tmp_path / name) for name in ("r.toml", "bare.json", "named.json")}
    assert len(found) == 1
    assert found.pop()[0].column == "neondb.public.a.email"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("r.json", "[", "cannot be read"),
        ("r.toml", "masking_rules = ", "cannot be read"),
        ("r.json", "[]", "has no masking rule"),
        ("r.json", json.dumps([{**RULE, "colum_name": "x"}]), "colum_name"),
        ("r.json", json.dumps([{**RULE, "masking_value": "x"}]), "and not both"),
        ("r.json", json.dumps([{**RULE, "column_name": ""}]), "names no whole column"),
        ("r.json", json.dumps([RULE, RULE]), "the second one for the column neondb.public.a.email"),
        ("gone.json", None, "No such file"),
    ],
)
def test_a_bad_file_of_rules_is_one_sentence(tmp_path: Path, name: str, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        whose.rules(tmp_path / name)
    assert (caught.value.exit_code, name in caught.value.message) == (2, True)
    assert "\n" not in caught.value.message


def test_a_local_run_on_masked_rows_sees_no_real_one(neontest: Run, root: Path) -> None:
    ran = neontest(
        "run", "--from-revision", "r1", "--seed", "seed.sql", "--anonymize", "rules.json", "--mode", "whole",
        "--rows", "0", "--", sys.executable, "look.py", "2", cwd=root,
    )  # fmt: skip
    assert ran.report.tests is not None
    assert ran.report.tests.exit_code == 0, ran.out + ran.err
    assert "data: local: made by revisions up to r1, seeded by seed.sql, anonymized (1 column masked)" in ran.out
    assert "branch again" not in ran.out, "a local cluster has no time travel"


def test_a_run_without_rows_starts_where_its_parent_stands(neontest: Run, root: Path, local_state: Path) -> None:
    with LocalNeon(local_state, find(environ=os.environ), persistent=False) as neon:
        env = {"NEON_API_KEY": neon.api_key, "NEON_API_HOST": neon.api_host, "NEON_PROJECT_ID": neon.project_id}
        uri = _uri(neon)
        _run(uri, "CREATE TABLE a (email text NOT NULL); INSERT INTO a VALUES ('real');"
                  " CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);"
                  " INSERT INTO alembic_version VALUES ('r1')")  # fmt: skip
        ran = neontest(
            "run", "--schema-only", "--", sys.executable, "look.py", "0", cwd=root, env=env,
        )  # fmt: skip
        assert ran.report.history.pending == ("r2",), ran.out + ran.err
        assert ran.report.tests is not None
        assert ran.report.tests.exit_code == 0, ran.out + ran.err
        assert ran.report.data is not None
        assert (ran.report.data.kind, ran.report.data.lsn) == ("schema-only", None)
        assert "reupgrade-fails" in ran.checks
        assert "data: schema only, of branch main, no rows" in ran.out
        assert "neontest branches create --parent main --schema-only" in ran.out
        assert all(each.proved for each in ran.report.branches)
        refused = neontest("run", "--parent-lsn", "0/1A", cwd=root, env=env)
        assert (refused.code, "parent_lsn is not available on a local Neon" in refused.out) == (3, True)


def _uri(neon: LocalNeon) -> str:
    from neontest.neon.client import Neon

    with Neon(neon.api_key, host=neon.api_host) as client:
        parent = client.default_branch(neon.project_id)
        return client.connection_uri(neon.project_id, parent.id, database="neondb", role="neondb_owner")


def _run(uri: str, statements: str) -> None:
    import psycopg2

    connection = psycopg2.connect(uri)
    with connection, connection.cursor() as cursor:
        cursor.execute(statements)
    connection.close()
