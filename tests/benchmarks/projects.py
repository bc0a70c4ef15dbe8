"""Alembic projects of many small revisions, with models that fit: what neontest and the others are tried on."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.migrate.conftest import Files

COLUMNS: Final = (
    "sa.Column('id', sa.Integer, primary_key=True), sa.Column('name', sa.String(50)), sa.Column('t1', sa.Integer)"
)
KINDS: Final = (
    ("op.create_table('t{n}', {columns})", "op.drop_table('t{n}')", "{columns}"),
    (
        "op.add_column('t{n}', sa.Column('extra', sa.Integer))",
        "op.drop_column('t{n}', 'extra')",
        "sa.Column('extra', sa.Integer)",
    ),
    ("op.create_index('ix_{n}', 't{n}', ['name'])", "op.drop_index('ix_{n}')", "sa.Index('ix_{n}', 'name')"),
    (
        "c = sa.Column('up', sa.Integer, sa.ForeignKey('t{n}.id', name='fk_{n}'))\nop.add_column('t{n}', c)",
        "op.drop_constraint('fk_{n}', 't{n}', type_='foreignkey')\nop.drop_column('t{n}', 'up')",
        "sa.Column('up', sa.Integer, sa.ForeignKey('t{n}.id', name='fk_{n}'))",
    ),
    (
        "e = sa.Enum('a', 'b', name='e{n}')\ne.create(op.get_bind())\nop.add_column('t{n}', sa.Column('e', e))",
        "op.drop_column('t{n}', 'e')\nop.execute('DROP TYPE e{n}')",
        "sa.Column('e', sa.Enum('a', 'b', name='e{n}'))",
    ),
    (
        "op.alter_column('t{n}', 'extra', new_column_name='more')",
        "op.alter_column('t{n}', 'more', new_column_name='extra')",
        "",
    ),
    (
        "op.create_check_constraint('ck_{n}', 't{n}', 'length(name) <= 50')",
        "op.drop_constraint('ck_{n}', 't{n}', type_='check')",
        "sa.CheckConstraint('length(name) <= 50', name='ck_{n}')",
    ),
    (
        "op.execute(\"INSERT INTO t{n} (id, name) SELECT coalesce(max(id), 0) + 1, 'new' FROM t{n}\")",
        "op.execute(\"DELETE FROM t{n} WHERE name = 'new'\")",
        "",
    ),
)
"""Up, down, and what the model has of it, of the kinds of revisions that most projects have: a table, a column, an
index, a foreign key, an enum, a rename, a check, rows. They work on tables that have rows, too, and come back."""
RENAME: Final = 5
ENV_PY: Final = """
import contextlib, os
from alembic import context
from models import metadata
from sqlalchemy import create_engine, pool

if "BENCH_ASK" in os.environ:
    import asking
given = context.config.attributes.get("connection")
if given is None:
    given = create_engine(os.environ["DATABASE_URL"], poolclass=pool.NullPool)
schema = context.config.attributes.get("target_schema")
with given.connect() if hasattr(given, "connect") else contextlib.nullcontext(given) as connection:
    if schema:
        connection.exec_driver_sql(f'SET search_path TO "{schema}"')
    context.configure(connection=connection, target_metadata=metadata, version_table_schema=schema)
    with context.begin_transaction():
        context.run_migrations()
"""
"""Takes an engine or a connection, and a schema, from whoever has one, as the test plugins of others ask for."""


def written(folder: Path, revisions: int) -> Files:
    folder.mkdir()
    files = Files(folder).alembic(ENV_PY)
    files.write("models.py", models(revisions))
    for number in range(revisions):
        n, kind = divmod(number, len(KINDS))
        up, down, _ = KINDS[kind]
        files.revision(f"r{number:05}", up.format(n=n, columns=COLUMNS), down.format(n=n))
    return files


def models(revisions: int) -> str:
    """What the database is at the head of so many revisions."""
    lines = ["import sqlalchemy as sa", "", "metadata = sa.MetaData()"]
    for first in range(0, revisions, len(KINDS)):
        n, done = first // len(KINDS), min(len(KINDS), revisions - first)
        parts = ", ".join(part.format(n=n, columns=COLUMNS) for _, _, part in KINDS[:done] if part)
        if done > RENAME:
            parts = parts.replace("'extra'", "'more'")
        lines.append(f"sa.Table('t{n}', metadata, {parts})")
    return "\n".join(lines) + "\n"
