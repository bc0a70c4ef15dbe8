"""Random trials: five ways to lose data, none of which may be missed; a hundred times each on the newest server
here, 500 times with `--thorough`.

Rows have a key, or have none. Each is judged three times: with a group a row, with 1,024 groups, and with all rows of
the table in one group, where nothing but sums of digests is left to see it by.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from neontest.postgres.fingerprint import compare, listed, read, tables
from neontest.postgres.fingerprint_model import COARSE_MASK, EXACT_MASK, State
from neontest.postgres.names import literal
from neontest.stop import FOREVER, Deadline
from tests.postgres.conftest import MAJORS

pytestmark = pytest.mark.every_postgres

TRIALS, USUAL = 500, 100
ELSEWHERE = 25
"""On other majors than the newest here: the arithmetic is the same, and the time is better spent elsewhere."""
COLUMNS = (
    ("whole", "bigint", ("0", "5", "4294967300", "-7", "1")),
    ("price", "numeric", ("5", "-5", "1", "10000", "100000000", "0", "0.5")),
    ("word", "text", ("", "a", "b", "ä", "A")),
    (
        "moment",
        "timestamptz",
        ("2024-01-01 00:00+00", "2024-01-01 01:00+00", "infinity", "1999-12-31 23:59:59.999999+00"),
    ),
    ("doc", "jsonb", ('{"a": 1}', '{"a": -1}', "[[1], 2]", "[[1, 2]]", "null")),
    ("measure", "double precision", ("0", "1.5", "-1.5", "NaN")),
)
"""Few values, so that many rows share theirs, and those that a weak hash takes for one another."""

Value = str | None
Rows = list[list[Value]]


def made(rng: random.Random) -> Rows:
    """Six to nine rows without their keys."""
    return [
        [None if rng.random() < 0.2 else rng.choice(values) for _, _, values in COLUMNS]
        for _ in range(rng.randint(6, 9))
    ]


def shifted(rows: Rows, rng: random.Random) -> Rows:
    """One column's values, each in the next row."""
    column = rng.randrange(len(COLUMNS))
    return [[*row[:column], rows[n - 1][column], *row[column + 1 :]] for n, row in enumerate(rows)]


def swapped(rows: Rows, rng: random.Random) -> Rows:
    """One or all values of two rows exchanged."""
    rows = [list(row) for row in rows]
    one, other = rng.sample(range(len(rows)), 2)
    for column in rng.choice([[n] for n in range(len(COLUMNS))] + [list(range(len(COLUMNS)))]):
        rows[one][column], rows[other][column] = rows[other][column], rows[one][column]
    return rows


def doubled(rows: Rows, rng: random.Random) -> Rows:
    return [*rows, list(rng.choice(rows))]


def null_moved(rows: Rows, rng: random.Random) -> Rows:
    """A NULL and a value of the same column exchanged."""
    rows = [list(row) for row in rows]
    column = rng.randrange(len(COLUMNS))
    empty = [row for row in rows if row[column] is None]
    full = [row for row in rows if row[column] is not None]
    if empty and full:
        one, other = rng.choice(empty), rng.choice(full)
        one[column], other[column] = other[column], one[column]
    return rows


def lost(rows: Rows, rng: random.Random) -> Rows:
    at = rng.randrange(len(rows))
    return rows[:at] + rows[at + 1 :]


def sql_of(rows: Rows, keyed: bool, rng: random.Random, gone: int | None = None) -> str:
    lines = []
    for n, row in enumerate(rows):
        key = [str(n if gone is None or n < gone else n + 1)] if keyed else []
        lines.append("(" + ", ".join(key + ["NULL" if value is None else literal(value) for value in row]) + ")")
    rng.shuffle(lines)
    return ", ".join(lines)


@pytest.fixture(scope="module")
def trials(server: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A database with a table a trial and kind; and their rows, and their fingerprint."""
    database = server.database()
    rng = random.Random(20)
    columns = ", ".join(f"{name} {kind}" for name, kind, _ in COLUMNS)
    most = TRIALS if request.config.getoption("thorough") else USUAL
    rows = [made(rng) for _ in range(most if server.major == max(MAJORS) else ELSEWHERE)]
    for keyed in (True, False):
        schema, key = ("keyed", "id integer PRIMARY KEY, ") if keyed else ("loose", "")
        database.run(
            f"CREATE SCHEMA {schema};"
            + ";".join(
                f"CREATE TABLE {schema}.t{n} ({key}{columns});"
                f"INSERT INTO {schema}.t{n} VALUES {sql_of(each, keyed, rng)}"
                for n, each in enumerate(rows)
            )
        )
    yield database, rows, {schema: state(database, schema, None) for schema in ("keyed", "loose")}
    database.drop()


def state(database: Any, schema: str, like: State | None) -> State:
    wanted = [each.oid for each in tables(listed(database.admin)) if each.schema == schema]
    return read(database.admin, wanted, how="full", deadline=Deadline(FOREVER, what="the test"), like=like)


def folded(one: State, mask: int) -> State:
    return msgspec.structs.replace(one, prints={oid: each.folded(mask) for oid, each in one.prints.items()})


def content(rows: Rows, keyed: bool) -> list[str]:
    return [repr(row) for row in rows] if keyed else sorted(repr(row) for row in rows)


def after(trials: Any, way: Callable[[Rows, random.Random], Rows] | None, keyed: bool) -> tuple[State, list[str]]:
    """The state after one random change of each table, written anew in another order; and which tables did change."""
    database, rows, before = trials
    rng = random.Random(f"{way} {keyed}" if way is None else f"{way.__name__} {keyed}")
    schema = "keyed" if keyed else "loose"
    script, hit = [], []
    for n, each in enumerate(rows):
        new = each
        for _ in range(200):
            if way is None:
                break
            # A draw that happens to change nothing, as of two equal values, is drawn again.
            new = way(each, rng)
            if content(new, keyed) != content(each, keyed):
                hit.append(f"{schema}.t{n}")
                break
        script.append(f"DELETE FROM {schema}.t{n}; INSERT INTO {schema}.t{n} VALUES {sql_of(new, keyed, rng)}")
    database.run(";".join(script))
    return state(database, schema, before[schema]), hit


@pytest.mark.parametrize("keyed", [True, False], ids=["keyed", "keyless"])
@pytest.mark.parametrize("way", [shifted, swapped, doubled, null_moved, lost])
def test_none_of_many_random_losses_is_missed(
    trials: Any, way: Callable[[Rows, random.Random], Rows], keyed: bool
) -> None:
    now, hit = after(trials, way, keyed)
    schema = "keyed" if keyed else "loose"
    assert len(hit) == len(trials[1]) >= ELSEWHERE
    for mask in (EXACT_MASK, COARSE_MASK, 0):
        change = compare(folded(trials[2][schema], mask), folded(now, mask))
        seen = [each.table for each in change.tables]
        assert sorted(hit) == sorted(seen), f"missed with mask {mask}: {sorted(set(hit) - set(seen))}"


@pytest.mark.parametrize("keyed", [True, False], ids=["keyed", "keyless"])
def test_none_of_many_tables_differs_whose_rows_were_written_anew_in_another_order(trials: Any, keyed: bool) -> None:
    now, _ = after(trials, None, keyed)
    schema = "keyed" if keyed else "loose"
    for mask in (EXACT_MASK, COARSE_MASK, 0):
        assert compare(folded(trials[2][schema], mask), folded(now, mask)).tables == ()
