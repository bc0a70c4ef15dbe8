"""The files that `neontest init` would write: each with what it holds now and what it would hold."""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from neontest.errors import ConfigError, UsageError
from neontest.github.job import repository
from neontest.migrate.environment import URL_NAMES
from neontest.setup.look import Seen, declared, table
from neontest.setup.table import with_table
from neontest.setup.workflow import Job, Tool, install, workflow

WORKFLOW: Final = Path(".github/workflows/test-migrations.yml")
DEVELOP: Final = frozenset({"dev", "develop", "development", "test", "tests", "testing", "local", "ci"})
"""Names of extras and groups that a run of the tests needs."""
PYTHONS: Final = tuple((3, minor) for minor in range(14, 7, -1))
"""The newest first. Source: https://devguide.python.org/versions/ (2026-11), and what the worker runs on."""
LOCKS: Final[tuple[tuple[str, Tool], ...]] = (("uv.lock", "uv"), ("poetry.lock", "poetry"), ("Pipfile.lock", "pipenv"))


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One file to be written."""

    path: Path
    name: str
    """As a person would type it from the project's folder."""
    before: str | None
    """None: there is no such file."""
    after: str
    overwrites: bool = False
    """It differs from what is there and would replace it: not without being told to."""

    @property
    def changes(self) -> bool:
        return self.before != self.after

    def diff(self) -> str:
        """A unified diff; line ends that only differ in their carriage return show as such."""
        lines = difflib.unified_diff(
            (self.before or "").splitlines(keepends=True),
            self.after.splitlines(keepends=True),
            "/dev/null" if self.before is None else f"a/{self.name}",
            f"b/{self.name}",
        )
        return "".join(each if each.endswith("\n") else f"{each}\n\\ No newline at end of file\n" for each in lines)

    def write(self) -> None:
        """Write the file and the folders above it; UsageError where that cannot be."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_bytes(self.after.encode("utf-8"))
        except OSError as error:
            raise UsageError(
                f"{self.name} was not written: {error.strerror}", hint="make it writable, and run `neontest init` again"
            ) from error


def planned(seen: Seen, environ: Mapping[str, str], *, chosen: Mapping[str, Any]) -> tuple[Change, ...]:
    """The changes for a project, those that change nothing left in; `chosen` are keys that the person gave.

    A pyproject.toml is not made where nothing in it would differ from the defaults: its being there changes how pip
    and others see the project.
    """
    root = seen.project.root
    wanted = keys(seen, chosen)
    changes: list[Change] = []
    pyproject = root / "pyproject.toml"
    before = text(pyproject)
    if before is not None or wanted:
        after = with_table(before or "", wanted, file=str(pyproject))
        changes.append(Change(path=pyproject, name="pyproject.toml", before=before, after=after))
    top = repository(root) or root
    path = top / WORKFLOW
    before, after = text(path), workflow(job(seen, environ, top))
    name = Path(os.path.relpath(path, root)).as_posix()
    if before is not None and "\r\n" in before and before.replace("\r\n", "\n") == after:
        after = before  # git's own doing, on a checkout with CRLF
    changes.append(
        Change(path=path, name=name, before=before, after=after, overwrites=before is not None and before != after)
    )
    return tuple(changes)


def keys(seen: Seen, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of `[tool.neontest]` that this project needs: none that says what holds anyway."""
    wanted = dict(chosen)
    if seen.project.section != "alembic":
        wanted["alembic-name"] = seen.project.section
    if seen.tests is None:
        wanted["tests"] = False
    env = {each.name: each.field for each in seen.read if each.field is not None and each.name.upper() not in URL_NAMES}
    env |= {each.name: "{url}" for each in seen.read if each.name.upper() in URL_NAMES and each.name not in URL_NAMES}
    if env:
        wanted["env"] = env
    return wanted


def job(seen: Seen, environ: Mapping[str, str], top: Path) -> Job:
    """What the workflow has to say for this project."""
    root = seen.project.root
    python = python_version(root, seen.pyproject, environ)
    tool: Tool = next((tool for lock, tool in LOCKS if (root / lock).is_file()), "pip")
    project = table(seen.pyproject, "project")
    poetry = table(table(table(seen.pyproject, "tool"), "poetry"), "group")
    groups = poetry if tool == "poetry" else table(seen.pyproject, "dependency-groups")
    package = bool(project) or (root / "setup.py").is_file() or has_setup_cfg(root)
    # A folder of requirements says all; a pyproject.toml beside it that builds no package is there for its tools.
    return Job(
        folder="" if root == top else root.relative_to(top).as_posix(),
        python=python,
        install=install(
            tool=tool,
            python=python,
            requirements=seen.requirements,
            package=package and (bool(table(seen.pyproject, "build-system")) or not project or not seen.requirements),
            extras=wanted_names(table(project, "optional-dependencies")),
            groups=wanted_names(groups),
            more=("pytest",) if seen.tests and not names_pytest(seen) else (),
        ),
    )


def wanted_names(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(each for each in names if each.lower() in DEVELOP)


def names_pytest(seen: Seen) -> bool:
    """Some requirement of the project is pytest, or something that brings it."""
    root = seen.project.root
    texts = [(root / name).read_text(encoding="utf-8", errors="replace") for name in seen.requirements]
    texts += declared(seen.pyproject)
    for name in ("setup.py", "setup.cfg", "Pipfile"):
        texts += filter(None, [text(root / name)])
    return any(re.search(r"(?m)(?:^|[\s\"'\[,])pytest\b", each) for each in texts)


def python_version(root: Path, pyproject: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[int, int]:
    """The Python of the project: `.python-version`, else that of its virtual environment, else this one if allowed."""
    places = [(root / ".python-version", r"^\s*(?:python-|cpython-)?(3)\.(\d+)")]
    environments = [root / ".venv", *([Path(environ["VIRTUAL_ENV"])] if environ.get("VIRTUAL_ENV") else [])]
    places += [(each / "pyvenv.cfg", r"(?m)^version(?:_info)?\s*=\s*(3)\.(\d+)") for each in environments]
    for file, pattern in places:
        if match := re.search(pattern, text(file) or ""):
            return int(match[1]), int(match[2])
    return allowed(pyproject, (sys.version_info[0], sys.version_info[1]))


def allowed(pyproject: Mapping[str, Any], wanted: tuple[int, int]) -> tuple[int, int]:
    """The version, or where the project's `requires-python` does not allow it the newest that it allows."""
    said = table(pyproject, "project").get("requires-python")
    try:
        specifier = SpecifierSet(said if isinstance(said, str) else "")
    except InvalidSpecifier:
        return wanted
    fitting = [each for each in (wanted, *PYTHONS) if specifier.contains("{}.{}.99".format(*each))]
    return fitting[0] if fitting else wanted


def has_setup_cfg(root: Path) -> bool:
    """setup.cfg describes a package, not only the settings of tools."""
    return bool(re.search(r"(?ms)^\[metadata\][^\[]*^name\s*=", text(root / "setup.cfg") or ""))


def text(path: Path) -> str | None:
    """The file's content with its line ends as they are; None where there is none."""
    try:
        return path.read_bytes().decode("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8: {error.reason}") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
