"""The example projects: `neontest run` on a copy of each, as a person would start it.

`cases/<check>/{bad,good}` are one pair a check; `cases/env/<style>` are the ways in which projects find their
database. `expect.toml` in each says how the run ends:

    exit_code = 1
    checks = ["upgrade-fails"]      ids of all findings, sorted; the linter's only in its own cases
    says = "does not exist"         optional: some finding, note or problem tells this
    args = ["--mode", "whole"]      optional: more arguments
    needs = ["asyncpg"]             optional: modules without which the case cannot be run here

A case with a folder `base` is run in a git repository: `base` holds the revision files that the branch `base` has, in
place of the project's own in migrations/versions, which are committed on top of it; `base-tests`, its tests.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from neontest import checks
from neontest.literals import without_literal_values
from neontest.report import from_json
from tests import forking
from tests.conftest import BARE_PYTEST, away

CASES = Path(__file__).with_name("cases")
FOLDERS = sorted(path.parent.relative_to(CASES).as_posix() for path in CASES.rglob("expect.toml"))
LIMIT = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    exit_code: int
    report: dict[str, Any]
    output: str


@pytest.fixture(scope="session")
def machine() -> Iterator[dict[str, str]]:
    """The environment of a machine with nothing of Neon or GitHub on it, and one local engine for all cases."""
    shared = away("cases")
    try:
        yield _environment(shared)
    finally:
        shutil.rmtree(shared)


def _environment(shared: Path) -> dict[str, str]:
    kept = ("PATH", "HOME", "USER", "LANG", "TMPDIR", "NEONTEST_POSTGRES")
    environ = {name: os.environ[name] for name in kept if name in os.environ}
    package = str(Path(__file__).parent.parent)
    return environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environ.get('PATH', os.defpath)}",
        "PYTHONPATH": os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH")))),
        "NEONTEST_STATE": str(shared / "state"),
        "NEONTEST_LEDGER": str(shared / "ledger"),
        "NO_COLOR": "1",
        **BARE_PYTEST,
    }


def run(project: Path, report: Path, machine: dict[str, str], *arguments: str) -> Ran:
    command = ["run", "--local", "--python", sys.executable, "--json", str(report), *arguments]
    done = forking.run(command, cwd=project, env=machine, seconds=LIMIT)
    output = done.stdout + done.stderr
    assert report.exists(), output
    return Ran(exit_code=done.returncode, report=json.loads(report.read_text(encoding="utf-8")), output=output)


def commit(project: Path, branch: str) -> None:
    """Commit all that is in the project on a new branch, by git with no configuration but its own."""
    who = {f"GIT_{role}_{what}": "case@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environ = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", **who}
    for words in (("init", "-q"), ("checkout", "-q", "-b", branch), ("add", "--all"), ("commit", "-q", "-m", branch)):
        subprocess.run(["git", *words], cwd=project, env=environ, check=True, capture_output=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    folder: str
    machine: dict[str, str]
    place: Path

    @property
    def expected(self) -> dict[str, Any]:
        return tomllib.loads((CASES / self.folder / "expect.toml").read_text(encoding="utf-8"))

    @property
    def lacks(self) -> list[str]:
        return [module for module in self.expected.get("needs", ()) if importlib.util.find_spec(module) is None]

    def run(self) -> Ran:
        project = self.place / "project"
        shutil.copytree(CASES / self.folder, project, ignore=shutil.ignore_patterns("expect.toml", "__pycache__"))
        if (project / "base").is_dir():
            swapped = {"base": project / "migrations" / "versions", "base-tests": project / "tests"}
            swapped = {name: place for name, place in swapped.items() if (project / name).is_dir()}
            for name, place in swapped.items():
                place.rename(self.place / name)
                (project / name).rename(place)
            commit(project, "base")
            for name, place in swapped.items():
                shutil.rmtree(place)
                (self.place / name).rename(place)
            commit(project, "change")
        more = () if (project / "tests").is_dir() else ("--no-tests",)
        if self.folder.startswith("env/"):
            # They are about how the database is found: nothing of it depends on rows.
            more = (*more, "--rows", "0", "--data", "off", "--no-lint")
        return run(project, self.place / "report.json", self.machine, *self.expected.get("args", ()), *more)


@pytest.fixture(scope="session")
def ran(
    request: pytest.FixtureRequest, machine: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Ran]]:
    """What became of a case: all that this session wants are run side by side, as they wait more than they work."""

    def case(folder: str) -> Case:
        return Case(folder=folder, machine=machine, place=tmp_path_factory.mktemp(folder.replace("/", "-")))

    if "PYTEST_XDIST_WORKER" in os.environ:  # the workers are side by side already
        yield lambda folder: case(folder).run()
        return
    params = [getattr(item, "callspec", None) for item in request.session.items if item.path == Path(__file__)]
    cases = [case(each.params["folder"]) for each in params if each is not None and "folder" in each.params]
    with ThreadPoolExecutor(max_workers=3) as pool:
        futures = {each.folder: pool.submit(each.run) for each in cases if not each.lacks}
        try:
            yield lambda folder: futures[folder].result()
        finally:
            pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_case_ends_as_it_says(
    folder: str,
    ran: Callable[[str], Ran],
    machine: dict[str, str],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    case = Case(folder=folder, machine=machine, place=tmp_path)
    if case.lacks:
        pytest.skip(f"{', '.join(case.lacks)} is not installed")
    expected, result = case.expected, ran(folder)
    findings = result.report["findings"]
    check, _, kind = folder.partition("/")
    if check != "env":
        record_property("case", (check, kind, sorted({finding["check"] for finding in findings})))
    assert sorted({finding["check"] for finding in findings}) == expected["checks"], result.output
    assert result.exit_code == result.report["exit_code"] == expected["exit_code"], result.output
    lines = [line for each in findings for line in (each["message"], *each.get("details", ()))]
    told = "\n".join([*lines, *result.report["notes"], *(each["message"] for each in result.report["problems"])])
    assert expected.get("says", "") in told, result.output
    # Without values it is told in the same words: no finding is taken for one that somebody else made up.
    bare = without_literal_values(from_json(json.dumps(result.report)))
    assert [bool(each.details) for each in bare.findings] == [bool(each["details"]) for each in findings]
    for branch in result.report["branches"]:
        assert (branch["deleted"], branch["proved"]) == (True, True), result.output
    if expected["exit_code"] == 0:
        assert result.report["branches"], "nothing was tested"
        assert result.report["walks"], "nothing was tested"


@pytest.mark.parametrize("check", [check.id for check in checks.every()])
def test_every_check_has_a_project_that_it_catches_and_one_that_it_passes(check: str) -> None:
    for kind, caught in (("bad", True), ("good", False)):
        expected = tomllib.loads((CASES / check / kind / "expect.toml").read_text(encoding="utf-8"))
        assert (check in expected["checks"]) is caught
