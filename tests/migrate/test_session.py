"""The session with the worker: whole visits."""

from __future__ import annotations

import pytest

from tests.migrate.conftest import ENV_PY


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


COUNTED = "open('runs', 'a').write('r')" + ENV_PY


@pytest.mark.parametrize("beside", [True, False])
def test_where_a_visit_led_is_seen_from_beside_or_by_another_run_of_env_py(files, opened, database, beside):
    files.alembic(COUNTED).table("a1", "first").table("b2", "second")
    walk = opened(beside=beside)
    runs = files.root / "runs"
    runs.unlink()
    for direction, to in (("upgrade", "head"), ("downgrade", "base"), ("upgrade", "a1"), ("upgrade", "head")):
        assert walk.visit(direction, to).moved
    assert len(runs.read_text()) == (4 if beside else 8)
    assert walk.visit("upgrade", "head").moved  # to where it is: that nothing goes wrong there, env.py shows
    assert len(runs.read_text()) == (6 if beside else 10)


def test_a_table_that_is_not_env_pys_own_says_nothing_of_where_a_visit_led(files, opened, database):
    """It has the revisions that are meant, and the right column; env.py has another table, and commits nothing."""
    never = COUNTED.replace(
        "        context.configure(",
        "        connection.exec_driver_sql('SET lock_timeout = 5000')\n"
        "        context.configure(version_table='own', ",
    )
    assert never.count("version_table='own'") == 1
    files.alembic(never).table("a1", "first")
    with database.connection.cursor() as cursor:
        cursor.execute("CREATE TABLE alembic_version AS SELECT 'a1'::text AS version_num")
    walk = opened()
    assert not walk.visit("upgrade", "head").moved
    assert not database.has("first")


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
