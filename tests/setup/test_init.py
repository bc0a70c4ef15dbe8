"""`neontest init` on real folders: what it shows, writes and leaves."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from neontest.cli import main
from neontest.cli.init import command
from neontest.config import read_file
from neontest.errors import UsageError
from tests.conftest import away, environment

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = ".github/workflows/test-migrations.yml"


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


Init = Callable[..., Said]


@pytest.fixture
def init(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Init:
    (tmp_path / ".git").mkdir()
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)

    def run(*args: str, root: Path = tmp_path) -> Said:
        capfd.readouterr()
        with Path(os.devnull).open() as nothing, monkeypatch.context() as here:
            here.setattr(sys, "stdin", nothing)
            code = main.run(["init", "--root", str(root), *args])
        said = capfd.readouterr()
        assert "Traceback" not in said.err
        return Said(code, said.out, said.err)

    return run


def put(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())


def guide(root: Path) -> None:
    """The application of the guide, as its reader has it."""
    for name in ("app", "migrations"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    put(root, {"requirements.txt": "flask\nflask-migrate\nflask-sqlalchemy\npsycopg2-binary\n", "tests/test_a.py": ""})


def plain(root: Path, env: str = "", ini: str = "") -> None:
    put(
        root,
        {
            "alembic.ini": ini or "[alembic]\nscript_location = db\n",
            "db/env.py": env,
            "db/versions/a.py": "revision = 'a'\ndown_revision = None\n",
            "tests/test_a.py": "",
        },
    )


def files(root: Path) -> dict[str, bytes]:
    return {str(each.relative_to(root)): each.read_bytes() for each in sorted(root.rglob("*")) if each.is_file()}


def workflow(root: Path) -> Any:
    text = (root / WORKFLOW).read_text()
    return yaml.safe_load(text)


def test_the_guides_application_needs_a_workflow_only(init: Init, tmp_path: Path) -> None:
    guide(tmp_path)
    before = files(tmp_path)
    said = init("--yes")
    assert said.code == 0
    for part in ("Flask-Migrate", "psycopg2 (from requirements.txt)", "DATABASE_URL (app/__init__.py:", "folder tests"):
        assert part in said.err
    assert files(tmp_path) == before | {WORKFLOW: (tmp_path / WORKFLOW).read_bytes()}
    assert "no pyproject.toml is made" in said.err


def test_run_twice_it_changes_nothing_and_says_so(init: Init, tmp_path: Path) -> None:
    plain(tmp_path, 'import os\nurl = os.environ["APP_DB"]\nold = os.environ["APP_DB_URL"]\n')
    put(tmp_path, {"pyproject.toml": "[project]\nname = 'x'\n"})
    init("-y")
    before = files(tmp_path)
    said = init("-y")
    assert (said.code, said.out) == (0, "")
    assert "nothing to write" in said.err
    assert files(tmp_path) == before
    assert init("-y", "--force").out == ""


def test_it_shows_what_it_would_write_and_writes_nothing_unasked(init: Init, tmp_path: Path) -> None:
    plain(tmp_path, 'url = os.environ["APP_DB_URL"]\n')
    put(tmp_path, {"pyproject.toml": "[project]\nname = 'x'"})
    before = files(tmp_path)
    said = init()
    assert said.code == 0
    assert files(tmp_path) == before
    assert "nothing was written" in said.err
    assert "--- a/pyproject.toml\n+++ b/pyproject.toml\n" in said.out
    assert '+APP_DB_URL = "{url}"\n' in said.out
    assert "\\ No newline at end of file" in said.out
    assert f"+++ b/{WORKFLOW}\n" in said.out
    # What was shown is a patch that git takes, and that makes the same files.
    subprocess.run(["git", "init", "-q", "."], cwd=tmp_path, check=True)
    subprocess.run(["git", "apply", "-"], cwd=tmp_path, check=True, input=said.out.encode())
    assert "nothing to write" in init("-y").err


def test_on_a_terminal_it_asks(tmp_path: Path) -> None:
    guide(tmp_path)
    for answer, written in (("n", False), ("y", True)):
        ours, theirs = pty.openpty()
        os.write(ours, f"{answer}\n".encode())
        done = subprocess.run(
            [sys.executable, "-m", "neontest", "init"], cwd=tmp_path, env=environment(tmp_path / "state"), stdin=theirs,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        os.close(ours)
        os.close(theirs)
        assert done.returncode == 0, done.stderr
        assert f"Write {WORKFLOW}?" in done.stderr
        assert (tmp_path / WORKFLOW).exists() is written


def test_a_file_that_differs_stays_but_for_force(init: Init, tmp_path: Path) -> None:
    guide(tmp_path)
    put(tmp_path, {WORKFLOW: "name: mine\n"})
    said = init("--yes")
    assert said.code == 0
    assert "is there and differs" in said.err
    assert (tmp_path / WORKFLOW).read_text() == "name: mine\n"
    assert init("--yes", "--force").code == 0
    assert workflow(tmp_path)["name"] == "Test migrations"


def test_a_workflow_checked_out_with_crlf_is_the_same(init: Init, tmp_path: Path) -> None:
    guide(tmp_path)
    init("-y")
    path = tmp_path / WORKFLOW
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert "nothing to write" in init("-y").err


def test_crlf_and_odd_quoting_of_pyproject_stay(init: Init, tmp_path: Path) -> None:
    plain(tmp_path, 'url = os.environ["APP_DB_URL"]\n')
    text = "# ö\r\n['project']\r\n\"name\" = 'x' # [tool.neontest]\r\n\r\n[ tool . 'ruff' ]\r\nselect=['E',]\r\n"
    put(tmp_path, {"pyproject.toml": text})
    init("-y")
    new = (tmp_path / "pyproject.toml").read_bytes().decode()
    assert new.startswith(text)
    assert "\n" not in new.replace("\r\n", "")
    assert read_file(tmp_path).env == {"APP_DB_URL": "{url}"}


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ('os.environ["DATABASE_URL"]', {}),
        ('os.environ["APP_DB_URL"]', {"APP_DB_URL": "{url}"}),
        (
            "url = make(env('DB_USER'), env('DB_PASSWORD'), env('DB_HOST'), env('DB_PORT'), env('DB_NAME'))",
            {
                "DB_USER": "{user}", "DB_PASSWORD": "{password}", "DB_HOST": "{host}", "DB_PORT": "{port}",
                "DB_NAME": "{database}",
            },
        ),
    ],
)  # fmt: skip
def test_the_variables_of_env_py_are_given_to_a_run(
    init: Init, tmp_path: Path, env: str, expected: dict[str, str]
) -> None:
    plain(tmp_path, env)
    assert init("-y").code == 0
    assert dict(read_file(tmp_path).env) == expected
    assert (tmp_path / "pyproject.toml").exists() is bool(expected)


def test_the_applications_configuration_is_read_where_env_py_names_no_variable(init: Init, tmp_path: Path) -> None:
    plain(tmp_path, "from shop.settings import settings\n")
    put(
        tmp_path,
        {"shop/settings.py": 'class S(BaseSettings):\n    model_config = dict(env_prefix="SHOP_")\n    db_url: str\n'},
    )
    put(tmp_path, {".venv/lib/x.py": 'os.environ["OTHER_DB_URL"]', "tests/conftest.py": 'os.environ["T_DB_URL"]'})
    said = init("-y")
    assert "SHOP_DB_URL (shop/settings.py:3)" in said.err
    assert dict(read_file(tmp_path).env) == {"SHOP_DB_URL": "{url}"}


def test_a_url_in_alembic_ini_only_is_said(init: Init, tmp_path: Path) -> None:
    ini = "[alembic]\nscript_location = db\nsqlalchemy.url = postgresql+asyncpg://u:hunter22@h/d\n"
    plain(tmp_path, "config.get_main_option('sqlalchemy.url')", ini)
    said = init("-y")
    assert "written in alembic.ini; a run puts the branch's in its place" in said.err
    assert "asyncpg (from the URL" in said.err
    assert "hunter22" not in said.out + said.err
    assert not (tmp_path / "pyproject.toml").exists()


def test_one_other_section_is_taken_and_of_several_none(init: Init, tmp_path: Path) -> None:
    plain(tmp_path, "", "[alembic]\n[shop]\nscript_location = db\n")
    assert init("-y").code == 0
    assert read_file(tmp_path).alembic_name == "shop"
    plain(tmp_path, "", "[shop]\nscript_location = db\n[stock]\nscript_location = db\n")
    said = init("-y")
    assert said.code == 2
    assert "shop, stock" in said.err
    assert "--alembic-name" in said.err
    assert init("-y", "--alembic-name", "stock").code == 0


def test_a_configuration_is_named_only_where_a_run_would_not_find_it(init: Init, tmp_path: Path) -> None:
    plain(tmp_path)
    assert init("-y", "--alembic-config", "alembic.ini").code == 0
    assert not (tmp_path / "pyproject.toml").exists()
    put(tmp_path, {"other.ini": "[alembic]\nscript_location = db\n"})
    init("-y", "--alembic-config", "other.ini")
    assert read_file(tmp_path).alembic_config == "other.ini"


def test_a_project_without_tests_runs_none(init: Init, tmp_path: Path) -> None:
    plain(tmp_path)
    shutil.rmtree(tmp_path / "tests")
    said = init("-y")
    assert tomllib.loads((tmp_path / "pyproject.toml").read_text())["tool"]["neontest"] == {"tests": False}
    assert "none found" in said.err


@pytest.mark.parametrize("text", ["[project\n", "a = 1\na = 2\n", "\ud800"])
def test_a_pyproject_that_cannot_be_read_is_one_sentence(init: Init, tmp_path: Path, text: str) -> None:
    plain(tmp_path)
    (tmp_path / "pyproject.toml").write_bytes(text.encode("utf-8", "surrogatepass"))
    said = init("-y")
    assert said.code == 2
    assert "pyproject.toml" in said.err
    assert not (tmp_path / ".github").exists()


def test_a_project_without_alembic_is_one_sentence(init: Init, tmp_path: Path) -> None:
    said = init("--yes")
    assert said.code == 2
    assert said.err.startswith("Error: no Alembic or Flask-Migrate environment in")
    assert files(tmp_path) == {}


def test_what_cannot_be_written_is_said(init: Init, tmp_path: Path) -> None:
    plain(tmp_path, 'os.environ["APP_DB_URL"]')
    put(tmp_path, {".github": "a file"})
    said = init("--yes")
    assert said.code == 2
    assert f"{WORKFLOW} was not written" in said.err


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody who may not write")
def test_a_read_only_folder_is_said(init: Init) -> None:
    folder = away("init")
    try:
        folder.chmod(0o755)
        guide(folder)
        init(root=folder)  # loads all that is needed while it can be read
        os.seteuid(65534)
        try:
            with pytest.raises(UsageError, match="was not written: Permission denied"):
                command.main(["--root", str(folder), "--yes"], standalone_mode=False)
        finally:
            os.seteuid(0)
    finally:
        shutil.rmtree(folder)


def test_the_workflow_has_the_shape_that_a_run_needs(init: Init, tmp_path: Path) -> None:
    guide(tmp_path)
    put(tmp_path, {".python-version": "3.12.4\n"})
    init("-y")
    read = workflow(tmp_path)
    assert read[True] == {"pull_request": None}  # YAML 1.1 reads `on` as true
    assert read["permissions"] == {}
    assert read["concurrency"]["cancel-in-progress"] is False
    assert "github.event.pull_request.number" in read["concurrency"]["group"]
    (job,) = read["jobs"].values()
    assert job["permissions"] == {"contents": "read", "statuses": "write", "pull-requests": "write"}
    steps = job["steps"]
    assert steps[0]["with"] == {"fetch-depth": 0, "persist-credentials": False}
    assert steps[1]["with"] == {"python-version": "3.12"}
    run = next(each for each in steps if each.get("run") == "exec neontest run")
    assert run["env"] == {
        "NEON_API_KEY": "${{ secrets.NEON_API_KEY }}",
        "NEON_PROJECT_ID": "${{ vars.NEON_PROJECT_ID }}",
        "NEONTEST_JSON": "${{ runner.temp }}/neontest-report.json",
        "GITHUB_TOKEN": "${{ github.token }}",
    }
    assert [each["if"] for each in steps[-2:]] == ["always()"] * 2
    assert steps[-2]["run"] == "exec neontest cleanup"
    # Of several projects, each has a name of its own behind that.
    assert steps[-1]["with"]["path"] == run["env"]["NEONTEST_JSON"].replace(".json", "*.json")
    assert steps[-1]["with"]["name"] == "neontest-report"  # as publish.yml takes it
    assert not [each for each in steps if "${{" in each.get("run", "")]
    assert "pip install -r requirements.txt pytest" in str(steps)


def test_a_project_in_a_folder_of_its_repository_runs_there(init: Init, tmp_path: Path) -> None:
    guide(tmp_path / "services" / "shop")
    said = init("-y", root=tmp_path / "services" / "shop")
    assert f"../../{WORKFLOW} written" in said.err
    (job,) = workflow(tmp_path)["jobs"].values()
    assert job["defaults"] == {"run": {"working-directory": "services/shop"}}


@pytest.mark.parametrize(
    ("allowed", "python"),
    [(">=3.8", sys.version_info[:2]), (">=3.8,<3.10", (3, 9)), ("==3.10.*", (3, 10)), ("~=3.10.4", (3, 10)),
     ("<3", sys.version_info[:2]), ("soon", sys.version_info[:2])],
)  # fmt: skip
def test_the_python_is_one_that_the_project_allows(
    init: Init, tmp_path: Path, allowed: str, python: tuple[int, int]
) -> None:
    plain(tmp_path)
    put(tmp_path, {"pyproject.toml": f"[project]\nname = 'x'\nrequires-python = '{allowed}'\n"})
    init("-y")
    assert "{}.{}".format(*python) in str(workflow(tmp_path)["jobs"])


def test_what_is_written_lints_clean(init: Init, tmp_path: Path) -> None:
    guide(tmp_path)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    init("-y")
    for name, *words in (["actionlint"], ["zizmor", "--offline", "--no-progress", "."]):
        if (found := shutil.which(name, path=str(Path(sys.executable).parent))) is None:
            pytest.skip(f"{name} is not installed: the workflows are not checked with it")
        done = subprocess.run([found, *words], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"uv.lock": ""}, ["uv sync --locked --extra test", "uv pip install pytest"]),
        ({"poetry.lock": ""}, ["poetry install"]),
        ({"Pipfile.lock": "{}"}, ["pipenv sync --dev"]),
        ({}, [".venv/bin/pip install -e '.[test]' pytest"]),
        ({"requirements.txt": "", "requirements-dev.txt": "pytest\n", "requirements-docs.txt": ""},
         [".venv/bin/pip install -r requirements-dev.txt -r requirements.txt"]),
        ({".python-version": "3.9\n"}, ["python3.9 -m venv .venv"]),
    ],
)  # fmt: skip
def test_the_project_is_installed_by_its_own_means(
    init: Init, tmp_path: Path, more: dict[str, str], expected: list[str]
) -> None:
    plain(tmp_path)
    put(
        tmp_path,
        {"pyproject.toml": "[project]\nname = 'x'\n[project.optional-dependencies]\ntest = []\ndocs = []\n", **more},
    )
    init("-y")
    (job,) = workflow(tmp_path)["jobs"].values()
    for part in expected:
        assert part in "\n".join(each.get("run", "") for each in job["steps"])
