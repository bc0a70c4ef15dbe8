"""The session with the worker: whole visits."""

from __future__ import annotations

import pytest

UP_DOWN_UP = (("upgrade", "head"), ("downgrade", "base"), ("upgrade", "head"))


def test_a_whole_walk_goes_up_down_and_up(files, opened, database):
    files.alembic().table("a1", "first").table("b2", "second")
    walk = opened()
    up = walk.visit("upgrade", "head")
    assert (up.from_, up.to, up.error, up.moved) == (None, "b2", None, True)
    assert database.has("second")
    down = walk.visit("downgrade", "base")
    assert (down.from_, down.to, down.error, down.moved) == ("b2", None, None, True)
    assert not database.has("first")
    again = walk.visit("upgrade", "head")
    assert again.moved
    assert [statement.file for statement in again.statements] == [
        "migrations/versions/a1.py",
        "migrations/versions/b2.py",
    ]


def test_the_stairway_commits_after_each_step(files, opened, database):
    files.alembic().table("a1", "first").table("b2", "second")
    walk = opened()
    seen = []

    def after(visit):
        seen.append(
            (visit.direction, visit.from_, visit.to, visit.moved, database.has("first"), database.has("second"))
        )
        return True

    steps = [(d, r) for r in ("a1", "b2") for d in ("upgrade", "downgrade", "upgrade")]
    walk.session.stairway(steps, step_seconds=20, after=after)
    assert seen == [
        ("upgrade", None, "a1", True, True, False),
        ("downgrade", "a1", None, True, False, False),
        ("upgrade", None, "a1", True, True, False),
        ("upgrade", "a1", "b2", True, True, True),
        ("downgrade", "b2", "a1", True, True, False),
        ("upgrade", "a1", "b2", True, True, True),
    ]


@pytest.mark.parametrize("walk", ["visit", "stairway"])
def test_scripts_are_read_while_env_py_runs_as_alembic_reads_them(files, opened, database, walk):
    """They may ask then for what the configuration says, and what env.py has set."""
    files.alembic(options="made = first")
    head = "from alembic import context\nNAME = context.config.get_main_option('made') + op.get_context().version_table"
    files.revision("a1", "op.execute('CREATE TABLE ' + NAME + ' ()')", "op.execute('DROP TABLE ' + NAME)", head=head)
    opened_walk = opened()
    if walk == "visit":
        assert [opened_walk.visit(way, to).error for way, to in UP_DOWN_UP] == [None] * 3
    else:
        assert [each.error for each in opened_walk.stairway(("upgrade", "a1"))] == [None]
    assert database.has("firstalembic_version")
