"""What cannot be filled is told with its reason, and stops nothing else."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from neontest.errors import DatabaseError

pytestmark = pytest.mark.every_postgres

REFUSED = tomllib.loads((Path(__file__).parent / "fill_refused.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", REFUSED)
def test_the_reason_is_said(filling: Any, name: str) -> None:
    sql, rows, why = REFUSED[name]["sql"], REFUSED[name]["rows"], REFUSED[name]["why"]
    filled = filling.fill(f'CREATE TABLE "after" (id serial); CREATE TABLE zz (id serial); {sql}')
    assert (filled["public.t"].rows, filled["public.t"].why) == (rows, why)
    assert filling.ask("SELECT count(*) FROM t") == [(filled["public.t"].rows,)]
    assert (filled["public.after"].rows, filled["public.zz"].rows) == (20, 20)


def test_a_role_without_rights_hears_so_and_changes_nothing(filling: Any, database: Any) -> None:
    filling.made("CREATE TABLE hidden (a integer); CREATE TABLE seen (a integer); CREATE TABLE t (a integer)")
    database.run("GRANT SELECT ON seen TO app; GRANT SELECT, INSERT ON t TO app")
    filled = filling.fill(user="app")
    assert {table: (each.rows, each.why) for table, each in filled.items()} == {
        "public.hidden": (0, "permission denied: the role may not read public.hidden"),
        "public.seen": (0, "permission denied for table seen"),
        "public.t": (20, None),
    }
    assert filling.ask("SELECT count(*) FROM seen") == [(0,)]


def test_row_level_security_is_said(filling: Any, database: Any) -> None:
    filling.made("CREATE TABLE t (a integer); CREATE TABLE held (a integer); INSERT INTO held VALUES (1)")
    for table in ("t", "held"):
        database.run(f"GRANT ALL ON {table} TO app; ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    filled = filling.fill(user="app")
    assert list(filled) == ["public.t"]
    assert filled["public.t"].why == 'new row violates row-level security policy for table "t"'


def test_no_time_is_no_rows(filling: Any) -> None:
    filling.made("CREATE TABLE t (a integer)")
    (filled,) = filling.filler(seconds=0).fill_empty()
    assert (filled.rows, filled.why) == (0, "the time for it was up")
    assert filling.ask("SELECT count(*) FROM t") == [(0,)]


def test_a_lost_connection_is_an_error_and_no_reason(filling: Any, database: Any) -> None:
    filling.made(
        """CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END$$;
        CREATE TABLE t (a integer); CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION die()"""
    )
    with pytest.raises(DatabaseError):
        filling.filler().fill_empty()
