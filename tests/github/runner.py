"""Runs a job's steps one by one, as GitHub's runner would on one machine.

Real are the order and the conditions of the steps, the expressions, the shells, the environment and its files, and our
own composite action. Not real are other people's actions: each has a small stand-in here; and a test may put its own
script in the place of a step, by the step's name, where the step would need a network.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.github.expressions import condition, rendered, text

SHELLS = {None: ["bash", "-e"], "bash": ["bash", "--noprofile", "--norc", "-eo", "pipefail"]}
"""Source: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax, `shell` (2026-11)."""
LIMIT_SECONDS = 300


@dataclass
class Step:
    """What became of one step."""

    name: str
    outcome: str
    """success, failure or skipped; `continue-on-error` changes only the conclusion."""
    conclusion: str
    outputs: dict[str, str] = field(default_factory=dict)
    log: str = ""


@dataclass
class Machine:
    """A runner: its folders, and what the repository and the event give to the job."""

    folder: Path
    origin: Path
    """The repository to check out, with the commit under test at its HEAD."""
    github: dict[str, Any]
    env: dict[str, str] = field(default_factory=dict)
    """As a workflow's own `env:` would set it."""
    secrets: dict[str, str] = field(default_factory=dict)
    vars: dict[str, str] = field(default_factory=dict)
    replaced: dict[str, str] = field(default_factory=dict)
    """Scripts in the place of steps, by the step's name."""
    steps: list[Step] = field(default_factory=list)
    """All that ran or were skipped, those of the composite action among them."""

    def __post_init__(self) -> None:
        for name in ("workspace", "temp", "home", "bin", "artifacts"):
            (self.folder / name).mkdir(parents=True)
        self.path = [str(self.folder / "bin"), "/usr/local/bin", "/usr/bin", "/bin"]
        self.exported: dict[str, str] = {}
        self.stand_ins: dict[str, Callable[[Mapping[str, str]], dict[str, str]]] = {
            "actions/checkout": self.checkout,
            "actions/setup-python": self.setup_python,
            "actions/cache": lambda given: {"cache-hit": "false"},
            "actions/upload-artifact": self.upload,
            "actions/download-artifact": self.download,
        }

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    @property
    def log(self) -> str:
        return "".join(each.log for each in self.steps)

    def step(self, name: str) -> Step:
        (found,) = [each for each in self.steps if each.name == name]
        return found

    def run_job(self, workflow: Path, name: str) -> str:
        """Run the job; its result: success, failure or skipped."""
        job = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"][name]
        env = dict(self.env)
        scope = Scope(self, env=env, inputs={}, action_path=None)
        if not condition(job.get("if"), scope.contexts(env), scope.functions()):
            return "skipped"
        env |= scope.texts(job.get("env"), env)
        scope.run_all(job["steps"])
        return scope.status

    def checkout(self, given: Mapping[str, str]) -> dict[str, str]:
        shutil.rmtree(self.workspace)
        command = ["git", "clone", "-q", *(["-b", given["ref"]] if given.get("ref") else [])]
        subprocess.run([*command, str(self.origin), str(self.workspace)], check=True, capture_output=True)
        return {}

    def setup_python(self, given: Mapping[str, str]) -> dict[str, str]:
        self.path.insert(0, str(Path(sys.executable).parent))
        return {"python-path": sys.executable}

    def upload(self, given: Mapping[str, str]) -> dict[str, str]:
        files = [self.workspace / each for each in filter(None, given["path"].splitlines())]
        if found := [each for pattern in files for each in pattern.parent.glob(pattern.name)]:
            folder = self.folder / "artifacts" / given["name"]
            folder.mkdir()
            for each in found:
                shutil.copy(each, folder)
        else:
            assert given.get("if-no-files-found") == "ignore", f"nothing to upload at {files}"
        return {}

    def download(self, given: Mapping[str, str]) -> dict[str, str]:
        shutil.copytree(self.folder / "artifacts" / given["name"], self.workspace / given["path"])
        return {}


@dataclass
class Scope:
    """The steps of a job, or of one use of the composite action."""

    machine: Machine
    env: dict[str, str]
    inputs: dict[str, str]
    action_path: Path | None
    status: str = "success"
    ids: dict[str, Any] = field(default_factory=dict)

    def contexts(self, env: Mapping[str, str]) -> dict[str, Any]:
        machine = self.machine
        given = {"secrets": machine.secrets, "vars": machine.vars} if self.action_path is None else {}
        runner = {"os": "Linux", "arch": "X64", "temp": str(machine.folder / "temp")}
        return {
            "github": machine.github, "runner": runner, "env": env, "inputs": self.inputs, "steps": self.ids, **given
        }  # fmt: skip

    def functions(self) -> dict[str, Callable[..., Any]]:
        return {
            "always": lambda: True,
            "success": lambda: self.status == "success",
            "failure": lambda: self.status == "failure",
            "cancelled": lambda: False,
            "format": lambda pattern, *given: re.sub(r"\{(\d+)\}", lambda found: text(given[int(found[1])]), pattern),
        }

    def texts(self, given: Mapping[str, Any] | None, env: Mapping[str, str]) -> dict[str, str]:
        contexts, functions = self.contexts(env), self.functions()
        return {name: text(rendered(value, contexts, functions)) for name, value in (given or {}).items()}

    def run_all(self, steps: list[dict[str, Any]]) -> None:
        for given in steps:
            env = {**self.env, **self.machine.exported}
            done = Step(name=given.get("name") or given.get("uses") or given["run"], outcome="skipped", conclusion="")
            self.machine.steps.append(done)
            if condition(given.get("if"), self.contexts(env), self.functions()):
                env |= self.texts(given.get("env"), env)
                try:
                    self.run_one(given, env, done)
                except (AssertionError, OSError, subprocess.CalledProcessError) as error:
                    done.outcome, done.log = "failure", f"{done.log}{error}\n"
            forgiven = done.outcome == "failure" and given.get("continue-on-error")
            done.conclusion = "success" if forgiven else done.outcome
            if done.conclusion == "failure":
                self.status = "failure"
            if "id" in given:
                facts = {"outputs": done.outputs, "outcome": done.outcome, "conclusion": done.conclusion}
                self.ids[given["id"]] = facts

    def run_one(self, given: dict[str, Any], env: dict[str, str], done: Step) -> None:
        if done.name in self.machine.replaced:
            self.run_script(self.machine.replaced[done.name], "bash", env, done)
        elif "run" in given:
            assert "${{" not in given["run"], f"{done.name}: an expression in a script"
            self.run_script(given["run"], given.get("shell"), env, done)
        elif given["uses"].startswith("$/"):
            self.run_composite(given, env, done)
        else:
            name, _, _ = given["uses"].partition("@")
            done.outputs |= self.machine.stand_ins[name](self.texts(given.get("with"), env))
            done.outcome = "success"

    def run_composite(self, given: dict[str, Any], env: dict[str, str], done: Step) -> None:
        """A composite action: its steps see its inputs, the job's environment, and neither secrets nor vars."""
        folder = self.machine.workspace / given["uses"].removeprefix("$/")
        action = yaml.safe_load((folder / "action.yml").read_text(encoding="utf-8"))
        assert action["runs"]["using"] == "composite"
        passed = self.texts(given.get("with"), env)
        assert passed.keys() <= action["inputs"].keys(), f"no such input: {passed.keys() - action['inputs'].keys()}"
        defaults = {name: each.get("default", "") for name, each in action["inputs"].items()}
        inner = Scope(self.machine, env=env, inputs={**self.texts(defaults, env), **passed}, action_path=folder)
        inner.run_all(action["runs"]["steps"])
        values = {name: each["value"] for name, each in action.get("outputs", {}).items()}
        done.outputs |= inner.texts(values, env)
        done.outcome = inner.status

    def run_script(self, script: str, shell: str | None, env: dict[str, str], done: Step) -> None:
        machine, temp = self.machine, self.machine.folder / "temp"
        files = {name: temp / f"_{name.lower()}" for name in ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH")}
        for file in files.values():
            file.write_text("")
        source = temp / "_script.sh"
        source.write_text(script)
        environ = {
            "PATH": os.pathsep.join(machine.path), "HOME": str(machine.folder / "home"), "LANG": "C.UTF-8",
            "CI": "true", "RUNNER_TEMP": str(temp), "RUNNER_OS": "Linux", "GITHUB_WORKSPACE": str(machine.workspace),
            "GITHUB_STEP_SUMMARY": str(machine.folder / "summary.md"),
            **{f"GITHUB_{name.upper()}": text(value) for name, value in machine.github.items() if name != "token"},
            **({"GITHUB_ACTION_PATH": str(self.action_path)} if self.action_path else {}),
            **{name: str(file) for name, file in files.items()}, "GITHUB_ACTIONS": "true", **env,
        }  # fmt: skip
        environ.pop("GITHUB_EVENT", None)  # a context, not a variable
        ran = subprocess.run(
            [*SHELLS[shell], str(source)],
            cwd=machine.workspace, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=LIMIT_SECONDS, check=False,
        )  # fmt: skip
        # The runner takes this command out of the log; it hides nothing here, so that a test sees what is said openly.
        done.log += re.sub(r"(?m)^::add-mask::.*\n?", "", ran.stdout)
        done.outcome = "success" if ran.returncode == 0 else "failure"
        done.outputs |= assigned(files["GITHUB_OUTPUT"].read_text())
        machine.exported |= assigned(files["GITHUB_ENV"].read_text())
        machine.path[:0] = files["GITHUB_PATH"].read_text().split()


def assigned(written: str) -> dict[str, str]:
    """What a step wrote into GITHUB_OUTPUT or GITHUB_ENV: `name=value` lines, and `name<<END` with lines up to END."""
    found: dict[str, str] = {}
    lines = iter(written.splitlines())
    for line in lines:
        if multi := re.fullmatch(r"([^=<]+)<<(\S+)", line):
            value = []
            for more in lines:
                if more == multi[2]:
                    break
                value.append(more)
            found[multi[1]] = "\n".join(value)
        elif line:
            name, sign, value_ = line.partition("=")
            assert sign, f"GitHub would refuse the line {line!r}"
            found[name] = value_
    return found
