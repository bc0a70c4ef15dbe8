"""What becomes of findings: accepted, moved to another level, shown without failing the run, put in order. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal

import msgspec

from neontest.record import Acceptance, Record, Walk
from neontest.report import Finding, Level, Rules
from neontest.walks import up, whose

WHOLE: Final = ("model-drift", "not-deterministic", "interrupted")
"""Checks that judge the whole upgrade, and may not know a revision: any of its revisions can accept what they find."""


def acceptances(record: Record) -> Iterator[Acceptance]:
    """Those of the revisions, then those of pyproject.toml, as they were written."""
    for revision in record.history.revisions:
        yield from revision.accepts
    yield from record.acceptances


def named(record: Record, acceptance: Acceptance) -> str | None:
    """The id of the revision that it means, by the whole id or its beginning; None where that is not one revision."""
    ids = {each.id for each in record.history.revisions}
    wanted = acceptance.revision
    if not wanted or wanted in ids:
        return wanted or None
    longer = [each for each in ids if each.startswith(wanted)]
    return longer[0] if len(longer) == 1 else None


def past(record: Record, acceptance: Acceptance) -> bool:
    """Its last day is over."""
    return acceptance.until is not None and record.today is not None and acceptance.until < record.today


def holds(record: Record, acceptance: Acceptance) -> bool:
    """It has a reason, its day has not passed, and the revision that it names is here."""
    meant = acceptance.revision is None or named(record, acceptance) is not None
    return bool(acceptance.reason.strip()) and not past(record, acceptance) and meant


def matches(record: Record, acceptance: Acceptance, finding: Finding) -> bool:
    if not holds(record, acceptance) or finding.check != acceptance.check:
        return False
    if acceptance.revision is None or finding.revision == named(record, acceptance):
        return True
    return finding.revision is None and finding.check in WHOLE and written_in_pending(record, acceptance)


def written_in_pending(record: Record, acceptance: Acceptance) -> bool:
    """It stands in a revision of this upgrade: what it says of the whole is not so any more once that is merged."""
    pending = set(record.history.pending)
    return any(acceptance in each.accepts for each in record.history.revisions if each.id in pending)


def accepted(record: Record, findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings; one that somebody took on carries the reason."""
    valid = tuple(acceptances(record))
    for finding in findings:
        reason = next((each.reason for each in valid if matches(record, each, finding)), None)
        yield finding if reason is None else msgspec.structs.replace(finding, accepted=reason, gates=False)


def idle(record: Record, findings: Sequence[Finding], looked: Iterable[str]) -> Iterator[Acceptance]:
    """The acceptances that match nothing, though the run looked at all that they are about.

    `looked` holds the ids of the checks that had something to judge. An acceptance for a revision that this run did
    not see through, or for any revision where it did not see all of them through, may yet be needed.
    """
    seen, ids = seen_through(record), set(looked)
    all_seen = bool(record.history.pending) and seen.issuperset(record.history.pending)
    for acceptance in acceptances(record):
        judged = all_seen if acceptance.revision is None else named(record, acceptance) in seen
        if (
            judged
            and acceptance.check in ids
            and holds(record, acceptance)
            and not any(matches(record, acceptance, each) for each in findings)
        ):
            yield acceptance


def seen_through(record: Record) -> frozenset[str]:
    """The pending revisions that went up, down and up again on their own; all, where only the whole walk was made."""
    stairway = [walk for walk in record.walks if walk.kind == "stairway"]
    if stairway:
        return frozenset(walk.revision for walk in stairway if walk.revision is not None and complete(walk))
    through = bool(record.walks) and all(map(complete, record.walks))
    return frozenset(record.history.pending if through else ())


def complete(walk: Walk) -> bool:
    return len(walk.visits) >= 3 and all(visit.error is None and visit.moved for visit in walk.visits)


def leveled(
    findings: Iterable[Finding], levels: Mapping[str, Literal["error", "warning", "info", "off"]]
) -> Iterator[Finding]:
    """The findings at the levels that the project gives their checks, without those that are off.

    What is only for information stays that: the check itself says that it is no fault.
    """
    for finding in findings:
        level = levels.get(finding.check)
        if level is None or (finding.level is Level.INFO and level != "off"):
            yield finding
        elif level != "off":
            yield msgspec.structs.replace(finding, level=Level(level))


def gated(record: Record, findings: Iterable[Finding], rules: Rules, of_all: Iterable[str]) -> Iterator[Finding]:
    """The findings; those on revisions that the base branch has, as they are here, cannot fail the run.

    `of_all` holds the ids of the checks that judge the whole. An upgrade that keeps new revisions from being tested
    gates whoever made it: a run that passes has tested what is new.
    """
    whole = set(of_all)
    theirs = set(record.history.on_base or ()) - set(record.history.edited) - blocking(record)
    for finding in findings:
        excused = rules.gate == "new" and finding.revision in theirs and finding.check not in whole
        yield msgspec.structs.replace(finding, gates=False) if excused else finding


def blocking(record: Record) -> frozenset[str]:
    """The revisions that do not apply, and have new revisions after them."""
    pending = record.history.pending
    new = [number for number, id_ in enumerate(pending) if id_ not in set(record.history.on_base or ())]
    stuck: set[str] = set()
    for walk in record.walks:
        visit = up(walk)
        if visit is None or visit.error is None:
            continue
        revision = whose(record, walk, visit.error)
        if revision in pending and new and new[-1] > pending.index(revision):
            stuck.add(revision)
    return frozenset(stuck)


def ordered(record: Record, findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """What can fail the run first; then the worst, then in the order of the revisions."""
    order = {revision: number for number, revision in enumerate(record.history.pending)}
    return tuple(
        sorted(
            findings,
            key=lambda each: (not each.gates, each.level.rank, order.get(each.revision or "", len(order)), each.check),
        )
    )
