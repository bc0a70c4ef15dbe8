"""The session with the worker: whole visits."""

from __future__ import annotations


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
