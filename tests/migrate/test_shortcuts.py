"""What is cut short of Alembic's bookkeeping: the same statements, heads and errors as Alembic's own."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import pytest
from alembic.runtime.migration import RevisionStep
from alembic.script.revision import Revision, RevisionMap

from neontest.migrate.shortcuts import unmerging
from tests.migrate.conftest import Database, Files, Walked

ENV = """
import json, os
from alembic import context
from sqlalchemy import create_engine, event, pool

engine = create_engine(os.environ["DATABASE_URL"], poolclass=pool.NullPool)

@event.listens_for(engine, "before_cursor_execute")
def sent(connection, cursor, statement, parameters, context, executemany):
    if "version" in statement:
        with open("sent", "a") as file:
            file.write(json.dumps([statement, str(parameters or None)]) + chr(10))

LISTENER
with engine.connect() as connection:
    context.configure(connection=connection, OPTIONS)
    with context.begin_transaction():
        context.run_migrations()
"""
BEFORE = """
@event.listens_for(engine, "before_execute")
def compiled(connection, clause, *rest):
    assert not isinstance(clause, str), "SQLAlchemy's form of it is what the project expects"
"""


def sent(files: Files, *, between: tuple[str, ...] = ("UPDATE", "INSERT", "DELETE")) -> list[list[str]]:
    found = [json.loads(line) for line in (files.root / "sent").read_text().splitlines()]
    (files.root / "sent").unlink()
    return [each for each in found if each[0].startswith(between)]


def project(files: Files, *, listener: str = "", options: str = "") -> None:
    files.alembic(ENV.replace("LISTENER", listener).replace("OPTIONS", options))


@pytest.mark.parametrize(
    "options",
    ["", "version_table='a % version {0}'", "version_table='version', version_table_schema='has \"quotes\"'"],
)
def test_the_statements_are_those_that_alembic_sends(
    files: Files, opened: Callable[..., Walked], database: Database, options: str
) -> None:
    database.rows('CREATE SCHEMA "has ""quotes"""; SELECT 1')
    for each in ("a1", "b 2", "c%3", "d.4", "e_5"):
        files.revision(each)
    found = []
    for listener in (BEFORE, ""):
        project(files, listener=listener, options=options)
        walk = opened()
        visits = [walk.visit(*each) for each in (("upgrade", "heads"), ("downgrade", "base"), ("upgrade", "heads"))]
        visits += walk.stairway(("downgrade", "e_5"), ("upgrade", "e_5"), ("downgrade", "e_5"), ("downgrade", "d.4"))
        visits += [walk.visit("downgrade", "base")]
        assert [each.error for each in visits] == [None] * len(visits)
        assert all(each.moved for each in visits)
        found.append(sent(files))
    assert found[0] == found[1]
    assert len([each for each in found[0] if each[0].startswith("UPDATE")]) == 3 * 4 + 4 + 2


def test_a_version_that_somebody_else_changed_is_told_in_alembic_s_words(
    files: Files, opened: Callable[..., Walked]
) -> None:
    """Also where two rows are changed at once, and where the migration itself fails."""
    project(files)
    files.revision("a1").revision("b2").revision("c3").revision("d4", "op.execute('DELETE FROM alembic_version')")
    files.revision("e5", "op.execute('SELECT 1 / 0')")
    walk = opened()
    assert walk.visit("upgrade", "c3").moved
    failed = walk.visit("upgrade", "d4").error
    assert failed is not None
    assert "expected to match one row when updating 'c3' to 'd4'" in failed.message
    assert walk.visit("upgrade", "c3").error is None
    walk.stairway(("downgrade", "c3"), ("upgrade", "c3"))
    (failed,) = (visit.error for visit in walk.stairway(("upgrade", "d4")))
    assert failed is not None
    assert "expected to match one row when updating 'c3' to 'd4'" in failed.message
    assert walk.session.current() == ("c3",)


@pytest.mark.parametrize("seed", range(40))
def test_a_step_down_leaves_what_alembic_says(seed: int) -> None:
    chance = random.Random(seed)
    names = [f"r{number}" for number in range(chance.randint(2, 25))]
    revisions = []
    for number, name in enumerate(names):
        below = chance.sample(names[:number], min(number, chance.choice((0, 1, 1, 1, 1, 2))))
        needs = chance.sample(names[:number], min(number, chance.choice((0, 0, 0, 1))))
        revisions.append(Revision(name, tuple(below) or None, dependencies=tuple(needs) or None))
    graph = RevisionMap(lambda: revisions)
    plain, quick = RevisionStep._unmerge_to_revisions, unmerging(RevisionStep._unmerge_to_revisions)
    for revision in graph._revision_map.values():
        if revision is None:
            continue
        step = RevisionStep.__new__(RevisionStep)
        step.revision_map, step.revision, step.is_upgrade = graph, revision, False
        for heads in [{revision.revision}, *({revision.revision, *chance.sample(names, 1)} for _ in range(5))]:
            assert set(quick(step, heads)) == set(plain(step, heads)), (revision, heads)
