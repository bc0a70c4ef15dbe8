"""Where a project keeps its migrations: plain Alembic or Flask-Migrate, found without importing anything of it.

In the root itself `alembic.ini` (or `[tool.alembic]` in `pyproject.toml`) comes before `migrations/alembic.ini`,
because that is what `alembic` takes there; only where the scripts of both are the same folder, and its env.py wants
Flask's current_app, is it Flask-Migrate's. Folders below are looked at only when the root has neither.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from neontest.errors import UsageError
from neontest.migrate import options, places

DEPTH = 3
"""How many folders below the root a configuration is looked for."""

_SKIPPED = {"node_modules", "site-packages", "__pycache__", "build", "dist", "venv", "env", "virtualenv"}


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """One Alembic environment, and how its own commands would be run."""

    kind: Literal["alembic", "flask"]
    root: Path
    """The folder that files are named from: where neontest was started."""
    cwd: Path
    """The folder in which the project's own `alembic` or `flask` runs: the root, or the one that the scripts need."""
    config: Path | None
    """alembic.ini, else the pyproject.toml with [tool.alembic]."""
    toml: Path | None = None
    """The pyproject.toml with [tool.alembic], also where an alembic.ini is there too (Alembic reads both)."""
    section: str = "alembic"
    script_location: Path
    version_locations: tuple[Path, ...]
    """Absolute, in Alembic's order; a folder that does not exist is left in, as Alembic does."""
    recursive: bool = False
    """Subfolders of the version locations count as well."""
    sourceless: bool = False
    """Compiled files count as well."""
    prepend_sys_path: tuple[Path, ...] = ()
    """What Alembic puts before sys.path."""
    flask_app: str | None = None
    """FLASK_APP, where it is set; None lets Flask look for the application."""
    why: str = ""
    """What was taken and, where there was a choice, how to choose otherwise."""

    @property
    def ini(self) -> Path | None:
        """The alembic.ini; None where only a pyproject.toml is there."""
        return None if self.config == self.toml else self.config

    @property
    def env_py(self) -> Path:
        return self.script_location / "env.py"

    def name(self, file: Path) -> str:
        """The file's name from the root, with `/`; absolute where it lies elsewhere."""
        return (file.relative_to(self.root) if file.is_relative_to(self.root) else file).as_posix()

    def told(self, path: Path | None) -> str | None:
        """As the project's own command would be told: relative to where it runs, if it lies below."""
        if path is None:
            return None
        return os.path.relpath(path, self.cwd) if path.is_relative_to(self.cwd) else str(path)


def find(
    root: Path, *, alembic_config: Path | None = None, section: str = "alembic", environ: Mapping[str, str]
) -> Project:
    """The environment in `root`, or the one that `alembic_config` (an ini, a pyproject.toml or a folder) names.

    Raises:
        UsageError: none, several, or one whose options do not hold together.
    """
    try:
        return _found(root.absolute(), alembic_config, section, environ)
    except OSError as error:
        where = f": {str(error.filename)[:200]}" if error.filename else ""
        raise UsageError(
            f"the migrations cannot be looked for: {error.strerror}{where}",
            hint="correct the path, or make it readable, or give --alembic-config FILE",
        ) from error


def _found(root: Path, alembic_config: Path | None, section: str, environ: Mapping[str, str]) -> Project:
    named = alembic_config or (Path(path) if (path := environ.get("ALEMBIC_CONFIG")) else None)
    if named is not None:
        origin = "--alembic-config" if alembic_config is not None else "ALEMBIC_CONFIG"
        return _opened(root, _named(root, named, origin), section, environ, f"as {origin} says")
    here = tuple(_candidates(root))
    if here:
        return _chosen(root, here, section, environ)
    below = tuple(config for folder in _folders(root) for config in _readable_candidates(folder))
    if len(below) > 1:
        listed = ", ".join(path.relative_to(root).as_posix() for path in below)
        raise UsageError(
            f"several Alembic configurations below {root}: {listed}", hint="choose one with --alembic-config FILE"
        )
    if below:
        return _opened(root, below[0], section, environ, f"the only configuration below {root}")
    raise UsageError(
        f"no Alembic or Flask-Migrate environment in {root}: looked for alembic.ini, [tool.alembic] in pyproject.toml,"
        f" migrations/alembic.ini, and for these up to {DEPTH} folders below",
        hint="run neontest where you run `alembic` or `flask db`, or give --alembic-config FILE",
    )


def _candidates(folder: Path) -> Iterator[Path]:
    """Configurations that belong to a folder, the one that `alembic` itself would take there first."""
    if (ini := folder / "alembic.ini").is_file():
        yield ini
    elif (toml := folder / "pyproject.toml").is_file() and options.tool_alembic(toml) is not None:
        yield toml
    if (ini := folder / "migrations" / "alembic.ini").is_file():
        yield ini


def _readable_candidates(folder: Path) -> tuple[Path, ...]:
    """The same of a folder below the root, where a pyproject.toml may be anybody's, such as a template's."""
    try:
        return tuple(_candidates(folder))
    except UsageError:
        return ()


def _folders(root: Path) -> Iterator[Path]:
    """The folders below the root, sorted, without hidden ones, virtual environments and what is built."""
    for folder, names, _ in os.walk(root):
        path = Path(folder)
        names[:] = sorted(
            name
            for name in names
            if not name.startswith(".")
            and name not in _SKIPPED
            and not (path / name / "pyvenv.cfg").exists()
            and not (name == "migrations" and (path / name / "alembic.ini").exists())  # its parent names it
        )
        if len(path.relative_to(root).parts) >= DEPTH:
            names.clear()
        if path != root:
            yield path


def _named(root: Path, named: Path, origin: str) -> Path:
    path = named if named.is_absolute() else root / named
    if path.is_dir():
        for inside in (path / "alembic.ini", path / "pyproject.toml", path / "migrations" / "alembic.ini"):
            if inside.is_file() and (inside.suffix == ".ini" or options.tool_alembic(inside) is not None):
                return inside
        raise UsageError(f"{origin} names {path}, which has no alembic.ini and no [tool.alembic] in a pyproject.toml")
    if not path.is_file():
        raise UsageError(f"{origin} names {path}, which does not exist")
    if path.suffix == ".toml" and options.tool_alembic(path) is None:
        raise UsageError(f"{origin} names {path}, which has no [tool.alembic]")
    return path


def _chosen(root: Path, configs: tuple[Path, ...], section: str, environ: Mapping[str, str]) -> Project:
    """One of the configurations of the root itself."""
    first, *others = configs
    if not others:
        return _opened(root, first, section, environ, f"{first.relative_to(root).as_posix()} in {root}")
    taken = _opened(root, first, section, environ, "")
    other = others[0]
    if taken.script_location == other.parent and _wants_flask(taken.env_py):
        first, other = other, first
    why = (
        f"{first.relative_to(root).as_posix()} was taken, not {other.relative_to(root).as_posix()}; "
        "choose with --alembic-config"
    )
    return _opened(root, first, section, environ, why)


def _opened(root: Path, config: Path, section: str, environ: Mapping[str, str], why: str) -> Project:
    ini = None if config.suffix == ".toml" else config
    pyproject = config if ini is None else config.parent / "pyproject.toml"
    toml = pyproject if pyproject.is_file() and options.tool_alembic(pyproject) is not None else None
    read = options.read(ini=ini, section=section, toml=toml)
    location = read.text("script_location")
    # Flask-Migrate sets script_location itself; some write it into its file too, so that `alembic` can list revisions.
    flask = (config.parent / "env.py").is_file() and (location is None or _wants_flask(config.parent / "env.py"))
    if location is None and not flask:
        raise UsageError(
            f"{config} has no script_location in [{section if ini else 'tool.alembic'}]",
            hint="name another section by --alembic-name, or another file by --alembic-config",
        )
    cwd = _flask_cwd(root, config.parent, environ) if flask else root
    look = places.Places(cwd=cwd, root=root, environ=environ)
    paths = tuple(look.path(path) for path in read.paths("prepend_sys_path"))
    if flask or location is None:
        scripts = config.parent
    else:
        scripts = look.resource(location, first=paths)
        if not scripts.is_dir() and cwd != config.parent:
            # Alembic would be run beside its file then.
            cwd = config.parent
            look = places.Places(cwd=cwd, root=root, environ=environ)
            paths = tuple(look.path(path) for path in read.paths("prepend_sys_path"))
            scripts = look.resource(location, first=paths)
    _check_scripts(scripts, config, location)
    locations = tuple(look.resource(path, first=paths) for path in read.paths("version_locations"))
    return Project(
        kind="flask" if flask else "alembic",
        root=root,
        cwd=cwd,
        config=config,
        toml=toml,
        section=section,
        script_location=scripts,
        version_locations=locations or (scripts / "versions",),
        recursive=read.flag("recursive_version_locations"),
        sourceless=read.flag("sourceless"),
        prepend_sys_path=paths,
        flask_app=_flask_app(cwd, environ) if flask else None,
        why=why,
    )


def _check_scripts(scripts: Path, config: Path, location: str | None) -> None:
    if not scripts.is_dir():
        kind = "is no folder" if scripts.exists() else "does not exist"
        raise UsageError(f"{config}: the script_location {location!r} is {scripts}, which {kind}")
    if not (scripts / "env.py").is_file():
        raise UsageError(f"{scripts} has no env.py, so Alembic cannot run there")


def _wants_flask(env_py: Path) -> bool:
    """Whether env.py uses the application that Flask-Migrate pushes, and does not make its own."""
    if not env_py.is_file():
        return False
    text = options.decoded(env_py)
    return bool(re.search(r"\bcurrent_app\b", text)) and not re.search(r"\bapp_context\s*\(", text)


def _flask_cwd(root: Path, migrations: Path, environ: Mapping[str, str]) -> Path:
    """Where `flask db` runs: the root, unless only the folder around the migrations has an application."""
    parent = migrations.parent
    signs = ("app.py", "wsgi.py", ".flaskenv", "app/__init__.py")
    if environ.get("FLASK_APP") or parent == root or any((root / sign).exists() for sign in signs):
        return root
    return parent if any((parent / sign).exists() for sign in signs) else root


def _flask_app(cwd: Path, environ: Mapping[str, str]) -> str | None:
    """FLASK_APP from the environment, else from .env or .flaskenv, as `flask` loads them."""
    if app := environ.get("FLASK_APP"):
        return app
    for name in (".env", ".flaskenv"):
        if (file := cwd / name).is_file():
            for line in options.decoded(file).splitlines():
                if match := re.match(r"\s*(?:export\s+)?FLASK_APP\s*=\s*(['\"]?)(.+?)\1\s*(?:#.*)?$", line):
                    return match[2]
    return None
