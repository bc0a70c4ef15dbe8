"""Judge: one file a check, each a pure function over the record.

A module here has the name of its check (`schema_restored.py` is `schema-restored`), a docstring that
`neontest explain` prints, and `CHECK`.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

from neontest import judging
from neontest.report import Check, Rules

if TYPE_CHECKING:
    from neontest.record import Record
    from neontest.report import Finding


def every() -> tuple[Check, ...]:
    """All checks, by id.

    Raises:
        RuntimeError: for a module in this folder that is no check.
    """
    return tuple(load(info.name) for info in sorted(pkgutil.iter_modules(__path__), key=lambda each: each.name))


def ids() -> tuple[str, ...]:
    """The ids of all checks, without loading them."""
    return tuple(sorted(info.name.replace("_", "-") for info in pkgutil.iter_modules(__path__)))


def load(module_name: str) -> Check:
    module = importlib.import_module(f"{__name__}.{module_name}")
    check = getattr(module, "CHECK", None)
    if not isinstance(check, Check) or check.id.replace("-", "_") != module_name or not module.__doc__:
        raise RuntimeError(f"{module.__name__} is no check: it needs a docstring and a CHECK with its own id")
    return check


def explanation(check: Check) -> str:
    """The check's page: its docstring."""
    return importlib.import_module(f"{__name__}.{check.id.replace('-', '_')}").__doc__ or ""


def judge(record: Record, rules: Rules | None = None, *, ended_early: bool = False) -> tuple[Finding, ...]:
    """All findings by these rules: what can fail the run first, then the worst, then in the order of the revisions.

    Of a run that `ended_early` it is not known which acceptances match nothing.
    """
    from neontest.checks.stale_acceptance import matches_nothing

    rules = rules or Rules()
    loaded = every()
    found = [finding for check in loaded for finding in check.run(record)]
    looked = () if ended_early else tuple(check.id for check in loaded if check.looked(record))
    found += [matches_nothing(each) for each in judging.idle(record, found, looked)]
    taken = judging.accepted(record, judging.leveled(found, rules.levels))
    told = judging.gated(record, taken, rules, (check.id for check in loaded if check.of_all))
    return judging.ordered(record, told)
