"""What a migration does to the run itself: it ends connections, writes elsewhere, leaves daemons."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from neontest.process import marked
from tests.conftest import Run

ENV_PY = """
import os
from alembic import context
from sqlalchemy import create_engine

with create_engine(os.environ["DATABASE_URL"]).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
DAEMON = """
import os, time
print("MARK", os.environ["NEONTEST_MARK"], flush=True)
ready = os.pipe()
if not os.fork():
    os.setsid()
    if os.fork():
        os._exit(0)
    os.write(ready[1], b"!")
    time.sleep(600)
os.wait()
os.read(ready[0], 1)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "migrations/versions").mkdir(parents=True)
    (root / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/migrations\n")
    (root / "migrations/env.py").write_text(ENV_PY)
    (root / "daemon.py").write_text(DAEMON)
    return root


def revision(root: Path, upgrade: str) -> None:
    body = "\n    ".join(upgrade.splitlines())
    (root / "migrations/versions/a1_.py").write_text(
        f"from alembic import op\nrevision = 'a1'\ndown_revision = None\ndef upgrade():\n    {body}\n"
        "def downgrade():\n    pass\n"
    )


def test_a_migration_that_ends_our_own_connection_is_told_so(neontest: Run, root: Path) -> None:
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = user"
    revision(root, f"op.execute({others!r})")
    ran = neontest("run", "--local", "--no-tests", cwd=root)
    assert ran.code == 3, ran.out + ran.err
    (problem,) = ran.report.problems
    assert problem.kind == "DatabaseError"
    assert problem.message == "neontest's own connection to the branch was ended, by the migration or by the server"
    assert all(branch.proved for branch in ran.report.branches)


def test_another_postgres_ends_the_run_with_3(neontest: Run, root: Path, postgres_url: str) -> None:
    other = postgres_url.replace("://", "+psycopg2://")
    revision(root, f"from sqlalchemy import create_engine\ncreate_engine({other!r}).connect()")
    ran = neontest("run", "--local", "--no-tests", cwd=root)
    assert (ran.code, [each.kind for each in ran.report.problems]) == (3, ["WrongDatabase"])
    assert all(branch.proved for branch in ran.report.branches)
    args = ("--mode", "whole", "--no-tests")
    assert neontest("run", *args, cwd=root, env={"NEONTEST_OTHER_DATABASES": "allow"}).code == 0
    (root / "pyproject.toml").write_text('[tool.neontest]\nother-databases = "allow"\n')
    assert neontest("run", *args, cwd=root).code == 0


@pytest.mark.skipif(sys.platform != "linux", reason="daemons are found through /proc")
def test_no_daemon_of_a_migration_a_seed_or_a_test_outlives_the_run(neontest: Run, root: Path) -> None:
    revision(root, "import pathlib\nexec(pathlib.Path('daemon.py').read_text())")
    ran = neontest(
        "run", "--local", "-v", "--seed", f"{sys.executable} daemon.py", "--", sys.executable, "daemon.py", cwd=root
    )
    assert ran.code == 0, ran.out + ran.err
    marks = {line.split("MARK ")[1].strip() for line in ran.err.splitlines() if "MARK " in line}
    assert len(marks) >= 4  # the seed, the whole walk, the stairway, the tests
    assert [each for each in marks if marked(each.encode())] == []
