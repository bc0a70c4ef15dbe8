"""A revision file that the base branch already has was changed: databases that have run it never run the change.

Compared are the syntax trees of the file here, and of the one on the base branch, where this branch left it and as it
is there now: comments, docstrings and the way in which lines are broken do not count. The findings on such a revision
are this branch's own, and gate.

What to do: undo the change, and write it into a new revision. If it is meant, such as mending a downgrade or a revision
that was deployed nowhere, accept it with that reason.

What it cannot see: anything, unless the base branch is known (`--base`, or GITHUB_BASE_REF); and changes in modules
that the revision imports. Where a new revision was put before it, that is `revision-after-merge-base`, and nothing is
said here.
"""

from __future__ import annotations

from collections.abc import Iterator

from neontest.record import Record
from neontest.report import Check, Finding, Level
from neontest.walks import followers, never, revision


def run(record: Record) -> Iterator[Finding]:
    history = record.history
    base, after = set(history.on_base or ()), followers(record)
    new = {each.id for each in history.revisions} - base
    put_behind_new = {each.id for id_ in new for each in after.get(id_, ())}
    for id_ in history.edited:
        found = revision(record, id_)
        if found is None or id_ in put_behind_new:
            continue
        yield Finding(
            check="edited-revision",
            level=Level.WARNING,
            message=f"revision {id_} is not as the base branch has it: "
            "a database that has run it never runs the change",
            revision=id_,
            file=found.file,
            line=found.line,
            hint="undo it, and write the change into a new revision",
        )


CHECK = Check(id="edited-revision", title="revisions of the base branch stay as they are", run=run, looked=never)
