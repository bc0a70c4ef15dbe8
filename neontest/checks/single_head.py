"""Two revisions are both the last: Alembic refuses `upgrade head`.

It happens when two pull requests add a revision to the same parent and both are merged. No database is needed to see
it, and no branch is made.

What to do: `alembic merge heads` (`flask db merge heads`), or give the younger revision the other as its
`down_revision`. Where several heads are meant, set `heads = "many"` in `[tool.neontest]`.

What it cannot see: heads that open pull requests will add.
"""

from __future__ import annotations

from collections.abc import Iterator

from neontest.record import Record
from neontest.report import Check, Finding, Level


def run(record: Record) -> Iterator[Finding]:
    heads = record.history.heads
    if len(heads) <= 1 or record.heads_allowed == "many" or record.history.faults:
        return
    by_id = {each.id: each for each in record.history.revisions}
    last = by_id.get(heads[-1])
    yield Finding(
        check="single-head",
        level=Level.ERROR,
        message=f"there are {len(heads)} heads: {', '.join(heads)}",
        revision=heads[-1],
        file=last.file if last else None,
        line=last.line if last else None,
        details=tuple(f"head {each} in {by_id[each].file}" for each in heads if each in by_id),
        hint='merge them, or set heads = "many" in [tool.neontest] if they are meant',
        fix=f"alembic merge -m 'merge heads' {' '.join(heads)}",
    )


CHECK = Check(id="single-head", title="one head", run=run)
