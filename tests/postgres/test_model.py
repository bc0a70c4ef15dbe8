"""A snapshot that was made of another is what it would be if everything had been read."""

from __future__ import annotations

import random

import pytest

from neontest.postgres.model import Facts, Key, Snapshot

KEYS = [Key("table", "public", name) for name in "abcdef"]


def snapshot(objects: dict[Key, Facts]) -> Snapshot:
    return Snapshot(objects=dict(objects), server_version=180000)


@pytest.mark.parametrize("seed", range(20))
def test_a_line_of_snapshots_is_the_same_as_each_on_its_own(seed: int) -> None:
    chance = random.Random(seed)
    now: dict[Key, Facts] = dict.fromkeys(KEYS[:3], (("a", "0"),))
    line, alone = [snapshot(now)], [snapshot(now)]
    for _ in range(40):
        read = chance.sample(KEYS, chance.randint(0, 3))
        new: dict[Key, Facts] = {key: (("a", str(chance.randint(0, 1))),) for key in read if chance.random() < 0.7}
        line.append(line[-1].renewed(read, new))
        now = {key: facts for key, facts in now.items() if key not in read} | new
        alone.append(snapshot(now))
    for one, other in ((chance.randrange(41), chance.randrange(41)) for _ in range(200)):
        assert (line[one] == line[other]) is (alone[one] == alone[other])
        old, new_ = line[other].apart(line[one])
        assert {key for key in KEYS if old.get(key) != new_.get(key)} == {
            key for key in KEYS if now_of(alone[one], key) != now_of(alone[other], key)
        }
        assert all(line[one].get(key) == now_of(alone[one], key) for key in KEYS)
    for made, expected in zip(line, alone, strict=True):
        assert made.objects == expected.objects
        assert made == expected
        assert made.server_version == 180000


def now_of(one: Snapshot, key: Key) -> Facts | None:
    return one.objects.get(key)


def test_what_was_long_ago_is_forgotten() -> None:
    one = snapshot(dict.fromkeys(KEYS, ()))
    for _ in range(1_000):
        one = one.renewed(KEYS[:1], {KEYS[0]: ()})
    depth, each = 0, one
    while each._base is not None:
        depth, each = depth + 1, each._base
    assert depth < 20


def test_a_snapshot_is_equal_to_nothing_else() -> None:
    assert snapshot({}) != 1
