"""The project's side: its interpreter, driver, revisions and tests. None of its code runs."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from neontest.errors import UsageError, one_line
from neontest.examination.finding import Finding, Not, attempt
from neontest.migrate import history as histories
from neontest.migrate import project as projects
from neontest.migrate.environment import driver_for, is_asynchronous, named_driver, own_urls, stripped, usable
from neontest.migrate.forkserver import ForkServer
from neontest.migrate.interpreter import Interpreter, find_python
from neontest.migrate.project import Project
from neontest.migrate.session import Session
from neontest.record import History
from neontest.settings import Settings
from neontest.stop import Stop
from neontest.suite import command

PYTEST_SECONDS = 15.0


def project(settings: Settings, environ: Mapping[str, str], stop: Stop) -> Iterator[Finding]:
    """Where the migrations are, in what they run, and whether their graph is sound."""
    migrations, found = attempt("migrations", lambda: _migrations(settings, environ))
    line, python = attempt("python", lambda: _python(settings, environ))
    if found is None or python is None:
        yield line
    else:
        interpreter, seen = attempt("interpreter", lambda: _interpreter(settings, found[0], python, environ, stop))
        yield interpreter
        if seen is not None:
            yield attempt("driver", lambda: _driver(found[0], seen))[0]
    yield migrations
    if found is not None:
        yield attempt("heads", lambda: _heads(settings, found[1]))[0]
    if python is not None:
        yield attempt("tests", lambda: _tests(settings, python, environ))[0]


def _python(settings: Settings, environ: Mapping[str, str]) -> tuple[str, Path]:
    python = find_python(settings.root, wanted=settings.python, environ=environ)
    return f"{python} ({_how(settings, python, environ)})", python


def _how(settings: Settings, python: Path, environ: Mapping[str, str]) -> str:
    """How the interpreter was found."""
    if settings.python is not None:
        return {"pyproject.toml": "as pyproject.toml says", "environment": "as NEONTEST_PYTHON says"}.get(
            settings.sources.get("python", "flag"), "as --python says"
        )
    folder = environ.get("VIRTUAL_ENV")
    if folder and python.is_relative_to(Path(folder).expanduser().absolute()):
        return "VIRTUAL_ENV"
    if python.is_relative_to(settings.root / ".venv"):
        return "the project's .venv"
    return "neontest's own: no VIRTUAL_ENV, no .venv"


def _interpreter(
    settings: Settings, project: Project, python: Path, environ: Mapping[str, str], stop: Stop
) -> tuple[str, Interpreter]:
    """Start the worker, which imports Alembic and SQLAlchemy, and nothing of the project."""
    server = ForkServer(
        python, kind=project.kind, cwd=project.cwd, environ=stripped(environ), stop=stop, log=lambda _: None
    )
    with ExitStack() as stack:
        stack.callback(server.close)
        session = Session(project, server, stop=stop, log=lambda _: None)
        stack.callback(session.kill)
        found = session.interpreter
    versions = f"Python {found.version}, Alembic {found.alembic}, SQLAlchemy {found.sqlalchemy}"
    return f"{versions}: {python} ({_how(settings, python, environ)})", found


def _driver(project: Project, interpreter: Interpreter) -> tuple[str, None]:
    drivers = usable(interpreter)
    named = next(filter(None, map(named_driver, own_urls(project))), None)
    asynchronous = is_asynchronous(project.env_py)
    if named is not None and named not in drivers:
        raise Not("wrong", f"the project's URL names {named}, which the interpreter does not have", f"install {named}")
    if not drivers:
        raise Not(
            "wrong",
            "the interpreter has none of psycopg2, psycopg, asyncpg and pg8000",
            "install the one that the project uses, such as psycopg2-binary",
        )
    taken = driver_for(interpreter, own_urls(project), asynchronous=asynchronous)
    if named is not None:
        return f"{named}, as the project's URL names it", None
    return f"{taken}, written into the branch's URL" if taken else drivers[0], None


def _migrations(settings: Settings, environ: Mapping[str, str]) -> tuple[str, tuple[Project, History]]:
    found = projects.find(
        settings.root, alembic_config=settings.alembic_config, section=settings.alembic_name, environ=environ
    )
    history = histories.read(found)
    count = len(history.revisions)
    kind = "Flask-Migrate" if found.kind == "flask" else "Alembic"
    said = f"{count} revision{'' if count == 1 else 's'}, {kind}, in {found.name(found.script_location)}"
    if not count and not history.faults:
        raise Not("warning", said, "make the first one, or check version_locations")
    return f"{said} ({found.why})" if "choose" in found.why else said, (found, history)


def _heads(settings: Settings, history: History) -> tuple[str, None]:
    if history.faults:
        first, *others = history.faults
        more = f" (and {len(others)} more)" if others else ""
        raise Not("wrong", one_line(first.message) + more, "mend that file: a run reports it, and tests nothing")
    said = ", ".join(history.heads) or "none"
    if len(history.heads) > 1 and settings.heads == "one":
        raise Not(
            "wrong", f"{len(history.heads)}: {said}", '`alembic merge heads`, or heads = "many" if they are meant'
        )
    return said, None


def _tests(settings: Settings, python: Path, environ: Mapping[str, str]) -> tuple[str, None]:
    if not settings.run_tests:
        raise Not("not needed", "tests = false")
    words = command(settings.tests, python)
    said = " ".join(words[2:] if words[1:3] == ("-m", "pytest") else words)
    if words[:3] == (str(python), "-m", "pytest"):
        probe = [str(python), "-c", "import importlib.util as u; raise SystemExit(u.find_spec('pytest') is None)"]
        try:
            done = subprocess.run(
                probe, env=stripped(environ), cwd="/", stdin=subprocess.DEVNULL, capture_output=True, check=False,
                timeout=PYTEST_SECONDS,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as error:
            raise UsageError(f"{python} could not be asked for pytest: {type(error).__name__}") from error
        if done.returncode:
            raise Not(
                "wrong",
                "the interpreter has no pytest",
                "install it there, name another command in `tests`, or --no-tests",
            )
    return said, None
