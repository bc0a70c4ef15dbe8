"""All groups of an examination at once, told in one order."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final

from neontest.errors import UsageError
from neontest.examination.finding import Finding, Group
from neontest.examination.job import job
from neontest.examination.machine import ledger, local_engine
from neontest.examination.neon import neon
from neontest.examination.project import project
from neontest.settings import Settings
from neontest.stop import Stop

SECONDS: Final = 45.0
"""For all groups together; each runs beside the others."""


def examine(
    settings: Settings, problem: UsageError | None, environ: Mapping[str, str], *, parent: int, stop: Stop
) -> Iterator[Finding]:
    """The findings, as they are known. `problem` is what a run would refuse in these settings; `parent` our parent."""
    groups = (
        Group("project", partial(project, settings, environ, stop)),
        Group("neon", partial(neon, settings, stop)),
        Group("engine", partial(local_engine, settings, environ)),
        Group("job", partial(job, environ, parent, settings.root)),
        Group("ledger", partial(ledger, settings, environ)),
    )
    yield _settings(settings, problem)
    end = time.monotonic() + SECONDS
    for group in groups:
        yield from group.wait(end - time.monotonic())


def _settings(settings: Settings, problem: UsageError | None) -> Finding:
    if problem is not None:
        return Finding(what="settings", state="wrong", said=problem.message, todo=problem.hint)
    given = [name.replace("_", "-") for name, source in settings.sources.items() if source == "pyproject.toml"]
    said = f"from pyproject.toml: {', '.join(given)}" if given else "the defaults"
    return Finding(what="settings", state="ok", said=f"{settings.engine}, as {settings.engine_why}; {said}")
