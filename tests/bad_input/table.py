"""All cases, room by room."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from tests.bad_input.case import Case

NO_ROOMS = frozenset({"case", "table"})


def every() -> dict[str, tuple[Case, ...]]:
    """The cases of each module beside this one, by its name."""
    names = sorted(each.name for each in pkgutil.iter_modules([str(Path(__file__).parent)]))
    return {name: importlib.import_module(f"tests.bad_input.{name}").CASES for name in names if name not in NO_ROOMS}
