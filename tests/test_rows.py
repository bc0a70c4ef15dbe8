"""What a run does about rows: invents them, reads them before and after, and walks on where they stand in the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Run
from tests.test_run import ENV_PY

USERS = "CREATE TABLE users (id serial PRIMARY KEY, name text NOT NULL, phone text)"
SEEDED = """INSERT INTO users (name, phone)
SELECT 'n' || n, CASE WHEN n % 2 = 0 THEN 'p' || n END FROM generate_series(1, 50) n;"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "migrations" / "versions").mkdir(parents=True)
    (root / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/migrations\n")
    (root / "migrations" / "env.py").write_text(ENV_PY)
    return root


def revisions(root: Path, *pairs: tuple[str, str]) -> Path:
    for number, (up, down) in enumerate(pairs, start=1):
        above = f"'r{number - 1}'" if number > 1 else None
        (root / "migrations" / "versions" / f"r{number}.py").write_text(
            f"from alembic import op\nrevision = 'r{number}'\ndown_revision = {above}\n"
            f"def upgrade():\n    op.execute({up!r})\ndef downgrade():\n    op.execute({down!r})\n"
        )
    return root


FIRST = (USERS, "DROP TABLE users")
DROPS = ("ALTER TABLE users DROP COLUMN phone", "ALTER TABLE users ADD COLUMN phone text")


@pytest.mark.parametrize("mode", ["whole", "stairway", "both"])
def test_values_that_do_not_come_back_are_counted_in_every_mode(neontest: Run, project: Path, mode: str) -> None:
    (project / "seed.sql").write_text(SEEDED)
    args = ("--from-revision", "r1", "--seed", "seed.sql", "--mode", mode, "--no-tests")
    ran = neontest("run", *args, cwd=revisions(project, FIRST, DROPS))
    (finding,) = (each for each in ran.report.findings if each.check != "squawk")
    assert (finding.check, finding.revision, ran.code) == ("data-loss", "r2", 1)
    assert finding.details == ("25 of 25 non-null values of users.phone did not come back",)
    assert "invented" not in finding.message
    assert ran.report.filled == ()
    assert [(each.table, each.how) for each in ran.report.read] == [("public.users", "full")]


def test_no_value_of_a_row_is_in_the_report(neontest: Run, project: Path) -> None:
    (project / "seed.sql").write_text("INSERT INTO users (name, phone) VALUES ('Rosalind', 'Hopper');")
    bad = ("ALTER TABLE users ALTER COLUMN phone TYPE int USING phone::int", "ALTER TABLE users ALTER phone TYPE text")
    ran = neontest(
        "run", "--from-revision", "r1", "--seed", "seed.sql", "--no-tests", cwd=revisions(project, FIRST, bad)
    )
    assert ran.checks == ["upgrade-fails"]
    assert ran.json is not None
    for text in (ran.out, ran.err, ran.json.read_text()):
        assert "Rosalind" not in text
        assert "Hopper" not in text


def test_an_upgrade_that_invented_rows_stand_in_the_way_of_is_walked_without_them(neontest: Run, project: Path) -> None:
    strict = ("ALTER TABLE users ADD COLUMN email text NOT NULL", "ALTER TABLE users DROP COLUMN email")
    after = ("UPDATE users SET phone = NULL", "SELECT 1")
    ran = neontest("run", "--no-tests", "--from-revision", "base", cwd=revisions(project, FIRST, strict, after))
    found = {each.check: each for each in ran.report.findings}
    assert set(found) == {"fails-with-rows", "data-loss", "upgrade-loses-rows"}, ran.out
    assert found["fails-with-rows"].revision == "r2"
    assert "20 of 20 rows" in "\n".join((found["fails-with-rows"].message, *found["fails-with-rows"].details))
    # One bad revision does not hide the next, which has rows again.
    assert found["data-loss"].revision == "r3"
    assert [walk.revision for walk in ran.report.walks] == [None, "r1", "r2", "r3"]
    assert [len(walk.visits) for walk in ran.report.walks] == [3] * 4


def test_a_right_upgrade_that_refuses_invented_rows_is_walked_without_them(neontest: Run, project: Path) -> None:
    """A guard in Python, and one in SQL: neither names a row, and both hold on the parent's empty tables."""
    raises = "DO $$ BEGIN IF EXISTS (SELECT FROM users) THEN RAISE EXCEPTION 'move users first'; END IF; END $$"
    revisions(project, FIRST, (raises, "SELECT 1"), ("SELECT 1", "SELECT 1"))
    (project / "migrations" / "versions" / "r3.py").write_text(
        "from alembic import op\nfrom sqlalchemy import text\nrevision = 'r3'\ndown_revision = 'r2'\n"
        "def upgrade():\n    if op.get_bind().execute(text('SELECT count(*) FROM users')).scalar():\n"
        "        raise RuntimeError('clean up first')\n"
        "def downgrade():\n    pass\n"
    )
    for mode in ("both", "whole"):
        ran = neontest("run", "--no-tests", "--from-revision", "r1", "--mode", mode, cwd=project)
        found = {each.revision: each for each in ran.report.findings if each.check == "fails-with-rows"}
        assert (ran.code, set(ran.checks) - {"empty-downgrade"}) == (0, {"fails-with-rows"}), ran.out
        assert "works on empty tables and fails on filled ones: move users first" in found["r2"].message
        assert found["r2"].details[-1] == "these rows were invented by neontest; real ones may be others"
        assert all(len(walk.visits) == 3 for walk in ran.report.walks)
        if mode == "both":
            assert "works on empty tables and fails on filled ones: clean up first" in found["r3"].message
            assert [walk.revision for walk in ran.report.walks] == [None, "r2", "r3"]


def test_rows_in_the_way_are_counted_in_the_time_for_reading_rows(neontest: Run, project: Path) -> None:
    (project / "seed.sql").write_text(SEEDED)
    strict = ("ALTER TABLE users ALTER phone SET NOT NULL", "ALTER TABLE users ALTER phone DROP NOT NULL")
    args = ("run", "--from-revision", "r1", "--seed", "seed.sql", "--no-tests", "--mode", "whole")
    revisions(project, FIRST, strict)
    told = {}
    for limit in ("60s", "0.001s"):
        ran = neontest(*args, "--data-timeout", limit, cwd=project)
        (finding,) = ran.report.findings
        assert finding.check == "upgrade-fails"
        told[limit] = finding.details[-1]
    assert told["60s"].startswith("25 of 50 rows of users violate NOT NULL (phone)")
    assert "were not counted in time" in told["0.001s"]


def test_what_fails_on_empty_tables_too_is_no_matter_of_rows(neontest: Run, project: Path) -> None:
    """A mistake in the text costs no second walk; what another walk does not mend is told as it is."""
    missing = ("ALTER TABLE nowhere ADD COLUMN a int", "SELECT 1")
    raises = ("DO $$ BEGIN RAISE EXCEPTION 'never'; END $$", "SELECT 1")
    for bad, twice in ((missing, False), (raises, True)):
        revisions(project, FIRST, bad)
        ran = neontest("run", "--no-tests", "--from-revision", "r1", "--mode", "whole", cwd=project)
        assert (ran.code, ran.checks) == (1, ["upgrade-fails"]), ran.out
        assert ("once more without them" in ran.err) is twice
        assert len(ran.report.branches) == 1
        assert ran.report.refused == ()


def test_a_table_that_no_revision_touches_is_not_read(neontest: Run, project: Path) -> None:
    other = ("CREATE TABLE other AS SELECT 1 AS id", "DROP TABLE other")
    more = ("ALTER TABLE other ADD COLUMN note text", "ALTER TABLE other DROP COLUMN note")
    (project / "seed.sql").write_text(SEEDED)
    ran = neontest(
        "run", "--from-revision", "r2", "--seed", "seed.sql", "--no-tests", "--mode", "stairway",
        cwd=revisions(project, FIRST, other, more),
    )  # fmt: skip
    assert ran.code == 0, ran.out
    assert {each.table for each in ran.report.read} == {"public.other", "public.users"}
    ran = neontest(
        "run", "--from-revision", "r2", "--seed", "seed.sql", "--no-tests",
        cwd=project, env={"NEONTEST_DATA": "off"},
    )  # fmt: skip
    assert ran.report.read == ()


def test_what_a_walk_showed_is_known_though_a_later_downgrade_refuses(neontest: Run, project: Path) -> None:
    """The parent is too large to be read whole beforehand; no revision touches `other`."""
    (project / "seed.sql").write_text(
        f"{SEEDED} CREATE TABLE other (id int, padding text); ALTER TABLE other ALTER padding SET STORAGE PLAIN;"
        " INSERT INTO other SELECT n, repeat('x', 4000) FROM generate_series(1, 18000) n;"
    )
    revisions(project, FIRST, ("ALTER TABLE users ADD COLUMN age int", "SELECT 1"))
    (project / "migrations" / "versions" / "r2.py").write_text(
        "from alembic import op\nrevision = 'r2'\ndown_revision = 'r1'\n"
        "def upgrade():\n    op.execute('ALTER TABLE users ADD COLUMN age int')\n"
        "def downgrade():\n    raise NotImplementedError('never')\n"
    )
    ran = neontest("run", "--from-revision", "r1", "--seed", "seed.sql", "--no-tests", cwd=project)
    assert ran.checks == ["irreversible"], ran.out
    assert {each.table for each in ran.report.read} == {"public.users"}


def test_rows_are_not_invented_where_there_are_some(neontest: Run, project: Path) -> None:
    (project / "seed.sql").write_text("INSERT INTO users (name) VALUES ('one');")
    ran = neontest(
        "run", "--from-revision", "r1", "--seed", "seed.sql", "--no-tests", "--rows", "5",
        cwd=revisions(project, FIRST, ("CREATE TABLE b (id int PRIMARY KEY)", "DROP TABLE b")),
    )  # fmt: skip
    assert ran.code == 0, ran.out
    assert {each.table: each.rows for each in ran.report.filled if each.rows} == {"public.b": 5}


def test_the_projects_tests_never_see_invented_rows(neontest: Run, project: Path) -> None:
    (project / "test_empty.py").write_text(
        "import psycopg2\n\n\ndef test_empty():\n"
        "    connection = psycopg2.connect('')\n"
        "    cursor = connection.cursor()\n    cursor.execute('SELECT count(*) FROM users')\n"
        "    assert cursor.fetchone() == (0,)\n    connection.close()\n"
    )
    ran = neontest("run", "--from-revision", "base", cwd=revisions(project, FIRST))
    assert ran.code == 0, ran.out + ran.err
    assert ran.report.tests is not None
    assert ran.report.tests.passed == 1
    assert [each.rows for each in ran.report.filled] == [20]


def test_rows_that_stand_in_the_way_cost_no_branch_unless_a_revision_has_written_since(
    neontest: Run, project: Path
) -> None:
    strict = ("ALTER TABLE users ADD COLUMN email text NOT NULL", "ALTER TABLE users DROP COLUMN email")
    again = ("ALTER TABLE users ADD COLUMN code text NOT NULL", "ALTER TABLE users DROP COLUMN code")
    writes = ("UPDATE users SET phone = 'x'", "UPDATE users SET phone = NULL")
    for between, branches in ((("ALTER TABLE users ADD a text", "ALTER TABLE users DROP a"), 1), (writes, 2)):
        revisions(project, FIRST, strict, between, again)
        ran = neontest("run", "--no-tests", "--from-revision", "base", "--mode", "stairway", cwd=project)
        refused = [each.revision for each in ran.report.findings if each.check == "fails-with-rows"]
        assert refused == ["r2", "r4"], ran.out
        assert [(walk.revision, walk.with_rows) for walk in ran.report.walks] == [
            ("r1", True), ("r2", False), ("r3", True), ("r4", False),
        ]  # fmt: skip
        assert len(ran.report.branches) == branches
