"""Several projects of one pyproject.toml: which there are, and which of them a pull request touches."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import re
import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from neontest import checks
from neontest.config import converted, read_file, settle
from neontest.errors import ConfigError, NeontestError, UsageError
from neontest.migrate import git
from neontest.migrate import project as projects
from neontest.settings import FileSettings, ProjectSettings, Settings, Source

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}", re.ASCII)
"""It becomes a part of file names, comments and commit statuses."""
LONGEST: Final = 100
"""Characters of several names in that of a comment and a commit status."""
OF_ALL: Final = frozenset({"github", "comment"})
"""There is one comment and one status, over all of them."""


def settled(
    flags: Mapping[str, Any],
    sources: Mapping[str, Source],
    environ: Mapping[str, str],
    root: Path,
    *,
    only: Collection[str] = (),
    runs: bool = True,
) -> tuple[Settings, ...]:
    """The settings of each project, in the order of pyproject.toml: of those that `only` names, or of all.

    Without `[[tool.neontest.project]]` it is the one of the folder.

    Raises:
        ConfigError: for tables that cannot be meant.
        UsageError: for a name that there is not.
    """
    outer = read_file(root)
    tables = read_tables(root / "pyproject.toml", outer)
    names = [each.name for each in tables]
    for name in only:
        if name not in names:
            known = f"there are: {', '.join(names)}" if names else "there are no [[tool.neontest.project]] tables"
            raise UsageError(f'--only: pyproject.toml has no project "{name}"', hint=known)
    if not tables:
        return (settle(flags, sources, environ, root, file=outer, runs=runs),)
    found = []
    for each in tables:
        if only and each.name not in only:
            continue
        try:
            mine = settle(flags, sources, environ, root, file=each, home=(root / each.path).resolve(), runs=runs)
        except UsageError as error:
            raise type(error)(f"{table(each.name)}: {error.message}", hint=error.hint) from error
        found.append(mine)
    among = called([each.name for each in tables if each.name in only])
    return tuple(dataclasses.replace(each, among=among) for each in found)


def table(name: str) -> str:
    return f'[[tool.neontest.project]] "{name}"'


def called(names: Collection[str]) -> str:
    """What comment and commit status have behind their names: those of some projects do not hide what others found."""
    text = "+".join(names)
    if len(text) <= LONGEST:
        return text
    return f"{text[: LONGEST - 9]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def read_tables(path: Path, outer: FileSettings) -> tuple[ProjectSettings, ...]:
    """The tables, each with the outer one's values where it has none of its own."""
    read: dict[str, ProjectSettings] = {}
    if outer.project:
        refuse_unknown_checks(path, outer, "[tool.neontest]")
    for number, written in enumerate(outer.project, 1):
        name = written.get("name")
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise ConfigError(
                f"{path}: [[tool.neontest.project]] number {number} needs a name",
                hint="up to 40 letters, digits, dots, dashes or underscores, the first a letter or digit",
            )
        where = table(name)
        if name.lower() in read:  # the names become names of files
            raise ConfigError(f"{path}: {where} is there twice", hint="give each a name of its own")
        if "project" in written:
            raise ConfigError(f"{path}: {where} cannot have projects of its own")
        for key in OF_ALL & written.keys():
            raise ConfigError(f"{path}: {where} {key}: that is for all of them", hint="set it in [tool.neontest]")
        mine = converted(path, written, ProjectSettings, where)
        refuse_unknown_checks(path, mine, where)
        if not (path.parent / mine.path).is_dir():
            raise ConfigError(f"{path}: {where} path: there is no folder {mine.path}")
        read[name.lower()] = with_defaults(mine, outer)
    return tuple(read.values())


def with_defaults(mine: ProjectSettings, outer: FileSettings) -> ProjectSettings:
    """The outer values where it has none; tables and acceptances of both."""
    merged: dict[str, Any] = {}
    for name in FileSettings.__struct_fields__:
        own, default = getattr(mine, name), getattr(outer, name)
        if isinstance(own, dict):
            merged[name] = {**default, **own}
        elif name == "accept":
            merged[name] = (*default, *own)
        elif own is None:
            merged[name] = default
    return msgspec.structs.replace(mine, **merged)


def refuse_unknown_checks(path: Path, given: FileSettings | Settings, where: str) -> None:
    """Raise ConfigError where a table of the file names a check that there is not."""
    known = checks.ids()
    named = [("levels", each) for each in given.levels] + [("accept", each.check) for each in given.accept]
    for key, check in named:
        if check not in known:
            near = difflib.get_close_matches(check, known, n=1)
            raise ConfigError(
                f'{path}: {where} {key}: there is no check "{check}"',
                hint=f'did you mean "{near[0]}"?' if near else "`neontest explain` lists the checks",
            )


def untouched(settings: Settings, environ: Mapping[str, str]) -> bool:
    """The base branch is known, and none of the project's files differs from where HEAD left it.

    What cannot be known is no reason to skip: the run itself says what is wrong.
    """
    if settings.base is None or settings.top is None:
        return False
    top = settings.top
    try:
        known = settings.root.is_relative_to(git.top(top, environ=environ))
        if not known or git.ignored(top, settings.root, environ=environ):  # such as a repository of its own
            return False
        files = git.changed(top, settings.base, environ=environ)
        found = projects.find(
            settings.root, alembic_config=settings.alembic_config, section=settings.alembic_name, environ=environ
        )
    except (NeontestError, OSError, subprocess.CalledProcessError):
        return False
    own = (settings.root, found.script_location, *found.version_locations, found.env_py, found.config, found.toml)
    watched = {each.resolve() for each in (*own, *settings.also, top / "pyproject.toml") if each is not None}
    # A submodule differs as a whole, and what is in it with it.
    return not any(file.is_relative_to(each) or each.is_relative_to(file) for file in files for each in watched)
