"""The same upgrade of the same data ends differently in other surroundings.

With `--deterministic`, neontest upgrades two branches of the same moment. They differ in the time zone of the process
and of its sessions (twelve hours behind UTC, fourteen ahead: the day is another one), in Python's hash seed, which
decides the order of sets, and in the locale. Production has surroundings of its own: where these two differ, what was
tested is not what will be deployed.

Schemas that differ are errors: names made of a date or of a set, defaults computed in Python. So is an upgrade that
fails in one of them. Rows that differ are a warning, which names their columns: an UPDATE or an INSERT with
`datetime.now()`, `random()` or the order of a set in it. Such a value can be meant, so look at each of them. A column
whose own default says that its values are made anew (`now()`, `gen_random_uuid()`) is left alone: there the schema
says what the rows hold.

What to do: sort sets before they name anything, give dates a time zone, let the database compute what depends on the
moment, or write the value down in the revision.

What it cannot see: what is alike by chance in the two, such as the order of a set of two strings in every other run of
that kind; columns with such a default that the revision fills by other means.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from neontest.record import Record, Twin
from neontest.report import Check, Finding, Level
from neontest.walks import place, up

HINT = (
    "sort what comes out of a set, give dates a time zone, and write down in the revision what must be the same"
    " everywhere"
)


def run(record: Record) -> Iterator[Finding]:
    twin = record.twin
    if twin is None:
        return
    if twin.failure is not None:
        failure = twin.failure
        at = failure.revision or only(record)
        file, line = (failure.file, failure.line) if failure.file else place(record, at, "upgrade")
        in_ = (f"in: {' '.join(failure.sql.split())[:300]}",) if failure.sql else ()
        yield finding(
            Level.ERROR, f"the upgrade{of(at)} fails in other surroundings", at, file, line,
            (failure.message, *in_), failure.hint,
        )  # fmt: skip
    yield from schemas(record, twin)
    yield from rows(record, twin)


def schemas(record: Record, twin: Twin) -> Iterator[Finding]:
    """A finding for each revision that can be told, of what its upgrades made differently."""
    groups: dict[tuple[str | None, bool], list[str]] = {}
    for each in twin.different:
        relation = each.on if "." in each.on else each.name
        line = each.line(added="only on the second", removed="only on the first")
        groups.setdefault((whose(record, relation), each.change == "order"), []).append(line)
    for (revision, order_only), lines in groups.items():
        file, line_number = place(record, revision, "upgrade")
        what = "orders columns otherwise" if order_only else "makes another schema"
        level = Level.INFO if order_only else Level.ERROR
        message = f"the upgrade{of(revision)} {what} in another time zone, hash seed and locale"
        yield finding(level, message, revision, file, line_number, tuple(lines), HINT)


def rows(record: Record, twin: Twin) -> Iterator[Finding]:
    groups: dict[str | None, list[str]] = {}
    for table in twin.data.tables:
        name = table.table.removeprefix("public.")
        lines = []
        if table.lost or table.added or table.rekeyed:
            other = (
                "other keys" if table.rekeyed else f"{table.lost} only on the first, {table.added} only on the second"
            )
            lines.append(f"rows of {name}: {other}")
        lines += [
            f"column {name}.{column.column}: {column.changed + column.filled} of {table.before} values are others"
            for column in table.columns
            if column.changed + column.filled and column.note is None
        ]
        if lines:
            groups.setdefault(whose(record, table.table), []).extend(lines)
    for sequence in twin.data.sequences:
        name = sequence.sequence.removeprefix("public.")
        line = f"sequence {name}: at {number(sequence.before)} on the first, at {number(sequence.after)} on the second"
        groups.setdefault(whose(record, sequence.sequence), []).append(line)
    for revision, found in groups.items():
        file, line_number = place(record, revision, "upgrade")
        message = f"the upgrade{of(revision)} leaves other rows in another time zone, hash seed and locale"
        yield finding(Level.WARNING, message, revision, file, line_number, tuple(found), HINT)


def number(value: int | None) -> str:
    return "none" if value is None else str(value)


def of(revision: str | None) -> str:
    return f" of revision {revision}" if revision else ""


def only(record: Record) -> str | None:
    return record.history.pending[0] if len(record.history.pending) == 1 else None


def whose(record: Record, relation: str) -> str | None:
    """The only revision that names the relation, in what its upgrade ran or changed; or the only one there is."""
    bare = re.compile(rf"(?<!\w){re.escape(relation.rpartition('.')[2])}(?!\w)")
    naming = set()
    for walk in record.walks:
        visit = up(walk)
        if walk.kind == "stairway" and visit is not None:
            texts = (*visit.schema_changes, *(each.sql for each in visit.statements))
            if any(bare.search(text) for text in texts):
                naming.add(walk.revision)
    return naming.pop() if len(naming) == 1 else only(record)


def finding(
    level: Level, message: str, revision: str | None, file: str | None, line: int | None, details: tuple[str, ...],
    hint: str | None,
) -> Finding:  # fmt: skip
    return Finding(
        check="not-deterministic", level=level, message=message, revision=revision, file=file, line=line,
        details=details, hint=hint,
    )  # fmt: skip


CHECK = Check(
    id="not-deterministic",
    title="the upgrade ends alike in other surroundings",
    run=run,
    looked=lambda record: record.twin is not None,
)
