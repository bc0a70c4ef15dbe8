"""The workflow for GitHub Actions that `neontest init` writes. Pure.

It is a plain text, so that its comments stay where they explain something. No text of a pull request (a title, a
branch's name) stands in a `run:`, where the shell would run it.
Source: https://docs.github.com/actions/reference/security/secure-use (2026-11).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from neontest import __version__

OWN_PYTHON: Final = (3, 11)
"""The oldest Python that neontest itself runs on."""
Tool = Literal["uv", "poetry", "pipenv", "pip"]

_TEXT: Final = """\
# Tests the migrations of a pull request: on a Neon branch where the secret is there, else (as in pull requests from
# forks) on a local Postgres. Needs the secret NEON_API_KEY and the variable NEON_PROJECT_ID of the repository.
name: Test migrations

on:
  pull_request:

permissions: {}

concurrency:
  group: test-migrations-${{ github.event.pull_request.number }}
  # A cancelled run gives its branch back, too; still, let it end.
  cancel-in-progress: false

jobs:
  migrations:
    runs-on: ubuntu-latest
    timeout-minutes: 45
    permissions:
      contents: read
      statuses: write # the commit status
      pull-requests: write # the comment
@DEFAULTS@    steps:
      - uses: actions/checkout@de0fac2e4500dabe0009e67214ff5f5447ce83dd # v6.0.2
        with:
          fetch-depth: 0 # the base branch's revisions are read from its history
          persist-credentials: false
      - uses: actions/setup-python@a309ff8b426b58ec0e2a45f0f869d46889d02405 # v6.2.0
        with:
@PYTHON@
      - name: Install the project
        # Into an environment of its own: neontest finds .venv, and neither decides which versions the other gets.
        run: |
@INSTALL@
      - name: Install neontest
        run: pip install 'neontest[local]==@VERSION@'
      - name: Test the migrations
        # exec: a cancelled job signals this step's process, and a shell would pass nothing on.
        run: exec neontest run
        env:
          NEON_API_KEY: ${{ secrets.NEON_API_KEY }}
          NEON_PROJECT_ID: ${{ vars.NEON_PROJECT_ID }}
          NEONTEST_JSON: ${{ runner.temp }}/neontest-report.json
          GITHUB_TOKEN: ${{ github.token }}
      - name: Give back what is left
        if: always()
        run: exec neontest cleanup
        env:
          NEON_API_KEY: ${{ secrets.NEON_API_KEY }}
          NEON_PROJECT_ID: ${{ vars.NEON_PROJECT_ID }}
          GITHUB_TOKEN: ${{ github.token }} # ends the status and the comment of a run that was killed
      - name: Keep the report
        # For pull requests from forks, too: a workflow on workflow_run can send it with `neontest publish`.
        if: always()
        uses: actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f # v7.0.0
        with:
          name: neontest-report
          path: ${{ runner.temp }}/neontest-report*.json
          if-no-files-found: ignore
"""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What differs from project to project."""

    folder: str = ""
    """The project's, from the top of the repository; empty where it is the top."""
    python: tuple[int, int]
    """The project's, such as (3, 12)."""
    install: tuple[str, ...]
    """The commands that fill `.venv`."""


def workflow(job: Job) -> str:
    """The workflow as YAML."""
    texts = {
        "DEFAULTS": f"    defaults:\n      run:\n        working-directory: {json.dumps(job.folder)}\n"
        if job.folder
        else "",
        "PYTHON": _python(job.python),
        "VERSION": __version__,
        "INSTALL": "\n".join(f"          {line}" for line in job.install),
    }
    return re.sub(r"@([A-Z]+)@", lambda match: texts[match[1]], _TEXT)


def install(
    *,
    tool: Tool,
    python: tuple[int, int],
    requirements: Iterable[str] = (),
    package: bool = False,
    extras: Iterable[str] = (),
    groups: Iterable[str] = (),
    more: Iterable[str] = (),
) -> tuple[str, ...]:
    """The commands that put the project and what it needs into `.venv`, with the tool whose lock file is there."""
    added = tuple(more)
    if tool == "uv":
        synced = "uv sync --locked" + "".join(f" --extra {_word(each)}" for each in extras)
        synced += "".join(f" --group {_word(each)}" for each in groups)
        return ("pip install uv", synced, *((f"uv pip install {' '.join(added)}",) if added else ()))
    if tool == "poetry":
        named = ",".join(groups)
        more_groups = f" --with {_word(named)}" if named else ""
        return (
            "pip install poetry",
            f"POETRY_VIRTUALENVS_IN_PROJECT=true poetry install{more_groups}",
            *((f".venv/bin/python -m pip install {' '.join(added)}",) if added else ()),
        )
    if tool == "pipenv":
        return (
            "pip install pipenv",
            "PIPENV_VENV_IN_PROJECT=1 pipenv sync --dev",
            *((f".venv/bin/python -m pip install {' '.join(added)}",) if added else ()),
        )
    words = [f"-r {_word(each)}" for each in requirements]
    if package:
        named = ",".join(extras)
        words.append(f"-e '.[{named}]'" if named else "-e .")
    words += [f"--group {_word(each)}" for each in groups]
    words += added
    program = "python" if python >= OWN_PYTHON else "python{}.{}".format(*python)
    made = (f"{program} -m venv .venv",)
    upgraded = (".venv/bin/pip install --upgrade pip  # --group is known since 25.1",) if groups else ()
    if not words:
        return (*made, "# put in the command that installs your project: .venv/bin/pip install …")
    return (*made, *upgraded, f".venv/bin/pip install {' '.join(words)}")


def _python(version: tuple[int, int]) -> str:
    """The versions to set up; the last one is the one that `python` and `pip` mean."""
    said = "{}.{}".format(*version)
    if version >= OWN_PYTHON:
        return f'          python-version: "{said}"'
    lines = ("# The project's own, and one for neontest.", "python-version: |", f"  {said}", "  3.12")
    return "\n".join(" " * 10 + line for line in lines)


def _word(text: str) -> str:
    """A word for the shell, quoted where it must be."""
    return text if re.fullmatch(r"[\w./,@%+=-]+", text, re.ASCII) else "'" + text.replace("'", "'\\''") + "'"
