"""The order of tables that refer to each other, whatever their foreign keys."""

from __future__ import annotations

import random

import pytest

from neontest.postgres.fill_model import Column, ForeignKey, Table, Type
from neontest.postgres.fill_order import steps

INTEGER = Type(oid=23, name="int4", kind="b")


def table(oid: int, targets: list[tuple[int, bool]]) -> Table:
    """Each key has a column, that has to have a value or not."""
    columns = tuple(
        Column(number=number, name=f"c{number}", type=INTEGER, modifier=-1, not_null=needed)
        for number, (_, needed) in enumerate(targets, 1)
    )
    keys = tuple(
        ForeignKey(
            name=f"k{number}", columns=(number,), target=target, target_name=f"t{target}", target_columns=("id",),
            full=False, readable=True,
        )
        for number, (target, _) in enumerate(targets, 1)
    )  # fmt: skip
    return Table(oid=oid, schema="public", name=f"t{oid}", columns=columns, foreign_keys=keys)


@pytest.mark.parametrize("seed", range(200))
def test_what_is_referred_to_comes_first_or_the_key_waits_or_is_tied(seed: int) -> None:
    chance = random.Random(seed)
    oids = chance.sample(range(100), chance.randint(1, 9))
    elsewhere = 999
    tables = [
        table(oid, [(chance.choice([*oids, elsewhere]), chance.random() < 0.5) for _ in range(chance.randint(0, 3))])
        for oid in oids
    ]
    found = steps(tables)
    assert sorted(each.oid for step in found for each in step.tables) == sorted(oids)
    have: set[int] = set()
    for step in found:
        ready = [
            each.oid
            for each in tables
            if each.oid not in have and all(key.target in have | {each.oid, elsewhere} for key in each.foreign_keys)
        ]
        # Where one can go, the first of them goes, alone.
        assert not ready or [each.oid for each in step.tables] == ready[:1]
        inside = {each.oid for each in step.tables}
        for each in step.tables:
            for key in each.foreign_keys:
                name = (each.oid, key.name)
                fine = key.target in have | {elsewhere} or name in step.later | step.tied
                assert fine, (each.oid, key)
                assert name not in step.tied or key.target in inside
                assert name not in step.later or not each.by_number[key.columns[0]].not_null
        have |= inside
