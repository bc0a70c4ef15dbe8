"""`interrupted` and `not-deterministic` judge hand-made records; tests/cases has the real projects."""

from __future__ import annotations

from neontest import checks
from neontest.postgres.data import ColumnChange, DataChange, SequenceChange, TableChange
from neontest.postgres.diff import Difference
from neontest.record import Acceptance, Failure, Interruption, Record, Statement, Twin
from neontest.report import Finding, Level
from tests.checks.test_checks import ORDER, record, stairs

INDEX = Statement(sql="CREATE INDEX CONCURRENTLY ix ON users (name)", file="versions/r1.py", line=9, revision="r1")
VALUE = Statement(sql="ALTER TYPE mood\n  ADD VALUE 'sad'", revision="r1")
TAKEN = Failure(message='relation "ix" already exists', kind="DuplicateTable", revision="r1", sql=INDEX.sql)
INVALID = Difference(kind="index", on="public.users", name="ix", change="changed", facts=(("invalid", None, "yes"),))
NAMED = Difference(kind="index", on="public.users", name="ix_2026_11_22", change="added")


def cut(statement: Statement = INDEX, **facts: object) -> Interruption:
    return Interruption(**{"revision": "r1", "statement": statement, "interrupted": True, **facts})  # type: ignore[arg-type]


def judged(given: Record) -> list[Finding]:
    return [each for each in checks.judge(given) if each.check in ("interrupted", "not-deterministic")]


def test_an_upgrade_that_could_be_run_again_is_no_finding() -> None:
    assert judged(record(interruptions=(cut(), cut(VALUE)))) == []


def test_a_statement_that_was_not_interrupted_is_left_alone() -> None:
    assert judged(record(interruptions=(cut(interrupted=False, again=TAKEN),))) == []


def test_only_what_was_interrupted_was_looked_at() -> None:
    """Else an acceptance of it would be told to match nothing."""
    accepted = Acceptance(check="interrupted", reason="it is run by hand", revision="r1")
    for took_place in (True, False):
        found = checks.judge(record(stairs(), interruptions=(cut(interrupted=took_place),), acceptances=(accepted,)))
        assert [each.check for each in found] == ["stale-acceptance"] * took_place


def test_a_second_upgrade_that_fails_is_an_error_at_the_statement() -> None:
    (finding,) = judged(record(interruptions=(cut(again=TAKEN),)))
    assert (finding.level, finding.revision, finding.file, finding.line) == (Level.ERROR, "r1", "versions/r1.py", 9)
    assert finding.details == (TAKEN.message, f"in: {INDEX.sql}", f"cut off in: {INDEX.sql}")
    assert "DROP INDEX CONCURRENTLY IF EXISTS" in (finding.hint or "")


def test_an_invalid_index_has_a_hint_that_if_not_exists_is_not_enough() -> None:
    (finding,) = judged(record(interruptions=(cut(VALUE, different=(INVALID,)),)))
    assert finding.details[0] == "index ix on users: now invalid"
    assert "IF NOT EXISTS is not enough" in (finding.hint or "")


def test_what_is_no_index_has_another_cure() -> None:
    failure = Failure(message="exists", kind="DuplicateObject", revision="r1", sql=VALUE.sql)
    (finding,) = judged(record(interruptions=(cut(VALUE, again=failure),)))
    assert (finding.file, finding.line) == ("versions/r1.py", 7)  # the upgrade's, as the statement names none
    assert finding.details[-1] == "cut off in: ALTER TYPE mood ADD VALUE 'sad'"
    assert "INDEX" not in (finding.hint or "")


def test_the_same_fault_at_several_moments_is_one_finding() -> None:
    (finding,) = judged(record(interruptions=(cut(again=TAKEN), cut(VALUE, again=TAKEN), cut(again=TAKEN))))
    assert finding.details[-1] == "the same at 2 more moments of it"


def test_each_revision_has_its_own() -> None:
    given = record(interruptions=(cut(again=TAKEN), cut(revision="r2", again=TAKEN)), revisions=2)
    assert [each.revision for each in judged(given)] == ["r1", "r2"]


# -- not-deterministic -----------------------------------------------------------------------------------------------


def values(column: str = "made", **facts: object) -> DataChange:
    change = ColumnChange(**{"column": column, "before": 3, "after": 3, "changed": 3, **facts})  # type: ignore[arg-type]
    return DataChange(tables=(TableChange(table="public.users", before=5, after=5, columns=(change,)),))


def test_twins_that_are_alike_are_no_finding() -> None:
    assert judged(record(twin=Twin())) == []


def test_another_schema_is_an_error() -> None:
    (finding,) = judged(record(twin=Twin(different=(NAMED,))))
    assert (finding.level, finding.revision) == (Level.ERROR, "r1")
    assert finding.details == ("index ix_2026_11_22 on users: only on the second",)


def test_another_order_of_columns_is_told_and_no_more() -> None:
    (finding,) = judged(record(twin=Twin(different=(ORDER,))))
    assert finding.level is Level.INFO


def test_the_revision_is_the_one_that_names_the_table() -> None:
    (walk,) = (stairs(),)  # its upgrade changed the table users
    (finding,) = judged(record(walk, twin=Twin(different=(NAMED,)), revisions=2))
    assert finding.revision == "r1"
    (finding,) = judged(record(twin=Twin(different=(NAMED,)), revisions=2))
    assert finding.revision is None


def test_other_values_are_a_warning_that_names_the_column() -> None:
    (finding,) = judged(record(twin=Twin(data=values())))
    assert finding.level is Level.WARNING
    assert finding.details == ("column users.made: 3 of 5 values are others",)


def test_a_column_whose_default_says_so_is_left_alone() -> None:
    assert judged(record(twin=Twin(data=values(note="its default is now()")))) == []


def test_rows_and_sequences_that_differ_are_told_with_their_numbers() -> None:
    table = TableChange(table="public.users", before=5, after=4, lost=2, added=1)
    keyed = TableChange(table="app.log", before=5, after=5, rekeyed=True)
    sequence = SequenceChange(sequence="public.users_id_seq", before=4)
    (finding,) = judged(record(twin=Twin(data=DataChange(tables=(table, keyed), sequences=(sequence,)))))
    assert finding.details == (
        "rows of users: 2 only on the first, 1 only on the second",
        "rows of app.log: other keys",
        "sequence users_id_seq: at 4 on the first, at none on the second",
    )


def test_an_upgrade_that_fails_elsewhere_is_an_error() -> None:
    failure = Failure(message="boom", kind="ValueError", revision="r1", hint="it worked here")
    (finding,) = judged(record(twin=Twin(failure=failure)))
    assert (finding.level, finding.details, finding.hint) == (Level.ERROR, ("boom",), "it worked here")
    assert "revision r1 fails in other surroundings" in finding.message
