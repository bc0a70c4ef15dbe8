"""Tell: one file a format, each `render(report) -> str`, pure: no clock, no terminal, no environment.

A module here has the name of its format: `junit.py` is `--format junit` and `--junit FILE`.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from neontest.report import Report

NOT_FORMATS: Final = frozenset(
    {
        "budget",
        "findings",
        "gantt",
        "markup",
        "parts",
        "rollback",
        "running",
        "several",
        "source",
        "table",
        "whose",
        "words",
    }
)
"""What formats are made of."""


def formats() -> tuple[str, ...]:
    """The names of all formats, without loading them."""
    return tuple(sorted({info.name for info in pkgutil.iter_modules(__path__)} - NOT_FORMATS))


def rendered(report: Report, form: str, **surroundings: Any) -> str:
    """The report in this format, which is told those of its surroundings (such as `width`) that it asks for."""
    render = importlib.import_module(f"{__name__}.{form}").render
    asked = inspect.signature(render).parameters.keys()
    text: str = render(report, **{name: each for name, each in surroundings.items() if name in asked})
    return text
