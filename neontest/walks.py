"""How checks read the walks: which visit is which, and whose finding it is.

The whole walk and the stairway often see the same fault. The stairway says which revision it is, so what the whole
walk saw is told only where the stairway did not see it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator

from neontest.record import Failure, Record, Revision, Visit, Walk
from neontest.report import Finding

IRREVERSIBLE = "NotImplementedError"
STAYS_HINT = "does env.py swallow errors, or never call context.run_migrations()?"


def up(walk: Walk) -> Visit | None:
    """The first upgrade."""
    return walk.visits[0] if walk.visits else None


def down(walk: Walk) -> Visit | None:
    return walk.visits[1] if len(walk.visits) > 1 else None


def up_again(walk: Walk) -> Visit | None:
    return walk.visits[2] if len(walk.visits) > 2 else None


def stairway_first(record: Record) -> Iterator[Walk]:
    yield from sorted(record.walks, key=lambda walk: walk.kind == "whole")


class Index:
    """The revisions of one history, to be looked up: a check asks for each finding, and both may be thousands."""

    def __init__(self, revisions: tuple[Revision, ...]) -> None:
        self.revisions = revisions
        self.by_id = {each.id: each for each in reversed(revisions)}
        self._sorted = sorted(self.by_id)

    def meant(self, text: str) -> str | None:
        """The id that is or begins with the text; None where that is not one revision."""
        if not text or text in self.by_id:
            return text or None
        at = bisect_left(self._sorted, text)
        longer = [each for each in self._sorted[at : at + 2] if each.startswith(text)]
        return longer[0] if len(longer) == 1 else None


_last = Index(())


def index(record: Record) -> Index:
    """Made once for all who ask for the same history in a row."""
    global _last
    found = _last
    if found.revisions is not record.history.revisions:
        _last = found = Index(record.history.revisions)
    return found


def revision(record: Record, id: str | None) -> Revision | None:
    return index(record).by_id.get(id) if id is not None else None


def name(record: Record, walk: Walk) -> str:
    """What a finding calls the walk: the revision, or all of them."""
    if walk.kind == "stairway":
        return f"revision {walk.revision}"
    pending = record.history.pending
    return f"revision {pending[0]}" if len(pending) == 1 else f"all {len(pending)} pending revisions"


def whose(record: Record, walk: Walk, failure: Failure | None = None) -> str | None:
    """The revision at fault: the walk's, the failure's, or the only one there is."""
    pending = record.history.pending
    return (failure.revision if failure else None) or walk.revision or (pending[0] if len(pending) == 1 else None)


def walked_alone(record: Record, walk: Walk) -> str | None:
    """The one revision that the walk is about; None where it is about several."""
    pending = record.history.pending
    return walk.revision if walk.kind == "stairway" else pending[0] if len(pending) == 1 else None


def followers(record: Record) -> dict[str, list[Revision]]:
    """By a revision's id, those that name it, or its branch label, as their down_revision or depends_on."""
    revisions = record.history.revisions
    labelled = {label: each.id for each in revisions for label in each.labels}
    after: dict[str, list[Revision]] = {}
    for each in revisions:
        for named in dict.fromkeys((*each.down, *(labelled.get(need, need) for need in each.depends_on))):
            after.setdefault(named, []).append(each)
    return after


def place(record: Record, id: str | None, direction: str) -> tuple[str | None, int | None]:
    """File and line of a revision's upgrade or downgrade."""
    found = revision(record, id)
    if found is None:
        return None, None
    return found.file, (found.upgrade_line if direction == "upgrade" else found.downgrade_line) or found.line


def failure_finding(
    record: Record, walk: Walk, failure: Failure, *, direction: str, make: Callable[..., Finding], message: str
) -> Finding:
    """A finding about a visit that failed: where, with the statement and the database's own words."""
    at = whose(record, walk, failure)
    file, line = (failure.file, failure.line) if failure.file else place(record, at, direction)
    details = [failure.message] if failure.message else []
    if failure.sql:
        details.append(f"in: {' '.join(failure.sql.split())[:300]}")
    return make(
        message=message.format(name=f"revision {at}" if at else name(record, walk)),
        revision=at,
        file=file,
        line=line,
        details=tuple(details),
        hint=failure.hint,
    )


def failures(
    record: Record,
    which: Callable[[Walk], Visit | None],
    *,
    direction: str,
    make: Callable[..., Finding],
    fails: str,
    stays: str,
    stays_hint: str | None = None,
    skip: Callable[[Visit], bool] = lambda visit: False,
) -> Iterator[Finding]:
    """A finding for each walk whose visit of that kind failed, or ended without having moved the version table.

    `fails` and `stays` are the messages; `{name}` in the first is what is walked. Visits to `skip` are others' matter.
    """
    for walk in stairway_first(record):
        visit = which(walk)
        if visit is None or skip(visit):
            continue
        if visit.error is not None:
            yield failure_finding(record, walk, visit.error, direction=direction, make=make, message=fails)
        elif not visit.moved:
            yield make(message=stays, revision=whose(record, walk), hint=stays_hint)


def once(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Each fault once: a finding whose revision, or whose every detail, was already told is left out."""
    told_revisions: set[str] = set()
    told_details: set[str] = set()
    for finding in findings:
        if finding.revision in told_revisions:
            continue
        if finding.revision is None and told_revisions and told_details.issuperset(finding.details):
            continue
        if finding.revision is not None:
            told_revisions.add(finding.revision)
        told_details.update(finding.details)
        yield finding


def irreversible(record: Record, visit: Visit | None) -> bool:
    """The downgrade says itself that there is no way back."""
    if visit is None or visit.error is None:
        return False
    found = revision(record, visit.error.revision)
    return visit.error.kind == IRREVERSIBLE or bool(found and found.downgrade_raises and not visit.error.sqlstate)


def never(_: Record) -> bool:
    """For checks whose acceptance is never idle: what one run measures, the next may find quicker, or only read."""
    return False
