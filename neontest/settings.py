"""What can be said of a run, as it is written in pyproject.toml and as it is settled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

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

MOST_ROWS: Final = 1_000_000
"""To invent for a table; above that nobody would wait for them."""
Rows = Annotated[int, msgspec.Meta(ge=0, le=MOST_ROWS)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Parallel = Annotated[int, msgspec.Meta(ge=1)]


class FileSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """`[tool.neontest]` as written; a key that is not here is refused."""

    engine: Literal["neon", "local"] | None = None
    api_host: str | None = None
    project_id: str | None = None
    parent: str | None = None
    parent_time: str | None = None
    parent_lsn: str | None = None
    schema_only: bool | None = None
    anonymize: str | None = None
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
    from_url: str | None = msgspec.field(name="from", default=None)
    """`env:NAME`: a connection string is no matter for a file."""
    from_limit: str | int | None = None
    tables: tuple[str, ...] | None = None
    base: str | None = None
    seed: str | None = None
    prepare: str | None = None
    reuse_parent: bool | None = None
    tests: str | tuple[str, ...] | Literal[False] | None = None
    timeout: float | str | None = None
    wait: float | str | None = None
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
    rows: Rows | None = None
    rows_seed: int | None = None
    data: Literal["full", "touched", "sample", "off"] | None = None
    data_timeout: float | str | None = None
    lock_budget: float | str | None = None
    small_table: Count | None = None
    slow_migration: float | str | None = None
    slow_statement: float | str | None = None
    many_locks: Count | None = None
    lint: bool | None = None
    interrupt: bool | None = None
    deterministic: bool | None = None
    grid: bool | None = None
    bisect: bool | None = None
    old_python: str | None = None
    parallel: Parallel | None = None
    gate: Literal["new", "all"] | None = None
    github: Literal["on", "off"] | None = None
    comment: str | None = None
    redact: Literal["none", "literals"] | None = None
    levels: dict[str, CheckLevel] = {}
    accept: tuple[Accept, ...] = ()
    project: tuple[dict[str, Any], ...] = ()
    """`[[tool.neontest.project]]`: each is read by itself, with what is beside them as its defaults."""


class ProjectSettings(FileSettings, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """`[[tool.neontest.project]]`: one of several, with what it adds or says otherwise."""

    name: str
    path: str = "."
    """Its folder, below that of pyproject.toml."""
    also: tuple[str, ...] = ()
    """What else it depends on, from the folder of pyproject.toml."""


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
    parent_time: str | None = None
    parent_lsn: str | None = None
    """The moment of the parent's history of which branches are made; neither: its present."""
    schema_only: bool = False
    """Branches have the parent's schema and none of its rows."""
    anonymize: Path | None = None
    """A file with masking rules: branches are copies with those columns masked."""
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
    from_url: str | None = field(default=None, repr=False)
    """An existing Postgres to fill the local parent from: a secret."""
    from_limit: int = 1 << 30
    """Bytes of rows that may be copied from there."""
    tables: tuple[str, ...] = ()
    """Names or patterns of the tables whose rows are copied; empty: all."""
    base: str | None = None
    """A ref of the base branch: what it has does not gate, and local parents start there, but for `from_revision`."""
    seed: str | None = None
    prepare: str | None = None
    reuse_parent: bool = True
    """Begin with the local parent of an earlier run, where nothing that it was made of has changed; not in CI."""
    tests: str | tuple[str, ...] | None = None
    """The command; None means pytest with the project's interpreter."""
    run_tests: bool = True
    timeout: float = 1800.0
    wait: float = 0.0
    """For a free branch, each time that one is needed, where the project has as many as it may have."""
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
    grid: bool = False
    """Run the tests of old and new code on the old and the new schema."""
    bisect: bool = False
    """Say which revision broke a test of the old code."""
    old_python: str | None = None
    """The command that says which interpreter the old code runs in; None: the project's."""
    parallel: int | None = None
    """How many branches may be at work at once; None: as many as there are processors."""
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
    name: str | None = None
    """The name of its `[[tool.neontest.project]]`, where there are several."""
    among: str = ""
    """The names of all projects of the run, where it was said which; their comment and commit status have it."""
    top: Path | None = None
    """The folder of the pyproject.toml that has its table."""
    also: tuple[Path, ...] = ()
    """What of the repository it depends on besides its own files."""
    put_aside: tuple[str, ...] = ()
    """What of pyproject.toml gives way to something else, a sentence each."""
    sources: Mapping[str, Source] = field(default_factory=dict, compare=False)
    """Where each value came from, by the field's name."""
