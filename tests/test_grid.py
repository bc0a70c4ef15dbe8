"""Old and new code on the old and the new schema, as real runs on git repositories."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from neontest.cells import Cell
from neontest.local.binaries import find_all
from neontest.migrate.git import Checkout
from neontest.old_code import moved
from neontest.report import Finding
from tests.conftest import Run, environment
from tests.test_run import ENV_PY

REPOSITORY = Path(__file__).parent.parent

# Without SQLAlchemy, whose import takes longer than all of these tests.
HEAD = "import os, pathlib\nimport psycopg2\nimport pytest\n\n\ndef sql(statement):\n"
HEAD += "    url = os.environ['DATABASE_URL'].replace('+psycopg2', '')\n"
HEAD += "    with psycopg2.connect(url) as connection, connection.cursor() as cursor:\n"
HEAD += "        cursor.execute(statement)\n\n\n"
FAILS = "def test_that_never_passed():\n    assert False, 'as ever'\n\n\n"
NAME = "def test_name():\n    sql('SELECT name FROM users')\n\n\n"
PHONE = "@pytest.mark.parametrize('n', [1, 2])\ndef test_phone(n):\n    sql('SELECT phone FROM users')\n\n\n"
INSERT = "class TestUsers:\n    def test_insert(self):\n        sql(\"INSERT INTO users (name) VALUES ('Ada')\")\n\n\n"
CITY = "def test_city():\n    sql('SELECT city FROM users')\n\n\n"
FLAKY = (
    "def test_of_moods():\n    seen = pathlib.Path(os.environ['MOODS'], os.environ['NEONTEST_CELL'])\n"
    "    if not seen.exists():\n        seen.touch()\n        assert os.environ['NEONTEST_CELL'] == 'old-old'\n"
)


def revision(number: int, up: str, down: str) -> str:
    parent = f"r{number - 1}" if number > 1 else None
    return (
        f'"""revision {number}"""\nfrom alembic import op\nrevision = "r{number}"\ndown_revision = {parent!r}\n\n\n'
        f"def upgrade():\n    op.execute({up!r})\n\n\ndef downgrade():\n    op.execute({down!r})\n"
    )


WHOSE = "def test_whose_code_it_is():\n    import shop\n\n"
WHOSE += "    assert os.environ['NEONTEST_CELL'].startswith(shop.CODE)\n\n\n"

FIRST = revision(1, "CREATE TABLE users (id serial PRIMARY KEY, name text, phone text)", "DROP TABLE users")
NO_PHONE = revision(2, "ALTER TABLE users DROP COLUMN phone", "ALTER TABLE users ADD COLUMN phone text")
COUNTRY = revision(3, "ALTER TABLE users ADD COLUMN country text NOT NULL", "ALTER TABLE users DROP COLUMN country")
WITH_CITY = revision(4, "ALTER TABLE users ADD COLUMN city text", "ALTER TABLE users DROP COLUMN city")


def git(root: Path, *words: str) -> str:
    who = {f"GIT_{role}_{what}": "grid@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environ = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", **who}
    done = subprocess.run(["git", *words], cwd=root, env=environ, check=True, capture_output=True, text=True)
    return done.stdout


def commit(root: Path, branch: str, files: Mapping[str, str]) -> None:
    """Commit these files, and those that are there already, on a new branch."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    git(root, "checkout", "-q", "-b", branch)
    git(root, "add", "--all")
    git(root, "commit", "-q", "-m", branch)


def project(root: Path, old: Mapping[str, str], new: Mapping[str, str]) -> Path:
    """A folder of a repository whose branch `main` has the old files, and `change` the new ones on top."""
    root.parent.mkdir()
    git(root.parent, "init", "-q")
    folder = root.relative_to(root.parent)
    start = {
        "alembic.ini": "[alembic]\nscript_location = %(here)s/migrations\n",
        "migrations/env.py": ENV_PY,
        "migrations/versions/r1.py": FIRST,
        "pytest.ini": "[pytest]\n",
        ".gitignore": "__pycache__\n.pytest_cache\n",
    }
    commit(root.parent, "main", {str(folder / name): text for name, text in {**start, **old}.items()})
    commit(root.parent, "change", {str(folder / name): text for name, text in new.items()})
    return root


def cells(found: tuple[Cell, ...]) -> dict[str, tuple[int | None, int | None]]:
    return {each.name: (each.passed, each.failed) for each in found}


def by_check(findings: tuple[Finding, ...], check: str) -> list[Finding]:
    return [each for each in findings if each.check == check]


def assert_nothing_is_left(root: Path) -> None:
    """No worktree but the user's own, none that git knows of, and nothing changed in it."""
    assert len(git(root, "worktree", "list", "--porcelain").split("worktree ")) == 2
    top = Path(git(root, "rev-parse", "--show-toplevel").strip())
    assert not (top / ".git" / "worktrees").exists()
    assert git(root, "status", "--porcelain") == ""
    assert git(root, "branch", "--show-current") == "change\n"


def test_each_cell_blames_what_the_schema_or_the_code_has_broken_and_nothing_else(
    neontest: Run, tmp_path: Path
) -> None:
    root = project(
        tmp_path / "repository" / "shop",
        {"src/shop.py": "CODE = 'old'\n", "test_users.py": HEAD + WHOSE + FAILS + NAME + PHONE + INSERT + FLAKY},
        {
            "migrations/versions/r2.py": NO_PHONE,
            "migrations/versions/r3.py": COUNTRY,
            "migrations/versions/r4.py": WITH_CITY,
            "src/shop.py": "CODE = 'new'\n",
            "test_users.py": HEAD + WHOSE + FAILS + NAME + CITY + FLAKY,
        },
    )
    (tmp_path / "moods").mkdir()
    # As an editable installation does, this leads to the new tree.
    paths = f"{root / 'src'}{os.pathsep}{REPOSITORY}"
    ran = neontest(
        "run", "--grid", "--bisect", "--old-python", f"echo {sys.executable}", "--base", "main", "--mode", "whole",
        "--rows", "0", "--no-lint", cwd=root, env={"MOODS": str(tmp_path / "moods"), "PYTHONPATH": paths},
    )  # fmt: skip
    report = ran.report
    assert cells(report.cells) == {"old-old": (6, 1), "old-new": (2, 5), "new-new": (3, 2), "new-old": (2, 3)}, ran.out
    broken = {each.revision: each for each in by_check(report.findings, "breaks-running-code")}
    assert {id_: (len(each.details), each.level.value, each.gates) for id_, each in broken.items()} == {
        "r2": (2, "error", True),
        "r3": (1, "error", True),
    }
    assert broken["r2"].details[0].startswith("test_users::test_phone[1]: psycopg2.errors.UndefinedColumn: column")
    assert broken["r3"].details[0].startswith("test_users.TestUsers::test_insert: psycopg2.errors.NotNullViolation:")
    assert (broken["r2"].file, broken["r2"].line) == ("migrations/versions/r2.py", 7)
    (first,) = by_check(report.findings, "needs-migration-first")
    assert first.level.value == "info"
    assert [each.partition(":")[0] for each in first.details] == ["test_users"]
    assert "test_city" in first.details[0]
    # What failed before, and what passes when it is run again, is nobody's fault, though the command exited with 1.
    assert report.tests is not None
    assert report.tests.exit_code == 1
    assert not by_check(report.findings, "tests-failed")
    assert [each.flaky for each in report.cells] == [(), *[("test_users::test_of_moods",)] * 3]
    assert any("blamed on nobody: test_users::test_that_never_passed" in each for each in report.notes)
    assert "old code  6 passed, 1 failed" in ran.out
    assert ran.code == 1
    assert all(each.proved for each in report.branches)
    assert_nothing_is_left(root)


def guide(root: Path, change: Mapping[str, str], *, without: str = "") -> Path:
    """The guide's application as it was before the rename of `age`, and this change of it."""
    for name in ("app", "migrations", "tests/app"):
        shutil.copytree(REPOSITORY / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    versions = root / "migrations" / "versions"
    (rename,) = versions.glob("7c2e*")
    rename.unlink()
    next(versions.glob("a58f*")).unlink()
    (root / ".gitignore").write_text("__pycache__\n.pytest_cache\n")
    for file in ("app/api.py", "app/models.py", "tests/app/test_users.py"):
        text = (root / file).read_text().replace("years_old", "age").replace("unique=True, index=True", "unique=True")
        (root / file).write_text(text)
    (root / "tests" / "app" / "test_migrations.py").unlink()
    git(root, "init", "-q")
    commit(root, "main", {"app/__init__.py": (root / "app" / "__init__.py").read_text()})
    commit(root, "change", change)
    return root


def test_the_guides_rename_breaks_the_running_application(neontest: Run, tmp_path: Path) -> None:
    (rename,) = (REPOSITORY / "migrations" / "versions").glob("7c2e*")
    new = {
        f"migrations/versions/{rename.name}": rename.read_text(),
        **{
            name: (REPOSITORY / name).read_text() for name in ("app/api.py", "app/models.py", "tests/app/test_users.py")
        },
    }
    root = guide(tmp_path / "guide", new)
    ran = neontest("run", "--grid", "--base", "main", "--mode", "whole", "--", "pytest", "tests/app", cwd=root)
    (found,) = by_check(ran.report.findings, "breaks-running-code")
    assert (found.revision, found.file, found.level.value) == (
        "7c2e04af6b93", f"migrations/versions/{rename.name}", "error",
    )  # fmt: skip
    assert 'column "age" of relation "user" does not exist' in found.details[0]
    assert by_check(ran.report.findings, "needs-migration-first")
    assert ran.report.tests is not None
    assert ran.report.tests.exit_code == 0
    assert ran.code == 1
    assert_nothing_is_left(root)


EXPAND = """\
from alembic import op
import sqlalchemy as sa

revision = "7c2e04af6b94"
down_revision = "3b7d91e4c852"


def upgrade():
    op.add_column("user", sa.Column("years_old", sa.Integer(), nullable=True))
    op.execute('UPDATE "user" SET years_old = age')
    op.execute(
        "CREATE FUNCTION both_ages() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " NEW.years_old := coalesce(NEW.years_old, NEW.age); NEW.age := NEW.years_old; RETURN NEW; END $$"
    )
    op.execute(
        'CREATE TRIGGER both_ages BEFORE INSERT OR UPDATE ON "user" FOR EACH ROW EXECUTE FUNCTION both_ages()'
    )


def downgrade():
    op.execute('DROP TRIGGER both_ages ON "user"')
    op.execute("DROP FUNCTION both_ages()")
    op.drop_column("user", "years_old")
"""


@pytest.mark.thorough
def test_expand_and_contract_passes(neontest: Run, tmp_path: Path) -> None:
    models = (REPOSITORY / "app" / "models.py").read_text()
    column = "    years_old: Mapped[int | None]\n"
    new = {
        "migrations/versions/7c2e04af6b94_both_ages.py": EXPAND,
        "app/models.py": models.replace(column, column + column.replace("years_old", "age")),
        **{name: (REPOSITORY / name).read_text() for name in ("app/api.py", "tests/app/test_users.py")},
    }
    root = guide(tmp_path / "guide", new)
    ran = neontest("run", "--grid", "--base", "main", "--", "pytest", "tests/app", cwd=root)
    assert not by_check(ran.report.findings, "breaks-running-code"), ran.out
    assert not by_check(ran.report.findings, "tests-failed"), ran.out
    assert by_check(ran.report.findings, "needs-migration-first")
    assert ran.code == 0, ran.out
    assert [(each.failed, each.note) for each in ran.report.cells][:3] == [(0, None)] * 3
    assert_nothing_is_left(root)


BUILDS = """\
import os
from sqlalchemy import Column, Integer, MetaData, Table, create_engine


def test_on_a_schema_of_its_own():
    metadata = MetaData()
    Table("users", metadata, Column("id", Integer, primary_key=True))
    engine = create_engine(os.environ["DATABASE_URL"])
    metadata.drop_all(engine)
    metadata.create_all(engine)
    engine.dispose()
"""


def test_a_suite_that_makes_the_schema_itself_is_told_apart_and_blames_nobody(neontest: Run, tmp_path: Path) -> None:
    root = project(
        tmp_path / "repository" / "shop",
        {"test_users.py": HEAD + PHONE},
        {"migrations/versions/r2.py": NO_PHONE, "test_users.py": BUILDS},
    )
    # A clone whose remote says which branch is its default: nobody has to name a base.
    git(tmp_path, "clone", "-q", str(root.parent), "clone")
    there = tmp_path / "clone" / "shop"
    git(there, "remote", "set-head", "origin", "main")
    ran = neontest("run", "--grid", "--mode", "whole", "--no-lint", "--data", "off", cwd=there)
    notes = {each.name: each.note or "" for each in ran.report.cells}
    assert "change the schema themselves" in notes["new-new"]
    assert "change the schema themselves" in notes["new-old"]
    assert (notes["old-old"], notes["old-new"]) == ("", "")
    assert [each.check for each in ran.report.findings if each.gates] == ["breaks-running-code"]
    assert ran.report.history.start == "r1"
    assert_nothing_is_left(there)


ELSEWHERE = """\
import sqlite3


def test_on_a_database_of_its_own():
    sqlite3.connect(":memory:").execute("CREATE TABLE users (phone text)")
"""
POOLED = """\
import os, time
import psycopg2


def test_that_holds_a_session_only():
    psycopg2.connect(os.environ["DATABASE_URL"]).cursor().execute("SELECT 1")
"""


def test_a_suite_that_never_connects_to_the_branch_proves_nothing(neontest: Run, tmp_path: Path) -> None:
    root = project(
        tmp_path / "repository" / "shop",
        {"test_users.py": POOLED},
        {"migrations/versions/r2.py": NO_PHONE, "test_users.py": ELSEWHERE},
    )
    words = ("run", "--base", "main", "--mode", "whole", "--rows", "0", "--no-lint", "--data", "off")
    ran = neontest(*words, "--grid", cwd=root)
    unused = "the tests never connected to the branch's database: it proves nothing about the migration"
    assert [each.note for each in ran.report.cells] == [None, None, unused, unused]
    assert f"new code on the new schema: {unused}" in ran.report.notes
    assert ran.code == 0
    for major in sorted({each.major for each in find_all(environ=os.environ)}):
        ran = neontest(*words, "--postgres-version", str(major), cwd=root)
        assert f"{unused.replace('it proves', 'their result proves')}" in ran.report.notes
        (root / "test_users.py").write_text(POOLED)
        ran = neontest(*words, "--postgres-version", str(major), cwd=root)
        assert not [each for each in ran.report.notes if "proves nothing" in each]
        (root / "test_users.py").write_text(ELSEWHERE)


def test_a_base_that_is_not_in_the_clone_is_a_note(neontest: Run, tmp_path: Path) -> None:
    root = project(tmp_path / "repository" / "shop", {"test_users.py": HEAD + NAME}, {"README": "new"})
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{root.parent}", "clone")
    git(tmp_path / "clone", "remote", "set-url", "origin", f"file://{tmp_path}/nowhere")
    ran = neontest(
        "run", "--mode", "whole", "--from-revision", "base", cwd=tmp_path / "clone" / "shop",
        env={"GITHUB_BASE_REF": "main", "NEONTEST_ACTION": "true"},
    )  # fmt: skip
    assert ran.code == 0, ran.out
    assert [each for each in ran.report.notes if each.startswith("no grid of old and new code: git knows no main")]
    assert ran.report.cells == ()


ALONE = """\
import os, pathlib, time


def test_that_nobody_else_is_here():
    mine = pathlib.Path("here.txt")
    mine.open("x").close()
    seen, end = pathlib.Path(os.environ["SEEN"]), time.monotonic() + 30
    running = seen / os.environ["NEONTEST_CELL"]
    running.touch()
    while not (seen / "together").exists() and time.monotonic() < end:
        if {each.name.partition("-")[0] for each in seen.iterdir()} >= {"old", "new"}:
            (seen / "together").touch()
        time.sleep(0.05)
    time.sleep(0.3)
    running.unlink()
    mine.unlink()
"""


def test_no_two_suites_run_in_one_folder_at_once_but_old_and_new_do(neontest: Run, tmp_path: Path) -> None:
    root = project(tmp_path / "repository" / "shop", {"test_users.py": ALONE}, {"migrations/versions/r2.py": NO_PHONE})
    (tmp_path / "seen").mkdir()
    ran = neontest(
        "run", "--grid", "--base", "main", "--mode", "whole", "--rows", "0", "--no-lint", "--parallel", "5", cwd=root,
        env={"SEEN": str(tmp_path / "seen")},
    )  # fmt: skip
    assert cells(ran.report.cells) == dict.fromkeys(("old-old", "old-new", "new-new", "new-old"), (1, 0)), ran.out
    assert [each.flaky for each in ran.report.cells] == [()] * 4
    assert (tmp_path / "seen" / "together").exists()


def test_a_grid_without_tests_is_a_contradiction_or_a_note(neontest: Run, tmp_path: Path) -> None:
    root = project(tmp_path / "repository" / "shop", {"test_users.py": NAME}, {"migrations/versions/r2.py": NO_PHONE})
    for words in (("--grid", "--no-tests"), ("--no-tests", "--base", "main", "--grid")):
        ran = neontest("run", *words, cwd=root, json=False)
        assert ran.code == 2, ran.out
        assert "--grid and --no-tests contradict each other: the grid runs the tests" in ran.err
    for words, env, why in (
        (("--no-tests",), {"NEONTEST_GRID": "true"}, "--no-tests"),
        (("--grid",), {"NEONTEST_NO_TESTS": "true"}, "NEONTEST_NO_TESTS"),
    ):
        ran = neontest("run", *words, "--base", "main", "--mode", "whole", "--rows", "0", cwd=root, env=env)
        assert ran.code == 0, ran.out
        assert f"no grid of old and new code: the tests are not to be run ({why})" in ran.report.notes
        assert ran.report.tests_note == why


def test_a_grid_of_an_upgrade_that_does_not_apply_is_a_note(neontest: Run, tmp_path: Path) -> None:
    broken = {"migrations/versions/r2.py": revision(2, "SELECT nonsense", "SELECT 1")}
    root = project(tmp_path / "repository" / "shop", {"test_users.py": NAME}, broken)
    ran = neontest("run", "--grid", "--base", "main", "--mode", "whole", cwd=root)
    assert "no grid of old and new code: the upgrade does not apply" in ran.report.notes
    assert ran.report.cells == ()


TWICE = "".join(f"def test_{n}():\n    sql(\"INSERT INTO users (name) VALUES ('Ada')\")\n\n\n" for n in (1, 2))
UNIQUE = revision(2, "ALTER TABLE users ADD CONSTRAINT one UNIQUE (name)", "ALTER TABLE users DROP CONSTRAINT one")


def test_what_fails_only_beside_other_tests_is_not_flaky(neontest: Run, tmp_path: Path) -> None:
    root = project(
        tmp_path / "repository" / "shop",
        {"src/shop.py": "CODE = 'old'\n", "test_users.py": HEAD + WHOSE + TWICE},
        {"src/shop.py": "CODE = 'new'\n", "migrations/versions/r2.py": UNIQUE},
    )
    paths = f"src{os.pathsep}{REPOSITORY}"  # the first is below whichever folder the tests run in
    ran = neontest(
        "run", "--grid", "--base", "main", "--mode", "whole", "--rows", "0", "--no-lint", cwd=root,
        env={"PYTHONPATH": paths},
    )  # fmt: skip
    assert cells(ran.report.cells) == {"old-old": (3, 0), "old-new": (2, 1), "new-new": (2, 1), "new-old": (3, 0)}
    assert [each.flaky for each in ran.report.cells] == [()] * 4
    for check in ("breaks-running-code", "tests-failed"):
        (found,) = by_check(ran.report.findings, check)
        assert [each.partition(":")[0] for each in found.details] == ["test_users"], ran.out
        assert "UniqueViolation" in found.details[0]
    assert ran.code == 1


WAITS = """\
import os, pathlib, time


def test_that_waits():
    if os.environ["NEONTEST_CELL"] == "old-old":
        pathlib.Path(os.environ["BEGUN"]).touch()
        time.sleep(60)
"""


def test_a_signal_in_the_middle_of_a_cell_leaves_no_worktree_and_no_branch(local_state: Path, tmp_path: Path) -> None:
    root = project(tmp_path / "repository" / "shop", {"test_users.py": WAITS}, {"migrations/versions/r2.py": NO_PHONE})
    (tmp_path / "tmp").mkdir()
    begun = tmp_path / "begun"
    environ = environment(local_state, {"BEGUN": str(begun), "TMPDIR": str(tmp_path / "tmp")})
    command = [sys.executable, "-m", "neontest", "run", "--local", "--grid", "--base", "main", "--mode", "whole"]
    for signum in (signal.SIGTERM, signal.SIGKILL):
        with subprocess.Popen(command, cwd=root, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as run:
            try:
                while not begun.exists():
                    assert run.poll() is None, run.stdout and run.stdout.read()
                    time.sleep(0.05)
                begun.unlink()
                assert len(git(root, "worktree", "list").splitlines()) == 2
            finally:
                run.send_signal(signum)
            out = run.communicate(timeout=60)[0].decode()
        if signum is signal.SIGTERM:
            assert run.returncode == 143, out
        else:  # nobody could: whoever comes next does
            subprocess.run([*command[:3], "cleanup"], env=environ, cwd=root, check=True, capture_output=True)
        assert_nothing_is_left(root)
        assert not list((tmp_path / "tmp").glob("*neontest-run-*"))


IGNORED = 'import os, pathlib\npathlib.Path(os.environ["SEEN"], os.environ["NEONTEST_CELL"]).write_text(__file__)\n'


@pytest.mark.thorough
def test_a_path_in_the_command_leads_the_old_cells_to_the_old_tests(neontest: Run, tmp_path: Path) -> None:
    root = project(
        tmp_path / "repository" / "shop",
        {
            "src/shop.py": "CODE = 'old'\n",
            "tests/test_users.py": HEAD + WHOSE + PHONE,
            ".gitignore": "__pycache__\nhere\n",
        },
        {"src/shop.py": "CODE = 'new'\n", "tests/test_users.py": HEAD + WHOSE, "migrations/versions/r2.py": NO_PHONE},
    )
    (root / "here").mkdir()
    (root / "here" / "noted.py").write_text(IGNORED)
    (tmp_path / "seen").mkdir()
    paths = f"{root / 'src'}{os.pathsep}{REPOSITORY}"
    command = f"{sys.executable} '{root}/here/noted.py' && exec pytest --rootdir={root} \"{root}/tests/test_users.py\" "
    for more in (f"{root}/tests/test_users.py::test_whose_code_it_is", "$GITHUB_WORKSPACE/shop"):
        ran = neontest(
            "run", "--grid", "--base", "main", "--mode", "whole", "--rows", "0", "--no-lint", "--", "bash", "-c",
            command + more, cwd=root,
            env={"PYTHONPATH": paths, "SEEN": str(tmp_path / "seen"), "GITHUB_WORKSPACE": str(root.parent)},
        )  # fmt: skip
        assert cells(ran.report.cells) == {"old-old": (3, 0), "old-new": (1, 2), "new-new": (1, 0), "new-old": (1, 0)}
        # What git ignores is not in the old tree: it is the same for both.
        assert {each.read_text() for each in (tmp_path / "seen").iterdir()} == {f"{root}/here/noted.py"}


def test_what_git_ignores_and_what_is_outside_stays_in_the_command(tmp_path: Path) -> None:
    top, tree = tmp_path / "repository", tmp_path / "tree"
    top.mkdir()
    git(top, "init", "-q", "-b", "main")
    commit(top, "one", {".gitignore": "venv\n", "tests/test_it.py": "", "tools/[a].py": ""})
    (top / "venv" / "lib" / "deep").mkdir(parents=True)
    (top / "linked").mkdir()
    (top / "linked" / "venv").symlink_to(tmp_path)
    found = Checkout(commit="", top=top, folder=Path(), common=top / ".git", environ=dict(os.environ))

    def led(path: str) -> str:
        return moved(f"{top}/{path}", found, tree, Path(sys.executable))

    for stays in ("venv", "venv/lib/deep/tool", "linked/venv/bin/tool", "../elsewhere", "tests/../../elsewhere"):
        assert led(stays) == f"{top}/{stays}"
    for moves in ("tests/test_it.py::test_it", "tests/../tools/[a].py", "tests/not-there.py"):
        assert led(moves) == f"{tree}/{moves}"


FINDER = """\
import importlib.machinery, importlib.util, sys

MAPPING = {{"shop": {package!r}}}


class Finder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name in MAPPING:
            return importlib.util.spec_from_file_location(name, MAPPING[name] + "/__init__.py")


def install():
    sys.meta_path.append(Finder)
"""


def test_an_editable_installation_by_a_finder_leads_the_old_cells_to_the_old_code(
    neontest: Run, tmp_path: Path
) -> None:
    root = project(
        tmp_path / "repository" / "shop",
        {"lib/shop/__init__.py": "CODE = 'old'\n", "test_users.py": HEAD + WHOSE},
        {"lib/shop/__init__.py": "CODE = 'new'\n", "migrations/versions/r2.py": NO_PHONE},
    )
    # As `pip install -e` with setuptools leaves it: no folder in sys.path, a finder that a .pth file installs.
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (here,) = (path for path in map(Path, sys.path) if (path / "sqlalchemy").is_dir())
    (site / "__editable___shop_1_finder.py").write_text(FINDER.format(package=str(root / "lib" / "shop")))
    (site / "__editable__.shop-1.pth").write_text(
        f"{here}\nimport __editable___shop_1_finder; __editable___shop_1_finder.install()\n"
    )
    ran = neontest(
        "run", "--grid", "--base", "main", "--mode", "whole", "--rows", "0", "--no-lint", "--python", str(python),
        cwd=root,
    )  # fmt: skip
    assert cells(ran.report.cells) == dict.fromkeys(("old-old", "old-new", "new-new", "new-old"), (1, 0)), ran.out
