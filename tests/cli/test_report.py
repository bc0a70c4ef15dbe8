"""Reports in files: `neontest run --junit FILE` and its like, and `neontest report`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest

from neontest import renderers
from neontest.cli import files
from neontest.report import from_json
from tests.conftest import Run
from tests.renderers.reports import REPORTS, report

FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")

Project = Callable[..., Path]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with these revisions, each the head of its own history: with one, nothing else is wrong."""

    def make(*revisions: str) -> Path:
        root = tmp_path / "project"
        versions = root / "m" / "versions"
        versions.mkdir(parents=True)
        (root / "alembic.ini").write_text("[alembic]\nscript_location = m\n")
        (root / "m" / "env.py").write_text("")
        for name in revisions:
            (versions / f"{name}.py").write_text(f"revision = '{name}'\ndown_revision = None\n")
        return root

    return make


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    file = tmp_path / "saved.json"
    file.write_text(renderers.rendered(REPORTS["findings"](), "json"), encoding="utf-8")
    return file


PASSES = ("run", "--local", "--from-revision", "a")
"""Nothing is pending then, and that is known before any branch is made."""


def test_a_run_writes_every_format_as_report_tells_it_again(neontest: Run, project: Project, tmp_path: Path) -> None:
    targets = {form: tmp_path / f"told.{form}" for form in files.formats()}
    assert {"html", "json", "junit", "markdown", "sarif"} - targets.keys() <= {"html"}
    options = [word for form, file in targets.items() for word in (f"--{form}", str(file))]
    ran = neontest("run", *options, cwd=project("a", "b"), json=False)
    assert ran.code == 1
    assert ran.out.splitlines()[-1].startswith("failed")
    report = from_json(targets["json"].read_bytes())
    for form, file in targets.items():
        again = neontest(
            "report", str(targets["json"]), "--format", form, "--output", str(tmp_path / "again"), cwd=tmp_path
        )
        assert (again.code, again.out, again.err) == (0, "", "")
        assert (tmp_path / "again").read_bytes() == file.read_bytes()
        assert file.read_text(encoding="utf-8") == renderers.rendered(report, form)
    assert fromstring(targets["junit"].read_bytes()).get("failures") == "1"
    assert json.loads(targets["sarif"].read_bytes())["version"] == "2.1.0"


def test_what_goes_to_stdout_stands_there_alone(neontest: Run, project: Project) -> None:
    ran = neontest("run", "--sarif", "-", cwd=project("a", "b"), json=False)
    assert ran.code == 1
    assert json.loads(ran.out)["runs"][0]["invocations"][0]["exitCode"] == 1
    assert ran.err.splitlines()[-1].startswith("failed")


@pytest.mark.parametrize("form", files.formats())
@pytest.mark.parametrize("file", ["nowhere/report", "."])
def test_what_cannot_be_written_is_refused_before_any_work(
    neontest: Run, project: Project, form: str, file: str
) -> None:
    ran = neontest("run", f"--{form}", file, cwd=project("a", "b"), json=False)
    assert (ran.code, ran.out) == (2, "")
    assert f"--{form}: {file} cannot be written" in ran.err
    assert "engine" not in ran.err


@pytest.mark.parametrize("file", ["-", "told"])
def test_two_reports_cannot_go_to_one_place(neontest: Run, project: Project, file: str) -> None:
    root = project("a", "b")
    ran = neontest("run", "--json", file, "--junit", file, cwd=root, json=False)
    assert (ran.code, ran.out) == (2, "")
    assert "--json and --junit cannot both go to " in ran.err
    assert not (root / "told").exists()


def test_a_device_takes_several(neontest: Run, project: Project) -> None:
    assert neontest("run", "--json", "/dev/null", "--junit", "/dev/null", cwd=project("a", "b"), json=False).code == 1


@FULL
def test_a_report_that_could_not_be_written_is_no_pass_and_the_others_are_written(
    neontest: Run, project: Project
) -> None:
    root = project("a")
    assert neontest(*PASSES, "--sarif", "told", cwd=root, json=False).code == 0
    ran = neontest(*PASSES, "--junit", "/dev/full", "--markdown", "told.md", cwd=root, json=False)
    assert ran.code == 3
    assert "Error: /dev/full was not written: No space left on device" in ran.err
    assert ran.out.splitlines()[-1] == "passed: nothing to test"
    assert "nothing to test" in (root / "told.md").read_text(encoding="utf-8")


@FULL
def test_the_runs_own_exit_code_is_kept(neontest: Run, project: Project) -> None:
    assert neontest("run", "--junit", "/dev/full", cwd=project("a", "b"), json=False).code == 1


def test_a_format_that_breaks_is_a_sentence_and_the_others_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken, good = tmp_path / "broken", tmp_path / "good"
    assert not files.write({"no-such-format": str(broken), "junit": str(good)}, report())
    assert f"Error: {broken} was not written: a defect in neontest: ModuleNotFoundError" in capsys.readouterr().err
    assert not broken.exists()
    assert fromstring(good.read_bytes()).tag == "testsuites"


@pytest.mark.parametrize("git", [Path.mkdir, Path.touch], ids=["clone", "worktree"])
def test_files_are_told_from_the_top_of_the_repository(
    neontest: Run, project: Project, tmp_path: Path, git: Callable[[Path], None]
) -> None:
    root = project("a")
    (root / "m" / "versions" / "b.py").write_text("revision = 'b'\ndown_revision = 'gone'\n")
    git(tmp_path / ".git")
    ran = neontest("run", "--annotations", "told", "--sarif", "told.sarif", "--json", "told.json", cwd=root, json=False)
    assert ran.code == 1
    assert "::error file=project/m/versions/b.py,line=" in (root / "told").read_text(encoding="utf-8")
    assert '"uri": "project/m/versions/b.py"' in (root / "told.sarif").read_text(encoding="utf-8")
    again = neontest(
        "report", str(root / "told.json"), "--root", str(root), "--format", "annotations", cwd=tmp_path.parent
    )
    assert again.out == (root / "told").read_text(encoding="utf-8")


@pytest.mark.parametrize("form", renderers.formats())
def test_report_tells_a_saved_file_in_every_format(neontest: Run, saved: Path, tmp_path: Path, form: str) -> None:
    ran = neontest("report", str(saved), "--format", form, cwd=tmp_path)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == renderers.rendered(REPORTS["findings"](), form)


def test_report_writes_the_console_form_as_a_log_has_it(neontest: Run, saved: Path, tmp_path: Path) -> None:
    ran = neontest("report", str(saved), "--output", "told", cwd=tmp_path, env={"COLUMNS": "20"})
    assert (ran.code, ran.out) == (0, "")
    assert (tmp_path / "told").read_text(encoding="utf-8") == renderers.rendered(REPORTS["findings"](), "console")


def test_report_refuses_what_it_does_not_know_or_cannot_write(neontest: Run, saved: Path, tmp_path: Path) -> None:
    unknown = neontest("report", str(saved), "--format", "words", cwd=tmp_path)
    assert unknown.code == 2
    assert "'words' is not one of" in unknown.err
    nowhere = neontest("report", str(saved), "--output", "nowhere/told", cwd=tmp_path)
    assert (nowhere.code, nowhere.out) == (2, "")
    assert "--output: nowhere/told cannot be written" in nowhere.err


@FULL
def test_report_that_could_not_be_written_says_so(neontest: Run, saved: Path, tmp_path: Path) -> None:
    ran = neontest("report", str(saved), "--output", "/dev/full", cwd=tmp_path)
    assert ran.code == 3
    assert "Error: /dev/full was not written: No space left on device" in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("how", ["flag", "environment", "pyproject.toml"])
def test_a_saved_report_is_told_without_values_where_that_is_said(neontest: Run, tmp_path: Path, how: str) -> None:
    notes = ("loading the project changed the schema: column a.b: default 's3cret' → 8675309",)
    (tmp_path / "r.json").write_text(renderers.rendered(report(notes=notes), "json"), encoding="utf-8")
    assert "s3cret" in neontest("report", "r.json", cwd=tmp_path).out
    if how == "pyproject.toml":
        (tmp_path / how).write_text('[tool.neontest]\nredact = "literals"\n')
    ran = neontest(
        "report", "r.json", *(("--redact", "literals") if how == "flag" else ()), "--format", "json", cwd=tmp_path,
        env={"NEONTEST_REDACT": "literals"} if how == "environment" else None,
    )  # fmt: skip
    assert ran.code == 0
    assert "column a.b: default '…' → '…'" in ran.out
    assert "s3cret" not in ran.out
