"""A branch's schema as SQL, and how it differs from another branch's: by the pg_dump of the Postgres in use."""

from __future__ import annotations

import difflib
import subprocess
from typing import Final

from neontest.errors import LocalError
from neontest.local.catalog import awake
from neontest.local.problem import Problem
from neontest.local.site import Site
from neontest.local.store import Branch

PATIENCE: Final = 120.0
"""Seconds that pg_dump may take."""


def dump(site: Site, branch: Branch, database: str) -> str:
    """The schema of one database, as `pg_dump --schema-only` writes it."""
    site.store.database(branch, database)
    program = site.clusters.binaries.bindir / "pg_dump"
    if not program.is_file():
        raise Problem(501, "the Postgres in use has no pg_dump")
    with awake(site, branch) as cluster:
        try:
            done = subprocess.run(
                [
                    str(program),
                    "--schema-only",
                    "--no-password",
                    f"--host={cluster.sockets}",
                    f"--port={cluster.port}",
                    "--username=postgres",
                    f"--dbname={_quoted(database)}",
                ],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=PATIENCE,
                check=False,
                env={"LC_ALL": "C", "PGCONNECT_TIMEOUT": "10"},
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise LocalError(f"pg_dump of branch {branch.id} did not end: {type(error).__name__}") from error
    if done.returncode != 0:
        raise LocalError(f"pg_dump of branch {branch.id} failed: {done.stderr.strip()[-500:]}")
    return _steady(done.stdout)


def compare(site: Site, branch: Branch, base: Branch, database: str) -> str:
    """What leads from the base's schema to the branch's, as a unified diff; empty where they are equal."""
    old, new = dump(site, base, database), dump(site, branch, database)
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), f"a/{database}", f"b/{database}"
    )
    return "".join(lines)


def _quoted(database: str) -> str:
    """The name as a connection string: as a bare word, one with `=` in it would be read as one."""
    escaped = database.replace("\\", "\\\\").replace("'", "\\'")
    return f"dbname='{escaped}'"


def _steady(text: str) -> str:
    r"""The dump without its `\restrict` lines: they hold a random word, so that no two dumps would be equal."""
    return "".join(
        line for line in text.splitlines(keepends=True) if not line.startswith(("\\restrict ", "\\unrestrict "))
    )
