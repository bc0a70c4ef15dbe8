"""Alembic projects, and the environment in which neontest runs on them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.conftest import away, environment

ENV_PY: Final = """
import os
from alembic import context
from sqlalchemy import create_engine

engine = create_engine(os.environ["DATABASE_URL"])
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""


@contextmanager
def project(revisions: Iterable[tuple[str, str]], files: Mapping[str, str] | None = None) -> Iterator[Path]:
    """A folder with one line of revisions, each the code of its upgrade and downgrade."""
    root = Path(tempfile.mkdtemp(prefix="neontest-load-"))
    versions = root / "migrations" / "versions"
    versions.mkdir(parents=True)
    (root / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/migrations\n")
    (root / "migrations" / "env.py").write_text(ENV_PY)
    down = None
    for number, (up, back) in enumerate(revisions):
        id_ = f"{number:012x}"
        (versions / f"{id_}_it.py").write_text(
            f'"""revision {number}"""\nfrom alembic import op\nimport sqlalchemy as sa\n\nrevision = {id_!r}\n'
            f"down_revision = {down!r}\n\n\ndef upgrade():\n    {up}\n\n\ndef downgrade():\n    {back}\n"
        )
        down = id_
    for name, text in (files or {}).items():
        (root / name).write_text(text)
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


@contextmanager
def surroundings() -> Iterator[dict[str, str]]:
    """The environment of a `neontest` with a local engine of its own; nothing of it is left."""
    folder = away("load")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("NEON", "GITHUB_", "PG"))}
    try:
        yield {**clean, **{k: v for k, v in environment(folder / "state").items() if k not in os.environ}}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
