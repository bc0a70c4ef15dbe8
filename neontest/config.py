"""Settles what a run shall do: flag, else environment, else `[tool.neontest]` in pyproject.toml, else default."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from neontest.errors import ConfigError, UsageError

Source = Literal["flag", "environment", "pyproject.toml", "default"]

API_HOST: Final = "https://console.neon.tech/api/v2"
"""Source: https://api-docs.neon.tech/reference/getting-started (2026-11)."""


class Commands(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The project's own commands, run for a visit in place of Alembic; `{revision}` stands for where to go."""

    upgrade: str | tuple[str, ...]
    downgrade: str | tuple[str, ...]


class Accept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[tool.neontest.accept]]`: a finding that is taken on, and why."""

    check: str
    reason: str
    revision: str | None = None
    until: date | None = None


CheckLevel = Literal["error", "warning", "info", "off"]


class FileSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """`[tool.neontest]` as written; a key that is not here is refused."""

    engine: Literal["neon", "local"] | None = None
    api_host: str | None = None
    project_id: str | None = None
    parent: str | None = None
    database: str | None = None
    role: str | None = None
    mode: Literal["whole", "stairway", "both"] | None = None
    heads: Literal["one", "many"] | None = None
    alembic_config: str | None = None
    alembic_name: str | None = None
    python: str | None = None
    x: tuple[str, ...] | None = None
    isolate: bool | None = None
    from_revision: str | None = None
    base: str | None = None
    seed: str | None = None
    prepare: str | None = None
    tests: str | tuple[str, ...] | Literal[False] | None = None
    timeout: float | str | None = None
    visit_timeout: float | str | None = None
    test_timeout: float | str | None = None
    fail_on: Literal["error", "warning", "never"] | None = None
    postgres: str | None = None
    postgres_version: int | None = None
    state: str | None = None
    ledger: str | None = None
    env: dict[str, str] = {}
    files: dict[str, str] = {}
    commands: Commands | None = None
    other_databases: Literal["refuse", "allow"] | None = None
    rows: int | None = None
    rows_seed: int | None = None
    data: Literal["full", "touched", "sample", "off"] | None = None
    data_timeout: float | str | None = None
    lock_budget: float | str | None = None
    small_table: int | None = None
    slow_migration: float | str | None = None
    slow_statement: float | str | None = None
    many_locks: int | None = None
    lint: bool | None = None
    interrupt: bool | None = None
    deterministic: bool | None = None
    gate: Literal["new", "all"] | None = None
    github: Literal["on", "off"] | None = None
    comment: str | None = None
    redact: Literal["none", "literals"] | None = None
    levels: dict[str, CheckLevel] = {}
    accept: tuple[Accept, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that a run was told, each value settled."""

    root: Path
    """The project's folder; revision files are named relative to it."""
    engine: Literal["neon", "local"]
    engine_why: str
    api_host: str = API_HOST
    api_key: str | None = field(default=None, repr=False)
    project_id: str | None = None
    parent: str | None = None
    database: str | None = None
    role: str | None = None
    mode: Literal["whole", "stairway", "both"] = "both"
    heads: Literal["one", "many"] = "one"
    alembic_config: Path | None = None
    alembic_name: str = "alembic"
    python: str | None = None
    x: tuple[str, ...] = ()
    isolate: bool = False
    from_revision: str | None = None
    base: str | None = None
    """A ref of the base branch: what it has does not gate, and local parents start there, but for `from_revision`."""
    seed: str | None = None
    prepare: str | None = None
    tests: str | tuple[str, ...] | None = None
    """The command; None means pytest with the project's interpreter."""
    run_tests: bool = True
    timeout: float = 1800.0
    visit_timeout: float = 600.0
    test_timeout: float = 1200.0
    fail_on: Literal["error", "warning", "never"] = "error"
    keep: bool = False
    postgres: Path | None = None
    postgres_version: int | None = None
    state: Path | None = None
    ledger: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    commands: Commands | None = None
    other_databases: Literal["refuse", "allow"] = "refuse"
    """What to do when the project connects to a Postgres that is not the branch while it is loaded or migrated."""
    rows: int | None = None
    """How many rows to invent for each empty table; None: 20 on the local engine, none on Neon."""
    rows_seed: int = 0
    data: Literal["full", "touched", "sample", "off"] = "touched"
    data_timeout: float = 60.0
    """For all reading of rows."""
    lock_budget: float = 1.0
    small_table: int = 10_000
    slow_migration: float = 180.0
    slow_statement: float = 30.0
    many_locks: int = 5
    lint: bool = True
    """Have squawk read the statements, if it is installed."""
    interrupt: bool = False
    deterministic: bool = False
    gate: Literal["new", "all"] = "new"
    """Whose findings fail the run: those of revisions that the base branch has not, or all."""
    github: Literal["on", "off"] = "on"
    """Tell GitHub, inside of a job there: status, comment, summary, outputs, annotations."""
    comment: str | None = None
    """The configuration's name, which its comment on the pull request goes by; `off` for no comment."""
    redact: Literal["none", "literals"] | None = None
    """Whether reports lose the literals in them: all reports, or none; None: what GitHub is told, and no file."""
    levels: Mapping[str, CheckLevel] = field(default_factory=dict)
    accept: tuple[Accept, ...] = ()
    sources: Mapping[str, Source] = field(default_factory=dict, compare=False)
    """Where each value came from, by the field's name."""


def read_file(root: Path) -> FileSettings:
    """`[tool.neontest]` of the project's pyproject.toml; empty where there is none.

    Raises:
        ConfigError: naming the key, and the key that was probably meant.
    """
    path = root / "pyproject.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("neontest", {})
    except FileNotFoundError:
        return FileSettings()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: [tool.neontest] must be a table")
    known = FileSettings.__struct_encode_fields__
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f'did you mean "{near[0]}"?' if near else f"known keys: {', '.join(known)}"
            raise ConfigError(f'{path}: [tool.neontest] has no key "{key}"', hint=hint)
    try:
        return msgspec.convert(table, FileSettings)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: [tool.neontest]: {error}") from error


DURATIONS: Final = (
    "timeout", "visit_timeout", "test_timeout", "data_timeout", "lock_budget", "slow_migration", "slow_statement"
)  # fmt: skip
UNITS: Final = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(value: float | str, *, what: str) -> float:
    """A duration in seconds: `90`, `"90s"`, `"10m"`, `"1.5h"`.

    Raises:
        ConfigError: if it is none of these, or not above zero.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", str(value))
    result = float(match[1]) * UNITS[match[2]] if match else 0.0
    if result <= 0:
        raise ConfigError(f'{what}: "{value}" is not a duration', hint="give seconds, or such as 90s, 10m, 1h")
    return result


def settle(flags: Mapping[str, Any], sources: Mapping[str, Source], environ: Mapping[str, str], root: Path) -> Settings:
    """The settings of a run.

    `flags` holds what was given on the command line or in the environment, by the names of Settings' fields, None
    for what was not; `sources` says which of the two it was.
    """
    file = read_file(root)
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
            values[name] = seconds(values[name], what=name.replace("_", "-"))
    for name in ("alembic_config", "postgres", "state", "ledger"):
        if name in values:
            values[name] = root / Path(values[name]).expanduser()
    if values.get("tests") is False:
        values["tests"], values["run_tests"] = None, False
    if "base" not in values and environ.get("GITHUB_BASE_REF"):
        values["base"], origin["base"] = environ["GITHUB_BASE_REF"], "environment"
    key = environ.get("NEON_API_KEY") or None
    engine, why = choose_engine(values.pop("engine", None), origin["engine"], key)
    settings = Settings(**{**values, "root": root, "engine": engine, "engine_why": why, "api_key": key}, sources=origin)
    refuse_contradictions(settings)
    return settings


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
    for name in ("upgrade", "downgrade") if settings.commands else ():
        if "{revision}" not in "".join(getattr(settings.commands, name)):
            raise ConfigError(
                f"{settings.root / 'pyproject.toml'}: [tool.neontest.commands]: {name} has no {{revision}}, so it would"
                " not go where a walk has to go",
                hint=f'put it where the command takes the revision, as in {name} = "./manage {name} {{revision}}"',
            )
    if settings.comment is not None and not (settings.comment.isprintable() and len(settings.comment) <= 100):
        raise UsageError("comment: a configuration's name is at most 100 printable characters")
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
