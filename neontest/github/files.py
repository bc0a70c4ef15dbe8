"""What a step leaves to its job in files: the summary, and outputs for the steps after it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from neontest.report import Report, Verdict


def write_summary(path: Path | None, text: str, say: Callable[[str], None]) -> None:
    """Add the text to the job's summary page."""
    if path is not None:
        append(path, text, "the job summary was not written", say)


def outputs(verdict: Verdict, reports: Sequence[Report], json: Sequence[str]) -> dict[str, str]:
    """The step's outputs by name, of all projects together.

    `pending` and `findings` are numbers; `branch-id` is the branch that was tested first, and `report` has the JSON's
    files, a line each.
    """
    return {
        "verdict": verdict,
        "branch-id": next((branch.id for each in reports for branch in each.branches), ""),
        "report": "\n".join(str(Path(each).resolve()) for each in json),
        "pending": str(sum(len(each.history.pending) for each in reports)),
        "findings": str(sum(len(each.findings) for each in reports)),
    }


def write_outputs(path: Path | None, values: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Hand the values to the job's later steps.

    The end of a value is a word that nobody can know before, so that no value can end itself and begin another.
    Source: https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands (2026-11).
    """
    if path is None:
        return
    text = ""
    for name, value in values.items():
        end = f"neontest_{secrets.token_hex(16)}"
        text += f"{name}<<{end}\n{value}\n{end}\n"
    append(path, text, "the step's outputs were not written", say)


def append(path: Path, text: str, failed: str, say: Callable[[str], None]) -> None:
    try:
        with path.open("a", encoding="utf-8", errors="replace", newline="\n") as file:
            file.write(text)
    except OSError as error:
        say(f"{failed}: {error.strerror}")
