"""What a project looks like to somebody who sets neontest up for it: read from its files, none of which is run."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from configparser import Error as ConfigParserError
from configparser import RawConfigParser
from pathlib import Path
from typing import Any, Final

import msgspec

from neontest.errors import ConfigError, UsageError
from neontest.migrate import project as projects
from neontest.migrate.environment import DRIVERS, URL_NAMES, named_driver, own_urls
from neontest.migrate.interpreter import find_python
from neontest.migrate.project import Project
from neontest.setup.variables import Variable, variables

MOST_FILES: Final = 500
"""Python files that are read for the names of variables."""
MOST_BYTES: Final = 1 << 20
DEPTH: Final = 4
SKIPPED: Final = frozenset(
    {"node_modules", "site-packages", "__pycache__", "build", "dist", "venv", "env", "virtualenv", "tests", "test"}
)
REQUIREMENTS: Final = re.compile(r"(?:requirements[\w.-]*|[\w.-]+[-_]requirements)\.txt")
DEVELOP: Final = re.compile(r"(?:^|[^a-z])(?:dev|develop|test|tests|testing|local|ci)(?:[^a-z]|$)")
"""In the names of files whose requirements a run of the tests needs."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of a project."""

    project: Project
    driver: str | None
    driver_from: str
    """The file or folder that names the driver; empty where nothing does."""
    read: tuple[Variable, ...]
    """The variables that lead to the database, those that decide first."""
    ini_url: bool
    """alembic.ini holds a URL of its own."""
    tests: str | None
    """What shows that there are tests; None where nothing does."""
    requirements: tuple[str, ...]
    """Files for `pip install -r`, from the project's folder."""
    pyproject: Mapping[str, Any]
    """Empty where there is none."""


def look(
    root: Path, *, alembic_config: Path | None = None, section: str | None = None, environ: Mapping[str, str]
) -> Seen:
    """What there is in the project's folder.

    Raises:
        UsageError: it has no Alembic environment, or several, or one that does not hold together.
        ConfigError: its pyproject.toml cannot be read.
    """
    pyproject = read_toml(root / "pyproject.toml")
    project = found(root, alembic_config, section, environ)
    requirements = tuple(requirement_files(root))
    driver, where = driver_of(root, project, requirements, pyproject, environ)
    return Seen(
        project=project,
        driver=driver,
        driver_from=where,
        read=tuple(deciding(root, project)),
        ini_url=bool(ini_url(project)),
        tests=tests_of(root, pyproject),
        requirements=requirements,
        pyproject=pyproject,
    )


def found(root: Path, config: Path | None, section: str | None, environ: Mapping[str, str]) -> Project:
    """The Alembic environment; where `[alembic]` names no scripts and one other section does, that section."""
    if section is not None:
        return projects.find(root, alembic_config=config, section=section, environ=environ)
    try:
        return projects.find(root, alembic_config=config, environ=environ)
    except UsageError as error:
        ini = config or root / "alembic.ini"
        named = sections(ini if ini.is_absolute() else root / ini)
        if not named or "alembic" in named:
            raise
        if len(named) > 1:
            raise UsageError(
                f"{ini} has several sections with scripts: {', '.join(named)}",
                hint="choose one with --alembic-name; each needs a run of its own",
            ) from error
        return projects.find(root, alembic_config=config, section=named[0], environ=environ)


def found_anyway(project: Project, environ: Mapping[str, str]) -> bool:
    """A run finds the same configuration without being told of it."""
    try:
        return projects.find(project.root, section=project.section, environ=environ).config == project.config
    except UsageError:
        return False


def sections(ini: Path) -> tuple[str, ...]:
    """The sections of an ini file that have a script_location."""
    parser = RawConfigParser(strict=False)
    try:
        parser.read(ini, encoding="utf-8")
    except (ConfigParserError, OSError, UnicodeDecodeError):
        return ()
    return tuple(each for each in parser.sections() if parser.has_option(each, "script_location"))


def ini_url(project: Project) -> str | None:
    """`sqlalchemy.url` of the ini file, unless it is only Alembic's example."""
    urls = own_urls(project) if project.ini is not None else ()
    return next((url for url in urls if not url.startswith("driver://")), None)


def read_toml(path: Path) -> dict[str, Any]:
    """The file's content; empty where there is none."""
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise ConfigError(f"{path} cannot be read: {why}", hint="mend it first; nothing was written") from error


def requirement_files(root: Path) -> Iterator[str]:
    """requirements.txt and those beside it, or in a folder `requirements`, that are for developing; else all."""
    names = sorted(each.name for each in root.iterdir() if REQUIREMENTS.fullmatch(each.name) and each.is_file())
    folder = [f"requirements/{each.name}" for each in sorted((root / "requirements").glob("*.txt"))]
    for group, plain in ((names, "requirements.txt"), (folder, "")):
        chosen = [each for each in group if each == plain or DEVELOP.search(each.removeprefix("requirements/"))]
        yield from chosen or group


def driver_of(
    root: Path,
    project: Project,
    requirements: tuple[str, ...],
    pyproject: Mapping[str, Any],
    environ: Mapping[str, str],
) -> tuple[str | None, str]:
    """The Postgres driver and what says so: a URL, a requirement, the interpreter's packages."""
    for url in own_urls(project):
        if (named := named_driver(url)) in DRIVERS:
            return named, "the URL that is written down"
    texts = {name: (root / name).read_text(encoding="utf-8", errors="replace") for name in requirements}
    texts["pyproject.toml"] = "\n".join(declared(pyproject))
    for name in ("setup.cfg", "setup.py", "Pipfile"):
        if (root / name).is_file():
            texts[name] = (root / name).read_text(encoding="utf-8", errors="replace")
    for name, text in texts.items():
        for driver in DRIVERS:
            if re.search(rf"(?m)(?:^|[\s\"'\[,]){driver}(?:-binary|-c|\[[^\]]*\])?(?=$|[\s\"'=<>!~;,@])", text):
                return driver, name
    try:
        packages = sorted(
            find_python(root, wanted=None, environ=environ).parent.parent.glob("lib/python3*/site-packages")
        )
    except OSError:
        packages = []
    for folder in packages:
        for driver in DRIVERS:
            if (folder / driver).is_dir():
                return driver, str(folder)
    return None, ""


def declared(pyproject: Mapping[str, Any]) -> Iterator[str]:
    """All requirements that a pyproject.toml names, in whatever table."""
    project = table(pyproject, "project")
    poetry = table(table(pyproject, "tool"), "poetry")
    groups = [table(each, "dependencies") for each in table(poetry, "group").values() if isinstance(each, dict)]
    lists = [project.get("dependencies"), *table(project, "optional-dependencies").values()]
    lists += table(pyproject, "dependency-groups").values()
    for each in lists:
        yield from (item for item in each or () if isinstance(item, str))
    for names in (table(poetry, "dependencies"), table(poetry, "dev-dependencies"), *groups):
        yield from names


def table(of: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A table in a table; empty where it is something else."""
    value = of.get(name)
    return value if isinstance(value, dict) else {}


def tests_of(root: Path, pyproject: Mapping[str, Any]) -> str | None:
    """What shows that there are tests: pytest's configuration, a folder of tests, a file of tests."""
    if "pytest" in table(pyproject, "tool"):
        return "[tool.pytest] in pyproject.toml"
    for name, mark in (
        ("pytest.ini", ""),
        ("pytest.toml", ""),
        ("tox.ini", "[pytest]"),
        ("setup.cfg", "[tool:pytest]"),
    ):
        file = root / name
        if file.is_file() and mark in file.read_text(encoding="utf-8", errors="replace"):
            return name
    for name in ("tests", "test"):
        if any((root / name).rglob("*.py")):
            return f"the folder {name}"
    files = (path for path in python_files(root) if re.fullmatch(r"test_.*|.*_test", path.stem))
    return next((path.relative_to(root).as_posix() for path in files), None)


def deciding(root: Path, project: Project) -> Iterator[Variable]:
    """The variables that lead to the database: env.py's, else those of the first file that a run would not serve.

    Where the project reads DATABASE_URL or its like, a run needs to be told nothing, so these are all.
    """
    own = variables(project.env_py.read_bytes(), project.name(project.env_py))
    if own:
        yield from own
        return
    everywhere: list[Variable] = []
    for file in python_files(root):
        if not file.is_relative_to(project.script_location):
            everywhere += variables(file.read_bytes(), project.name(file))
    usual = [each for each in everywhere if each.name.upper() in URL_NAMES]
    urls = [each for each in everywhere if each.field == "{url}"]
    once: dict[str, Variable] = {}
    for each in usual or urls or everywhere:
        once.setdefault(each.name, each)
    yield from once.values()


def python_files(root: Path) -> Iterator[Path]:
    """The project's Python files, those nearest to the root first, as many as are worth reading."""
    found: list[Path] = []
    for folder, names, files in os.walk(root):
        path = Path(folder)
        deep = len(path.relative_to(root).parts) >= DEPTH
        ours = (name for name in names if name[0] != "." and name not in SKIPPED)
        names[:] = [] if deep else sorted(name for name in ours if not (path / name / "pyvenv.cfg").exists())
        found += [path / name for name in sorted(files) if name.endswith(".py")]
        if len(found) >= MOST_FILES:
            break
    found.sort(key=lambda path: (len(path.parts), path))
    yield from (path for path in found[:MOST_FILES] if path.is_file() and path.stat().st_size <= MOST_BYTES)
