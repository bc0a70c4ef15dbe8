"""The same schema changes without Alembic: the limit that no walk can pass."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import psycopg2

from tests.benchmarks.place import Place, tool
from tests.migrate.conftest import Files


def script(place: Place, files: Files, *range_of_revisions: str) -> list[str]:
    """The statements of an upgrade or a downgrade, as Alembic writes them when it has no database."""
    offline = files.root / "offline.ini"
    if not offline.exists():
        (files.root / "offline").mkdir()
        (files.root / "offline" / "env.py").write_text(
            "from alembic import context\n"
            "context.configure(dialect_name='postgresql', literal_binds=True, transaction_per_migration=True)\n"
            "context.run_migrations()\n"
        )
        (files.root / "offline" / "versions").symlink_to(files.root / "migrations" / "versions")
        offline.write_text("[alembic]\nscript_location = %(here)s/offline\n")
    done = place.run(tool("alembic"), "-c", "offline.ini", *range_of_revisions, "--sql", cwd=files.root)
    statements = [each.strip() for each in done.stdout.split(";\n\n")]
    return [each for each in statements if each and each not in ("BEGIN", "COMMIT")]


def by_revision(statements: Sequence[str]) -> list[list[str]]:
    """Cut behind each statement that says where the database stands now."""
    steps: list[list[str]] = [[]]
    for each in statements:
        steps[-1].append(each)
        if "alembic_version SET" in each or each.startswith(
            ("INSERT INTO alembic_version", "DELETE FROM alembic_version")
        ):
            steps.append([])
    return [step for step in steps if step]


def replayed(url: str, steps: Sequence[Sequence[str]]) -> None:
    """Every step in a transaction of its own, every statement in a call of its own."""
    with contextlib.closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        for step in steps:
            for statement in step:
                cursor.execute(statement)
            connection.commit()
