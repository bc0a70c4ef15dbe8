"""What becomes of findings: accepted, moved to another level, shown without failing the run, put in order. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal

import msgspec

from neontest.record import Acceptance, Record, Walk
from neontest.report import Finding, Level, Rules
from neontest.walks import index, up, whose

WHOLE: Final = ("model-drift", "not-deterministic", "interrupted", "breaks-running-code", "needs-migration-first")
"""Checks that judge the whole upgrade, and may not know a revision: any of its revisions can accept what they find."""


def acceptances(record: Record) -> Iterator[Acceptance]:
    """Those of the revisions, then those of pyproject.toml, as they were written."""
    for revision in record.history.revisions:
        yield from revision.accepts
    yield from record.acceptances


def named(record: Record, acceptance: Acceptance) -> str | None:
    """The id of the revision that it means, by the whole id or its beginning; None where that is not one revision."""
    return index(record).meant(acceptance.revision or "")


def past(record: Record, acceptance: Acceptance) -> bool:
    """Its last day is over."""
    return acceptance.until is not None and record.today is not None and acceptance.until < record.today


def holds(record: Record, acceptance: Acceptance) -> bool:
    """It has a reason, its day has not passed, and the revision that it names is here."""
    meant = acceptance.revision is None or named(record, acceptance) is not None
    return bool(acceptance.reason.strip()) and not past(record, acceptance) and meant


Matching = tuple[str, str | None, bool]
"""What an acceptance and a finding have to have in common: the check, the revision (None: any), and that it is about
the whole upgrade."""


def about(record: Record, acceptance: Acceptance, pending: Mapping[Acceptance, None]) -> tuple[Matching, ...]:
    """What a finding has to be about for the acceptance to match it; nothing where that does not hold.

    One that stands in a revision of this upgrade (`pending`) may be of the whole, too: that is not so any more once the
    revision is merged.
    """
    if not holds(record, acceptance):
        return ()
    check = acceptance.check
    one: Matching = (check, None if acceptance.revision is None else named(record, acceptance), False)
    whole = acceptance.revision is not None and check in WHOLE and acceptance in pending
    return (one, (check, None, True)) if whole else (one,)


def of(finding: Finding) -> tuple[Matching, ...]:
    """What an acceptance of the finding may be about."""
    check, revision = finding.check, finding.revision
    return (check, None, False), (check, None, True) if revision is None else (check, revision, False)


def written_in_pending(record: Record) -> dict[Acceptance, None]:
    """The acceptances that stand in a revision of this upgrade."""
    pending = set(record.history.pending)
    return dict.fromkeys(each for one in record.history.revisions if one.id in pending for each in one.accepts)


def accepted(record: Record, findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings; one that somebody took on carries the reason: the first, where there are several."""
    pending = written_in_pending(record)
    reasons: dict[Matching, tuple[int, str]] = {}
    for number, each in enumerate(acceptances(record)):
        for matching in about(record, each, pending):
            reasons.setdefault(matching, (number, each.reason))
    for finding in findings:
        _, reason = min((reasons[each] for each in of(finding) if each in reasons), default=(0, None))
        yield finding if reason is None else msgspec.structs.replace(finding, accepted=reason, gates=False)


def idle(record: Record, findings: Sequence[Finding], looked: Iterable[str]) -> Iterator[Acceptance]:
    """The acceptances that match nothing, though the run looked at all that they are about.

    `looked` holds the ids of the checks that had something to judge. An acceptance for a revision that this run did
    not see through, or for any revision where it did not see all of them through, may yet be needed.
    """
    seen, ids, pending = seen_through(record), set(looked), written_in_pending(record)
    needed = {matching for finding in findings for matching in of(finding)}
    all_seen = bool(record.history.pending) and seen.issuperset(record.history.pending)
    for acceptance in acceptances(record):
        judged = all_seen if acceptance.revision is None else named(record, acceptance) in seen
        if (
            judged
            and acceptance.check in ids
            and holds(record, acceptance)
            and needed.isdisjoint(about(record, acceptance, pending))
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
    at = {id_: number for number, id_ in enumerate(pending)}
    on_base = set(record.history.on_base or ())
    new = [number for number, id_ in enumerate(pending) if id_ not in on_base]
    stuck: set[str] = set()
    for walk in record.walks:
        visit = up(walk)
        if visit is None or visit.error is None:
            continue
        revision = whose(record, walk, visit.error)
        if revision in at and new and new[-1] > at[revision]:
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
