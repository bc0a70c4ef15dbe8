"""The same upgrade on two branches in other surroundings, as real runs and on real branches."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from neontest.branches import Branches
from neontest.config import settle
from neontest.ground import Context, ground
from neontest.lanes import Lanes
from neontest.migrate import history as histories
from neontest.postgres.data import ColumnChange, DataChange, TableChange
from neontest.redact import Redactor
from neontest.relay import Relay
from neontest.rows import Plan
from neontest.sessions import Sessions
from neontest.stop import Deadline, Stop
from neontest.trial import Trial
from neontest.twins import Rows, locales, other_locale, surroundings, twins
from tests.conftest import Run
from tests.migrate.conftest import Files

Reading = tuple[tuple[object, ...], ...]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    root = tmp_path / "project"
    root.mkdir()
    return Files(root).alembic()


def test_another_language_is_taken_where_there_is_one() -> None:
    assert other_locale(["C", "en_US.utf8", "POSIX", "de_DE.UTF-8", "sv_SE.utf8"]) == "de_DE.UTF-8"
    assert other_locale(["en_US.utf8", "pt_BR.utf8", "ja_JP.eucjp"]) == "pt_BR.utf8"
    assert other_locale(["C", "C.utf8", "POSIX", "en_GB.utf8"]) == "C"


def test_only_locales_that_this_machine_has_are_asked_for() -> None:
    assert other_locale(locales()) in {*locales(), "C"}


def test_both_have_another_zone_and_seed_and_only_the_second_another_language() -> None:
    first, second = surroundings(["tr_TR.utf8"])
    assert set(first.environ) == {"TZ", "PYTHONHASHSEED"}
    assert all(first.environ[name] != second.environ[name] for name in first.environ)
    assert (second.environ["LC_ALL"], second.environ["LANG"]) == ("tr_TR.utf8", "tr_TR.utf8")
    assert first.zone != second.zone


SAID = """
import time
zone = op.get_bind().execute(sa.text("SELECT current_setting('TimeZone')")).scalar()
op.execute("CREATE TABLE t (id int PRIMARY KEY)")
said = {"local": time.strftime("%z"), "server": zone, "seed": hash("neontest"), "LC_ALL": os.environ.get("LC_ALL")}
for name, value in said.items():
    op.execute(f"CREATE VIEW \\"{name}\\" AS SELECT '{value}'::text AS it")
""".strip()


def test_each_of_the_surroundings_reaches_the_migration(neontest: Run, files: Files) -> None:
    files.revision("r1", SAID, "op.execute('DROP VIEW local, server, seed, \"LC_ALL\"; DROP TABLE t')")
    ran = neontest("run", "--local", "--no-tests", "--deterministic", "--mode", "whole", cwd=files.root)
    assert (ran.code, ran.checks) == (1, ["not-deterministic"]), ran.out + ran.err
    twin = ran.report.twin
    assert twin is not None
    # Nothing else differs: the setting of the role by which it was done is gone.
    assert {each.line().partition(":")[0] for each in twin.different} == {
        f"view {name}" for name in ('"LC_ALL"', "local", "seed", "server")
    }
    assert all(branch.deleted and branch.proved for branch in ran.report.branches)
    assert len(ran.report.branches) == 3


def test_an_upgrade_that_fails_in_another_zone_is_told(neontest: Run, files: Files) -> None:
    files.revision("r1", "assert 'TZ' not in os.environ or os.environ['TZ'] == 'Etc/GMT+12', 'too far east'")
    ran = neontest("run", "--local", "--no-tests", "--deterministic", "--mode", "whole", cwd=files.root)
    assert (ran.code, ran.checks) == (1, ["not-deterministic"]), ran.out + ran.err
    twin = ran.report.twin
    assert twin is not None
    assert twin.failure is not None
    assert (twin.failure.message, twin.failure.revision) == ("too far east", "r1")
    assert "TZ=Pacific/Kiritimati" in (twin.failure.hint or "")


MOMENT = """
op.execute("CREATE TABLE t (id serial PRIMARY KEY, day text)")
op.get_bind().execute(sa.text("INSERT INTO t VALUES (1, current_date::text)"))
""".strip()


@pytest.mark.parametrize(
    ("args", "checks", "notes"),
    [
        pytest.param(("--data-timeout", "60s"), ["not-deterministic"], [], marks=pytest.mark.thorough),
        (("--data", "off"), [], ["deterministic: no rows were compared, since none are read with --data off"]),
        (
            ("--data-timeout", "0.001s"),
            [],
            ["deterministic: rows not compared: sequences, t; the time for reading rows was over"],
        ),
    ],
)
def test_rows_that_were_not_compared_are_named(
    neontest: Run, files: Files, args: tuple[str, ...], checks: list[str], notes: list[str]
) -> None:
    files.revision("r1", MOMENT, "op.drop_table('t')")
    ran = neontest("run", "--local", "--no-tests", "--deterministic", "--mode", "whole", *args, cwd=files.root)
    assert ran.checks == checks, ran.out + ran.err
    assert [note for note in ran.report.notes if note.startswith("deterministic")] == notes
    assert ("public.t" in {each.table for each in ran.report.read}) is (args[0] != "--data")


# -- rows ------------------------------------------------------------------------------------------------------------


class Silent:
    def say(self, text: str) -> None: ...

    def show(self, text: str) -> None: ...

    def detail(self, text: str) -> None: ...


@pytest.fixture
def branches(files: Files, local_state: Path) -> Iterator[Branches]:
    """Real branches of an empty parent, with the project at its one revision, of which the candidate is taken."""
    files.revision(
        "r1",
        "import datetime\n"
        "op.execute('CREATE TABLE t (id int PRIMARY KEY, day date, made timestamptz DEFAULT now(), same int)')\n"
        "op.execute(f\"INSERT INTO t (id, day, same) VALUES (1, '{datetime.date.today()}', 7)\")",
        "op.drop_table('t')",
    )
    stop, redactor = Stop(), Redactor()
    settings = settle(
        {"engine": "local", "state": local_state, "ledger": local_state.parent / "ledger"}, {}, {}, files.root
    )
    context = Context(
        settings=settings, environ=dict(os.environ), project=files.project(), stop=stop,
        deadline=Deadline(120, what="the test"), talk=Silent(), relay=Relay(stop, print),
    )  # fmt: skip
    plan = Plan(rows=0, seed=0, how="touched", seconds=60.0, deadline=context.deadline)
    sessions = Sessions(context, redactor)
    try:
        with ground(context) as where:
            alone = Lanes(1, stop=stop, deadline=context.deadline)
            held = Branches(context, where, sessions, plan, lambda **_: None, redactor, alone)
            try:
                held.trial("candidate", histories.read(context.project))
                yield held
            finally:
                sessions.close(stopped=False)
                assert held.close() is None
    finally:
        sessions.close(stopped=True)


def read(trial: Trial) -> Reading:
    with trial.connection.cursor() as cursor:
        cursor.execute("SELECT day, made, same FROM public.t")
        return tuple(cursor.fetchall())


def compare(one: Reading, other: Reading) -> DataChange:
    changed = [
        ColumnChange(column=name, before=1, after=1, changed=1)
        for name, first, second in zip(("day", "made", "same"), one[0], other[0], strict=True)
        if first != second
    ]
    return DataChange(tables=(TableChange(table="public.t", before=1, after=1, columns=tuple(changed)),))


def test_rows_are_compared_and_a_columns_own_default_is_noted(branches: Branches) -> None:
    twin = twins(branches.fresh, "head", talk=Silent(), done=branches.give_back, rows=Rows(read=read, compare=compare))
    assert (twin.different, twin.failure) == ((), None)
    (table,) = twin.data.tables
    assert {column.column: column.note for column in table.columns} == {"day": None, "made": "its default is now()"}
