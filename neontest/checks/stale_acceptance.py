"""Somebody accepted a finding that is not there, or in a way that does not count.

A comment `# neontest: accept CHECK: REASON` in a revision, or an `[[tool.neontest.accept]]` in pyproject.toml, that has
no reason, names a check or a revision that does not exist, is past its last day, or matches nothing that this run
found. An acceptance that nobody needs would hide the next fault of its kind.

What to do: remove it, or correct it: the check's id, a colon, and why the finding is taken on. A comment may be changed
in a revision that the base branch has: that is no edit.

What it cannot see: whether an acceptance is needed for a revision that this run did not walk to its end, or by a check
that this run had nothing to judge by. Nothing is said of those.
"""

from __future__ import annotations

from collections.abc import Iterator

from neontest import checks, judging
from neontest.record import Acceptance, Record
from neontest.report import Check, Finding, Level

FORM = "write `# neontest: accept CHECK: REASON` in the revision; `neontest explain` lists the checks"


def run(record: Record) -> Iterator[Finding]:
    known = set(checks.ids())
    for each in judging.acceptances(record):
        if each.check not in known:
            yield finding(
                each, f'it names "{each.check}", which is no check' if each.check else "it names no check", FORM
            )
        elif not each.reason.strip():
            yield finding(each, "it gives no reason", FORM)
        elif judging.past(record, each):
            yield finding(each, f"it held until {each.until}", "mend the fault, or give a later day and the reason")
        elif each.revision is not None and record.history.revisions and judging.named(record, each) is None:
            yield finding(each, "no one revision here has that id", "correct or remove it")


def matches_nothing(acceptance: Acceptance) -> Finding:
    """The finding about an acceptance that no other finding needs."""
    return finding(acceptance, "it matches no finding of this run", "remove it")


def finding(acceptance: Acceptance, why: str, hint: str) -> Finding:
    of = f" for revision {acceptance.revision}" if acceptance.revision is not None else ""
    return Finding(
        check="stale-acceptance",
        level=Level.WARNING,
        message=f"the acceptance of {acceptance.check or 'a finding'}{of} does not count: {why}",
        revision=acceptance.revision,
        file=acceptance.file,
        line=acceptance.line,
        hint=hint,
    )


CHECK = Check(id="stale-acceptance", title="every acceptance is needed, and says why", run=run)
