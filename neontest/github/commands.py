"""Workflow commands: lines of a job's log that the runner obeys, and does not show.

Source: https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands (2026-11).
"""

from __future__ import annotations

from neontest.redact import spellings


def data(text: str) -> str:
    """The text as a command takes it; the runner turns it back."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def masks(secret: str) -> str:
    """The lines after which the runner shows the secret nowhere, in whatever spelling."""
    return "".join(f"::add-mask::{data(each)}\n" for each in sorted(spellings(secret)))
