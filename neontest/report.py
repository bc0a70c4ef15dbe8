"""What a run has to say: the record, the findings, the verdict. Reads and writes the JSON, version 1."""

from __future__ import annotations

import enum
import json
import os
from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from inspect import cleandoc
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from neontest.errors import UsageError
from neontest.record import Record

LARGEST: Final = 256 * 1024 * 1024
"""Bytes of a saved report; one of 300 revisions with all their statements has a few million."""

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
    gates: bool = True
    """It can fail the run; False for what the base branch already has, and for what was accepted."""
    accepted: str | None = None
    """The reason for which somebody accepted it."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """A judge of one thing: a pure function from the record to findings. Its module's docstring explains it."""

    id: str
    title: str
    run: Callable[[Record], Iterable[Finding]]
    of_all: bool = False
    """What it finds concerns the whole run: it gates, even if the revision that it names is on the base branch."""
    looked: Callable[[Record], bool] = lambda _: True
    """The run has looked at what this check judges: only then can an acceptance of it be said to match nothing."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What the project says about findings, whoever makes them."""

    levels: Mapping[str, Literal["error", "warning", "info", "off"]] = msgspec.field(default_factory=dict)
    """By the check's id."""
    gate: Literal["new", "all"] = "new"
    """Whose findings can fail the run: those of revisions that the base branch has not, or all."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a run could not test or could not clean up: the error's sentence and what to do."""

    kind: str
    message: str
    hint: str | None = None


class Report(Record, frozen=True, kw_only=True):
    """A run as it is told, to people and to machines: all that was seen, and what was made of it."""

    version: Literal[1] = 1
    verdict: Verdict
    exit_code: int
    findings: tuple[Finding, ...] = ()
    problems: tuple[Problem, ...] = ()
    """Worst first; empty unless the verdict is error or stopped, or a branch was left behind."""


def report(
    record: Record, findings: tuple[Finding, ...], problems: tuple[Problem, ...], *, verdict: Verdict, exit_code: int
) -> Report:
    """The record, with what was made of it."""
    loading = (f"loading the project changed the schema: {line}" for line in record.load_changes)
    seen = {**msgspec.structs.asdict(record), "notes": (*record.notes, *loading)}
    return Report(**seen, verdict=verdict, exit_code=exit_code, findings=findings, problems=problems)


def to_json(report: Report) -> str:
    """The report as JSON; what UTF-8 cannot write, such as from a file name that is no text, is `?` in it."""
    try:
        text = msgspec.json.encode(report)
    except UnicodeEncodeError:
        text = json.dumps(msgspec.to_builtins(report), ensure_ascii=False).encode(errors="replace")
    return msgspec.json.format(text, indent=2).decode() + "\n"


def from_json(text: str | bytes) -> Report:
    """The report in a saved JSON file.

    Raises:
        UsageError: if it is not a report of version 1.
    """
    try:
        return msgspec.json.decode(text, type=Report)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise UsageError(
            f"not a neontest report: {why}", hint="give a file written by `neontest run --json FILE`"
        ) from error


def read(file: Path, *, largest: int = LARGEST) -> Report:
    """The report in this file. A pipe into which nobody writes is an empty file, and not waited for.

    Raises:
        UsageError: it cannot be read, is larger than `largest` bytes, or not a report of version 1.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.set_blocking(descriptor, True)
        with os.fdopen(descriptor, "rb") as opened:
            content = opened.read(largest + 1)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    if len(content) > largest:
        raise UsageError(f"{file} is larger than {largest:,} bytes: no report of neontest is")
    try:
        return from_json(content)
    except UsageError as error:
        raise UsageError(f"{file}: {error.message}", hint=error.hint) from error


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the report, made from the types above."""
    schema = msgspec.json.decode(msgspec.json.encode(msgspec.json.schema(Report)))
    for each in schema["$defs"].values():
        if "description" in each:  # msgspec before 0.23 gives docstrings with their indentation
            each["description"] = cleandoc(each["description"])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "neontest report", **schema}


def published_schema() -> str:
    """The schema as it lies in the package: `neontest/report-v1.schema.json`."""
    return files("neontest").joinpath("report-v1.schema.json").read_text(encoding="utf-8")
