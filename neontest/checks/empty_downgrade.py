"""The downgrade is missing or empty, while the upgrade does something: there is no way back, and nobody says so.

Seen in the file, without a database. Where the revision was walked on its own, nothing is said here: what its downgrade
leaves behind was measured then (`downgrade-does-nothing`, `schema-restored`), or will be once its upgrade applies. So
this speaks of revisions that no walk reached, and of those that were only walked together with others. Revisions that
are neither pending nor new are left in peace.

What to do: undo in downgrade() what upgrade() does; or, where there is no way back, `raise NotImplementedError("…")`.

What it cannot see: whether the upgrade leaves anything that must be undone. One that only changes rows may rightly have
an empty downgrade; accept it then, with that reason.
"""

from __future__ import annotations

from collections.abc import Iterator

from neontest.record import Record
from neontest.report import Check, Finding, Level
from neontest.walks import never, walked_alone


def run(record: Record) -> Iterator[Finding]:
    history = record.history
    concerned = set(history.pending)
    if history.on_base is not None:
        concerned |= {each.id for each in history.revisions} - set(history.on_base)
    concerned -= {walked_alone(record, walk) for walk in record.walks}
    for revision in history.revisions:
        if revision.id not in concerned or not revision.upgrade_line or revision.upgrade_empty:
            continue
        if revision.downgrade_line and not revision.downgrade_empty:
            continue
        what = "an empty downgrade()" if revision.downgrade_line else "no downgrade()"
        yield Finding(
            check="empty-downgrade",
            level=Level.WARNING,
            message=f"revision {revision.id} has {what}, while its upgrade() does something",
            revision=revision.id,
            file=revision.file,
            line=revision.downgrade_line or revision.line,
            hint='undo the upgrade in downgrade(), or raise NotImplementedError("…") if there is no way back',
        )


CHECK = Check(id="empty-downgrade", title="the downgrade is not empty", run=run, looked=never)
