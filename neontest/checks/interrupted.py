"""An upgrade that is cut off in the middle cannot be run again, or ends in another schema then.

Deploys are cut off: a pod is evicted, a connection is lost, a statement runs into its timeout. What was in a
transaction is undone by the server, and the next deploy begins anew. What ran in autocommit stays: in an
`autocommit_block()`, in an env.py whose engine is in autocommit, or before a commit of the migration's own. The version
table does not know of it, so the next deploy runs the revision again from its first line. And
`CREATE INDEX CONCURRENTLY`, cancelled while it builds, leaves an invalid index: it is never used by a query, is
maintained by every write, and has the name.

With `--interrupt`, neontest cancels the upgrade at up to ten statements, on a branch of its own each, and runs it
again. Those in autocommit come first, and the moment after them; statements such as CREATE INDEX CONCURRENTLY are held
up and cancelled in their middle, when a part of their work is committed.

What to do: give each statement in autocommit a revision of its own, and write it so that it can be repeated, such as
`ALTER TYPE … ADD VALUE IF NOT EXISTS`. For an index `IF NOT EXISTS` is not enough, since it takes the invalid index for
the real one: put `DROP INDEX CONCURRENTLY IF EXISTS …` before it, in the same block.

What it cannot see: rows that the second upgrade changes once more, such as a sum that is added twice; the middle of
procedures that commit, of VACUUM, and of commands that the project runs itself. An upgrade whose schema depends on the
moment differs here, too.
"""

from __future__ import annotations

from collections.abc import Iterator

from neontest.record import Interruption, Record
from neontest.report import Check, Finding, Level
from neontest.walks import place

LONGEST = 300
"""Characters of a statement that are told."""


def run(record: Record) -> Iterator[Finding]:
    """A finding for each revision and way in which it goes wrong, wherever it was cut off."""
    groups: dict[tuple[str | None, str], list[Interruption]] = {}
    for each in record.interruptions:
        if each.interrupted and (each.again is not None or each.different):
            how = each.again.message if each.again is not None else "\n".join(lines(each))
            groups.setdefault((whose(record, each), how), []).append(each)
    for (revision, _), alike in groups.items():
        yield finding(record, revision, alike)


def whose(record: Record, seen: Interruption) -> str | None:
    """The revision that was cut off, or the only one there is."""
    pending = record.history.pending
    return seen.revision or (pending[0] if len(pending) == 1 else None)


def finding(record: Record, revision: str | None, alike: list[Interruption]) -> Finding:
    first = alike[0]
    name = f"revision {revision}" if revision else "the upgrade"
    at, again = first.statement, first.again
    file, line = (at.file, at.line) if at.file else place(record, revision, "upgrade")
    if again is not None:
        message = f"{name} was cut off in the middle, and its upgrade fails when it is run again"
        details = [again.message, *([f"in: {short(again.sql)}"] if again.sql else [])]
    else:
        message = f"{name} was cut off in the middle and run again, and does not end where an undisturbed upgrade does"
        details = lines(first)
    details.append(f"cut off in: {short(at.sql)}")
    if len(alike) > 1:
        details.append(f"the same at {len(alike) - 1} more moment{'s' if len(alike) > 2 else ''} of it")
    return Finding(
        check="interrupted", level=Level.ERROR, message=message, revision=revision, file=file, line=line,
        details=tuple(details), hint=hint(first),
    )  # fmt: skip


def lines(seen: Interruption) -> list[str]:
    return [
        each.line(added="only after the interruption", removed="not after the interruption") for each in seen.different
    ]


def hint(seen: Interruption) -> str:
    words = (f"{seen.statement.sql} {seen.again.sql or ''}" if seen.again else seen.statement.sql).upper().split()
    if leaves_invalid(seen) or ("CONCURRENTLY" in words and "INDEX" in words):
        return (
            "in the same autocommit block, first op.execute('DROP INDEX CONCURRENTLY IF EXISTS …'), then CREATE INDEX"
            " CONCURRENTLY; IF NOT EXISTS is not enough, as it takes an invalid index for the real one"
        )
    return (
        "give each statement in autocommit a revision of its own, with nothing committed before it, and write it so"
        " that it can be repeated (IF NOT EXISTS)"
    )


def leaves_invalid(seen: Interruption) -> bool:
    """Some index that a cancelled statement left is used by no query."""
    indexes = (each for each in seen.different if each.kind == "index")
    return any(name == "invalid" and new for each in indexes for name, _, new in each.facts)


def short(sql: str) -> str:
    text = " ".join(sql.split())
    return text if len(text) <= LONGEST else text[:LONGEST] + " …"


CHECK = Check(
    id="interrupted",
    title="an upgrade that was cut off can be run again",
    run=run,
    looked=lambda record: any(each.interrupted for each in record.interruptions),
)
