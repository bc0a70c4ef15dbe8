"""A new revision stands before one that the base branch already has: databases that are past it never run it.

It happens when a conflict is resolved the wrong way round: the revision that is already on the base branch is given the
new one as its `down_revision` (or `depends_on`). An empty database migrates well, and every test is green; but a
database that has run the later revision counts the new one as done. Its tables and columns are missing there for ever.

What to do: give the later revision back the `down_revision` that it has on the base branch, and let the new one come
after the last revision (`alembic heads`).

What it cannot see: anything, unless the base branch is known (`--base`, or GITHUB_BASE_REF); and what was deployed from
elsewhere than the base branch. Revisions that were squashed into one on purpose look the same; accept that, with the
reason.
"""

from __future__ import annotations

from collections.abc import Iterator

from neontest.record import Record, Revision
from neontest.report import Check, Finding, Level
from neontest.walks import followers, never


def run(record: Record) -> Iterator[Finding]:
    history = record.history
    if history.on_base is None:
        return
    base, after = set(history.on_base), followers(record)
    for revision in history.revisions:
        if revision.id in base:
            continue
        later = first_on_base(revision.id, after, base)
        if later is None:
            continue
        yield Finding(
            check="revision-after-merge-base",
            level=Level.ERROR,
            message=f"revision {revision.id} is new, but stands before {later.id}, which the base branch already has: "
            f"a database that is past {later.id} never runs it",
            revision=revision.id,
            file=revision.file,
            line=revision.line,
            details=(f"{later.id} is in {later.file}:{later.line}",),
            hint=f"give {later.id} the down_revision that it has on the base branch, and let {revision.id} come after "
            "the last revision",
        )


def first_on_base(id: str, after: dict[str, list[Revision]], base: set[str]) -> Revision | None:
    """The nearest revision after this one that the base branch has."""
    todo, seen = [id], {id}
    for each in todo:
        for revision in after.get(each, ()):
            if revision.id in base:
                return revision
            if revision.id not in seen:
                seen.add(revision.id)
                todo.append(revision.id)
    return None


CHECK = Check(
    id="revision-after-merge-base", title="new revisions come after those of the base branch", run=run, looked=never
)
