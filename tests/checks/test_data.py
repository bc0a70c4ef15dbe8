"""The checks over rows judge hand-made records."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from neontest import checks
from neontest.lost import lines
from neontest.postgres.data import ColumnChange, DataChange, Filled, SequenceChange, TableChange
from neontest.record import Failure, Walk
from neontest.report import Finding, Level
from tests.checks.test_checks import BOOM, record, stairs, visits, whole

PHONES = TableChange(
    table="public.users", before=51_000, after=51_000,
    columns=(ColumnChange(column="phone", before=51_000, after=2_888, changed=48_112),),
)  # fmt: skip
DELETED = TableChange(table="public.users", before=20, after=17, lost=3)
NAMES = TableChange(
    table="public.users", before=20, after=20,
    columns=(ColumnChange(column="name", became="label", before=20, after=20, changed=7),),
)  # fmt: skip
ADDED = TableChange(table="public.users", before=20, after=25, added=5)


def only(*walks: Walk, check: str) -> Finding:
    (finding,) = checks.judge(record(*walks))
    assert finding.check == check
    return finding


def test_values_that_did_not_come_back_are_an_error_with_their_number() -> None:
    finding = only(stairs(data_lost=DataChange(tables=(PHONES,))), check="data-loss")
    assert finding.level is Level.ERROR
    assert finding.details == ("48,112 of 51,000 non-null values of users.phone did not come back",)
    assert finding.message == "after the downgrade of revision r1, 48,112 values are gone in users"
    assert (finding.revision, finding.file, finding.line) == ("r1", "versions/r1.py", 11)


def test_what_the_whole_walk_saw_too_is_told_once_and_by_the_revision() -> None:
    lost = DataChange(tables=(PHONES,))
    assert only(whole(data_lost=lost), stairs(data_lost=lost), check="data-loss").revision == "r1"


def test_a_downgrade_that_fails_is_not_also_a_loss_of_data() -> None:
    walk = stairs(visits=visits(down=BOOM), data_lost=DataChange(tables=(PHONES,)))
    assert [each.check for each in checks.judge(record(walk))] == ["downgrade-fails"]


def test_rows_that_were_only_added_are_no_loss() -> None:
    change = DataChange(tables=(ADDED,))
    assert checks.judge(record(stairs(data_lost=change, data_changed=change))) == ()


def test_rows_that_were_not_read_are_not_judged() -> None:
    assert checks.judge(record(stairs(data_lost=None, data_changed=None))) == ()


def test_rows_that_an_upgrade_deletes_are_a_warning_with_their_number() -> None:
    finding = only(stairs(data_changed=DataChange(tables=(DELETED,))), check="upgrade-loses-rows")
    assert finding.level is Level.WARNING
    assert finding.details == ("3 of 20 rows of users are gone",)
    assert finding.message == "after the upgrade of revision r1, 3 rows are gone in users"


def test_values_that_an_upgrade_changes_are_told_for_information() -> None:
    finding = only(stairs(data_changed=DataChange(tables=(NAMES,))), check="upgrade-loses-rows")
    assert finding.level is Level.INFO
    assert finding.details == ("7 values of users.name (now label) are not what they were",)


def test_what_an_upgrade_drops_is_left_to_what_does_not_come_back() -> None:
    gone = DataChange(
        tables=(
            TableChange(table="public.old", before=4, after=None),
            TableChange(
                table="public.users", before=4, after=4, columns=(ColumnChange(column="phone", before=4, after=None),)
            ),
        ),
        sequences=(SequenceChange(sequence="public.users_id_seq", before=4, after=1),),
    )
    assert checks.judge(record(stairs(data_changed=gone))) == ()


def test_invented_rows_are_said_to_be_invented() -> None:
    assert "invented" in only(stairs(data_lost=DataChange(tables=(PHONES,)), with_rows=True), check="data-loss").message
    assert "invented" not in only(stairs(data_lost=DataChange(tables=(PHONES,))), check="data-loss").message


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (TableChange(table="audit.log", before=9, after=None), "table audit.log did not come back, with its 9 rows"),
        (TableChange(table="public.a", before=9, after=9, rekeyed=True), "the keys of a changed: its 9 rows"),
        (TableChange(table="public.a", before=9_000, after=8_000, lost=1_000, exact=False), "at least 1,000 of 9,000"),
        (TableChange(table="public.a", before=640, after=639, lost=1, one_in=64), "the one row in 64 that was read"),
    ],
)
def test_a_line_says_what_was_lost_and_how_well_it_is_known(change: TableChange, line: str) -> None:
    (said,) = lines(DataChange(tables=(change,)), came_back=True)
    assert line in said


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (SequenceChange(sequence="public.s", before=51, after=1), "sequence s is back at 1 from 51"),
        (SequenceChange(sequence="public.s", before=51, after=None), "sequence s is back at its start from 51"),
        (SequenceChange(sequence="public.s", before=51, gone=True), "sequence s did not come back"),
        (SequenceChange(sequence="public.s", before=51, after=71), None),
        (SequenceChange(sequence="public.s", before=None, after=20), None),
    ],
)
def test_a_sequence_that_goes_back_is_a_loss_and_one_that_goes_on_is_none(
    change: SequenceChange, told: str | None
) -> None:
    said = lines(DataChange(sequences=(change,)), came_back=True)
    assert (told is None and said == ()) or (told is not None and told in said[0])


def test_large_objects_that_are_gone_are_counted() -> None:
    said = lines(DataChange(large_objects=(5, 3)), came_back=True)
    assert said == ("2 of 5 large objects did not come back",)


WIDE = Failure(
    message="value too long", kind="StringDataRightTruncation", revision="r1", sqlstate="22001",
    sql="ALTER TABLE notes ALTER COLUMN text TYPE VARCHAR(20)",
)  # fmt: skip


def test_a_whole_downgrade_that_only_invented_rows_refuse_is_a_warning() -> None:
    filled = (Filled(table="public.notes", rows=20),)
    (finding,) = checks.judge(record(whole(visits=visits(down=WIDE), with_rows=True), filled=filled))
    assert (finding.check, finding.level) == ("downgrade-fails", Level.WARNING)
    assert any("neontest invented" in each for each in finding.details)


@pytest.mark.parametrize(
    ("walk", "filled"),
    [
        pytest.param(whole(visits=visits(down=WIDE), with_rows=False), "public.notes", id="no invented rows"),
        pytest.param(whole(visits=visits(down=WIDE), with_rows=True), "public.others", id="in another table"),
        pytest.param(stairs(visits=visits(down=WIDE), with_rows=True), "public.notes", id="rows of the old schema"),
        pytest.param(
            whole(
                visits=visits(
                    down=msgspec.structs.replace(
                        WIDE, sqlstate="23502", sql="ALTER TABLE notes ADD COLUMN text TEXT NOT NULL"
                    )
                ),
                with_rows=True,
            ),
            "public.notes",
            id="a column that no row can have",
        ),
        pytest.param(
            whole(visits=visits(down=msgspec.structs.replace(WIDE, sqlstate="42P01")), with_rows=True),
            "public.notes",
            id="not for their sake",
        ),
    ],
)
def test_a_downgrade_that_fails_otherwise_stays_an_error(walk: Walk, filled: str) -> None:
    (finding,) = checks.judge(record(walk, filled=(Filled(table=filled, rows=20),)))
    assert (finding.check, finding.level) == ("downgrade-fails", Level.ERROR)


def losing(rows: int, **facts: Any) -> DataChange:
    return DataChange(tables=(TableChange(table="public.users", before=20, after=20 - rows, lost=rows, **facts),))


@pytest.mark.parametrize(("field", "check"), [("data_lost", "data-loss"), ("data_changed", "upgrade-loses-rows")])
def test_the_sum_of_what_each_revision_loses_is_not_told_as_a_loss_of_all(field: str, check: str) -> None:
    first, second, both = losing(2), losing(3), losing(5)
    found = checks.judge(
        record(
            whole(**{field: both}),
            stairs(**{field: first}),
            stairs(revision="r2", **{field: second}),
            revisions=2,
        )
    )
    assert [(each.check, each.revision) for each in found] == [(check, "r1"), (check, "r2")]


def test_what_only_the_whole_walk_loses_is_told_without_what_the_revisions_do() -> None:
    name = ColumnChange(column="name", before=15, after=15, changed=4)
    found = checks.judge(record(whole(data_lost=losing(5, columns=(name,))), stairs(data_lost=losing(2)), revisions=2))
    assert [each.details for each in found if each.revision is None] == [
        ("4 values of users.name are not what they were",)
    ]


def test_what_was_told_under_the_names_of_a_later_revision_is_not_told_again() -> None:
    def phone(table: str, column: str, **facts: Any) -> DataChange:
        columns = (ColumnChange(column=column, before=9, after=9, changed=9, **facts),)
        return DataChange(tables=(TableChange(table=table, before=9, after=9, columns=columns),))

    between = phone("public.users", "phone", became="tel")
    between = DataChange(tables=(msgspec.structs.replace(between.tables[0], became="public.people"),))
    seen, lost = phone("public.people", "tel"), phone("public.users", "phone")
    walks = (
        whole(data_changed=between, data_lost=lost),
        stairs(),
        stairs(revision="r2", data_lost=seen),
    )
    found = checks.judge(record(*walks, revisions=2))
    assert [each.revision for each in found if each.check == "data-loss"] == ["r2"]


def test_a_column_whose_nulls_were_filled_has_lost_nothing() -> None:
    slug = ColumnChange(column="slug", before=16, after=20, filled=4)
    change = DataChange(tables=(TableChange(table="public.teams", before=20, after=20, columns=(slug,)),))
    assert checks.judge(record(stairs(data_lost=change, data_changed=change))) == ()


def test_a_column_that_a_trigger_renews_is_lost_only_where_it_is_emptied() -> None:
    at = ColumnChange(column="updated_at", before=20, after=20, changed=20, stamped=True)
    table = TableChange(table="public.users", before=20, after=20, columns=(at,))
    assert checks.judge(record(stairs(data_lost=DataChange(tables=(table,))))) == ()
    emptied = msgspec.structs.replace(table, columns=(msgspec.structs.replace(at, after=5, changed=15),))
    finding = only(stairs(data_lost=DataChange(tables=(emptied,))), check="data-loss")
    assert finding.details == ("15 of 20 non-null values of users.updated_at did not come back",)
