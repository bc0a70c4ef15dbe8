"""The branch's URL in every form that projects read it in, and the environment in which their code runs."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Mapping
from configparser import Error as ConfigParserError
from configparser import RawConfigParser
from dataclasses import dataclass, field
from pathlib import Path
from string import Formatter
from typing import Final
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlencode, urlsplit

from neontest.errors import ConfigError
from neontest.migrate.interpreter import Interpreter
from neontest.migrate.project import Project

URL_NAMES: Final = ("DATABASE_URL", "SQLALCHEMY_DATABASE_URI", "FLASK_SQLALCHEMY_DATABASE_URI")
FIELDS: Final = ("url", "host", "port", "user", "password", "database", "sslmode", "files")
DRIVERS: Final = ("psycopg2", "psycopg", "asyncpg", "pg8000")
"""In the order in which they are chosen where the project names none."""

LONGEST_NAME: Final = 255
"""Bytes of a file's name, on nearly all file systems."""

_OURS: Final = re.compile(
    # What neontest itself was given to work with, as variables or as the inputs of an action.
    r"NEON_API_KEY|(?:NEONTEST|INPUT)_.*(?:KEY|TOKEN|SECRET|PASSWORD).*"
    # Whoever has GitHub's may write to the repository.
    r"|(?:GITHUB|GH)_(?:ENTERPRISE_)?(?:TOKEN|PAT)"
    # What a CI service hands to every job unasked: it opens caches, artifacts, registries, and clouds that trust it.
    r"|ACTIONS_.*TOKEN.*|CI_JOB_TOKEN|CI_JOB_JWT.*|SYSTEM_ACCESSTOKEN|BUILDKITE_AGENT_ACCESS_TOKEN"
    r"|CIRCLE_OIDC_TOKEN.*|BITBUCKET_STEP_OIDC_TOKEN"
    # The files by which a step changes the steps after it, such as the clean-up that has the key again
    # (https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands, 2026-11-22).
    r"|GITHUB_(?:ENV|PATH|OUTPUT|STATE)"
    # What serves to publish and nothing else. What also installs (NPM_TOKEN, PIP_INDEX_URL, UV_INDEX_*) stays.
    r"|PYPI_(?:API_)?TOKEN|TWINE_.*|UV_PUBLISH_.*|POETRY_PYPI_TOKEN_.*|FLIT_PASSWORD|HATCH_INDEX_AUTH"
)
"""Variables that the project's code does not get. It is the pull request's code, and this is what neontest's own work,
or the CI service, brings along. Everything else is the project's: a workflow that sets AWS_SECRET_ACCESS_KEY or
MY_TOKEN meant its tests to have it; one that wants them to have GitHub's token gives that another name."""
_MISLEADING = ("PGHOSTADDR", "PGSERVICE", "PGSERVICEFILE", "PGPASSFILE", "PGSSLMODE", "PGCHANNELBINDING", "PGOPTIONS")
"""libpq's variables that would lead elsewhere than the branch's URL does, or contradict it."""
_ENV_LINE = re.compile(r"""^\s*(?:export\s+)?(\w+)\s*=\s*["']?([^"'\s]+)""", re.MULTILINE)
_ASYNC_ENV = re.compile(r"\b(?:async_engine_from_config|create_async_engine|AsyncEngine)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlForms:
    """A Postgres URL taken apart, to be put together again for each driver."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    query: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, url: str) -> UrlForms:
        parts = urlsplit(url)
        if not parts.scheme.startswith("postgres") or not parts.hostname:
            raise ConfigError("the database URL is not one of Postgres")
        return cls(
            host=parts.hostname,
            port=parts.port or 5432,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            database=unquote(parts.path.lstrip("/")),
            query=tuple(parse_qsl(parts.query, keep_blank_values=True)),
        )

    @property
    def sslmode(self) -> str:
        return dict(self.query).get("sslmode", "prefer")

    def url(self, driver: str | None = None, *, bare: bool = False) -> str:
        """The URL for a driver; `bare` leaves sslmode and the like out, which asyncpg and pg8000 refuse.

        libpq and asyncpg read them from the environment (PGSSLMODE) all the same, so a bare URL serves both, whatever
        driver an env.py puts in or takes out of it.
        """
        query = {} if bare or driver in ("asyncpg", "pg8000") else dict(self.query)
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (
            f"postgresql{'+' + driver if driver else ''}://{quote(self.user, safe='')}:{quote(self.password, safe='')}"
            f"@{host}:{self.port}/{quote(self.database, safe='')}" + ("?" + urlencode(query) if query else "")
        )

    def libpq(self) -> dict[str, str]:
        """The same as libpq's variables, which asyncpg reads too."""
        query = dict(self.query)
        variables = {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
            "PGDATABASE": self.database,
        }
        named = {"sslmode": "PGSSLMODE", "channel_binding": "PGCHANNELBINDING", "options": "PGOPTIONS"}
        return variables | {named[name]: value for name, value in query.items() if name in named}


def stripped(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without Neon's key, and the tokens of GitHub, of CI services and for publishing."""
    return {name: value for name, value in environ.items() if not _OURS.fullmatch(name)}


def named_driver(url: str | None) -> str | None:
    """The driver that a URL names: `asyncpg` of `postgresql+asyncpg://…`; None where it leaves that open."""
    scheme = (url or "").partition("://")[0]
    return scheme.partition("+")[2] or None if scheme.startswith("postgres") else None


def usable(interpreter: Interpreter) -> tuple[str, ...]:
    """The drivers that the interpreter has and that its SQLAlchemy knows."""
    version = _version(interpreter.sqlalchemy)
    since = {"psycopg": (2, 0), "asyncpg": (1, 4)}
    return tuple(name for name in DRIVERS if name in interpreter.drivers and version >= since.get(name, (1, 0)))


def driver_for(
    interpreter: Interpreter, own_urls: Iterable[str | None] = (), *, asynchronous: bool = False
) -> str | None:
    """The driver to write into a URL; None where a plain `postgresql://` already means the right one.

    The first of the project's own URLs that names a driver decides. Else an env.py that is asynchronous gets asyncpg
    (or psycopg), and a plain URL is rewritten only where SQLAlchemy would take it to mean a driver that is not there:
    psycopg since 2.1, psycopg2 before (https://docs.sqlalchemy.org/en/21/changelog/migration_21.html, 2026-11).
    """
    for url in own_urls:
        if (named := named_driver(url)) is not None:
            return named
    drivers = usable(interpreter)
    if asynchronous:
        for name in ("asyncpg", "psycopg"):
            if name in drivers:
                return name
    return None if plain_driver(interpreter) in drivers or not drivers else drivers[0]


def plain_driver(interpreter: Interpreter) -> str:
    """What SQLAlchemy takes a plain `postgresql://` to mean."""
    return "psycopg" if _version(interpreter.sqlalchemy) >= (2, 1) else "psycopg2"


def own_urls(project: Project) -> tuple[str, ...]:
    """The URLs that are checked in, or lie in `.env`: only to see which driver they name."""
    found: list[str] = []
    if project.ini is not None:
        parser = RawConfigParser(strict=False)
        with contextlib.suppress(ConfigParserError, OSError, UnicodeDecodeError):
            parser.read(project.ini, encoding="utf-8")
        found.append(parser.get(project.section, "sqlalchemy.url", fallback=""))
    with contextlib.suppress(OSError):
        text = (project.cwd / ".env").read_text(encoding="utf-8", errors="replace")
        found.extend(match[2] for match in _ENV_LINE.finditer(text) if match[1] in URL_NAMES)
    return tuple(url for url in found if url)


def is_asynchronous(env_py: Path) -> bool:
    """Whether an env.py makes an asynchronous engine."""
    try:
        return bool(_ASYNC_ENV.search(env_py.read_text(encoding="utf-8", errors="replace")))
    except OSError:
        return False


def render_environment(
    url: str,
    interpreter: Interpreter,
    *,
    templates: Mapping[str, str],
    files: Path | None,
    base_environ: Mapping[str, str],
    asynchronous: bool = False,
    own_urls: Iterable[str | None] = (),
) -> dict[str, str]:
    """The whole environment of a child: `base_environ`, and the branch under every name that projects read.

    `templates` is [tool.neontest.env]; in a template with `://` the user, password and database are percent-encoded.
    Each variable keeps the driver that its own value in `base_environ` names.

    Raises:
        ConfigError: a template has a field that we do not know.
    """
    forms = UrlForms.parse(url)
    own, bare = tuple(own_urls), "asyncpg" in usable(interpreter)
    kept = {name: value for name, value in base_environ.items() if name not in _MISLEADING}
    environ = activated(kept, interpreter.python) | forms.libpq()
    others = [base_environ.get(name) for name in URL_NAMES]
    for name in URL_NAMES:
        driver = driver_for(interpreter, (base_environ.get(name), *own, *others), asynchronous=asynchronous)
        environ[name] = forms.url(driver, bare=bare)
    default = environ["DATABASE_URL"]
    for name, template in templates.items():
        driver = named_driver(base_environ.get(name))
        environ[name] = filled(
            template,
            forms,
            where=f"[tool.neontest.env] {name}",
            url=forms.url(driver, bare=bare) if driver else default,
            files=files,
        )
    return environ


def activated(environ: Mapping[str, str], python: Path) -> dict[str, str]:
    """The environment as `activate` makes it, where the interpreter is a virtual environment's: its programs first."""
    folder = python.parent
    if not (folder.parent / "pyvenv.cfg").is_file():
        return dict(environ)
    path = [part for part in environ.get("PATH", os.defpath).split(os.pathsep) if part != str(folder)]
    changed = {"VIRTUAL_ENV": str(folder.parent), "PATH": os.pathsep.join([str(folder), *path])}
    return {name: value for name, value in environ.items() if name != "PYTHONHOME"} | changed


def write_files(templates: Mapping[str, str], url: str, default_url: str, directory: Path) -> None:
    """Write [tool.neontest.files] into `directory`, readable by their owner only.

    Args:
        default_url: What `{url}` becomes: the URL in the form that `render_environment` gave DATABASE_URL.

    Raises:
        ConfigError: a file cannot be written, its name leaves the directory, or a template has a field that we do not
            know.
    """
    forms = UrlForms.parse(url)
    for name, template in templates.items():
        path = directory / name
        where = named_file(name)
        text = filled(template, forms, where=where, url=default_url, files=directory)
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch(mode=0o600)
            path.chmod(0o600)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{where} cannot be written: {error.strerror}") from error


def filled(template: str, forms: UrlForms, *, where: str, url: str, files: Path | None) -> str:
    """The template with its fields replaced; `{{` and `}}` are braces."""
    values = {
        "url": url,
        "host": forms.host,
        "port": str(forms.port),
        "user": forms.user,
        "password": forms.password,
        "database": forms.database,
        "sslmode": forms.sslmode,
        "files": str(files) if files else "",
    }
    if "://" in template:
        values |= {name: quote(values[name], safe="") for name in ("user", "password", "database")}
    text = ""
    try:
        for literal, name, spec, conversion in Formatter().parse(template):
            text += literal
            if name is None:
                continue
            if name not in values or spec or conversion:
                known = " ".join(f"{{{field}}}" for field in FIELDS)
                raise ConfigError(f"{where}: unknown field {{{name}}}", hint=f"known: {known}; write {{{{ for a brace")
            text += values[name]
    except ValueError as error:
        raise ConfigError(f"{where}: {error}", hint="write {{ for a brace") from error
    return text


def check(templates: Mapping[str, str], files: Mapping[str, str]) -> None:
    """Raise ConfigError where a template of [tool.neontest.env] or [tool.neontest.files] cannot be filled in."""
    forms = UrlForms(host="", port=0, user="", password="", database="")
    paths = {Path(name) for name in files}
    for path in paths:
        if not paths.isdisjoint(path.parents):
            raise ConfigError(f"[tool.neontest.files] {path}: another file stands where its folder would be")
    for table, each in (("env", templates), ("files", files)):
        for name, template in each.items():
            where = f"[tool.neontest.env] {name}" if table == "env" else named_file(name)
            filled(template, forms, where=where, url="", files=None)


def named_file(name: str) -> str:
    """How a file of [tool.neontest.files] is named to people; ConfigError where it would not lie in the folder."""
    path = Path(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ConfigError(f"[tool.neontest.files] {name!r}: a file outside of {{files}} is not written")
    if any(len(os.fsencode(part)) > LONGEST_NAME for part in path.parts):
        raise ConfigError(f"[tool.neontest.files] {name[:80]}…: a name has at most {LONGEST_NAME} bytes")
    return f"[tool.neontest.files] {name[:80]}"


def secrets_of(url: str) -> tuple[str, ...]:
    """What must never be shown of a URL: its password, as it is and as URLs and ini files spell it; longest first."""
    password = UrlForms.parse(url).password
    if len(password) < 4:
        return ()
    spelt = {password, quote(password, safe=""), quote_plus(password), quote(password, safe=" +")}
    spelt.add(re.sub(r"[:@/]", lambda sign: quote(sign[0], safe=""), password))  # SQLAlchemy before 2.0
    spelt |= {each.replace("%", "%%") for each in spelt} | {quote(each, safe="") for each in spelt}
    return tuple(sorted(spelt, key=len, reverse=True))


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text)[:2])
