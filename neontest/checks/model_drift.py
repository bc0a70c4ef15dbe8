"""The models and the migrated database differ.

After the upgrade, the project's own metadata is compared with the database, by Alembic's autogenerate as env.py
configures it, and beyond it: CHECK constraints by name, the values of enum types and their order. A model that no
revision knows of fails when the application first uses it; a column that no model knows is left to rot, or is lost by
the next revision that is generated.

What to do: write what is missing in a revision (the lines are shown; `alembic revision --autogenerate` or `flask db
migrate` writes most of them), or correct the models. Read a line that removes something twice: the models may only
have forgotten it. What is not theirs to know, such as the tables of another environment in the same database, is left
out by `include_object` or `include_name` in env.py.

What it cannot see: functions, triggers, policies, grants, views, sequences, the order of columns, the conditions of
indexes, and the text of a CHECK constraint whose name is right; CHECK constraints without a name; server defaults
unless env.py sets `compare_server_default`, types unless `compare_type` is on (it is, from Alembic 1.12), schemas
unless `include_schemas`. Partitions and tables of extensions are nobody's models. Rules for what autogenerate finds
are followed where `process_revision_directives` is Alembic's `Rewriter`; another function there is not called.
Nothing is compared, and a note says so, where env.py gives no `target_metadata` or one that knows no table.
"""

from __future__ import annotations

from collections.abc import Iterator

from neontest.record import Record
from neontest.report import Check, Finding, Level


def run(record: Record) -> Iterator[Finding]:
    if record.models is None or not record.models.drift:
        return
    drift = record.models.drift
    lines = [each.line for each in drift if each.line]
    yield Finding(
        check="model-drift",
        level=Level.WARNING,
        message="the models and the migrated database differ in "
        + ("one thing" if len(drift) == 1 else f"{len(drift)} things"),
        details=tuple(each.what for each in drift),
        hint="write it in a revision (`alembic revision --autogenerate` or `flask db migrate`), or correct the models",
        fix="\n".join(lines) or None,
    )


CHECK = Check(
    id="model-drift",
    title="the models agree with the database",
    run=run,
    looked=lambda record: record.models is not None and record.models.note is None,
)
