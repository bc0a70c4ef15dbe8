"""Virtual environments with the releases of SQLAlchemy, Alembic and a driver that projects have.

Each is built by virtualenv and pip, once for a whole test session, be it one process or several of pytest-xdist; the
last process that used them removes them all.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

LIMIT = 300
"""Seconds for one command of a build: it may have to compile, on a machine that does other things too."""


class NotBuilt(Exception):
    """The environment is not to be had here; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What one environment has. `python` is None for the Python that runs the tests."""

    sqlalchemy: str
    alembic: str
    driver: str
    """As pip calls it."""
    more: tuple[str, ...] = ()
    python: str | None = None

    @property
    def requirements(self) -> tuple[str, ...]:
        return (f"SQLAlchemy=={self.sqlalchemy}", f"alembic=={self.alembic}", self.driver, *self.more)

    @property
    def flask(self) -> bool:
        return any(each.startswith("Flask-Migrate") for each in self.more)

    @property
    def modules(self) -> tuple[str, ...]:
        """The drivers that the environment has, as they are imported."""
        return (self.driver.partition("[")[0].removesuffix("-binary"),)

    def __str__(self) -> str:
        """The id of the tests: `sqlalchemy-1.3.24-alembic-1.8.1-psycopg2`."""
        parts = [f"sqlalchemy-{self.sqlalchemy}-alembic-{self.alembic}", *self.modules]
        parts += [each.replace("==", "-").lower() for each in self.more if each.startswith("Flask-Migrate")]
        return "-".join([*parts, *([f"python-{self.python}"] if self.python else [])])


FLASK_25 = ("Flask-SQLAlchemy==2.5.1", "Flask<2.3", "Werkzeug<2.3")
"""The last of Flask-SQLAlchemy whose engine is got by `get_engine()`, and the Flask of its time."""

PAIRS = (
    Pair(sqlalchemy="2.1.9", alembic="1.20.1", driver="psycopg[binary]"),
    Pair(sqlalchemy="2.0.44", alembic="1.16.5", driver="psycopg[binary]"),
    Pair(sqlalchemy="2.0.44", alembic="1.18.4", driver="pg8000"),
    Pair(sqlalchemy="1.4.54", alembic="1.13.3", driver="psycopg2-binary"),
    Pair(sqlalchemy="1.4.54", alembic="1.8.1", driver="psycopg2-binary", more=("Flask-Migrate==3.1.0", *FLASK_25)),
    Pair(
        sqlalchemy="1.4.54",
        alembic="1.15.2",
        driver="psycopg2-binary",
        more=("Flask-Migrate==4.0.7", *FLASK_25),
        python="3.9",
    ),
    Pair(sqlalchemy="1.3.24", alembic="1.8.1", driver="psycopg2-binary", python="3.8"),
    Pair(sqlalchemy="1.3.24", alembic="1.8.1", driver="psycopg2-binary"),
)

OFTEN = (PAIRS[0], PAIRS[2], PAIRS[4])
"""Each series of SQLAlchemy, each driver, Flask-Migrate, the oldest Python, with one of `OLDEST`. The others come with
`--thorough`."""
OLDEST = PAIRS[6:]


def params(*pairs: Pair) -> list[Any]:
    """What a fixture is parametrized with that has an environment of each."""
    often = (*OFTEN, OLDEST[0] if there(OLDEST[0].python) else OLDEST[1])
    return [pytest.param(each, marks=() if each in often else pytest.mark.thorough) for each in pairs]


def build(pair: Pair, folder: Path) -> Path:
    """The environment's interpreter below `folder`; another process may be building it, and is waited for.

    Raises:
        NotBuilt: the Python or a package is not to be had.
    """
    place = folder / str(pair)
    python, finished = place / "bin" / "python", place / "finished"
    with (folder / f"{pair}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not finished.exists():
            seeds = {"VIRTUALENV_OVERRIDE_APP_DATA": str(folder / "seeds")}  # an option would still touch the home
            make = [sys.executable, "-m", "virtualenv", "--quiet", "--clear", "--python", str(find(pair.python))]
            make += ["--no-periodic-update", "--symlink-app-data", "--no-setuptools", "--no-wheel", str(place)]
            _run(make, seeds)
            pip = [str(python), "-m", "pip", "install", "--quiet", "--no-input", "--retries", "2"]
            # SQLAlchemy 1.3 has no wheels for today's Python; its C extensions, which do not matter, want a compiler.
            _run([*pip, "--no-compile", "--prefer-binary", *pair.requirements], {"DISABLE_SQLALCHEMY_CEXT": "1"})
            finished.touch()
    return python


def _run(words: list[str], settings: dict[str, str]) -> None:
    settings = settings | {"PIP_ROOT_USER_ACTION": "ignore", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    environ = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    try:
        done = subprocess.run(
            words, env=environ | settings, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT
        )
    except subprocess.TimeoutExpired as error:
        raise NotBuilt(f"{' '.join(words[:4])} took longer than {LIMIT} s") from error
    if done.returncode:
        said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        told = [line for line in said if line.startswith("ERROR")] or said
        raise NotBuilt((told or [f"{words[2]} ended with {done.returncode}"])[-1])


def find(version: str | None) -> Path:
    """The Python of that version on this machine: on PATH, or where pyenv and uv keep theirs."""
    if version is None:
        return Path(sys.executable)
    name = f"python{version}"
    home = Path.home()
    kept: list[Path] = []
    for folder, pattern in (
        (Path(os.environ.get("PYENV_ROOT", home / ".pyenv")), f"versions/{version}.*/bin/{name}"),
        (home / ".local" / "share" / "uv" / "python", f"cpython-{version}.*/bin/{name}"),
    ):
        with contextlib.suppress(PermissionError):  # another user's
            kept += folder.glob(pattern)
    on_path = shutil.which(name)
    for python in [*([Path(on_path)] if on_path else []), *kept]:
        # pyenv's own name on PATH may lead to none.
        with contextlib.suppress(PermissionError):
            if subprocess.run([python, "-c", ""], capture_output=True, stdin=subprocess.DEVNULL).returncode == 0:
                return python
    raise NotBuilt(f"no Python {version} on this machine")


@cache
def there(version: str | None) -> bool:
    """There is such a Python."""
    try:
        find(version)
    except NotBuilt:
        return False
    return True


@contextlib.contextmanager
def shared(base: Path) -> Iterator[Path]:
    """A folder in `base` for the environments of all processes that share it; the last to leave removes it."""
    folder = base / "environments"
    with (base / "environments.users").open("w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        folder.mkdir(exist_ok=True)
        try:
            yield folder
        finally:
            fcntl.flock(users, fcntl.LOCK_UN)
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
