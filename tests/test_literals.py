"""Reports without values: whatever of a report can hold one, and what stays."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any

import msgspec
import pytest

from neontest import checks
from neontest.literals import LEFT_OUT, TOLD, for_oneself, for_others, without_literal_values
from neontest.postgres.data import Violation
from neontest.postgres.diff import Difference
from neontest.record import Drift, Failure, History, Lint, Models, Refused, Visit, Walk
from neontest.renderers import formats, rendered
from neontest.report import Finding, Level, Problem, Report, to_json
from tests.renderers import reports
from tests.renderers.reports import REPORTS

SECRETS = ("s3cret", "8675309")
SQL = "UPDATE account SET plan = 's3cret', n = 8675309 WHERE note = $$s3cret$$ -- s3cret"
STAY = {
    # What the project's own files and settings say, as they say it.
    *("Acceptance.check", "Acceptance.reason", "Acceptance.revision", "Acceptance.file", "Fault.kind", "Fault.message"),
    *("Fault.revision", "Fault.file", "Revision.id", "Revision.down", "Revision.depends_on", "Revision.labels"),
    *("Revision.message", "Revision.file", "History.heads", "History.start", "History.pending", "History.on_base"),
    *("History.edited", "History.merged_heads", "SuiteResult.command", "Report.heads_allowed"),
    # Names, kinds and places.
    *("Lock.relation", "Lock.kind", "Lock.mode", "Lock.seen", "Lock.part_of", "Statement.file", "Statement.revision"),
    *("Statement.rewrote", "Statement.scanned", "Statement.changed", "Size.relation", "Failure.kind", "Failure.file"),
    *("Failure.revision", "Failure.sqlstate", "Visit.direction", "Visit.from_", "Visit.to", "Visit.invalid_indexes"),
    *("Walk.kind", "Walk.revision", "Walk.branch", "Refused.revision", "Lint.rule", "Lint.level", "Lint.revision"),
    *("Lint.file", "Interruption.revision", "ColumnChange.column", "ColumnChange.became", "TableChange.table"),
    *("TableChange.became", "SequenceChange.sequence", "Read.table", "Read.how", "Filled.table", "Filled.columns"),
    *("Violation.kind", "Violation.table", "Difference.kind", "Difference.on", "Difference.name"),
    *(
        "Difference.change",
        "UnindexedKey.name",
        "UnindexedKey.table",
        "UnindexedKey.columns",
        "UnindexedKey.references",
    ),
    *("DataSeen.kind", "DataSeen.lsn", "DataSeen.time", "DataSeen.rules", "DataSeen.revisions", "DataSeen.prepared"),
    "DataSeen.seeded",
    *("Cell.name", "Cell.branch", "CellFailure.beside", "CellFailure.revision"),
    *(
        "BranchUse.id",
        "BranchUse.name",
        "BranchUse.role",
        "Report.engine",
        "Report.engine_why",
        "Report.project",
        "Report.skipped",
        "Report.project_id",
    ),
    *(
        "Report.server_version",
        "Report.parent",
        "Report.parent_name",
        "Report.verdict",
        "Report.version",
        "Finding.check",
    ),
    *("Finding.revision", "Finding.file", "Finding.accepted", "Problem.kind", "Problem.hint", "Report.seconds"),
}
"""Every text of a report that is told as it is."""
PROSE = {"Walk.note", "Cell.note", "Report.notes", "Report.tests_note", "Failure.hint", "Lint.message", "Lint.hint"}
"""Sentences of neontest's own and of its linter; what they quote stands in quotes."""
JUDGED = {"Finding.message", "Finding.details", "Finding.hint", "Finding.fix"}
"""What is made anew from the record without values."""


def texts(kind: Any) -> bool:
    """Whether the type has texts in it that are no structs' own."""
    if kind is str:
        return True
    return any(map(texts, typing.get_args(kind))) or (typing.get_origin(kind) is typing.Literal)


def kinds(kind: Any, seen: dict[str, Any]) -> dict[str, Any]:
    """All structs and dataclasses that a type is made of, by name."""
    known = isinstance(kind, type) and (issubclass(kind, msgspec.Struct) or dataclasses.is_dataclass(kind))
    if known and kind.__name__ not in seen:
        seen[kind.__name__] = kind
        for each in typing.get_type_hints(kind).values():
            kinds(each, seen)
    for each in typing.get_args(kind):
        if not isinstance(each, str):
            kinds(each, seen)
    return seen


ALL = kinds(Report, {})
FIELDS = [(name, field, hint) for name, kind in ALL.items() for field, hint in typing.get_type_hints(kind).items()]


def test_every_text_of_a_report_is_either_told_without_values_or_known_to_have_none() -> None:
    changed = {f"{name}.{field}" for name, field, hint in FIELDS if texts(hint)} - STAY - JUDGED
    told = {each.__name__ for each in TOLD}
    assert {each for each in changed if each.split(".")[0] not in told} == set()
    assert {each for each in STAY | JUDGED if each not in {f"{name}.{field}" for name, field, _ in FIELDS}} == set()


@pytest.mark.parametrize("kind", TOLD, ids=lambda kind: kind.__name__)
def test_what_is_told_without_values_has_none(kind: type) -> None:
    given: dict[str, Any] = {}
    for field, hint in typing.get_type_hints(kind).items():
        name = f"{kind.__name__}.{field}"
        if name in STAY or not texts(hint):
            continue
        line = "is 's3cret' of $x$8675309$x$" if name in PROSE else f"x: column c: default 's3cret' → 's3cret', {SQL}"
        several = tuple in map(typing.get_origin, (hint, *typing.get_args(hint)))
        given[field] = (("default", SQL, SQL),) if field == "facts" else (line,) if several else line
    required = {
        "Failure": {"kind": "ValueError"},
        "Difference": {"kind": "column", "on": "t", "name": "c", "change": "changed"},
        "SuiteResult": {"command": ("x",), "exit_code": 1, "seconds": 1.0}, "Lint": {"rule": "r"},
        "Problem": {"kind": "DatabaseError"}, "Violation": {"kind": "unique", "table": "t"},
        "Visit": {"direction": "upgrade", "from_": None, "to": None}, "Walk": {"kind": "whole"},
        "Models": {}, "ColumnChange": {"column": "c"}, "Filled": {"table": "t"}, "Read": {"table": "t"},
        "Cell": {"name": "old-old"}, "CellFailure": {"test": "x"},
        "Report": {"engine": "neon", "verdict": "passed", "exit_code": 0},
    }  # fmt: skip
    for name, value in (
        ("failures", ("test_x[s3cret-8675309]",)),
        ("flaky", ("test_x[s3cret]",)),
        ("test", "test_x[s3cret]"),
    ):
        if name in given:
            given[name] = value
    assert given
    told = repr(TOLD[kind](kind(**{**required.get(kind.__name__, {}), **given})))
    assert not [each for each in SECRETS if each in told], told


def full_of_values() -> Report:
    """A failed run with values wherever a run can put them, and the findings that it comes to."""
    failure = Failure(
        kind="RaiseException", sqlstate="P0001", sql=SQL, revision="ab12", message="no plan for s3cret, 8675309"
    )
    statements = (
        reports.statement(SQL, 40.0, reports.lock(held=40.0)),
        reports.statement(
            "ALTER TABLE account ADD CHECK (plan <> 's3cret' AND n > 8675309)", 3, reports.lock(held=9.1)
        ),
        reports.statement("CREATE INDEX ix ON account (n) WHERE n > 8675309", 3, reports.lock(held=9.1)),
    )
    up = Visit(
        direction="upgrade", from_="9f00", to="ab12", statements=statements, error=failure,
        schema_changes=("column account.plan: default 's3cret'::text → 8675309",),
    )  # fmt: skip
    fine = msgspec.structs.replace(up, error=None)
    left = Difference(
        kind="index", on="public.account", name="ix", change="removed",
        facts=(("definition", "CREATE INDEX ix ON account (n) WHERE n > 8675309 OR plan = 's3cret'", None),),
    )  # fmt: skip
    changed = Difference(
        kind="column", on="public.account", name="plan", change="changed",
        facts=(("default", "'s3cret'::text", "8675309"), ("comment", "s3cret", None)),
    )  # fmt: skip
    broken = Walk(kind="stairway", revision="ab12", visits=(up,))
    rest = Walk(
        kind="whole", visits=(fine, reports.phones()[1], fine), not_restored=(left, changed), not_repeated=(changed,)
    )
    violation = Violation(
        kind="unique", table="public.account", columns=("plan",), count=2, rows=9, keys=("mail=s3cret",)
    )
    record = reports.report(
        verdict="failed", exit_code=1, walks=(rest, broken),
        history=History(heads=("ab12",), start="9f00", pending=("ab12",), revisions=(reports.FIRST,)),
        refused=(Refused(revision="ab12", failure=failure, invented=False, violations=(violation,)),
                 Refused(revision="ab12", failure=failure, invented=True, violations=(violation,))),
        lint=(Lint(rule="x", message="m 's3cret'", sql=SQL),),
        models=Models(drift=(Drift(what="default of a.b: 's3cret' → 8675309", line="server_default='s3cret'"),)),
        tests=reports.tests(exit_code=1, failed=1, failures=("t.py::test_x[s3cret]",), output_tail="8675309 s3cret"),
        notes=("loading the project changed the schema: column a.b: default 's3cret' → 8675309",),
        load_changes=("setting app.key of role x: s3cret → 8675309",),
        problems=(Problem(kind="DatabaseError", message="rows cannot be read: invalid value s3cret 8675309"),),
    )  # fmt: skip
    return msgspec.structs.replace(record, findings=checks.judge(record))


@pytest.mark.parametrize("form", formats())
def test_no_form_of_a_report_without_literals_has_any(form: str) -> None:
    report = full_of_values()
    assert {"upgrade-fails", "fails-with-rows", "schema-restored", "blocking-lock", "model-drift", "squawk"} <= {
        each.check for each in report.findings
    }
    assert any(each in rendered(report, form) for each in SECRETS)
    told = rendered(without_literal_values(report), form)
    assert not [line for line in told.splitlines() if any(each in line for each in SECRETS)]


def test_the_findings_are_the_same_ones_in_the_same_words() -> None:
    report = full_of_values()
    told = without_literal_values(report)
    assert [(each.check, each.level, each.revision, each.gates) for each in report.findings] == [
        (each.check, each.level, each.revision, each.gates) for each in told.findings
    ]
    (lock,) = [each for each in told.findings if each.check == "blocking-lock"]
    assert "UPDATE account SET plan = '', n = '' WHERE note = ''" in lock.message
    assert "held ACCESS EXCLUSIVE on user (about 51,000 rows) for 40 s (limit 1 s)" in lock.message
    (restored,) = [each for each in told.findings if each.check == "schema-restored"]
    assert "column account.plan: default '…'::text → '…', comment '…' → none" in restored.details
    assert restored.fix == "op.execute(\"CREATE INDEX ix ON account (n) WHERE n > '…' OR plan = '…'\")"
    assert told.tests is not None
    assert told.tests.output_tail == LEFT_OUT


@pytest.mark.parametrize("name", reports.small())
def test_a_report_of_somebody_elses_making_is_told_without_values_too(name: str) -> None:
    """None of its findings comes from its record: of each only the sentence is left, without numbers."""
    forged = Finding(
        check="blocking-lock", level=Level.ERROR, message="'s3cret' 8675309", details=("s3cret",), fix="s3cret"
    )
    report = REPORTS[name]()
    told = without_literal_values(msgspec.structs.replace(report, findings=(*report.findings, forged)))
    assert told.findings[-1] == msgspec.structs.replace(forged, message="'…' …", details=(), fix=None)
    assert "s3cret" not in to_json(told)


def test_who_is_told_without_values_is_a_setting() -> None:
    report = full_of_values()
    bare = without_literal_values(report)
    assert (for_others(report, None), for_oneself(report, None)) == (bare, report)
    assert (for_others(report, "none"), for_oneself(report, "none")) == (report, report)
    assert (for_others(report, "literals"), for_oneself(report, "literals")) == (bare, bare)


def test_a_report_without_values_loses_nothing_more() -> None:
    bare = without_literal_values(full_of_values())
    assert without_literal_values(bare) == bare
