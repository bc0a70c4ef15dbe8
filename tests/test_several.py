"""Several projects of one pyproject.toml."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from neontest.cli import files
from neontest.cli.main import run
from neontest.errors import ConfigError, UsageError
from neontest.github.sending import configuration, context
from neontest.renderers.words import located
from neontest.run import acceptances
from neontest.settings import Settings
from neontest.several import called, settled, untouched

TWO = """
[tool.neontest]
timeout = "5m"
base = "main"
levels = {slow-migration = "off"}
[[tool.neontest.project]]
name = "shop"
path = "shop"
levels = {slow-statement = "off"}
[[tool.neontest.project]]
name = "stock"
path = "stock"
timeout = "1m"
also = ["libs"]
"""


def several(
    root: Path, toml: str = TWO, only: tuple[str, ...] = (), also: tuple[str, ...] = (), **flags: Any
) -> tuple[Settings, ...]:
    """The settings of the projects in the file; beside their folders there are those in `also`."""
    for name in ("shop", "stock", "libs", *also):
        (root / name / "migrations" / "versions").mkdir(parents=True, exist_ok=True)
        (root / name / "alembic.ini").write_text("[alembic]\nscript_location = migrations\n")
        (root / name / "migrations" / "env.py").touch()
    (root / "pyproject.toml").write_text(toml)
    return settled(flags, dict.fromkeys(flags, "flag"), {}, root, only=only)


def test_each_table_has_the_outer_values_where_it_has_none(tmp_path: Path) -> None:
    shop, stock = several(tmp_path)
    assert (shop.name, shop.root, shop.timeout) == ("shop", tmp_path / "shop", 300)
    assert (stock.name, stock.root, stock.timeout) == ("stock", tmp_path / "stock", 60)
    assert shop.levels == {"slow-migration": "off", "slow-statement": "off"}
    assert [each.name for each in several(tmp_path, only=("stock",))] == ["stock"]


def test_what_is_wrong_in_the_tables_is_told_of_the_file_that_has_them(tmp_path: Path) -> None:
    accept = '[[tool.neontest.accept]]\ncheck = "data-loss"\nreason = "old"\n'
    shop, _ = several(tmp_path, TWO + accept)
    (accepted,) = acceptances(shop)
    assert accepted.file == "../pyproject.toml"
    assert located(accepted.file, "shop") == "pyproject.toml"
    with pytest.raises(ConfigError) as caught:
        several(tmp_path, TWO + '[tool.neontest.commands]\nupgrade = "up"\ndowngrade = "down"\n')
    assert caught.value.message.startswith(f'[[tool.neontest.project]] "shop": {tmp_path}/pyproject.toml: ')


@pytest.mark.parametrize(
    ("only", "comment", "name", "status"),
    [
        ((), None, "default", "neontest"),
        ((), "pg18", "pg18", "neontest/pg18"),
        (("stock", "shop", "stock"), None, "shop+stock", "neontest/shop+stock"),
        (("shop",), "pg18", "pg18/shop", "neontest/pg18/shop"),
        (("shop",), "off", "off", "neontest/shop"),
        (("off",), None, "only/off", "neontest/off"),
        (("default",), None, "only/default", "neontest/default"),
    ],
)
def test_all_share_comment_and_status_and_those_of_only_have_others(
    tmp_path: Path, only: tuple[str, ...], comment: str | None, name: str, status: str
) -> None:
    tables = "".join(f'[[tool.neontest.project]]\nname = "{each}"\n' for each in ("off", "default"))
    found = several(tmp_path, TWO + tables, only=only, comment=comment)
    assert {(configuration(each), context(each)) for each in found} == {(name, status)}


def test_many_names_are_cut_and_stay_apart() -> None:
    many = [f"{number:040}" for number in range(4)]
    one, other = called(many), called(many[:3])
    assert (len(one), len(other)) == (100, 100)
    assert one != other


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("path = 'shop'", "number 1 needs a name"),
        ("name = '../x'", "number 1 needs a name"),
        ("name = 'a'\nparnt = 'x'", '"a" has no key "parnt"'),
        ("name = 'a'\npath = 'gone'", '"a" path: there is no folder gone'),
        ("name = 'a'\n[[tool.neontest.project]]\nname = 'A'", '"A" is there twice'),
        ("name = 'a'\ncomment = 'mine'", '"a" comment: that is for all of them'),
        ("name = 'a'\ntimeout = 'soon'", '"a": timeout: "soon" is not a duration'),
        (
            "name = 'a'\nlevels = {downgrade-fials = 'off'}",
            'pyproject.toml: [[tool.neontest.project]] "a" levels: there is no check "downgrade-fials"',
        ),
        (
            "name = 'a'\n[tool.neontest.levels]\ndowngrade-fials = 'off'",
            'pyproject.toml: [tool.neontest] levels: there is no check "downgrade-fials"',
        ),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused_by_name(tmp_path: Path, table: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        several(tmp_path, f"[[tool.neontest.project]]\n{table}\n")
    assert said in caught.value.message


def test_a_name_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match='no project "shpo"'):
        several(tmp_path, only=("shpo",))


def git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments], cwd=root, check=True)


@pytest.mark.parametrize(
    ("file", "skipped"),
    [("shop/x.py", ["stock"]), ("libs/x.py", ["shop"]), ("other.py", ["shop", "stock"]), ("pyproject.toml", [])],
)
def test_what_the_branch_does_not_touch_is_skipped(tmp_path: Path, file: str, skipped: list[str]) -> None:
    found = several(tmp_path)
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "one")
    git(tmp_path, "checkout", "-q", "-b", "change")
    with (tmp_path / file).open("a") as changed:
        changed.write("# changed\n")
    assert [each.name for each in found if untouched(each, os.environ)] == skipped
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "two")
    assert [each.name for each in found if untouched(each, os.environ)] == skipped


def test_what_changes_in_a_submodule_around_a_project_is_not_skipped(tmp_path: Path) -> None:
    toml = '[tool.neontest]\nbase = "main"\n[[tool.neontest.project]]\nname = "shop"\npath = "services/shop"\n'
    services = tmp_path / "services"
    several(services)
    for folder in (services, tmp_path):
        git(folder, "init", "-q", "-b", "main")
        git(folder, "add", ".")  # the inner one is a link to a commit for the outer one, as with `git submodule add`
        git(folder, "commit", "-q", "-m", "one")
    (tmp_path / "pyproject.toml").write_text(toml)
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "two")
    (shop,) = settled({}, {}, {}, tmp_path)
    assert untouched(shop, os.environ)
    (services / "shop" / "x.py").write_text("x = 1\n")
    assert not untouched(shop, os.environ)
    git(services, "add", ".")
    git(services, "commit", "-q", "-m", "changed")
    assert not untouched(shop, os.environ)


def test_what_git_does_not_look_at_is_not_skipped(tmp_path: Path) -> None:
    found = several(tmp_path)
    (tmp_path / ".gitignore").write_text("shop\n")
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "one")
    git(tmp_path / "shop", "init", "-q", "-b", "main")  # a clone of its own inside of the other
    assert [each.name for each in found if untouched(each, os.environ)] == ["stock"]


def test_what_cannot_be_known_is_not_skipped(tmp_path: Path) -> None:
    assert not any(untouched(each, os.environ) for each in several(tmp_path))


def test_what_lies_outside_of_the_repository_is_not_skipped(tmp_path: Path) -> None:
    found = several(tmp_path / "top", TWO.replace('path = "shop"', 'path = "../other"'), also=("shop", "../other"))
    git(tmp_path / "top", "init", "-q", "-b", "main")
    git(tmp_path / "top", "add", ".")
    git(tmp_path / "top", "commit", "-q", "-m", "one")
    assert [each.name for each in found if untouched(each, os.environ)] == ["stock"]


def test_files_of_two_projects_never_are_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tables = "".join(f'[[tool.neontest.project]]\nname = "{each}"\n' for each in ("x-y", "y"))
    several(tmp_path, tables)
    wanted = ("--json", str(tmp_path / "r.json"), "--junit", str(tmp_path / "r-x.json"))
    assert run(["run", "--root", str(tmp_path), "--local", "-q", *wanted]) == 2
    assert f"two projects' reports would go to {tmp_path}/r-x-y.json" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.json"))


def test_a_pipe_has_the_reports_of_all_for_whoever_reads_it(tmp_path: Path) -> None:
    several(tmp_path)
    for name in ("shop", "stock"):
        (tmp_path / name / "alembic.ini").unlink()  # each ends at once
    os.mkfifo(tmp_path / "pipe")
    command = [sys.executable, "-m", "neontest", "run", "--local", "-q", "--json", "pipe"]
    with subprocess.Popen(["cat", "pipe"], cwd=tmp_path, stdout=subprocess.PIPE) as reader:
        try:
            done = subprocess.run(command, cwd=tmp_path, check=False, timeout=60, capture_output=True)
            said, _ = reader.communicate(timeout=60)
        finally:
            reader.kill()
    assert done.returncode == 2, done.stderr
    assert said.count(b'"project": "shop"') == said.count(b'"project": "stock"') == 1


def test_a_pipe_whose_reader_has_gone_is_not_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert not files.put(str(tmp_path / "pipe"), "text")
    assert "pipe was not written: No such device or address" in capsys.readouterr().err


def test_all_run_each_with_its_file_and_the_worst_code_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neontest.run.run", fake({"shop": 3, "stock": 1}))
    several(tmp_path)
    assert run(["run", "--root", str(tmp_path), "--local", "-q", "--json", str(tmp_path / "report.json")]) == 3
    assert (tmp_path / "report-shop.json").exists()
    assert (tmp_path / "report-stock.json").exists()
    assert capsys.readouterr().out.splitlines()[-1] == "projects: failed: stock; error: shop"


def test_after_a_signal_no_other_project_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neontest.run.run", fake({"shop": 0}, signum=15))
    several(tmp_path)
    assert run(["run", "--root", str(tmp_path), "--local", "-q"]) == 143
    assert capsys.readouterr().out.splitlines()[-1] == "projects: not run: stock; passed: shop"


def fake(codes: dict[str, int], signum: int | None = None) -> Any:
    """A run that ends with the project's code; with `signum`, the signal comes as soon as it has ended."""
    from neontest.report import Verdict
    from neontest.run import blank, report

    def run_(settings: Settings, environ: Any, *, stop: Any, **_: Any) -> Any:
        if signum is not None:
            with stop.shield():
                stop.request(signum)
        code = codes[settings.name or ""]
        verdict: Verdict = "passed" if code == 0 else "failed" if code == 1 else "error"
        return report(blank(settings), (), (), verdict=verdict, exit_code=code)

    return run_
