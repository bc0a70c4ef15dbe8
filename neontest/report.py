"""What a run has to say: the record, the findings, the verdict. Reads and writes the JSON, version 1."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

import msgspec

from neontest.errors import UsageError
from neontest.record import BranchUse, History, Record, SuiteResult, Walk

Verdict = Literal["passed", "failed", "error", "stopped"]


class Level(enum.Enum):
    """How bad a finding is, worst first."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    @property
    def rank(self) -> int:
        return list(Level).index(self)


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One judgement about the record."""

    check: str
    level: Level
    message: str
    """One sentence: what happened to what."""
    revision: str | None = None
    file: str | None = None
    line: int | None = None
    details: tuple[str, ...] = ()
    """What is different, a line each."""
    hint: str | None = None
    """What to do, in words."""
    fix: str | None = None
    """The line of code that would mend it, where that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A judge of one thing: a pure function from the record to findings. Its module's docstring explains it."""

    id: str
    title: str
    run: Callable[[Record], Iterable[Finding]]


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a run could not test or could not clean up: the error's sentence and what to do."""

    kind: str
    message: str
    hint: str | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it is told, to people and to machines."""

    version: Literal[1] = 1
    verdict: Verdict
    exit_code: int
    engine: Literal["neon", "local"]
    engine_why: str = ""
    server_version: str = ""
    project_id: str = ""
    parent: str = ""
    parent_name: str = ""
    branches: tuple[BranchUse, ...] = ()
    history: History = msgspec.field(default_factory=History)
    walks: tuple[Walk, ...] = ()
    tests: SuiteResult | None = None
    tests_note: str | None = None
    findings: tuple[Finding, ...] = ()
    problems: tuple[Problem, ...] = ()
    """Worst first; empty unless the verdict is error or stopped, or a branch was left behind."""
    notes: tuple[str, ...] = ()
    seconds: dict[str, float] = {}


def report(
    record: Record, findings: tuple[Finding, ...], problems: tuple[Problem, ...], *, verdict: Verdict, exit_code: int
) -> Report:
    """The record, with what was made of it."""
    return Report(
        verdict=verdict,
        exit_code=exit_code,
        engine=record.engine,
        engine_why=record.engine_why,
        server_version=record.server_version,
        project_id=record.project_id,
        parent=record.parent,
        parent_name=record.parent_name,
        branches=record.branches,
        history=record.history,
        walks=record.walks,
        tests=record.tests,
        tests_note=record.tests_note,
        findings=findings,
        problems=problems,
        notes=(*record.notes, *(f"loading the project changed the schema: {line}" for line in record.load_changes)),
        seconds=record.seconds,
    )


def to_json(report: Report) -> str:
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n"


def from_json(text: str | bytes) -> Report:
    """The report in a saved JSON file.

    Raises:
        UsageError: if it is not a report of version 1.
    """
    try:
        return msgspec.json.decode(text, type=Report)
    except msgspec.DecodeError as error:
        raise UsageError(
            f"not a neontest report: {error}", hint="give a file written by `neontest run --json FILE`"
        ) from error


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the report, made from the types above."""
    schema = msgspec.json.decode(msgspec.json.encode(msgspec.json.schema(Report)))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "neontest report", **schema}


def published_schema() -> str:
    """The schema as it lies in the package: `neontest/report-v1.schema.json`."""
    return files("neontest").joinpath("report-v1.schema.json").read_text(encoding="utf-8")
