"""The main job, as real processes on real Postgres."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jsonschema
import pytest

from neontest.errors import Stopped
from neontest.local.binaries import find
from neontest.local.engine import LocalNeon
from neontest.record import Limits
from neontest.report import json_schema, published_schema
from tests.conftest import Run, environment

REPOSITORY = Path(__file__).parent.parent

ENV_PY = """
import os
from alembic import context
from sqlalchemy import create_engine

engine = create_engine(os.environ["DATABASE_URL"])
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""

Project = Callable[..., Path]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Write an Alembic project: each revision is (upgrade SQL or code, downgrade)."""

    def make(*revisions: tuple[str, str], files: dict[str, str] | None = None) -> Path:
        root = tmp_path / "project"
        versions = root / "migrations" / "versions"
        versions.mkdir(parents=True)
        (root / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/migrations\n")
        (root / "migrations" / "env.py").write_text(ENV_PY)
        down = None
        for number, (upgrade, downgrade) in enumerate(revisions, 1):
            bodies = [f"op.execute({each!r})" if each.split()[0].isupper() else each for each in (upgrade, downgrade)]
            (versions / f"r{number}_it.py").write_text(
                f'"""revision {number}"""\nfrom alembic import op\nrevision = "r{number}"\n'
                f"down_revision = {down!r}\n\n\n"
                f"def upgrade():\n    {bodies[0]}\n\n\ndef downgrade():\n    {bodies[1]}\n"
            )
            down = f"r{number}"
        for name, text in (files or {}).items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        return root

    return make


GOOD = ("CREATE TABLE a (id int PRIMARY KEY)", "DROP TABLE a")
LEFT = ("CREATE TABLE b (m int); CREATE TYPE mood AS ENUM ('ok')", "DROP TABLE b")


@pytest.mark.parametrize("rows", [pytest.param("0", marks=pytest.mark.thorough), "20"])
def test_the_guides_application_passes_whole_and_without_a_finding(neontest: Run, rows: str) -> None:
    ran = neontest("run", "--from-revision", "base", "--local", "--rows", rows, cwd=REPOSITORY)
    assert ran.code == 0, ran.out + ran.err
    report = ran.report
    assert (report.verdict, report.exit_code, len(report.history.pending)) == ("passed", 0, 4)
    assert [walk.kind for walk in report.walks] == ["whole"] + ["stairway"] * 4
    assert all([each.direction for each in walk.visits] == ["upgrade", "downgrade", "upgrade"] for walk in report.walks)
    assert report.findings == ()
    assert report.tests is not None
    assert report.tests.exit_code == 0
    assert (report.tests.passed or 0) > 20
    assert len(report.branches) == 2
    assert all(branch.deleted and branch.proved for branch in report.branches)
    assert [(each.table, each.rows, each.why) for each in report.filled] == [("public.user", 20, None)][: int(rows)]
    lines = ran.out.splitlines()
    assert lines[0] == f"neontest on the local engine, Postgres {report.server_version} (--local was given)"
    assert lines[-1].startswith("passed: 4 revisions, whole and stairway walks, tests ")
    assert ran.json is not None
    jsonschema.validate(json.loads(ran.json.read_text()), json_schema())


def test_the_published_schema_is_that_of_the_types() -> None:
    assert json.loads(published_schema()) == json_schema()


def test_the_json_names_its_fields_as_promised(neontest: Run, project: Project) -> None:
    ran = neontest("run", "--no-tests", cwd=project(GOOD))
    assert ran.json is not None
    found = json.loads(ran.json.read_text())
    assert found["version"] == 1
    assert found["tests"] is None
    visit = found["walks"][0]["visits"][0]
    assert (visit["direction"], visit["from"], visit["to"], visit["error"]) == ("upgrade", None, "r1", None)
    assert visit["schema_changes"] == ["table a: added"]
    assert [each["sql"] for each in visit["statements"]] == ["CREATE TABLE a (id int PRIMARY KEY)"]
    assert visit["statements"][0]["file"] == "migrations/versions/r1_it.py"
    assert found["history"]["heads"] == found["history"]["pending"] == ["r1"]


def test_what_a_downgrade_left_is_found_at_its_revision_with_the_line_that_mends_it(
    neontest: Run, project: Project
) -> None:
    ran = neontest("run", "--no-tests", cwd=project(GOOD, LEFT, ("CREATE TABLE c (id int)", "DROP TABLE c")))
    assert ran.code == 1
    found = {each.check: each for each in ran.report.findings}
    assert set(found) == {"schema-restored", "reupgrade-fails"}
    restored = found["schema-restored"]
    assert (restored.revision, restored.file) == ("r2", "migrations/versions/r2_it.py")
    assert restored.details == ("enum mood: left behind",)
    assert restored.fix == "op.execute('DROP TYPE mood')"
    # The bad revision did not hide the next: a fresh branch was taken for it.
    last = ran.report.walks[-1]
    assert (last.revision, len(last.visits), [each.error for each in last.visits]) == ("r3", 3, [None] * 3)
    assert "error  schema-restored  r2  migrations/versions/r2_it.py:11" in ran.out
    assert ran.out.splitlines()[-1].startswith("failed: 3 revisions, ")
    assert all(branch.proved for branch in ran.report.branches)


def test_an_upgrade_that_fails_says_where_and_stops_there(neontest: Run, project: Project) -> None:
    ran = neontest("run", cwd=project(GOOD, ("ALTER TABLE nowhere ADD x int", "pass"), GOOD))
    assert ran.code == 1
    finding = ran.report.findings[0]
    assert (finding.check, finding.revision, finding.line) == ("upgrade-fails", "r2", 8)
    assert 'relation "nowhere" does not exist' in finding.details[0]
    assert ran.report.tests_note == "the upgrade does not apply"
    assert "1 later revision not walked: r2 does not apply" in ran.report.notes


def test_what_a_worker_has_to_say_is_in_the_report_once(neontest: Run, project: Project) -> None:
    many = ("for n in range(5_001):\n        op.execute('SELECT 1')", "pass")
    ran = neontest("run", "--no-tests", "--mode", "whole", cwd=project(many))
    told = [note for note in ran.report.notes if "statements" in note]
    assert told == ["more than 5,000 statements in one visit: the rest was not looked at"]


def test_an_irreversible_revision_is_a_warning_and_the_walk_goes_on(neontest: Run, project: Project) -> None:
    root = project(
        GOOD, ("CREATE TABLE b (id int)", "raise NotImplementedError('no way')"), ("CREATE TABLE c ()", "DROP TABLE c")
    )
    ran = neontest("run", "--no-tests", cwd=root)
    assert (ran.code, ran.checks) == (0, ["irreversible"])
    assert [walk.revision for walk in ran.report.walks] == [None, "r1", "r2", "r3"]
    assert neontest("run", "--no-tests", "--fail-on", "warning", cwd=root).code == 1


def test_nothing_pending_is_a_success_without_branch_or_tests(neontest: Run, project: Project) -> None:
    ran = neontest("run", "--from-revision", "head", "--", "false", cwd=project(GOOD))
    assert ran.code == 0
    assert (ran.report.branches, ran.report.tests) == ((), None)
    assert ran.out.splitlines()[-1] == "passed: nothing to test"


def test_the_limits_of_the_settings_are_those_of_the_record(neontest: Run, project: Project) -> None:
    settings = """[tool.neontest]
lock-budget = "250s"
small-table = 7
slow-migration = "10m"
slow-statement = 5
many-locks = 3
"""
    ran = neontest("run", "--from-revision", "head", cwd=project(GOOD, files={"pyproject.toml": settings}))
    assert ran.report.limits == Limits(
        lock_seconds=250, small_table=7, migration_seconds=600, statement_seconds=5, many_locks=3
    )


def test_failing_tests_fail_the_run_and_see_the_branch(neontest: Run, project: Project) -> None:
    test = (
        "import os, sqlalchemy\n"
        "def test_it():\n"
        "    with sqlalchemy.create_engine(os.environ['DATABASE_URL']).connect() as connection:\n"
        "        assert connection.exec_driver_sql('select count(*) from a').scalar() == 0\n"
        "def test_bad(): assert not os.environ.get('NEON_API_KEY') and 0\n"
    )
    root = project(GOOD, files={"test_it.py": test})
    ran = neontest("run", cwd=root)
    assert ran.code == 1
    assert ran.checks == ["tests-failed"]
    assert ran.report.tests is not None
    assert (ran.report.tests.passed, ran.report.tests.failed) == (1, 1)
    assert ran.report.findings[0].details == ("test_it::test_bad",)
    assert neontest("run", "--fail-on", "never", cwd=root).code == 1


SECRETS = {
    "NEON_API_KEY": "napi_sesame",
    "GITHUB_TOKEN": "ghs_sesame",
    "GH_TOKEN": "gho_sesame",
    "ACTIONS_RUNTIME_TOKEN": "act_sesame",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "oidc_sesame",
}


def test_no_key_or_token_is_in_any_childs_environment(neontest: Run, project: Project) -> None:
    spill = "import os, json; open(os.environ['SPILL'], 'a').write(json.dumps(dict(os.environ)) + '\\n')\n"
    root = project(GOOD, files={"test_it.py": spill + "def test_it(): pass\n", "seed.py": spill})
    (root / "migrations" / "env.py").write_text(spill + ENV_PY)
    file = root / "spill"
    seed = f"{sys.executable} seed.py"
    ran = neontest("run", "--local", "--seed", seed, cwd=root, env={**SECRETS, "SPILL": str(file)})
    assert ran.code == 0, ran.err
    environments = file.read_text().splitlines()
    assert len(environments) >= 4
    for each in environments:
        assert "sesame" not in each
        assert "DATABASE_URL" in each


def test_the_branchs_password_is_in_nothing_that_is_told(neontest: Run, project: Project) -> None:
    leak = "import os, sys; url = os.environ['DATABASE_URL']; print(url); sys.stderr.write(os.environ['PGPASSWORD'])\n"
    root = project(
        ("raise ValueError(__import__('os').environ['DATABASE_URL'] + __import__('os').environ['PGPASSWORD'])", "pass"),
        files={"spy.py": leak},
    )
    (root / "migrations" / "env.py").write_text(
        leak + "open(os.environ['SPILL'], 'w').write(os.environ['PGPASSWORD'])\n" + ENV_PY
    )
    ran = neontest("run", "-v", cwd=root, env={"SPILL": str(root / "spill")})
    assert ran.code == 1
    password = (root / "spill").read_text()
    assert len(password) > 8
    assert ran.json is not None
    for told in (ran.out, ran.err, ran.json.read_text()):
        assert password not in told
    assert "***" in ran.err


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("--from-revision", "zzz"), 'no revision here begins with "zzz"'),
        (("--database", "nope"), "nope"),
        (("--parent", "nope"), "there is no branch nope"),
        (("--timeout", "soon"), "not a duration"),
        (("--alembic-config", "nope.ini"), "nope.ini"),
        (("--postgres", "/nowhere"), "/nowhere"),
        (("--python", "/nowhere/python"), "/nowhere/python"),
        (("--no-tests", "--", "pytest"), "contradict"),
        (("--mode", "sideways"), "sideways"),
        (("--json", "/nowhere/at/all.json"), "/nowhere/at/all.json"),
        (("--seed", "nope.sql"), "nope.sql"),
        (("--", "no-such-command"), "no-such-command"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    neontest: Run, project: Project, args: tuple[str, ...], sentence: str
) -> None:
    ran = neontest("run", "--local", *args, cwd=project(GOOD), json="--json" not in args)
    assert ran.code in ((2, 3) if args[0] == "--postgres" else (2,)), ran.out + ran.err
    assert sentence in ran.out + ran.err
    assert "Traceback" not in ran.out + ran.err


def test_an_empty_folder_is_told_where_neontest_looked(neontest: Run, tmp_path: Path) -> None:
    ran = neontest("run", cwd=tmp_path)
    assert ran.code == 2
    assert "alembic.ini" in ran.out + ran.err


def test_a_visit_that_hangs_is_stopped_and_named(neontest: Run, project: Project) -> None:
    ran = neontest("run", "--visit-timeout", "2", cwd=project(("SELECT pg_sleep(600)", "pass")))
    assert ran.code == 1
    finding = ran.report.findings[0]
    assert finding.check == "upgrade-fails"
    assert "pg_sleep" in " ".join(finding.details)
    assert all(branch.proved for branch in ran.report.branches)


def test_the_runs_own_deadline_means_could_not_test(neontest: Run, project: Project) -> None:
    root = project(GOOD, files={"test_it.py": "import time\ndef test_it(): time.sleep(600)\n"})
    ran = neontest("run", "--timeout", "8", cwd=root)
    assert ran.code in (1, 3)
    assert all(branch.proved for branch in ran.report.branches)


SESSION_BOUND = (
    "op.execute('CREATE TEMP TABLE mem (x int); CREATE TABLE k1 (x int)')",
    "op.execute('DROP TABLE mem; DROP TABLE k1')",
)
IRREVERSIBLE = ("CREATE TABLE k2 (x int)", "raise NotImplementedError('no way back')")


@pytest.mark.parametrize(
    ("revisions", "args"),
    [
        ((GOOD, SESSION_BOUND), ()),
        ((GOOD, SESSION_BOUND), ("--mode", "stairway")),
        ((GOOD, SESSION_BOUND, IRREVERSIBLE), ()),
        ((GOOD, SESSION_BOUND, ("ALTER TABLE nowhere ADD x int", "pass")), ()),
    ],
    ids=["both walks", "stairway alone", "below an irreversible", "below one that does not apply"],
)
def test_a_rollback_that_needs_the_connection_of_its_upgrade_is_found_wherever_it_is(
    neontest: Run, project: Project, revisions: tuple[tuple[str, str], ...], args: tuple[str, ...]
) -> None:
    ran = neontest("run", "--no-tests", *args, cwd=project(*revisions))
    assert ran.code == 1
    assert ("downgrade-fails", "r2") in {(each.check, each.revision) for each in ran.report.findings}


def test_a_rollback_that_needs_the_variables_of_its_upgrade_is_found(neontest: Run, project: Project) -> None:
    root = project(("CREATE TABLE k1 (x int); SELECT 1", "op.execute('DROP TABLE ' + saved.pop())"))
    file = root / "migrations" / "versions" / "r1_it.py"
    text = file.read_text().replace("def upgrade():\n", "saved = []\n\n\ndef upgrade():\n    saved.append('k1')\n")
    file.write_text(text)
    ran = neontest("run", "--no-tests", cwd=root)
    assert (ran.code, ran.checks) == (1, ["downgrade-fails"])


# -- whose finding it is ----------------------------------------------------------------------------------------------

WAY_OUT = ("CREATE TABLE b (id int)", "raise NotImplementedError('no way')")
OWN_GIT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{role}_{what}": "a@b" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


def git(root: Path, *words: str) -> None:
    environ = {"PATH": os.environ["PATH"], **OWN_GIT}
    subprocess.run(["git", *words], cwd=root, env=environ, check=True, capture_output=True)


def since(root: Path, file: str) -> Path:
    """The project as a repository: all but one file is on the branch `main`."""
    git(root, "init", "-q", "-b", "main")
    git(root, "add", ".", f":!{file}")
    git(root, "commit", "-q", "-m", "main")
    git(root, "switch", "-q", "-c", "change")
    return root


def test_findings_of_the_base_branch_are_shown_and_fail_the_run_only_if_all_gate(
    neontest: Run, project: Project
) -> None:
    root = since(project(LEFT, ("CREATE TABLE c ()", "DROP TABLE c")), "migrations/versions/r2_it.py")
    args = ("run", "--no-tests", "--from-revision", "base", "--base", "main")
    ran = neontest(*args, cwd=root)
    assert (ran.code, ran.report.verdict, ran.report.history.on_base) == (0, "passed", ("r1",)), ran.out + ran.err
    assert ran.checks == ["reupgrade-fails", "schema-restored"]
    assert [each.gates for each in ran.report.findings] == [False, False]
    assert "  already on the base branch\n" in ran.out
    assert ", 2 errors (2 on the base branch) in " in ran.out.splitlines()[-1]
    again = neontest(*args, "--gate", "all", cwd=root)
    assert (again.code, again.report.verdict) == (1, "failed")
    assert all(each.gates for each in again.report.findings)


def test_the_base_branch_that_github_names_is_noted_where_git_cannot_read_it(neontest: Run, project: Project) -> None:
    root = project(GOOD)
    github = {"GITHUB_BASE_REF": "main", "GIT_CEILING_DIRECTORIES": str(root.parent)}
    ran = neontest("run", "--no-tests", "--from-revision", "base", cwd=root, env=github)
    assert (ran.code, ran.report.history.on_base) == (0, None), ran.out + ran.err
    assert "not a git repository" in " ".join(ran.report.notes)
    assert "note: all findings gate, as the base branch is not known: " in ran.out
    for env, args in (({"NEONTEST_BASE": "main"}, ()), ({}, ("--base", "main"))):
        refused = neontest("run", "--from-revision", "base", *args, cwd=root, env={**github, **env})
        assert refused.code == 2
        assert "not a git repository" in refused.out
        assert not refused.report.branches


def test_on_neon_the_base_branchs_revisions_that_are_not_deployed_yet_do_not_gate(
    neontest: Run, project: Project, local_state: Path
) -> None:
    root = since(project(LEFT, ("CREATE TABLE c ()", "DROP TABLE c")), "migrations/versions/r2_it.py")
    with LocalNeon(local_state, find(environ=os.environ), persistent=False) as neon:
        env = {"NEON_API_KEY": neon.api_key, "NEON_API_HOST": neon.api_host, "NEON_PROJECT_ID": neon.project_id}
        ran = neontest("run", "--no-tests", "--mode", "stairway", cwd=root, env={**env, "GITHUB_BASE_REF": "main"})
        assert (ran.report.engine, ran.code, ran.report.history.pending) == ("neon", 0, ("r1", "r2")), ran.out + ran.err
        assert {(each.revision, each.gates) for each in ran.report.findings} == {("r1", False)}
        gone = neontest("run", "--no-tests", "--mode", "stairway", cwd=root, env={**env, "GITHUB_BASE_REF": "gone"})
        assert (gone.code, gone.report.history.on_base) == (1, None), gone.out + gone.err
        assert "git knows no gone" in " ".join(gone.report.notes)
        assert neontest("run", "--base", "gone", cwd=root, env=env).code == 2


def test_the_base_branch_decides_where_the_local_parent_starts(neontest: Run, project: Project) -> None:
    root = since(project(GOOD, WAY_OUT), "migrations/versions/r2_it.py")
    ran = neontest("run", "--no-tests", "--fail-on", "warning", cwd=root, env={"GITHUB_BASE_REF": "main"})
    assert (ran.code, ran.checks, ran.report.history.start) == (1, ["irreversible"], "r1"), ran.out + ran.err


def test_an_accepted_finding_is_told_with_its_reason_and_the_run_passes(neontest: Run, project: Project) -> None:
    toml = (
        "[[tool.neontest.accept]]\ncheck = 'schema-restored'\nrevision = 'r1'\nreason = 'the type stays'\n"
        "[[tool.neontest.accept]]\ncheck = 'reupgrade-fails'\nuntil = 2999-12-31\nreason = 'never rolled back'\n"
    )
    root = project(LEFT, files={"pyproject.toml": toml})
    ran = neontest("run", "--no-tests", "--fail-on", "warning", cwd=root)
    assert (ran.code, ran.checks) == (0, ["reupgrade-fails", "schema-restored"])
    assert {each.accepted for each in ran.report.findings} == {"the type stays", "never rolled back"}
    assert "  accepted: the type stays\n" in ran.out
    assert ", 2 errors (2 accepted) in " in ran.out.splitlines()[-1]


def test_a_stale_acceptance_is_a_warning(neontest: Run, project: Project) -> None:
    comment = "pass  # neontest: accept schema-restored: a leftover of last year"
    root = project(GOOD, (f"op.execute('CREATE TABLE c ()'); {comment}", "DROP TABLE c"))
    ran = neontest("run", "--no-tests", cwd=root)
    assert (ran.code, ran.checks) == (0, ["stale-acceptance"])
    assert ran.report.findings[0].line == 8
    assert neontest("run", "--no-tests", "--fail-on", "warning", cwd=root).code == 1


def test_the_levels_of_checks_decide(neontest: Run, project: Project) -> None:
    root = project(GOOD, WAY_OUT, files={"pyproject.toml": "[tool.neontest.levels]\nirreversible = 'error'\n"})
    assert neontest("run", "--no-tests", cwd=root).code == 1
    (root / "pyproject.toml").write_text("[tool.neontest.levels]\nirreversible = 'off'\n")
    ran = neontest("run", "--no-tests", cwd=root)
    assert (ran.code, ran.report.findings) == (0, ())


@pytest.mark.parametrize(
    "toml",
    [
        "[tool.neontest.levels]\nireversible = 'off'\n",
        "[[tool.neontest.accept]]\ncheck = 'ireversible'\nreason = 'x'\n",
    ],
)
def test_a_check_that_there_is_not_is_refused_before_anything_is_done(
    neontest: Run, project: Project, toml: str
) -> None:
    ran = neontest("run", "--no-tests", cwd=project(GOOD, files={"pyproject.toml": toml}))
    assert ran.code == 2
    assert 'there is no check "ireversible"' in ran.out
    assert 'did you mean "irreversible"?' in ran.out
    assert (ran.report.branches, ran.report.history.revisions) == ((), ())


def test_what_could_not_be_tested_for_two_heads_never_passes(neontest: Run, project: Project) -> None:
    toml = "[[tool.neontest.accept]]\ncheck = 'single-head'\nreason = 'later'\n"
    root = project(GOOD, WAY_OUT, files={"pyproject.toml": toml})
    file = root / "migrations" / "versions" / "r2_it.py"
    file.write_text(file.read_text().replace("down_revision = 'r1'", "down_revision = None"))
    ran = neontest("run", cwd=root)
    assert (ran.code, ran.report.verdict, ran.report.branches) == (1, "failed", ())
    assert ran.report.findings[0].accepted == "later"


# -- telling ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lines", [0, pytest.param(1, marks=pytest.mark.thorough), 4])
def test_a_reader_who_goes_away_changes_nothing(local_state: Path, project: Project, lines: int) -> None:
    root = project(GOOD)
    process = subprocess.Popen(
        [sys.executable, "-m", "neontest", "run", "--local", "--no-tests", "--json", "report.json"],
        cwd=root,
        env=environment(local_state),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    for _ in range(lines):
        process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=120) == 0
    report = json.loads((root / "report.json").read_text())
    assert report["verdict"] == "passed"
    assert all(branch["proved"] for branch in report["branches"])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_report_that_cannot_be_written_is_no_pass(neontest: Run, project: Project) -> None:
    ran = neontest("run", "--no-tests", "--json", "/dev/full", cwd=project(GOOD), json=False)
    assert ran.code == 3
    assert "Error: /dev/full was not written: No space left on device" in ran.err
    assert ran.out.splitlines()[-1].startswith("passed")


def test_a_log_that_knows_few_characters_gets_the_report_all_the_same(local_state: Path, project: Project) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "neontest", "run", "--local", "--no-tests"],
        cwd=project(GOOD),
        env=environment(local_state, {"PYTHONIOENCODING": "ascii"}),
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0
    assert ran.stdout.splitlines()[-1].startswith("passed: 1 revision")


# -- signals ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def started(local_state: Path, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start `neontest run` and wait until its project's tests (or migrations) have begun."""
    running: list[subprocess.Popen[str]] = []

    def start(root: Path, *args: str, state: Path = local_state) -> subprocess.Popen[str]:
        mark = root / "begun"
        process = subprocess.Popen(
            [sys.executable, "-m", "neontest", "run", "--local", "--json", str(root / "report.json"), *args],
            cwd=root,
            env=environment(state, {"MARK": str(mark)}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        running.append(process)
        end = time.monotonic() + 60
        while not (mark.exists() and mark.read_text().endswith("\n")):
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < end
            time.sleep(0.01)
        return process

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


HANGING_TEST = (
    "import os, signal, time\n"
    "def test_it():\n"
    "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "    open(os.environ['MARK'], 'w').write(f'{os.getpid()}\\n')\n"
    "    time.sleep(600)\n"
)
HANGING_MIGRATION = (
    "(open(__import__('os').environ['MARK'], 'w').write(f\"{__import__('os').getpid()}\\n\"),"
    " op.execute('SELECT pg_sleep(600)'))"
)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize(
    ("where", "signum"),
    [
        ("tests", signal.SIGINT),
        ("tests", signal.SIGTERM),
        ("migration", signal.SIGINT),
        *(
            pytest.param(*each, marks=pytest.mark.thorough)
            for each in (("tests", signal.SIGHUP), ("migration", signal.SIGTERM), ("migration", signal.SIGHUP))
        ),
    ],
)
def test_a_signal_ends_the_children_gives_the_branch_back_and_has_its_code(
    project: Project, started: Callable[..., subprocess.Popen[str]], signum: int, where: str
) -> None:
    root = (
        project(GOOD, files={"test_it.py": HANGING_TEST}) if where == "tests" else project((HANGING_MIGRATION, "pass"))
    )
    process = started(root)
    child = int((root / "begun").read_text())
    process.send_signal(signum)
    time.sleep(0.05)
    process.send_signal(signum)  # a second one changes nothing
    output = process.communicate(timeout=30)[0]
    assert process.returncode == 128 + signum == Stopped(signum).exit_code, output
    assert gone(child)
    report = json.loads((root / "report.json").read_text())
    assert (report["verdict"], report["exit_code"]) == ("stopped", 128 + signum)
    assert report["branches"]
    assert all(branch["deleted"] for branch in report["branches"]), output
    assert "Traceback" not in output


def test_kill_leaves_nothing_after_the_next_commands_sweep(
    project: Project, started: Callable[..., subprocess.Popen[str]], neontest: Run, tmp_path: Path
) -> None:
    from tests.conftest import away

    folder = away("killed")
    state = folder / "state"
    try:
        root = project(GOOD, files={"test_it.py": HANGING_TEST})
        process = started(root, state=state)
        child = int((root / "begun").read_text())
        process.kill()
        process.communicate()
        end = time.monotonic() + 10
        while not gone(child):
            assert time.monotonic() < end, "the project's tests outlived their owner"
            time.sleep(0.01)
        ran = neontest(
            "cleanup", cwd=root, env={"NEONTEST_STATE": str(state), "NEONTEST_LEDGER": str(folder / "ledger")}
        )
        assert ran.code == 0, ran.out + ran.err
        assert list((state / "b").glob("*")) == []
        assert not list((folder).glob("ledger/*.json"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_a_missing_extension_comes_with_its_remedy(neontest: Run, project: Project) -> None:
    ran = neontest("run", "--no-tests", cwd=project(('CREATE EXTENSION "no-such-thing"', "pass")))
    assert ran.checks == ["upgrade-fails"]
    hint = ran.report.findings[0].hint
    assert hint is not None
    assert "has no extension no-such-thing" in hint
    assert hint in ran.out
