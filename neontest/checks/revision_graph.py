"""The revision files do not form a graph that Alembic can walk.

A `down_revision` that no file has, two files with one revision id, a cycle, a file that cannot be read. Seen from the
files alone, without running them and without a database; no branch is made.

What to do: restore the missing file, or correct the `down_revision` that the finding names.

What it cannot see: ids that are computed when the file runs, and version locations that only env.py sets; those are
read when the project is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator

from neontest.record import Record
from neontest.report import Check, Finding, Level

HINTS = {
    "duplicate": "give one of the files another revision id",
    "missing-parent": "add the missing revision's file (is the branch up to date?), or correct down_revision",
    "cycle": "correct the down_revision of one of them",
    "unreadable": "mend the file; Alembic cannot load it either",
}


def run(record: Record) -> Iterator[Finding]:
    for fault in record.history.faults:
        yield Finding(
            check="revision-graph",
            level=Level.ERROR,
            message=fault.message,
            revision=fault.revision,
            file=fault.file,
            line=fault.line,
            hint=HINTS[fault.kind],
        )


CHECK = Check(id="revision-graph", title="the revisions form a graph", run=run, of_all=True)
