"""The composite action: all that `neontest run` can be told is an input, and what it answers is an output."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from neontest.cli.cleanup import command as cleanup
from neontest.cli.run import command as run
from tests.github.runner import Machine

ROOT = Path(__file__).parents[2]
FILE = ROOT / ".github" / "actions" / "neontest" / "action.yml"
ACTION: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
STEPS: dict[str, dict[str, Any]] = {each["name"]: each for each in ACTION["runs"]["steps"]}

OWN = {"version", "package", "extras", "cache", "artifact", "api-key", "token", "tests", "engine"}
"""Inputs that are no option of their own; `engine` is --neon and --local, `tests` the command after `--`."""
BY_HAND = {"root": "--root", "json": "--json"}
"""Options that are given in another way than by their variable alone."""

FAKE = """\
#!/usr/bin/env python3
import json, os, sys
with open(os.environ["RUNNER_TEMP"] + "/said-" + sys.argv[1], "w") as file:
    json.dump({"argv": sys.argv[1:], "env": dict(os.environ), "pid": os.getpid()}, file)
if sys.argv[1] == "run":
    with open(os.environ["NEONTEST_JSON"], "w") as file:
        file.write("{}")
    with open(os.environ["GITHUB_OUTPUT"], "a") as file:
        file.write("verdict=failed\\nbranch-id=br-1\\npending=2\\nfindings=3\\n")
        file.write("report=" + os.environ["NEONTEST_JSON"] + "\\n")
    sys.exit(int(os.environ.get("EXIT", "0")))
"""


def options(command: click.Command) -> dict[str, click.Option]:
    """The options by their long names, without the dashes."""
    found = [each for each in command.params if isinstance(each, click.Option) and each.name != "help"]
    return {next(name for name in each.opts if name.startswith("--"))[2:]: each for each in found}


def test_every_option_of_run_is_an_input() -> None:
    wanted = options(run).keys() - {"neon", "local"}
    assert sorted(ACTION["inputs"].keys() - OWN) == sorted(wanted)


def test_each_input_reaches_its_option_and_leaves_what_the_job_has_set() -> None:
    env = STEPS["Test the migrations"]["env"]
    for name, option in options(run).items():
        if name not in {"neon", "local", *BY_HAND}:
            assert env[option.envvar] == f"${{{{ inputs.{name} || env.{option.envvar} }}}}", name


def test_the_cleanup_looks_where_the_run_has_been() -> None:
    run_env, env = (STEPS[name]["env"] for name in ("Test the migrations", "Give back what is left"))
    named = {each.envvar for each in options(cleanup).values() if each.envvar}
    assert {*named, "GITHUB_TOKEN", "NEON_API_KEY", "ROOT"} == env.keys()
    assert env == {name: run_env[name] for name in env}


def test_the_release_that_it_installs_is_this_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert ACTION["inputs"]["version"]["default"] == project["version"]


def test_no_input_is_demanded_and_each_is_described() -> None:
    for name, given in ACTION["inputs"].items():
        assert given["description"], name
        assert "default" in given, name


def test_no_script_has_an_expression_in_it_and_each_is_exec() -> None:
    for name, step in STEPS.items():
        assert "${{" not in step.get("run", ""), name
    for name in ("Test the migrations", "Give back what is left"):
        commands = [line for line in STEPS[name]["run"].splitlines() if "/bin/neontest" in line]
        assert commands
        assert all(line.strip().startswith("exec ") for line in commands), name


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine with a fake neontest, which writes down how it was called."""
    made = Machine(
        folder=tmp_path / "machine",
        origin=tmp_path,
        github={"token": "ghs_of_the_job", "repository": "o/r"},
        env={"NEONTEST_ROWS": "7", "NEON_API_KEY": "key-of-the-job"},
        replaced={"Install neontest": 'mkdir -p "$RUNNER_TEMP/neontest/bin"; cp ../fake "$_/neontest"'},
    )
    (made.folder / "fake").write_text(FAKE)
    (made.folder / "fake").chmod(0o755)
    made.setup_python({})
    target = made.workspace / ".github" / "actions" / "neontest"
    target.mkdir(parents=True)
    (target / "action.yml").write_text(FILE.read_text(encoding="utf-8"))
    return made


def use(machine: Machine, tmp_path: Path, **given: str) -> str:
    """Run a job of one step that uses the action; the job's result."""
    inputs = {name.replace("_", "-"): value for name, value in given.items()}
    steps = [{"name": "Use it", "uses": "$/.github/actions/neontest", "with": inputs}]
    file = tmp_path / "workflow.yml"
    file.write_text(yaml.safe_dump({"jobs": {"job": {"steps": steps}}}))
    return machine.run_job(file, "job")


def said(machine: Machine, command: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads((machine.folder / "temp" / f"said-{command}").read_text())
    return answer


def test_inputs_arrive_and_outputs_come_back(machine: Machine, tmp_path: Path) -> None:
    nasty = "a\"; echo pwned $(id) `id` ${{ github.token }}'"
    assert (
        use(machine, tmp_path, parent=nasty, keep="true", tests="pytest -k 'a b'", artifact="the-report") == "success"
    )
    called = said(machine, "run")
    assert called["argv"] == ["run", "--root", ".", "--", "bash", "-c", "pytest -k 'a b'"]
    assert called["env"]["NEONTEST_PARENT"] == nasty.replace("${{ github.token }}", "ghs_of_the_job")
    assert called["env"]["NEONTEST_KEEP"] == "true"
    assert called["env"]["NEONTEST_ROWS"] == "7"
    assert called["env"]["NEON_API_KEY"] == "key-of-the-job"
    assert called["env"]["GITHUB_TOKEN"] == "ghs_of_the_job"
    assert called["env"]["VIRTUAL_ENV"] == sys.prefix
    report = str(machine.folder / "temp" / "neontest-report.json")
    assert machine.step("Use it").outputs == {
        "verdict": "failed", "branch-id": "br-1", "report": report, "pending": "2", "findings": "3"
    }  # fmt: skip
    assert (machine.folder / "artifacts" / "the-report" / "neontest-report.json").read_text() == "{}"
    assert "pwned" not in machine.log


def test_the_environment_of_the_project_comes_before_the_jobs_python(machine: Machine, tmp_path: Path) -> None:
    python = machine.workspace / "back end" / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    assert use(machine, tmp_path, root="back end") == "success"
    called = said(machine, "run")
    assert called["argv"] == ["run", "--root", "back end"]
    assert "VIRTUAL_ENV" not in called["env"]


def test_a_failed_run_is_cleaned_up_after_and_keeps_its_report(machine: Machine, tmp_path: Path) -> None:
    machine.env["EXIT"] = "1"
    assert use(machine, tmp_path, artifact="the-report", api_key="key-of-the-action", state="/s") == "failure"
    assert machine.step("Give back what is left").outcome == "success"
    called = said(machine, "cleanup")
    assert called["argv"] == ["cleanup", "--root", "."]
    assert (called["env"]["NEON_API_KEY"], called["env"]["NEONTEST_STATE"]) == ("key-of-the-action", "/s")
    assert (machine.folder / "artifacts" / "the-report").is_dir()
    assert machine.step("Use it").outputs["verdict"] == "failed"


def test_a_failed_installation_is_the_only_failure(machine: Machine, tmp_path: Path) -> None:
    machine.replaced["Install neontest"] = "exit 1"
    assert use(machine, tmp_path) == "failure"
    assert machine.step("Test the migrations").outcome == "skipped"
    assert machine.step("Give back what is left").outcome == "skipped"


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ({}, r"neontest\[local\]==\d+\.\d+\.\d+"),
        ({"version": "1.2.3", "extras": "local,lint"}, r"neontest\[local,lint\]==1\.2\.3"),
        ({"extras": ""}, r"neontest==\d+\.\d+\.\d+"),
        ({"package": "dist/n.whl"}, r"dist/n\.whl\[local\]"),
        ({"package": "git+https://x.test/n@c0ffee"}, r"neontest\[local\] @ git\+https://x\.test/n@c0ffee"),
        ({"package": "https://x.test/n.whl", "extras": ""}, r"neontest @ https://x\.test/n\.whl"),
    ],
)
def test_what_is_installed_is_one_pinned_release(
    given: dict[str, str], asked: str, machine: Machine, tmp_path: Path
) -> None:
    """The real script, with a Python that only writes down what it is asked for."""
    del machine.replaced["Install neontest"]
    temp = machine.folder / "temp"
    fake = machine.folder / "bin" / "python"
    fake.write_text(
        f'#!/bin/sh\ncase "$1$2" in -mvenv) mkdir -p "$4/bin"; cp "$0" "$4/bin/python";; '
        f'-mpip) shift 2; echo "$PIP_CACHE_DIR $*" > {temp}/asked;; -c*) exec {sys.executable} "$@";; esac\n'
    )
    fake.chmod(0o755)
    machine.path.insert(0, str(machine.folder / "bin"))
    use(machine, tmp_path, **given)
    assert re.fullmatch(rf"{temp}/neontest-pip install --quiet {asked}\n", (temp / "asked").read_text())
    cached = machine.step("Cache what pip downloads").outcome
    assert cached == ("skipped" if "package" in given else "success")
    assert "," not in machine_key(machine)


def machine_key(machine: Machine) -> str:
    return machine.step("Find Python").outputs["key"]


def test_a_machine_without_a_python_that_is_new_enough_is_told_so(machine: Machine, tmp_path: Path) -> None:
    machine.path = [str(machine.folder / "bin")]
    for name in ("bash", "cat"):
        found = subprocess.run(["which", name], capture_output=True, text=True, check=True).stdout.strip()
        (machine.folder / "bin" / name).symlink_to(found)
    (machine.folder / "bin" / "python3").write_text(
        f'#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\nexec {sys.executable} "$@"\n'
    )
    (machine.folder / "bin" / "python3").chmod(0o755)
    assert use(machine, tmp_path) == "failure"
    assert "needs Python 3.11 or later" in machine.step("Find Python").log
