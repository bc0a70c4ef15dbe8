"""Upgrades that are cut off in the middle and run again: where, and what real runs make of it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg2
import pytest

from neontest.interrupting import MOST, points
from neontest.record import Interruption, Statement
from tests.conftest import Run, environment
from tests.migrate.conftest import ENV_PY, Files


@pytest.fixture
def files(tmp_path: Path) -> Files:
    root = tmp_path / "project"
    root.mkdir()
    return Files(root)


CONCURRENTLY = "CREATE INDEX CONCURRENTLY ix_t_id ON t (id)"


def statements(*shape: tuple[str, int, str]) -> list[Statement]:
    """Of (revision, transaction, SQL)."""
    return [Statement(sql=sql, revision=revision, transaction=number) for revision, number, sql in shape]


def moments(found: list[Statement]) -> list[tuple[int, bool]]:
    return [(point.at, point.after) for point in points(found)]


def test_an_upgrade_of_which_nothing_is_seen_is_not_interrupted() -> None:
    assert points([]) == ()


def test_one_transaction_is_interrupted_once() -> None:
    assert moments(statements(*((f"r{number}", 1, "SELECT") for number in range(30)))) == [(30, False)]


def test_a_savepoint_is_no_moment() -> None:
    found = statements(("r1", 1, "SAVEPOINT a"), ("r1", 1, "CREATE TABLE u ()"), ("r1", 1, "RELEASE SAVEPOINT a"))
    assert moments(found) == [(2, False)]


def test_of_many_transactions_that_nothing_was_committed_before_two_are_interrupted() -> None:
    assert len(moments(statements(*((f"r{number}", number + 1, "SELECT") for number in range(30))))) == 2


def test_a_statement_in_autocommit_is_interrupted_and_so_is_what_comes_next_to_it() -> None:
    found = statements(("r1", 1, "ALTER TABLE"), ("r2", 0, "ALTER TYPE"), ("r3", 2, "ALTER TABLE"))
    assert moments(found) == [(1, False), (2, False), (2, True)]


def test_between_two_statements_in_autocommit_one_moment_is_enough() -> None:
    assert moments(statements(("r1", 0, "a"), ("r1", 0, "b"))) == [(1, False), (2, False), (2, True)]


def test_a_commit_within_a_revision_is_a_moment() -> None:
    found = statements(("r1", 1, "INSERT"), ("r1", 2, "INSERT"), ("r1", 3, "INSERT"))
    assert [moment for moment in moments(found) if moment[1]] == [(1, True), (2, True)]


def test_never_more_than_ten_and_those_that_commit_on_their_way_first() -> None:
    shape = [("r", 0, "ALTER TYPE mood ADD VALUE 'x'")] * 40
    shape[7] = shape[33] = ("r", 0, CONCURRENTLY)
    found = moments(statements(*shape))
    assert len(found) == MOST
    assert {(8, False), (34, False), (40, True)} <= set(found)
    assert found == sorted(found)
    # The rest is spread over all.
    assert {(at - 1) // 10 for at, _ in found} == {0, 1, 2, 3}


# -- real runs -------------------------------------------------------------------------------------------------------

TABLE = "op.execute('CREATE TABLE t (id int)')"


def block(*lines: str) -> str:
    return "\n".join(["with op.get_context().autocommit_block():", *(f"    {line}" for line in lines)])


def index(*, more: str = "", name: str = "ix_t_id") -> str:
    return f"op.execute('CREATE INDEX CONCURRENTLY {more} {name} ON t (id)')"


def seen(neontest: Run, files: Files, *args: str) -> tuple[Interruption, ...]:
    ran = neontest("run", "--local", "--no-tests", "--interrupt", "--mode", "whole", *args, cwd=files.root)
    assert ran.code in (0, 1), ran.out + ran.err
    assert all(branch.deleted and branch.proved for branch in ran.report.branches), ran.out + ran.err
    return ran.report.interruptions


def at(found: tuple[Interruption, ...], begins: str) -> Interruption:
    (one,) = [each for each in found if " ".join(each.statement.sql.split()).startswith(begins)]
    return one


def test_an_index_is_cut_off_while_it_builds_and_its_name_is_taken_then(neontest: Run, files: Files) -> None:
    files.alembic().revision("r1", TABLE, "op.drop_table('t')")
    files.revision("r2", block(index()), "op.drop_index('ix_t_id')")
    found = seen(neontest, files)
    one = at(found, "CREATE INDEX CONCURRENTLY")
    assert (one.interrupted, one.revision, one.statement.file) == (True, "r2", "migrations/versions/r2.py")
    assert one.again is not None
    assert (one.again.sqlstate, one.again.revision) == ("42P07", "r2")


def test_an_invalid_index_that_is_taken_to_be_there_is_a_difference(neontest: Run, files: Files) -> None:
    files.alembic().revision("r1", TABLE, "op.drop_table('t')")
    files.revision("r2", block(index(more="IF NOT EXISTS")), "op.drop_index('ix_t_id')")
    one = at(seen(neontest, files), "CREATE INDEX CONCURRENTLY")
    assert one.again is None
    assert [each.line() for each in one.different] == ["index ix_t_id on t: now invalid, now not ready"]


def test_the_moment_before_the_version_table_knows_is_tried(neontest: Run, files: Files) -> None:
    files.alembic().revision("r1", "op.execute(\"CREATE TYPE mood AS ENUM ('ok')\")", "op.execute('DROP TYPE mood')")
    files.revision(
        "r2",
        block("op.execute(\"ALTER TYPE mood ADD VALUE 'sad'\")"),
        "op.execute('ALTER TYPE mood RENAME TO old'); op.execute(\"CREATE TYPE mood AS ENUM ('ok')\");"
        " op.execute('DROP TYPE old')",
    )
    found = seen(neontest, files)
    assert at(found, "ALTER TYPE").again is None  # cut off before it did anything
    stamp = at(found, "UPDATE alembic_version")
    assert stamp.interrupted
    assert stamp.revision in ("r2", None)
    assert stamp.again is not None
    assert "already exists" in stamp.again.message


def test_what_is_in_a_transaction_can_be_cut_off_and_run_again(neontest: Run, files: Files) -> None:
    files.alembic().table("r1", "a").table("r2", "b")
    found = seen(neontest, files)
    assert found
    assert all(each.interrupted and each.again is None and not each.different for each in found)


def test_another_way_to_walk_needs_an_upgrade_that_is_left_alone(neontest: Run, files: Files) -> None:
    files.alembic().revision("r1", TABLE, "op.drop_table('t')")
    files.revision("r2", block(index()), "op.drop_index('ix_t_id')")
    one = at(seen(neontest, files, "--mode", "stairway"), "CREATE INDEX CONCURRENTLY")
    assert one.again is not None


def test_an_upgrade_that_goes_on_without_the_statement_differs(neontest: Run, files: Files) -> None:
    swallowed = "try:\n    with op.get_bind().begin_nested():\n        op.execute('CREATE TABLE u (id int)')\n"
    swallowed += "except sa.exc.OperationalError:\n    pass"
    files.alembic().revision("r1", swallowed, "op.execute('DROP TABLE IF EXISTS u')")
    one = at(seen(neontest, files), "CREATE TABLE u")
    assert one.interrupted
    assert [each.line() for each in one.different] == ["table u: removed"]


def test_drops_and_reindexes_and_partitions_are_cut_off_in_their_middle(neontest: Run, files: Files) -> None:
    files.alembic().revision(
        "r1",
        "op.execute('CREATE TABLE t (id int)'); op.execute('CREATE INDEX ix_old ON t (id)');"
        " op.execute('CREATE INDEX ix_new ON t (id)');"
        " op.execute('CREATE TABLE p (id int) PARTITION BY RANGE (id)');"
        " op.execute('CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (1) TO (9)')",
        "op.execute('DROP TABLE t, p')",
    )
    files.revision(
        "r2", block("op.execute('DROP INDEX CONCURRENTLY ix_old')"), "op.execute('CREATE INDEX ix_old ON t (id)')"
    )
    files.revision("r3", block("op.execute('REINDEX INDEX CONCURRENTLY public.ix_new')"))
    files.revision(
        "r4",
        block("op.execute('ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY')"),
        "op.execute('ALTER TABLE p ATTACH PARTITION p1 FOR VALUES FROM (1) TO (9)')",
    )
    found = seen(neontest, files)
    drop, reindex, detach = (at(found, begins) for begins in ("DROP INDEX", "REINDEX", "ALTER TABLE p DETACH"))
    assert drop.interrupted
    assert (drop.again, drop.different) == (None, ())
    assert reindex.interrupted
    assert [each.line() for each in reindex.different] == ["index ix_new_ccnew on t: added"]
    assert detach.interrupted
    assert detach.again is not None
    assert "already pending detach" in detach.again.message


def test_an_index_that_is_there_already_is_left_alone(neontest: Run, files: Files) -> None:
    files.alembic().revision("r1", TABLE + "; op.execute('CREATE INDEX ix_t_id ON t (id)')", "op.drop_table('t')")
    files.revision("r2", block(index(more="IF NOT EXISTS")))
    ran = neontest("run", "--local", "--no-tests", "--interrupt", "--mode", "whole", cwd=files.root)
    found = ran.report.interruptions
    one = at(found, "CREATE INDEX CONCURRENTLY")
    assert (one.interrupted, one.again, one.different) == (False, None, ())
    missed = sum(not each.interrupted for each in found)
    assert any(f"interrupted: {missed} of {len(found)} moments were not reached" in note for note in ran.report.notes)


def test_moments_are_those_of_an_upgrade_without_invented_rows(neontest: Run, files: Files) -> None:
    """A statement a row: the numbers of all that follow are others."""
    files.alembic().revision("r1", "op.execute('CREATE TABLE t (id int PRIMARY KEY)')", "op.drop_table('t')")
    loop = "for row in op.get_bind().execute(sa.text('SELECT id FROM t')).fetchall():\n    op.execute('SELECT 1')\n"
    files.revision("r2", loop + block(index()), "op.drop_index('ix_t_id')")
    ran = neontest(
        "run", "--local", "--no-tests", "--interrupt", "--mode", "whole", "--from-revision", "r1", cwd=files.root
    )
    assert [each.rows for each in ran.report.filled] == [20]
    one = at(ran.report.interruptions, "CREATE INDEX CONCURRENTLY")
    assert one.interrupted
    assert one.again is not None
    assert all(each.interrupted for each in ran.report.interruptions)
    assert not any("were not reached" in note for note in ran.report.notes)


def test_the_projects_own_commands_are_not_interrupted_and_that_is_said(neontest: Run, files: Files) -> None:
    own = "config.set_main_option('sqlalchemy.url', __import__('os').environ['DATABASE_URL'].replace('%', '%%'))"
    files.alembic(ENV_PY.replace("config = context.config", f"config = context.config\n{own}")).table("r1", "a")
    files.write(
        "pyproject.toml",
        "[tool.neontest.commands]\n"
        f'upgrade = ["{sys.executable}", "-m", "alembic", "upgrade", "{{revision}}"]\n'
        f'downgrade = ["{sys.executable}", "-m", "alembic", "downgrade", "{{revision}}"]\n',
    )
    ran = neontest("run", "--local", "--no-tests", "--interrupt", "--mode", "whole", cwd=files.root)
    assert ran.code == 0, ran.out + ran.err
    assert ran.report.interruptions == ()
    assert "nothing was interrupted: no statement of the upgrade was seen" in ran.report.notes


SIDE = """
import psycopg2
with op.get_context().autocommit_block():
    runs = open("runs").read() if os.path.exists("runs") else ""
    open("runs", "w").write(runs + "x")
    if len(runs) == 3:  # the one that is interrupted: after a walk with rows, and an upgrade without
        url = os.environ["DATABASE_URL"].replace("+psycopg2", "")
        side = sys.neontest_side = psycopg2.connect(url)
        side.cursor().execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        open("url", "w").write(url + "\\n")
    op.execute("CREATE INDEX CONCURRENTLY ix_t_id ON t (id)")
"""


def test_a_signal_while_the_upgrade_is_paused_ends_all_of_it(local_state: Path, files: Files) -> None:
    """The table is locked by somebody else, so that neontest waits while the worker does."""
    files.alembic().revision("r1", SIDE.strip(), "op.drop_index('ix_t_id')")
    files.write("t.sql", "CREATE TABLE t (id int)")
    command = [sys.executable, "-m", "neontest", "run", "--local", "--no-tests", "--interrupt", "--mode", "whole"]
    with subprocess.Popen(
        [*command, "--prepare", "t.sql", "--json", "report.json"],
        cwd=files.root,
        env=environment(local_state),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            url = waited(process, files.root / "url")
            connection = psycopg2.connect(url)
            connection.autocommit = True
            end = time.monotonic() + 60
            with connection.cursor() as cursor:
                while True:
                    cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'RowExclusiveLock'")
                    row = cursor.fetchone()
                    if row is not None and row[0]:
                        break
                    assert time.monotonic() < end
            connection.close()
            process.send_signal(signal.SIGINT)
            output = process.communicate(timeout=30)[0]
        finally:
            process.kill()
    assert process.returncode == 128 + signal.SIGINT, output
    report = json.loads((files.root / "report.json").read_text())
    assert report["verdict"] == "stopped"
    assert len(report["branches"]) == 3
    assert all(branch["deleted"] for branch in report["branches"]), output
    assert "Traceback" not in output


def waited(process: subprocess.Popen[str], file: Path) -> str:
    """The line that the project writes into the file."""
    end = time.monotonic() + 90
    while not (file.exists() and file.read_text().endswith("\n")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.01)
    return file.read_text().strip()
