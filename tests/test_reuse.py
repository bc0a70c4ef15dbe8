"""The next run begins with the local parent of the last one, where nothing that it was made of has changed."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from neontest import reuse
from neontest.migrate import inputs
from tests.conftest import Ran, Run
from tests.migrate.conftest import ENV_PY, Files

QUICK = ("run", "--local", "--no-tests", "--no-lint", "--rows", "0", "--mode", "whole")
MODELS = "import models, os\n" + ENV_PY
LOSES = ("op.drop_column('a', 'x')", "op.add_column('a', sa.Column('x', sa.Text))")
SEED = "INSERT INTO a VALUES (1, 'one'), (2, 'two');\n"


@dataclass
class Runs:
    """Runs of one project, each of which says whether it began with a kept parent."""

    files: Files
    neontest: Run
    args: list[str] = field(default_factory=lambda: ["--from-revision", "a2"])
    env: dict[str, str] = field(default_factory=dict)
    last: Ran | None = None

    def kept(self, *args: str, env: Mapping[str, str] | None = None) -> bool:
        self.last = self.neontest(*QUICK, *self.args, *args, cwd=self.files.root, env={**self.env, **(env or {})})
        assert self.last.code in (0, 1), self.last.err
        data = self.last.report.data
        assert data is not None
        said = "the local parent: kept since" in self.last.err
        assert said == (data.made_at is not None) == ("(kept since" in self.last.out)
        return said


@pytest.fixture
def kept_ones(local_state: Path) -> Callable[[], set[Path]]:
    """What is kept just now: the files with what is told of each."""
    return lambda: set((local_state / "made").glob("*/facts.json"))


@pytest.fixture
def runs(tmp_path: Path, neontest: Run) -> Runs:
    files = Files(tmp_path / "project").alembic(MODELS)
    files.write("models.py", "")
    files.write("seed.sql", SEED)
    files.revision(
        "a1", "op.create_table('a', sa.Column('id', sa.Integer, primary_key=True), sa.Column('x', sa.Text))",
        "op.drop_table('a')",
    )  # fmt: skip
    files.table("a2", "b").revision("a3", *LOSES)
    return Runs(files, neontest)


def test_the_same_is_seen_and_judged_on_a_kept_parent(runs):
    assert not runs.kept("--seed", "seed.sql")
    first = runs.last
    assert "data-loss" in first.checks
    assert runs.kept("--seed", "seed.sql")
    second = runs.last
    assert second.code == first.code == 1
    assert second.checks == first.checks
    assert second.report.walks[0].data_lost == first.report.walks[0].data_lost
    assert second.report.data.seeded == "seed.sql"
    assert "upgrade to a2" in first.err
    assert "upgrade to a2" not in second.err


EDITS: dict[str, Callable[[Files], object]] = {
    "an older revision": lambda files: files.write(
        "migrations/versions/a2.py", (files.root / "migrations/versions/a2.py").read_text() + "# more\n"
    ),
    "what env.py imports": lambda files: files.write("models.py", "# more\n"),
    "the seed": lambda files: files.write("seed.sql", SEED + "INSERT INTO a VALUES (3, 'three');\n"),
    "a variable that is always set": lambda files: files.write(
        "pyproject.toml", '[tool.neontest]\nseed = "seed.sql"\n[tool.neontest.env]\nX = "{host}"\n'
    ),
    ".env in a folder above": lambda files: (files.root.parent / ".env").write_text("X=1\n"),
}


def test_whatever_it_was_made_of_has_changed_it_is_made_anew(runs):
    runs.files.write("pyproject.toml", '[tool.neontest]\nseed = "seed.sql"\n')
    assert not runs.kept()
    for what, edit in EDITS.items():
        edit(runs.files)
        assert not runs.kept(), what
    assert runs.kept()
    assert not runs.kept("--from-revision", "a1")
    assert not runs.kept(env={"SSH_TUNNEL": "c", "TERMINAL_ID": "7"})
    assert not runs.kept(env={"BYTES": "\udcff"})
    assert runs.kept()


def test_work_on_what_is_pending_and_on_nothing_of_it_keeps_it(runs):
    assert not runs.kept("--seed", "seed.sql")
    runs.files.revision("a3", "op.create_index('i', 'a', ['x'])", "op.drop_index('i')", after="a2")
    assert runs.kept("--seed", "seed.sql")
    assert "data-loss" not in runs.last.checks
    runs.files.table("a4", "c").write("models.pyc", "")
    for name in (".coverage.host.1", "app.log", "coverage.xml", "htmlcov/new.html", ".models.py.swp", "models.py~"):
        runs.files.write(name, "")
    runs.files.write("node_modules/x/y.js", "")
    runs.files.write(".venv/lib/z.py", "")
    runs.files.write("env/pyvenv.cfg", "")
    assert runs.kept("--seed", "seed.sql")
    assert runs.last.report.history.pending == ("a3", "a4")
    assert runs.kept("--seed", "seed.sql", env={"TERM_SESSION_ID": "2", "SHLVL": "7", "COLUMNS": "80"})


def test_a_branch_away_and_back_finds_each_its_own(runs):
    for text, kept in (("", False), ("x = 1\n", False), ("", True), ("x = 1\n", True)):
        runs.files.write("models.py", text)
        assert runs.kept() is kept, text


def test_nobody_gets_it_who_does_not_want_it(runs):
    assert not runs.kept(env={"CI": "true"})
    assert not runs.kept("--no-reuse-parent")
    assert not runs.kept()  # neither was kept
    assert runs.kept("--fail-on", "never")
    assert not runs.kept("--no-reuse-parent")
    assert not runs.kept(env={"CI": "true"})
    assert not runs.kept("--reuse-parent", env={"CI": "true"})  # it is of another environment


@pytest.mark.parametrize("args", [("--seed", "true"), ("--prepare", "true"), ("--schema-only",)])
def test_what_cannot_be_known_to_be_the_same_is_not_kept(runs, kept_ones, args):
    before = kept_ones()
    assert not runs.kept(*args)
    assert kept_ones() <= before


def test_a_project_that_does_what_nobody_sees_says_so(runs):
    runs.files.write("models.py", "import subprocess, sys\nsubprocess.run([sys.executable, '-c', ''])\n")
    assert not runs.kept("-v")
    assert "the local parent is not kept for the next run: a program was run" in runs.last.err
    assert not runs.kept("-v")
    runs.files.write("models.py", "")
    assert not runs.kept("-v")
    runs.files.write("models.py", "x = 1\n")
    assert not runs.kept("-v")
    assert "the local parent is made anew: models.py has changed" in runs.last.err


def test_what_is_changed_while_it_is_made_is_not_taken_for_what_made_it(runs, kept_ones):
    before = kept_ones()
    edit = "open('{}', 'w').write('{} other')"
    for name, comment in (("models.py", "#"), ("seed.sql", "SELECT 1; --")):
        runs.files.write("migrations/versions/a2.py", "")
        runs.files.last = "a1"
        runs.files.revision("a2", edit.format(name, comment))
        assert not runs.kept("--seed", "seed.sql"), name
        assert kept_ones() <= before
        runs.files.write("models.py", "")
        runs.files.write("seed.sql", SEED)


def test_roles_and_databases_that_sql_made_are_there_again(runs):
    runs.files.write("before.sql", "CREATE ROLE reader; CREATE SCHEMA own; CREATE TABLE own.t AS SELECT 1 AS id;")
    runs.files.revision(
        "a3", "op.execute('GRANT SELECT ON own.t TO reader; ALTER TABLE own.t ADD n int')",
        "op.execute('ALTER TABLE own.t DROP n; REVOKE SELECT ON own.t FROM reader')", after="a2",
    )  # fmt: skip
    assert not runs.kept("--prepare", "before.sql")
    first = runs.last
    assert runs.kept("--prepare", "before.sql")
    assert (runs.last.code, runs.last.checks) == (first.code, first.checks)


def test_a_parent_that_only_a_script_made_is_kept(runs):
    runs.args = []
    runs.files.write("before.sql", "CREATE TABLE first (id int);")
    assert not runs.kept("--prepare", "before.sql")
    assert runs.kept("--prepare", "before.sql")
    assert "prepared by before.sql (kept since" in runs.last.out


def test_names_count_but_for_what_is_elsewhere_known_or_of_no_matter(tmp_path):
    def names() -> str | None:
        return reuse.names_below(tmp_path, aside=[tmp_path / "versions"])

    for name in ("a.py", "pyvenv.cfg", "versions/a1.py", "env/pyvenv.cfg", "conda/conda-meta/history", ".git/HEAD"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / ".shared" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(".shared")
    before = names()
    passed = ("versions/b2.py", "env/lib.py", "conda/lib.py", ".git/new", "a.pyc", "app.log.1", "data.db-wal", "a.py~")
    for name in passed:
        (tmp_path / name).touch()
        assert names() == before, name
    for name in ("b.py", ".env.local", "env.py", "new.sql", "link/deep/local_settings.py"):
        (tmp_path / name).touch()
        assert names() != before, name
        before = names()


def test_a_project_of_too_many_files_is_not_compared(tmp_path):
    for number in range(reuse.MOST + 1):
        (tmp_path / f"file{number}").touch()
    assert reuse.names_below(tmp_path, aside=()) is None


def test_a_script_of_any_size_counts(tmp_path):
    script = tmp_path / "seed.sql"
    with script.open("wb") as file:
        file.truncate(inputs.LARGEST + 1)
    before = reuse.content(script)
    with script.open("r+b") as file:
        file.seek(inputs.LARGEST)
        file.write(b"x")
    assert None not in (before, reuse.content(script))
    assert reuse.content(script) != before


def test_a_kept_parent_that_is_spoilt_fails_one_run_at_most(runs, kept_ones):
    before = kept_ones()
    assert not runs.kept()
    (facts,) = kept_ones() - before
    (facts.parent / "data/global/pg_control").unlink()
    assert runs.neontest(*QUICK, *runs.args, cwd=runs.files.root).code == 3
    assert not runs.kept()
    assert runs.kept()


def test_nothing_secret_and_nothing_of_others_is_kept_with_it(runs, kept_ones):
    secret = "a-secret-of-the-environment"
    before = kept_ones()
    assert not runs.kept("-v", env={"APP_TOKEN": secret})
    (facts,) = kept_ones() - before
    text = facts.read_text()
    assert secret not in text
    assert "postgresql://" not in text
    assert "SCRAM" not in text
    assert set(json.loads(text)) == {"told", "roles", "databases", "bytes"}
    assert set(json.loads(json.loads(text)["told"])) == {"at", "names", "files", "folders", "packages"}
    assert {stat.S_IMODE(each.stat().st_mode) for each in (facts.parent, facts.parent.parent)} == {0o700}
    assert Path(runs.files.root / "models.py").as_posix() in text
