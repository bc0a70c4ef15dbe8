from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import neontest as package
from neontest import checks
from neontest.cli.main import neontest_group, run
from neontest.settings import FileSettings
from tests.conftest import Run

README = Path(__file__).parent.parent.parent / "README.md"


def test_every_command_has_a_help_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    import click

    context = click.Context(neontest_group)
    names = neontest_group.list_commands(context)
    assert names[:4] == ["run", "cleanup", "sweep", "branches"]
    for name in names:
        command = neontest_group.get_command(context, name)
        assert command is not None
        assert command.help, name
        assert run([name, "--help"]) == 0
        for parameter in command.params:
            if isinstance(parameter, click.Option) and name == "run":
                assert parameter.help, f"{name} {parameter.name}"
    capsys.readouterr()


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"neontest, version {package.__version__}\n"


@pytest.mark.parametrize("args", [["nope"], ["run", "--nope"], ["run", "--heads", "three"], ["explain", "nope"], []])
def test_wrong_usage_is_exit_code_2(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(args) == 2
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    assert said.err or said.out


def test_ctrl_c_in_an_import_is_no_defect(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    class Field:
        def __set_name__(self, owner: type, name: str) -> None:
            raise KeyboardInterrupt

    def importing(name: str) -> None:
        type("Made", (), {"field": Field()})  # Python 3.11 makes a RuntimeError of it

    monkeypatch.setattr("neontest.cli.main.importlib.import_module", importing)
    assert run(["sweep"]) == 130
    assert capsys.readouterr().err == "Error: stopped by SIGINT\n"


def test_an_interrupt_while_the_program_is_still_read_ends_it_without_a_word(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    environ = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(__file__).parents[2]}"}
    command = [sys.executable, "-m", "neontest", "run"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_help_needs_none_of_the_heavy_libraries() -> None:
    script = "import sys; from neontest.cli.main import run; run(['run', '--help']); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = done.stdout.splitlines()[-1]
    for heavy in ("'sqlalchemy'", "'alembic'", "'httpx'", "'werkzeug'", "'psycopg2'", "'rich'", "'pytest'"):
        assert heavy not in loaded


def test_explain_lists_all_checks_and_explains_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain"]) == 0
    listed = capsys.readouterr().out
    for check in checks.every():
        assert check.id in listed
        assert run(["explain", check.id]) == 0
        assert check.title in capsys.readouterr().out


def test_config_says_where_each_value_came_from(neontest: Run, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.neontest]\nmode = 'whole'\n")
    env = {"NEONTEST_HEADS": "many", "NEON_API_KEY": "napi_sesame", "NEON_PROJECT_ID": "p-1"}
    ran = neontest("config", "--timeout", "5m", cwd=tmp_path, env=env)
    lines = {line.split()[0]: line for line in ran.out.splitlines()}
    assert "whole  (pyproject.toml)" in lines["mode"]
    assert "many  (environment)" in lines["heads"]
    assert "300.0  (flag)" in lines["timeout"]
    assert "error  (default)" in lines["fail-on"]
    assert "neon  (NEON_API_KEY is set)" in lines["engine"]
    assert "sesame" not in ran.out + ran.err


def test_config_says_tables_and_lists_on_one_line(neontest: Run, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        "[[tool.neontest.accept]]\ncheck = 'data-loss'\nrevision = '3b7d'\nuntil = 2026-12-31\nreason = 'a\tcopy'\n"
        "[[tool.neontest.accept]]\ncheck = 'irreversible'\nreason = 'meant'\n"
        "[tool.neontest]\ntests = ['pytest', '-q']\ndata = 'full'\n"
        "[tool.neontest.levels]\nirreversible = 'off'\nsingle-head = 'warning'\n"
        "[tool.neontest.commands]\nupgrade = 'up {revision}'\ndowngrade = 'down {revision}'\n"
    )
    ran = neontest("config", "--interrupt", cwd=tmp_path)
    lines = {line.split()[0]: line.split(maxsplit=1)[1] for line in ran.out.splitlines()}
    assert lines["accept"] == "data-loss of 3b7d until 2026-12-31: a copy; irreversible: meant  (pyproject.toml)"
    assert lines["levels"] == "irreversible = off, single-head = warning  (pyproject.toml)"
    assert lines["commands"] == "upgrade = up {revision}, downgrade = down {revision}  (pyproject.toml)"
    assert lines["tests"] == "pytest -q  (pyproject.toml)"
    assert lines["data"] == "full  (pyproject.toml)"
    assert lines["interrupt"] == "yes  (flag)"
    assert lines["gate"] == "new  (default)"
    assert lines["rows"] == "20 on the local engine, none on Neon  (default)"


def test_a_saved_report_is_told_again(neontest: Run, tmp_path: Path) -> None:
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = m\n")
    versions = tmp_path / "m" / "versions"
    versions.mkdir(parents=True)
    (tmp_path / "m" / "env.py").write_text("")
    for name in ("a", "b"):
        (versions / f"{name}.py").write_text(f"revision = '{name}'\ndown_revision = None\n")
    ran = neontest("run", cwd=tmp_path)
    assert (ran.code, ran.checks) == (1, ["single-head"])
    again = neontest("report", str(ran.json), cwd=tmp_path)
    assert (again.code, again.out) == (0, ran.out)
    assert neontest("report", str(ran.json), "--format", "json", cwd=tmp_path).out == ran.json.read_text()  # type: ignore[union-attr]
    assert "single-head" in neontest("report", str(ran.json), "--format", "markdown", cwd=tmp_path).out


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"version": 2}', "\x00"])
def test_what_is_no_report_is_a_sentence(neontest: Run, tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(text)
    ran = neontest("report", str(file), cwd=tmp_path)
    assert ran.code == 2
    assert "not a neontest report" in ran.err
    assert "Traceback" not in ran.err


def test_the_readme_names_every_setting() -> None:
    text = README.read_text(encoding="utf-8")
    missing = [
        key
        for key in FileSettings.__struct_encode_fields__
        if key not in text and key not in ("engine", "api-host", "isolate", "state", "ledger")
    ]
    assert not missing
