"""Two revisions are both the last: Alembic refuses `upgrade head`.

It happens when two pull requests add a revision to the same parent and both are merged. No database is needed to see
it, and no branch is made.

What to do: `alembic merge heads` (`flask db merge heads`), or give the younger revision the other as its
`down_revision`. Where several heads are meant, set `heads = "many"` in `[tool.neontest]`.

Where the base branch is known (`--base`, or GITHUB_BASE_REF) and went on since this branch left it, the heads that both
have together after a merge are counted, too; the walks are made all the same.

What it cannot see: heads that open pull requests will add.
"""

from __future__ import annotations

from collections.abc import Iterator

from neontest.record import Record
from neontest.report import Check, Finding, Level


def run(record: Record) -> Iterator[Finding]:
    heads = record.history.heads
    if record.heads_allowed == "many" or record.history.faults:
        return
    if len(heads) <= 1:
        yield from after_a_merge(record)
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


def after_a_merge(record: Record) -> Iterator[Finding]:
    """Two heads that only a merge with the base branch brings together, where one of them is new."""
    heads, base = record.history.merged_heads, set(record.history.on_base or ())
    by_id = {each.id: each for each in record.history.revisions}
    new = [by_id[each] for each in heads if each in by_id and each not in base]
    if len(heads) <= 1 or not new:
        return
    others = [each for each in heads if each != new[0].id]
    yield Finding(
        check="single-head",
        level=Level.ERROR,
        message=f"merged with the base branch, there are {len(heads)} heads: {', '.join(heads)}",
        revision=new[0].id,
        file=new[0].file,
        line=new[0].line,
        details=tuple(
            f"head {each} in {by_id[each].file}" if each in by_id else f"head {each} on the base branch"
            for each in heads
        ),
        hint=f"merge or rebase onto the base branch, then let {new[0].id} come after {', '.join(others)}",
    )


CHECK = Check(id="single-head", title="one head", run=run, of_all=True)
