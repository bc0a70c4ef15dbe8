"""A new foreign key has no index that begins with its columns.

Postgres indexes the key that is pointed to, and not the columns that point. So every DELETE of a row there, and every
UPDATE of its key, reads the whole table with the foreign key, once a row, and keeps its locks meanwhile. A warning for
a table that was there and has `small-table` rows or more; else it is for information, as a new table is still empty.

What to do: create an index whose first columns are the foreign key's, in any order. On a large table build it with
CONCURRENTLY, before the foreign key.

What it cannot see: whether rows of the other table are ever deleted, or their keys changed. Where that never happens,
accept the finding. Foreign keys that were there before, and those that a rollback brings back, are not judged.
"""

from __future__ import annotations

from collections.abc import Iterator

from neontest.locks import Size, Stage, stages, table
from neontest.postgres.indexes import UnindexedKey
from neontest.record import Record, Statement
from neontest.report import Check, Finding, Level
from neontest.statements import Mentioned, bare, shown, unquoted

ID = "fk-without-index"


def run(record: Record) -> Iterator[Finding]:
    for stage in stages(record):
        if not stage.rolling_back:
            sources = made_by(stage)
            for key in stage.visit.unindexed_keys:
                yield finding(stage, key, sources.get(key.table) or unknown(stage))


def finding(stage: Stage, key: UnindexedKey, statement: Statement) -> Finding:
    size = stage.size(key.table)
    large = size is Size.LARGE
    name = table(stage.relations[key.table]) if large else shown(key.table)
    columns = ", ".join(key.columns)
    return stage.finding(
        ID,
        Level.WARNING if large else Level.INFO,
        statement,
        f"no index on {name} begins with {columns}: each DELETE or UPDATE of a key in {shown(key.references)} reads all"
        f" of it for the foreign key {key.name}",
        details=(size.remark,) if size.remark else (),
        hint=f"build an index that begins with {columns}, before the foreign key"
        if large
        else f"create an index that begins with {columns}",
        fix=fix(key, concurrently=large),
    )


def made_by(stage: Stage) -> dict[str, Statement]:
    """Of each table with such keys the statement that made them: the last that names it and speaks of references."""
    tables = Mentioned()
    tables.add(key.table for key in stage.visit.unindexed_keys)
    last: dict[str, Statement] = {}
    for statement in stage.visit.statements if stage.visit.unindexed_keys else ():
        text = bare(statement.sql)
        if "REFERENCES" in text.upper():
            last |= dict.fromkeys(tables.by(text), statement)
    return last


def unknown(stage: Stage) -> Statement:
    """In the place of one that was not seen."""
    pending = stage.record.history.pending
    return Statement(sql="", revision=stage.walk.revision or (pending[0] if len(pending) == 1 else None))


def fix(key: UnindexedKey, *, concurrently: bool) -> str:
    schema, *_ = unquoted(key.table)
    name, columns = unquoted(key.table)[-1], [unquoted(each)[0] for each in key.columns]
    where = "" if schema == "public" else f", schema={schema!r}"
    index = f"ix_{'_'.join((name, *columns))}"[:63]
    call = f"op.create_index({index!r}, {name!r}, {columns!r}{where}"
    if not concurrently:
        return f"{call})"
    return f"with op.get_context().autocommit_block():\n    {call}, postgresql_concurrently=True)"


CHECK = Check(id=ID, title="foreign keys have an index", run=run)
