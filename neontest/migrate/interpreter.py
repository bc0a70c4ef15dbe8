"""Which Python the project runs in, and what it has installed."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from neontest.errors import ConfigError


class Interpreter(msgspec.Struct, frozen=True, kw_only=True):
    """What the worker found in the project's interpreter."""

    python: Path
    version: str
    """Of Python, such as `3.11.7`."""
    alembic: str
    sqlalchemy: str
    drivers: tuple[str, ...]
    """Of psycopg2, psycopg, asyncpg and pg8000 those that can be imported."""


def find_python(root: Path, *, wanted: str | Path | None, environ: Mapping[str, str]) -> Path:
    """The Python to run the project's code with: `wanted`, else VIRTUAL_ENV's, else `.venv`'s, else our own.

    `wanted` is a file, a name on PATH or a virtual environment. Symbolic links are kept: Python knows its virtual
    environment by the name that it is started under.

    Raises:
        ConfigError: `wanted` is not there.
    """
    if wanted is not None:
        return _wanted(root, str(wanted), environ)
    for folder in (environ.get("VIRTUAL_ENV"), root / ".venv"):
        if folder and (python := _inside(Path(folder))) is not None:
            return python
    return Path(sys.executable)


def _wanted(root: Path, wanted: str, environ: Mapping[str, str]) -> Path:
    found = None
    with suppress(OSError, ValueError, RuntimeError):  # a name that no file and no home can have
        path = root / Path(wanted).expanduser()
        if path.is_dir() and (python := _inside(path)) is not None:
            return python
        if path.is_file() and os.access(path, os.X_OK):
            return path.absolute()
        found = shutil.which(wanted, path=environ.get("PATH")) if os.sep not in wanted else None
    if found is None:
        raise ConfigError(
            f"there is no Python at {wanted[:200]}", hint="name an interpreter or a virtual environment with --python"
        )
    return Path(found).absolute()


def _inside(environment: Path) -> Path | None:
    """The interpreter of a virtual environment."""
    python = environment.expanduser().absolute() / "bin" / "python"
    return python if os.access(python, os.X_OK) else None
