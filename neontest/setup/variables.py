"""The environment variables from which a project takes its database, read from the syntax trees of its files.

Nothing is imported or run, so only names that are written out are seen: `os.environ["X"]`, `os.getenv("X")`,
environs' `env("X")` and `env.str("X")`, decouple's and Starlette's `config("X")`, and the fields of a
pydantic-settings class.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from typing import Final

import msgspec

from neontest.migrate.environment import URL_NAMES

_DATABASE: Final = r"(?:DATABASE|DB|POSTGRES|POSTGRESQL|PG|PSQL|SQL|SQLALCHEMY|ALEMBIC|MIGRATIONS?|NEON)"
_URL: Final = re.compile(rf"(?:.*_)?{_DATABASE}_?(?:.*_)?(?:URL|URI|DSN|CONNECTION|CONNECTION_STRING)|(?:.*_)?DSN")
_PART: Final = re.compile(
    r"(?:.*_)?(?:DATABASE|DB|POSTGRES|POSTGRESQL|PG)_?"
    r"(?P<part>HOST|HOSTNAME|SERVER|PORT|USER|USERNAME|PASS|PASSWORD|PWD|NAME|DB|DATABASE|DBNAME)"
)
_PARTS: Final = {
    "host": "{host}", "hostname": "{host}", "server": "{host}", "port": "{port}", "user": "{user}",
    "username": "{user}", "pass": "{password}", "password": "{password}", "pwd": "{password}",
    "name": "{database}", "db": "{database}", "database": "{database}", "dbname": "{database}",
}  # fmt: skip
_NOT_THE_DATABASE: Final = re.compile(r"(?:^|_)(?:TEST|TESTS|TESTING|REDIS|MONGO|MONGODB|SENTRY|CELERY|BROKER)(?:_|$)")
_LIBPQ: Final = frozenset({"PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE"})
"""A run sets them, whatever the project reads."""
_CALLED: Final = re.compile(r"env(?:iron)?|config|getenv", re.IGNORECASE)
_READERS: Final = frozenset({"get", "getenv", "str", "url", "db", "db_url", "dj_db_url", "pop", "setdefault"})


class Variable(msgspec.Struct, frozen=True, kw_only=True):
    """One environment variable that a file reads."""

    name: str
    file: str
    line: int

    @property
    def field(self) -> str | None:
        """What a template has to hold for it: `{url}`, `{host}`…; None where it is not the database's."""
        name = self.name.upper()
        if name in URL_NAMES:
            return "{url}"
        if name in _LIBPQ or _NOT_THE_DATABASE.search(name):
            return None
        if _URL.fullmatch(name):
            return "{url}"
        match = _PART.fullmatch(name)
        return _PARTS[match["part"].lower()] if match else None


def variables(source: bytes, file: str) -> tuple[Variable, ...]:
    """The variables of a Python file that say where the database is, in the order of their lines, each once.

    A file that is no Python of ours has none.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source, filename=file)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    found: dict[str, Variable] = {}
    for name, line in sorted(_read(tree), key=lambda each: each[1]):
        variable = Variable(name=name, file=file, line=line)
        if variable.field is not None:
            found.setdefault(name, variable)
    return tuple(found.values())


def _read(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(value=where, slice=ast.Constant(value=str() as name)) if _is_environment(where):
                yield name, node.lineno
            case ast.Call(func=function, args=[ast.Constant(value=str() as name), *_]) if _reads(function):
                yield name, node.lineno
            case ast.ClassDef():
                yield from _fields(node)


def _is_environment(node: ast.expr) -> bool:
    return ast.unparse(node).rpartition(".")[2] in ("environ", "env")


def _reads(function: ast.expr) -> bool:
    """Whether a call of it with a name as the first argument reads an environment variable."""
    match function:
        case ast.Name(id=name):
            return bool(_CALLED.fullmatch(name))
        case ast.Attribute(value=ast.Name(id="os"), attr="getenv"):
            return True
        case ast.Attribute(value=where, attr=name):
            return name in _READERS and bool(_CALLED.fullmatch(ast.unparse(where).rpartition(".")[2]))
    return False


def _fields(node: ast.ClassDef) -> Iterator[tuple[str, int]]:
    """What a pydantic-settings class reads: its fields' names after the prefix, or their aliases.

    Source: https://docs.pydantic.dev/latest/concepts/pydantic_settings/ (2026-11).
    """
    if not any(ast.unparse(base).rpartition(".")[2] == "BaseSettings" for base in node.bases):
        return
    prefix = _prefix(node)
    for each in node.body:
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            aliases = tuple(_aliases(each.value))
            for name in aliases or (f"{prefix}{each.target.id}".upper(),):
                yield name, each.lineno


def _prefix(node: ast.ClassDef) -> str:
    """`env_prefix`, in model_config or in the older inner class Config."""
    for each in ast.walk(node):
        match each:
            case ast.keyword(arg="env_prefix", value=ast.Constant(value=str() as prefix)):
                return prefix
            case ast.Assign(targets=[ast.Name(id="env_prefix")], value=ast.Constant(value=str() as prefix)):
                return prefix
            case ast.Dict(keys=keys, values=values):
                for key, value in zip(keys, values, strict=True):
                    if isinstance(key, ast.Constant) and key.value == "env_prefix" and isinstance(value, ast.Constant):
                        return str(value.value)
    return ""


def _aliases(value: ast.expr | None) -> Iterator[str]:
    """The names in `Field(alias="X")`, `Field(validation_alias=AliasChoices("X", "Y"))`, `Field(env="X")`."""
    for keyword in value.keywords if isinstance(value, ast.Call) else ():
        if keyword.arg in ("alias", "validation_alias", "env"):
            for each in ast.walk(keyword.value):
                if isinstance(each, ast.Constant) and isinstance(each.value, str):
                    yield each.value
