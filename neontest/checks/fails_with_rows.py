"""The upgrade works on empty tables, and fails as soon as there are rows.

Where the parent has none, neontest invents some (`--rows`) and walks with them. A NOT NULL without a default, a unique
index, a foreign key, a check or a cast that rows stand in the way of shows only then. The statement's text and the
rows tell which of them it are: how many, and up to ten by their keys; no other value is shown.

What nobody can tell of, such as a guard that raises when it finds rows, is told in its own words: the same upgrade
works without the rows, so they are why.

An error where no row can pass, whatever it holds: a new column that is NOT NULL without a default, a cast that no row
survives, a table altered while deferred triggers wait for its rows. Else a warning, and of a check that some rows pass
an information: invented rows, with values at the edge of what fits, may break what all real ones keep, so compare it
with the real data.

What to do: make room for the rows first. Add a column as nullable or with a `server_default`, fill it, then set NOT
NULL; remove duplicates and orphans in the same revision; add a constraint NOT VALID and validate it later.

What it cannot see: rows that neontest could not invent; the report says which tables and why. On rows of the parent's
own this is the finding `upgrade-fails`, with the same numbers. The rows are counted after the failed upgrade was
taken back: what an earlier statement of the same revision had mended counts as if it had not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from neontest.postgres.data import Violation
from neontest.postgres.reasons import PENDING_EVENTS
from neontest.record import Record, Refused
from neontest.report import Check, Finding, Level
from neontest.walks import once, place

WORDS = {
    "not null": "NOT NULL",
    "unique": "UNIQUE",
    "foreign key": "FOREIGN KEY",
    "check": "CHECK",
    "cast": "the type",
    "exclusion": "EXCLUDE",
}
HINTS = {
    "not null": "add the column as nullable or with a server_default, fill it, and only then set NOT NULL",
    "unique": "merge or renumber the duplicates first, in the same revision",
    "foreign key": "mend or remove the orphans first, or add it NOT VALID and validate it once they are gone",
    "check": "mend the rows first, or add it NOT VALID and validate it once they are mended",
    "cast": "say with postgresql_using what becomes of values that do not fit, or fill a new column and swap the two",
    "exclusion": "settle the rows that collide first, in the same revision",
}
UNKNOWN = "if your own rows are others, give some of them (--seed), or have none invented (--rows 0)"
CERTAIN = ("not null", "cast")
"""What every row violates, whatever it holds, if all invented ones do."""


def run(record: Record) -> Iterator[Finding]:
    yield from once(found(record))


def found(record: Record) -> Iterator[Finding]:
    for refused in record.refused:
        if not refused.invented:
            continue
        violations = refused.violations
        failure = refused.failure
        hopeless = failure.sqlstate == PENDING_EVENTS or any(
            each.kind in CERTAIN and each.rows and each.count == each.rows for each in violations
        )
        revision = refused.revision or failure.revision
        file, line = (failure.file, failure.line) if failure.file else place(record, revision, "upgrade")
        first = next(iter(violated(refused, keys=False)), failure.message)
        details = [*violated(refused), failure.message] if violations else []
        if failure.sql:
            details.append(f"in: {' '.join(failure.sql.split())[:300]}")
        details += uncounted(refused)
        details.append("these rows were invented by neontest" + ("" if hopeless else "; real ones may be others"))
        yield Finding(
            check="fails-with-rows",
            level=level(violations, hopeless=hopeless),
            message=f"the upgrade of {f'revision {revision}' if revision else 'all pending revisions'} "
            f"works on empty tables and fails on filled ones: {first}",
            revision=revision,
            file=file,
            line=line,
            details=tuple(details),
            hint="; ".join(dict.fromkeys(HINTS[each.kind] for each in violations)) or failure.hint or UNKNOWN,
        )


def level(violations: Sequence[Violation], *, hopeless: bool) -> Level:
    """How bad it is that invented rows are refused: values at the edge of what fits a column break most checks."""
    if hopeless:
        return Level.ERROR
    edges = violations and all(each.kind == "check" and each.count < each.rows for each in violations)
    return Level.INFO if edges else Level.WARNING


def violated(refused: Refused, *, keys: bool = True) -> Iterator[str]:
    """Such as `20 of 20 rows of user violate NOT NULL (phone): id=1, id=2, …`, for each violation."""
    for each in refused.violations:
        table = each.table.removeprefix("public.")
        columns = f" ({', '.join(each.columns)})" if each.columns else ""
        if not each.count:
            yield f"the rows that it writes do not keep {WORDS[each.kind]}{columns} of {table}"
            continue
        verb = "violates" if each.count == 1 else "violate"
        what = f"cannot be cast{columns}" if each.kind == "cast" else f"{verb} {WORDS[each.kind]}{columns}"
        said = f"{each.count:,} of {each.rows:,} row{'' if each.rows == 1 else 's'} of {table} {what}"
        more = each.count - len(each.keys)
        named = ", ".join(each.keys) + (f" and {more:,} more" if more else "")
        yield f"{said}: {named}" if keys and each.keys else said


def uncounted(refused: Refused) -> Iterator[str]:
    """Says that there was no time to count them."""
    if refused.uncounted:
        yield "the rows in the way were not counted in time; --data-timeout is the limit of all reading of rows"


CHECK = Check(
    id="fails-with-rows",
    title="the upgrade applies to filled tables",
    run=run,
    looked=lambda record: bool(record.filled),
)
