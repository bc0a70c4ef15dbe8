"""The source's rows by the driver alone, where no pg_dump is new enough; the schema is the project's own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from neontest.source import copier, way
from neontest.source.survey import LOCK_SECONDS, Source
from neontest.source.tools import Tries, run


def copy(source: Source, url: str, target: str, tries: Tries) -> str:
    """Fill the tables of the target, which is at the source's revision; how much there was, in words.

    Raises:
        CouldNotTest: a table is not there, or its rows do not fit.
    """
    versions = {name for name, _ in source.version_tables}
    job = tries.folder / "copy.json"
    way.private(
        job,
        json.dumps(
            {
                "source": way.plain(url),
                "target": way.plain(target),
                "snapshot": source.snapshot,
                "lock_seconds": LOCK_SECONDS,
                "all": [each.name for each in source.tables if each.name not in versions],
                "tables": [each.name for each in source.chosen if each.name not in versions and not each.partitioned],
            }
        ),
    )
    at = ["0 rows"]

    def heard(line: str) -> None:
        if line.startswith("copy: at "):
            at[0] = line.removeprefix("copy: at ")

    environ = way.outside(url, tries.environ)
    try:
        run(
            [sys.executable, "-I", str(Path(copier.__file__)), str(job)], tries, environ,
            what="the rows of the source could not be copied", progress=lambda: f"copying: {at[0]}", heard=heard,
        )  # fmt: skip
    finally:
        job.unlink(missing_ok=True)
    return at[0]
