"""The other commands, given what is no better."""

from __future__ import annotations

import os
from collections.abc import Callable

from tests.bad_input.case import Case, Place, revision
from tests.bad_input.settings import NEON, linked

DEEP = "a = " + "[" * 100_000


def ledger(name: str, content: bytes | None) -> Callable[[Place], None]:
    """A file of the ledger that holds this; None: a pipe. It stays: nobody knows what it means."""

    def make(place: Place) -> None:
        folder = place.root / "ledger"
        folder.mkdir()
        if content is None:
            os.mkfifo(folder / name)
        else:
            (folder / name).write_bytes(content)

    return make


OWN = ("--ledger", "ledger")
CASES = (
    Case(
        name="init over a pyproject.toml that is not TOML",
        args=("init", "--yes"),
        files={"pyproject.toml": "a ="},
        says=r"pyproject.toml",
        slow=True,
    ),
    Case(
        name="init over a pyproject.toml in UTF-16",
        args=("init", "--yes"),
        files={"pyproject.toml": "a = 1".encode("utf-16")},
        says=r"pyproject.toml",
    ),
    Case(
        name="init over a pyproject.toml nested 100,000 deep",
        args=("init", "--yes"),
        files={"pyproject.toml": DEEP},
        says=r"pyproject.toml",
    ),
    Case(
        name="init over a circle of links",
        args=("init", "--yes"),
        make=linked("pyproject.toml", "pyproject.toml"),
        says=r"pyproject.toml",
    ),
    Case(
        name="init without a project",
        args=("init", "--yes"),
        files={"alembic.ini": None, "migrations/env.py": None, "migrations/versions/r1.py": None},
        says=r"no Alembic or Flask-Migrate environment",
        slow=True,
    ),
    Case(
        name="init with a workflow that is a folder",
        args=("init", "--yes"),
        make=lambda place: (place.root / ".github/workflows/test-migrations.yml").mkdir(parents=True),
        says=r"test-migrations.yml",
    ),
    Case(
        name="doctor of revisions in a circle",
        args=("doctor",),
        files={"migrations/versions/r1.py": revision("r1", "r1")},
        says=r"revision r1 is its own parent",
        slow=True,
    ),
    Case(
        name="doctor with an interpreter that is not there",
        args=("doctor", "--python", "/nowhere"),
        says=r"there is no Python at /nowhere",
        slow=True,
    ),
    Case(
        name="a pyproject.toml below, nested 100,000 deep",
        args=("run", "--local"),
        files={"alembic.ini": None, "migrations/env.py": None, "below/pyproject.toml": DEEP},
        says=r"no Alembic or Flask-Migrate environment",
    ),
    Case(
        name="cleanup of a ledger that holds rubbish",
        args=("cleanup", *OWN),
        make=ledger("a.json", b"\0rubbish"),
        says=r"^Error: branch .* could not be given back: .*a.json cannot be read",
        code=4,
    ),
    Case(
        name="cleanup of a ledger that holds nesting",
        args=("cleanup", *OWN),
        make=ledger("a.json", b"[" * 100_000),
        says=r"^Error: branch .* could not be given back: .*a.json cannot be read",
        code=4,
    ),
    Case(
        name="cleanup of a ledger that holds a pipe",
        args=("cleanup", *OWN),
        make=ledger("a.json", None),
        says=r"^Error: branch .* could not be given back: .*a.json cannot be read",
        code=4,
    ),
    Case(
        name="cleanup of a ledger that is a file", args=("cleanup", "--ledger", "alembic.ini"), says=r"nothing", code=0
    ),
    Case(name="sweep without a key", args=("sweep",), says=r"NEON_API_KEY"),
    Case(
        name="branches create with an empty name", args=("branches", "create", "--name", "  "), env=NEON, says=r"--name"
    ),
    Case(
        name="branches create for a million years",
        args=("branches", "create", "--expires-in", "9999999999h"),
        env=NEON,
        says=r"--expires-in",
    ),
    Case(name="publish outside of GitHub", args=("publish", "alembic.ini"), says=r"this is no job of GitHub Actions"),
    Case(
        name="publish to what is no repository",
        args=("publish", "alembic.ini", "--repository", "a b", "--sha", "0" * 40),
        env={"GITHUB_TOKEN": "t"},
        says=r"--repository is not OWNER/NAME",
    ),
    Case(
        name="publish of what is no report",
        args=("publish", "alembic.ini", "--repository", "a/b", "--sha", "0" * 40),
        env={"GITHUB_TOKEN": "t"},
        says=r"alembic.ini: not a neontest report",
    ),
)
