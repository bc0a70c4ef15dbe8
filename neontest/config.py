"""Settles what a run shall do: flag, else environment, else `[tool.neontest]` in pyproject.toml, else default."""

from __future__ import annotations

import difflib
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import msgspec

from neontest import whose
from neontest.errors import ConfigError, UsageError
from neontest.settings import FileSettings, Settings, Source

F = TypeVar("F", bound=FileSettings)


def read_file(root: Path) -> FileSettings:
    """`[tool.neontest]` of the project's pyproject.toml; empty where there is none.

    Raises:
        ConfigError: naming the key, and the key that was probably meant.
    """
    path = root / "pyproject.toml"
    tool = read_toml(path).get("tool", {})
    table = tool.get("neontest", {}) if isinstance(tool, dict) else None
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: {'tool' if table is None else '[tool.neontest]'} must be a table")
    return converted(path, table, FileSettings, "[tool.neontest]")


def converted(path: Path, table: Mapping[str, Any], kind: type[F], where: str) -> F:
    """The table as written in the file, all its keys known; ConfigError names it as `where`."""
    known = kind.__struct_encode_fields__
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f'did you mean "{near[0]}"?' if near else f"known keys: {', '.join(known)}"
            raise ConfigError(f'{path}: {where} has no key "{key}"', hint=hint)
    try:
        settings = msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {where} {invalid(error)}") from error
    refuse_empty(path, settings, where)
    return settings


def read_toml(path: Path) -> dict[str, Any]:
    """The TOML file's content, empty where there is no such file; ConfigError where it cannot be read."""
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path} cannot be read: it is not UTF-8, as TOML has to be, at byte {error.start}",
            hint="save it as UTF-8",
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{path} cannot be read: it is nested too deeply") from error


def invalid(error: msgspec.ValidationError) -> str:
    """What msgspec says of a value, the key first, as TOML would name it."""
    what, _, where = str(error).partition(" - at `")
    where = where.rstrip("`").removeprefix("$").removeprefix(".")
    what = what.replace(" | null`", "`")
    return f"{where}: {what[:1].lower()}{what[1:]}" if where else what


def refuse_empty(path: Path, settings: FileSettings, where: str) -> None:
    """Raise ConfigError for a text that says nothing, or that no file, variable or command can hold."""
    for key, name in zip(settings.__struct_encode_fields__, settings.__struct_fields__, strict=True):
        value = getattr(settings, name)
        if (isinstance(value, str) and not value.strip()) or (name == "tests" and value == ()):
            raise ConfigError(f"{path}: {where} {key} is empty", hint=f"give it a value, or leave {key} out")
        if any("\0" in text for text in texts(msgspec.to_builtins(value))):
            raise ConfigError(f"{path}: {where} {key} holds a null byte", hint="take it out")
    for variable in settings.env:
        if not variable or "=" in variable:
            raise ConfigError(f"{path}: {where} env: {variable!r} cannot be the name of a variable")


def texts(value: object) -> Iterator[str]:
    """Every text in a value of TOML's kinds."""
    match value:
        case str():
            yield value
        case Mapping():
            for name, each in value.items():
                yield from (name, *texts(each))
        case list() | tuple():
            for each in value:
                yield from texts(each)


LONGEST: Final = 30 * 86_400.0
"""Seconds; no branch lives longer. Source: https://neon.com/docs/guides/branch-expiration (2026-11)."""
DURATIONS: Final = (
    "timeout", "wait", "visit_timeout", "test_timeout", "data_timeout", "lock_budget", "slow_migration",
    "slow_statement",
)  # fmt: skip
SIZES: Final = {"": 1, "B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}
MAY_BE_ZERO: Final = frozenset({"wait"})
UNITS: Final = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(value: float | str, *, what: str, zero: bool = False) -> float:
    """A duration in seconds: `90`, `"90s"`, `"10m"`, `"1.5h"`.

    Raises:
        ConfigError: if it is none of these, zero where that is no answer, or longer than a branch may live.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", str(value), re.ASCII)
    result = float(match[1]) * UNITS[match[2]] if match else 0.0
    if match is None or (result <= 0 and not zero):
        raise ConfigError(f'{what}: "{value}" is not a duration', hint="give seconds, or such as 90s, 10m, 1h")
    if result > LONGEST:
        raise ConfigError(
            f"{what}: {str(value)[:40]} is longer than 30 days", hint="give seconds, or such as 90s, 10m, 1h"
        )
    return result


def settle(
    flags: Mapping[str, Any],
    sources: Mapping[str, Source],
    environ: Mapping[str, str],
    root: Path,
    *,
    file: FileSettings | None = None,
    home: Path | None = None,
    runs: bool = True,
) -> Settings:
    """The settings of a run.

    `flags` holds what was given on the command line or in the environment, by the names of Settings' fields, None
    for what was not; `sources` says which of the two it was. `file` is the part of pyproject.toml that counts, and
    `home` the folder of the project, where they are not all of it and its own. What no run could be made of is
    refused only where the command `runs`.
    """
    file, home = file or read_file(root), home or root
    values: dict[str, Any] = {}
    origin: dict[str, Source] = {}
    for name in (each.name for each in fields(Settings)):
        given = flags.get(name)
        if given is not None and given != () and given != "":
            values[name], origin[name] = given, sources.get(name, "flag")
        elif (written := getattr(file, name, None)) not in (None, {}, ()):
            values[name], origin[name] = written, "pyproject.toml"
        else:
            origin[name] = "default"
    for name in DURATIONS:
        if name in values:
            values[name] = seconds(values[name], what=name.replace("_", "-"), zero=name in MAY_BE_ZERO)
    for name in ("alembic_config", "postgres", "state", "ledger", "anonymize"):
        if name in values:
            folder = home if name == "alembic_config" else root
            values[name] = folder / at_home(values[name], what=name.replace("_", "-"))
    if "also" in values:
        values["also"] = tuple(root / each for each in values["also"])
    if values.get("tests") is False:
        values["tests"], values["run_tests"] = None, False
    for name, value in implied(environ).items():
        if name not in values:
            values[name], origin[name] = value, "environment"
    if home is not root:
        values["top"] = root
    key = environ.get("NEON_API_KEY") or None
    engine, why = choose_engine(values.pop("engine", None), origin["engine"], key)
    if "from_limit" in values:
        values["from_limit"] = size(values["from_limit"], what="from-limit")
    if runs:
        settle_source(values, origin, engine, environ)
    else:
        values.pop("from_url", None)
    settings = Settings(**{**values, "root": home, "engine": engine, "engine_why": why, "api_key": key}, sources=origin)
    if settings.comment is not None and not (settings.comment.isprintable() and len(settings.comment) <= 100):
        raise UsageError("comment: a configuration's name is at most 100 printable characters")
    if runs:
        refuse_contradictions(settings)
    return settings


def implied(environ: Mapping[str, str]) -> dict[str, Any]:
    """What is settled by where a run happens, unless somebody says otherwise."""
    found: dict[str, Any] = {}
    if environ.get("GITHUB_BASE_REF"):
        found["base"] = environ["GITHUB_BASE_REF"]
    if environ.get("NEONTEST_ACTION") and environ.get("GITHUB_BASE_REF"):
        found["grid"] = True
    # A machine of many hands: what one run left there is not another one's to trust.
    if environ.get("CI", "").lower() not in ("", "0", "false"):
        found["reuse_parent"] = False
    return found


def size(value: str | int, *, what: str) -> int:
    """Bytes: `1000`, `"500MB"`, `"1.5GB"`; ConfigError if it is none of these, or none at all."""
    match = re.fullmatch(r"\s*(\d{1,15}(?:\.\d{1,9})?)\s*(|B|KB|MB|GB|TB)\s*", str(value).upper(), re.ASCII)
    result = int(float(match[1]) * SIZES[match[2]]) if match else 0
    if result <= 0:
        raise ConfigError(f'{what}: "{str(value)[:40]}" is not a size', hint="give bytes, or such as 500MB, 2GB")
    return result


def settle_source(
    values: dict[str, Any], origin: dict[str, Source], engine: Literal["neon", "local"], environ: Mapping[str, str]
) -> None:
    """Settle where the local parent is filled from, beside what else prepares it.

    Raises:
        UsageError: it cannot be meant, or it is no connection string.
    """
    given = values.pop("from_url", None)
    if given is None:
        return
    in_file = origin["from_url"] == "pyproject.toml"
    if engine == "neon":
        if in_file:
            return
        raise UsageError(
            "--from fills the local parent; on Neon the parent is your data", hint="leave --from out, or add --local"
        )
    for name in ("from_revision", "prepare"):
        if values.get(name) is None:
            continue
        if in_file == (origin[name] == "pyproject.toml"):
            flag = "--" + name.replace("_", "-")
            raise UsageError(
                f"--from and {flag} contradict each other: the source says what the local parent starts with",
                hint=f"leave one out; --seed may follow --from{'' if in_file else ' (or NEONTEST_FROM)'}",
            )
        key = name.replace("_", "-")
        if in_file:
            values["put_aside"] = (f"the local parent is made by --{key}: `from` in pyproject.toml is not used",)
            return
        del values[name]
        origin[name] = "default"
        values["put_aside"] = (
            f"the local parent is filled from the Postgres that --from names: `{key}` in pyproject.toml is not used",
            *values.get("put_aside", ()),
        )
    from neontest.source import way

    values["from_url"] = way.named(given, origin["from_url"], environ)


def at_home(path: str | Path, *, what: str) -> Path:
    """The path, with the home that `~` means."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{what}: {path} is in no home that is known here", hint="give the whole path") from error


def choose_engine(
    wanted: Literal["neon", "local"] | None, source: Source, key: str | None
) -> tuple[Literal["neon", "local"], str]:
    """The engine, and why: Neon where an API key is set, else this machine."""
    where = {"flag": f"--{wanted} was given", "environment": "NEONTEST_ENGINE says so"}.get(
        source, "pyproject.toml says so"
    )
    if wanted == "neon" and key is None:
        raise UsageError(
            f"Neon was asked for ({where}), but NEON_API_KEY is not set",
            hint="export NEON_API_KEY and NEON_PROJECT_ID, or use --local",
        )
    if wanted is not None:
        return wanted, where
    return ("neon", "NEON_API_KEY is set") if key else ("local", "NEON_API_KEY is not set")


def refuse_contradictions(settings: Settings) -> None:
    """Raise UsageError or ConfigError where settings cannot be meant as they are."""
    refuse_unsplittable("the test command", settings.tests)
    refuse_unsplittable("old-python", settings.old_python)
    for name in ("upgrade", "downgrade") if settings.commands else ():
        refuse_unsplittable(f"the command for {name}", getattr(settings.commands, name))
        if "{revision}" not in "".join(getattr(settings.commands, name)):
            raise ConfigError(
                f"{(settings.top or settings.root) / 'pyproject.toml'}: [tool.neontest.commands]: {name} has no"
                " {revision}, so it would not go where a walk has to go",
                hint=f'put it where the command takes the revision, as in {name} = "./manage {name} {{revision}}"',
            )
    refuse_source(settings)
    if settings.grid and not settings.run_tests and settings.sources["grid"] == settings.sources["run_tests"] == "flag":
        raise UsageError("--grid and --no-tests contradict each other: the grid runs the tests", hint="leave one out")
    if settings.engine == "neon" and not settings.project_id:
        raise UsageError(
            "no Neon project was named",
            hint="export NEON_PROJECT_ID, give --project-id, or set project-id in [tool.neontest]",
        )
    if settings.engine == "neon":
        for name in ("from_revision", "seed", "prepare"):
            if getattr(settings, name) is not None and settings.sources[name] != "pyproject.toml":
                flag = "--" + name.replace("_", "-")
                raise UsageError(
                    f"{flag} prepares the empty local parent; on Neon the parent is your data",
                    hint=f"leave {flag} out, or add --local",
                )


def refuse_source(settings: Settings) -> None:
    """Raise UsageError where the branches cannot hold the data that the settings ask for."""
    time, lsn, schema_only = settings.parent_time, settings.parent_lsn, settings.schema_only
    if (time or lsn) and settings.engine == "local":
        flag = "--parent-time" if time else "--parent-lsn"
        raise UsageError(f"{flag}: a local cluster has no time travel", hint=f"leave {flag} out, or use Neon")
    anonymize = settings.anonymize is not None
    if why := whose.contradiction(schema_only=schema_only, anonymize=anonymize, time=time, lsn=lsn):
        raise UsageError(why)
    if schema_only and settings.engine == "local" and settings.seed is not None:
        raise UsageError("--schema-only leaves none of the rows that --seed makes", hint="leave one of them out")
    if time:
        whose.moment(time, what="--parent-time")
    if lsn:
        whose.checked_lsn(lsn, what="--parent-lsn")


def refuse_unsplittable(what: str, command: str | tuple[str, ...] | None) -> None:
    """Raise UsageError for a command that a shell could not split into words either, or that has none."""
    try:
        words = command if command is None or isinstance(command, tuple) else tuple(shlex.split(command))
    except ValueError as error:
        raise UsageError(
            f"{what} cannot be split into words: {str(error).lower()}", hint="close the quote, or write a list of words"
        ) from error
    if words == () or (words and not words[0].strip()):
        raise UsageError(f"{what} is empty", hint="give one, or leave it out")
