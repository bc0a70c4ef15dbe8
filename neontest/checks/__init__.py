"""Judge: one file a check, each a pure function over the record.

A module here has the name of its check (`schema_restored.py` is `schema-restored`), a docstring that
`neontest explain` prints, and `CHECK`.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neontest.record import Record
    from neontest.report import Check, Finding


def every() -> tuple[Check, ...]:
    """All checks, by id.

    Raises:
        RuntimeError: for a module in this folder that is no check.
    """
    return tuple(load(info.name) for info in sorted(pkgutil.iter_modules(__path__), key=lambda each: each.name))


def load(module_name: str) -> Check:
    from neontest.report import Check

    module = importlib.import_module(f"{__name__}.{module_name}")
    check = getattr(module, "CHECK", None)
    if not isinstance(check, Check) or check.id.replace("-", "_") != module_name or not module.__doc__:
        raise RuntimeError(f"{module.__name__} is no check: it needs a docstring and a CHECK with its own id")
    return check


def explanation(check: Check) -> str:
    """The check's page: its docstring."""
    return importlib.import_module(f"{__name__}.{check.id.replace('-', '_')}").__doc__ or ""


def judge(record: Record) -> tuple[Finding, ...]:
    """All findings, worst first, then in the order of the revisions."""
    order = {revision: number for number, revision in enumerate(record.history.pending)}
    found = [finding for check in every() for finding in check.run(record)]
    return tuple(
        sorted(found, key=lambda each: (each.level.rank, order.get(each.revision or "", len(order)), each.check))
    )
