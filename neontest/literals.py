"""A report without the values that statements, messages and rows hold: `redact = "literals"`. Pure.

What is taken out: literals in statements and in definitions (`neontest.postgres.literals`), what errors quote
(`neontest.postgres.messages`), the keys of rows that stand in the way, comments of objects, settings of databases and
roles, what the project's tests printed, and the parameters in the names of tests that failed. What stays: names, the
labels of enums, the docstrings of revision files, and how many rows there are.

Findings are judged once more, of the record without values, so that they are told in the same words. One that is not
found again, since somebody else wrote the report, keeps what it names and loses its texts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final, Literal

import msgspec

from neontest import checks
from neontest.cells import Cell, CellFailure
from neontest.postgres.data import ColumnChange, Filled, Read, Violation
from neontest.postgres.diff import Difference
from neontest.postgres.literals import CUT, without_literals
from neontest.postgres.messages import without_values
from neontest.record import Drift, Failure, Lint, Models, Record, Statement, SuiteResult, Visit, Walk
from neontest.report import Finding, Problem, Report

Redact = Literal["none", "literals"]

LEFT_OUT: Final = "(what the tests printed is left out: literals are redacted)"
OWN_WORDS: Final = frozenset(
    {"timeout", "exit", "command", "ImportError", "ModuleNotFoundError", "IndentationError", "NotImplementedError"}
)
"""Kinds of failure whose message is neontest's, Python's own, or written in the revision."""
RAISED: Final = "P0"
"""The class of errors that functions raise themselves: their words are their author's."""
QUOTING: Final = frozenset({"CouldNotTest", "DatabaseError", "Defect", "LocalError", "WorkerError"})
"""Kinds of problems that pass on what a database or the project's code says."""
_NOTED: Final = re.compile(
    r"(loading the project changed the schema: |after loading and going back to [^:]*: )(.*)", re.S
)
_SETTING: Final = re.compile(r"((?:setting|user mapping|server|foreign[\w ]*) [^:]*: ).*", re.DOTALL)
_QUOTED: Final = re.compile(r"(?<!\w)[A-Za-z&]{0,2}'(?:[^']|'')*(?:'|\Z)|\$(\w*)\$.*?(?:\$\1\$|\Z)", re.DOTALL)
_VALUED: Final = re.compile(r"default|comment|text\(|execute|Check|Computed|where", re.IGNORECASE)
_PARAMETERS: Final = re.compile(r"\[.*", re.DOTALL)
_DRIVER: Final = re.compile(r"\([\w.]+\) |(?:psycopg2?|asyncpg|pg8000)\.[\w.]+: ")
_DIGITS: Final = re.compile(r"(?<!\w)\d[\d.,]*")


def without_literal_values(report: Report) -> Report:
    """The report with `…` in the place of each value."""
    told: Report = _struct(report)
    return msgspec.structs.replace(told, findings=_findings(report, told))


def for_others(report: Report, redact: Redact | None) -> Report:
    """The report as GitHub is told of it: without values, unless `redact` is "none"."""
    return report if redact == "none" else without_literal_values(report)


def for_oneself(report: Report, redact: Redact | None) -> Report:
    """The report for this console and for files: without values only if `redact` is "literals"."""
    return without_literal_values(report) if redact == "literals" else report


# -- texts


def schema_line(text: str) -> str:
    """A line about the schema, such as `column user.state: default '…' → none`."""
    if setting := _SETTING.fullmatch(text):
        return setting[1] + CUT
    # The one fact whose name has an apostrophe.
    text = text.replace("owner's privileges", "privileges of its owner")
    return "→".join(map(without_literals, text.split("→")))


def prose(text: str) -> str:
    """A sentence of neontest's own, that may quote SQL or say how the schema changed."""
    if noted := _NOTED.fullmatch(text):
        return noted[1] + schema_line(noted[2])
    return _QUOTED.sub("'…'", text)


def told_of(text: str, *, names: bool = True) -> str:
    """A sentence of neontest's own that ends in an error's words behind a colon."""
    head, colon, rest = text.partition(": ")
    return f"{prose(head)}{colon}{without_values(rest, names=names)}" if colon else prose(text)


# -- structs


def _statement(each: Statement) -> Statement:
    return msgspec.structs.replace(each, sql=without_literals(each.sql))


def _failure(each: Failure) -> Failure:
    own = each.sqlstate is None and each.kind in OWN_WORDS
    servers = each.sqlstate is not None and not each.sqlstate.startswith(RAISED)
    return msgspec.structs.replace(
        each,
        message=each.message if own else without_values(each.message, names=servers),
        sql=None if each.sql is None else without_literals(each.sql),
        hint=None if each.hint is None else prose(each.hint),
    )


def _difference(each: Difference) -> Difference:
    facts = tuple((name, _fact(each, name, old), _fact(each, name, new)) for name, old, new in each.facts)
    return msgspec.structs.replace(each, facts=facts)


def _fact(difference: Difference, name: str, value: str | None) -> str | None:
    if value is None or (difference.kind, name) == ("enum", "values"):
        return value
    if name in ("comment", "body") or difference.kind in ("setting", "user mapping", "server"):
        return CUT
    return without_literals(value)


def _suite(each: SuiteResult) -> SuiteResult:
    return msgspec.structs.replace(
        each,
        failures=_lines(each.failures, _test),
        output_tail=LEFT_OUT if each.output_tail else "",
    )


def _test(name: str) -> str:
    return _PARAMETERS.sub(f"[{CUT}]", name)


def _test_message(text: str) -> str:
    """What a test says; of an error of the driver its kind stays."""
    kind = _DRIVER.match(text)
    return f"{kind[0]}{without_values(text[kind.end() :])}" if kind else without_values(text, names=False)


def _drift(each: Drift) -> Drift:
    line = None if each.line is None or _VALUED.search(each.line) else each.line
    return msgspec.structs.replace(each, what=schema_line(each.what), line=line)


def _lint(each: Lint) -> Lint:
    hint = None if each.hint is None else prose(each.hint)
    return msgspec.structs.replace(each, sql=without_literals(each.sql), message=prose(each.message), hint=hint)


def _problem(each: Problem) -> Problem:
    message = told_of(each.message, names=False) if each.kind in QUOTING else prose(each.message)
    return msgspec.structs.replace(each, message=message)


def _noted(each: Any, **fields: Callable[[Any], Any]) -> Any:
    """The struct with these texts, where it has them, told by these functions."""
    values = {name: getattr(each, name) for name in fields}
    return msgspec.structs.replace(
        each, **{name: tell(values[name]) for name, tell in fields.items() if values[name] is not None}
    )


def _lines(texts: Iterable[str], tell: Callable[[str], str]) -> tuple[str, ...]:
    return tuple(map(tell, texts))


TOLD: Final[dict[type, Callable[[Any], Any]]] = {
    Statement: _statement,
    Failure: _failure,
    Difference: _difference,
    SuiteResult: _suite,
    Cell: lambda each: _noted(each, flaky=lambda names: _lines(names, _test), note=prose),
    CellFailure: lambda each: _noted(each, test=_test, message=_test_message),
    Drift: _drift,
    Lint: _lint,
    Problem: _problem,
    Violation: lambda each: msgspec.structs.replace(each, keys=(), columns=_lines(each.columns, without_literals)),
    Visit: lambda each: msgspec.structs.replace(each, schema_changes=_lines(each.schema_changes, schema_line)),
    Walk: lambda each: _noted(each, note=prose),
    Models: lambda each: _noted(each, note=told_of),
    ColumnChange: lambda each: _noted(each, note=schema_line),
    Filled: lambda each: _noted(each, why=told_of),
    Read: lambda each: _noted(each, why=told_of),
    Report: lambda each: msgspec.structs.replace(
        each,
        notes=_lines(each.notes, prose),
        load_changes=_lines(each.load_changes, schema_line),
        tests_note=each.tests_note and prose(each.tests_note),
    ),
}
"""How each kind of thing in a report loses its values; what is in it was told before."""


def _struct(value: Any) -> Any:
    """The value with everything in it told without values."""
    if isinstance(value, tuple):
        return tuple(map(_struct, value))
    if isinstance(value, msgspec.Struct) and not isinstance(value, Finding):
        changed = {name: _struct(each) for name in value.__struct_fields__ if _deep(each := getattr(value, name))}
        value = msgspec.structs.replace(value, **changed) if changed else value
    tell = TOLD.get(type(value))
    return tell(value) if tell is not None else value


def _deep(value: Any) -> bool:
    return isinstance(value, msgspec.Struct) or (isinstance(value, tuple) and bool(value))


# -- findings


def _findings(report: Report, told: Report) -> tuple[Finding, ...]:
    again = _judged_twice(report, told)
    return tuple(_retold(each, again.get(_texts(each))) for each in report.findings)


Texts = tuple[object, ...]


def _texts(each: Finding) -> Texts:
    return each.check, each.revision, each.file, each.line, each.message, each.details, each.hint, each.fix


def _judged_twice(report: Record, told: Record) -> dict[Texts, Finding]:
    """The finding without values for each that the record gives with them."""
    found: dict[Texts, Finding] = {}
    for check in checks.every():
        try:
            old, new = list(check.run(report)), list(check.run(told))
        except Exception:  # noqa: BLE001, S112 -- a report that somebody made up: its findings lose their texts
            continue
        if len(old) == len(new):
            found |= {_texts(one): other for one, other in zip(old, new, strict=True)}
    return found


def _retold(finding: Finding, again: Finding | None) -> Finding:
    if finding.check == "stale-acceptance":  # of what stands in the project's files
        return finding
    if again is None:
        message, hint = (
            None if each is None else _DIGITS.sub(CUT, prose(each)) for each in (finding.message, finding.hint)
        )
        return msgspec.structs.replace(finding, message=message, hint=hint, details=(), fix=None)
    return msgspec.structs.replace(
        finding, message=again.message, details=again.details, hint=again.hint, fix=again.fix
    )
