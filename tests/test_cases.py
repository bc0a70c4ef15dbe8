"""The example projects: `neontest run` on a copy of each, as a person would start it.

`cases/<check>/{bad,good}` are one pair a check; `cases/env/<style>` are the ways in which projects find their
database. `expect.toml` in each says how the run ends:

    exit_code = 1
    checks = ["upgrade-fails"]      ids of all findings, sorted
    says = "does not exist"         optional: some finding tells this
    args = ["--mode", "whole"]      optional: more arguments
    needs = ["asyncpg"]             optional: modules without which the case cannot be run here
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from neontest import checks

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
    # Not below pytest's own folder: root's Postgres runs as somebody else, who must be able to get here.
    shared = Path(tempfile.mkdtemp(prefix="neontest-cases-"))
    shared.chmod(0o755)
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
        "PYTHONDONTWRITEBYTECODE": "1",
        "NEONTEST_STATE": str(shared / "state"),
        "NEONTEST_LEDGER": str(shared / "ledger"),
        "NO_COLOR": "1",
    }


def run(project: Path, report: Path, machine: dict[str, str], *arguments: str) -> Ran:
    command = [sys.executable, "-m", "neontest", "run", "--local", "--python", sys.executable, "--json", str(report)]
    done = subprocess.run(
        [*command, *arguments], cwd=project, env=machine, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT
    )
    output = (done.stdout + done.stderr).decode("utf-8", "replace")
    assert report.exists(), output
    return Ran(exit_code=done.returncode, report=json.loads(report.read_text(encoding="utf-8")), output=output)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_case_ends_as_it_says(folder: str, tmp_path: Path, machine: dict[str, str]) -> None:
    expected = tomllib.loads((CASES / folder / "expect.toml").read_text(encoding="utf-8"))
    for module in expected.get("needs", ()):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    project = tmp_path / "project"
    shutil.copytree(CASES / folder, project, ignore=shutil.ignore_patterns("expect.toml", "__pycache__"))
    tests = () if (project / "tests").is_dir() else ("--no-tests",)
    ran = run(project, tmp_path / "report.json", machine, *expected.get("args", ()), *tests)
    findings = ran.report["findings"]
    assert sorted({finding["check"] for finding in findings}) == expected["checks"], ran.output
    assert ran.exit_code == ran.report["exit_code"] == expected["exit_code"], ran.output
    told = "\n".join(line for each in findings for line in (each["message"], *each.get("details", ())))
    assert expected.get("says", "") in told, ran.output
    for branch in ran.report["branches"]:
        assert (branch["deleted"], branch["proved"]) == (True, True), ran.output
    if expected["exit_code"] == 0:
        assert ran.report["branches"], "nothing was tested"
        assert ran.report["walks"], "nothing was tested"


@pytest.mark.parametrize("check", [check.id for check in checks.every()])
def test_every_check_has_a_project_that_it_catches_and_one_that_it_passes(check: str) -> None:
    for kind, caught in (("bad", True), ("good", False)):
        expected = tomllib.loads((CASES / check / kind / "expect.toml").read_text(encoding="utf-8"))
        assert (check in expected["checks"]) is caught
