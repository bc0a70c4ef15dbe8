"""actionlint and zizmor read what is in .github, and find nothing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"


def tool(name: str) -> str:
    found = shutil.which(name, path=PATH)
    if found is None:
        pytest.skip(f"{name} is not installed: the workflows are not checked with it")
    return found


def actionlint(root: Path) -> str:
    """What actionlint finds in the repository at `root`; shellcheck reads the scripts."""
    command = [tool("actionlint"), "-no-color", "-shellcheck", tool("shellcheck"), "-pyflakes", ""]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def zizmor(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [tool("zizmor"), "--offline", "--no-progress", "--quiet", "--color=never", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A repository with our `.github`, to be changed."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    shutil.copytree(GITHUB, tmp_path / ".github")
    return tmp_path


def test_actionlint_finds_nothing(copied: Path) -> None:
    assert actionlint(copied) == ""


def test_actionlint_finds_nothing_in_the_actions_steps(copied: Path) -> None:
    """It reads workflows only, so the action is put to it as a reusable one with the same inputs and steps."""
    action = yaml.safe_load((GITHUB / "actions" / "neontest" / "action.yml").read_text(encoding="utf-8"))
    inputs = {name: {"type": "string"} for name in action["inputs"]}
    job = {"runs-on": "ubuntu-latest", "steps": action["runs"]["steps"]}
    workflow: dict[str, Any] = {"on": {"workflow_call": {"inputs": inputs}}, "jobs": {"job": job}}
    file = copied / ".github" / "workflows" / "as_workflow.yml"
    file.write_text(yaml.safe_dump(workflow, sort_keys=False))
    assert actionlint(copied) == ""


def test_zizmor_finds_nothing() -> None:
    done = zizmor(GITHUB)
    assert done.returncode == 0, done.stdout


def test_both_would_find_something(copied: Path) -> None:
    workflow = copied / ".github" / "workflows" / "test-migrations.yml"
    text = workflow.read_text(encoding="utf-8")
    text = re.sub(r"run: pip install.*", "run: echo $HOME ${{ github.event.pull_request.title }}", text)
    workflow.write_text(re.sub(r"checkout@\w+", "checkout@v6", text.replace("artifact:", "artefact:")))
    found, done = actionlint(copied), zizmor(copied / ".github")
    assert all(each in found for each in ("potentially untrusted", "shellcheck", '"artefact" is not defined'))
    assert done.returncode != 0
    assert all(each in done.stdout for each in ("template-injection", "unpinned-uses"))


def test_every_action_of_others_is_pinned_by_its_hash() -> None:
    for file in GITHUB.rglob("*.yml"):
        for used in re.findall(r"(?m)^ *(?:- )?uses: (.+)", file.read_text(encoding="utf-8")):
            assert used.startswith("$/") or re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used), (
                f"{file}: {used}"
            )


def test_no_workflow_has_more_rights_than_its_jobs_name() -> None:
    for file in (GITHUB / "workflows").glob("*.yml"):
        workflow = yaml.safe_load(file.read_text(encoding="utf-8"))
        assert workflow["permissions"] == {}, file.name
        for name, job in workflow["jobs"].items():
            assert job["permissions"], f"{file.name}: {name}"
            assert job["timeout-minutes"] <= 60, f"{file.name}: {name}"
