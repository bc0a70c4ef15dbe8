"""Questions that are planned once for each connection, whatever somebody else does to what is prepared there."""

from __future__ import annotations

import contextlib
from typing import Any

import psycopg2.errors
import pytest

from neontest.postgres.prepared import execute
from tests.postgres.conftest import counted

DOUBLED = "SELECT $1 * 2, $2"


def asked(conn: Any, number: int, text: str = "50%") -> tuple[int, str]:
    with conn.cursor() as cursor:
        execute(cursor, DOUBLED, "integer, text", (number, text))
        (found,) = cursor.fetchall()
        return found  # type: ignore[no-any-return]


def prepared(conn: Any) -> list[int]:
    """How often each that is prepared was executed."""
    with conn.cursor() as cursor:
        cursor.execute("SELECT generic_plans + custom_plans FROM pg_prepared_statements WHERE statement LIKE '%* 2%'")
        return [count for (count,) in cursor.fetchall()]


def test_it_is_planned_once_and_each_time_one_round_trip(database: Any) -> None:
    with contextlib.closing(database.connect("postgres")) as conn:
        with counted(conn, 3):
            assert [asked(conn, number) for number in (1, 2, 3)] == [(2, "50%"), (4, "50%"), (6, "50%")]
        assert prepared(conn) == [3]
    with contextlib.closing(database.connect("postgres")) as conn:
        assert asked(conn, 4, "é'\\") == (8, "é'\\")


@pytest.mark.parametrize("forget", ["DEALLOCATE ALL", "DISCARD ALL"])
def test_it_is_planned_again_where_somebody_dropped_it(database: Any, forget: str) -> None:
    with contextlib.closing(database.connect("postgres")) as conn:
        assert asked(conn, 1) == (2, "50%")
        with conn.cursor() as cursor:
            cursor.execute(forget)
        assert asked(conn, 2) == (4, "50%")
        assert prepared(conn) == [1]


def test_it_is_asked_again_where_the_first_answer_was_an_error(database: Any) -> None:
    with contextlib.closing(database.connect("postgres")) as conn:
        with pytest.raises(psycopg2.errors.NumericValueOutOfRange):
            asked(conn, 2**31 - 1)
        assert asked(conn, 3) == (6, "50%")
        assert asked(conn, 4) == (8, "50%")
