"""What a parent was made into is kept for later owners: whole, theirs alone, and not for long."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import Any

import msgspec
import psycopg2
import pytest

from neontest.errors import LocalError
from neontest.local import made, roles
from neontest.local.cluster import Clusters
from neontest.local.made import Facts

FACTS = Facts(told="that", roles={roles.OWNER: True}, databases={"neondb": roles.OWNER}, bytes=10)


def always(_: str) -> bool:
    return True


def handed_in(clusters: Clusters, id: str, ask: Any, key: str, table: str) -> bool:
    """A parent with a table of three rows, stopped, and handed in under the key."""
    cluster = clusters.create(id, passwords={roles.OWNER: "secret of the owner"})
    ask(cluster, f"CREATE TABLE {table} AS SELECT generate_series(1, 3) AS id")
    cluster.stop()
    return clusters.hand_in(cluster, key, FACTS)


def test_a_later_owner_begins_with_it_under_passwords_of_its_own(state, binaries, fresh_id, ask):
    with Clusters(state, binaries) as first:
        assert handed_in(first, fresh_id(), ask, "a later owner", "kept")
    with Clusters(state, binaries) as second:
        cluster = second.create(fresh_id(), passwords={roles.OWNER: "another"}, start=False)
        assert second.begin_as_made(cluster, "a later owner", {roles.OWNER: "another"}, "that".__eq__) == FACTS
        child = second.clone(fresh_id(), cluster)
        assert ask(child, "SELECT sum(id) FROM kept", password="another") == [(6,)]
        with pytest.raises(psycopg2.OperationalError):
            ask(child, "SELECT 1")
        ask(child, "DROP TABLE kept", password="another")
        cluster.start()
        assert ask(cluster, "SELECT sum(id) FROM kept", password="another") == [(6,)]
    assert not any((state / "b").iterdir())


def test_who_handed_it_in_goes_on_as_a_copy_of_it(clusters, fresh_id, ask):
    cluster = clusters.create(fresh_id(), passwords={roles.OWNER: "secret of the owner"})
    ask(cluster, "CREATE TABLE kept AS SELECT 1 AS id")
    assert not clusters.hand_in(cluster, "goes on", FACTS)  # it runs
    cluster.stop()
    assert clusters.hand_in(cluster, "goes on", FACTS)
    assert not cluster.data.exists()
    assert not clusters.hand_in(cluster, "goes on", FACTS)  # there is nothing to hand in
    child = clusters.clone(fresh_id(), cluster)
    cluster.start()
    for each in (child, cluster):
        assert ask(each, "SELECT id FROM kept") == [(1,)]


def test_what_does_not_fit_is_passed_over_for_what_does(state, binaries, fresh_id, ask):
    with Clusters(state, binaries) as first:
        for what in ("one", "other"):
            cluster = first.create(fresh_id(), passwords={roles.OWNER: "secret of the owner"})
            ask(cluster, f"CREATE TABLE {what} ()")
            cluster.stop()
            assert first.hand_in(cluster, "does not fit", msgspec.structs.replace(FACTS, told=what))
    with Clusters(state, binaries) as second:
        cluster = second.create(fresh_id(), start=False)
        assert second.begin_as_made(cluster, "does not fit", {}, lambda _: False) is None
        assert second.begin_as_made(cluster, "of another key", {}, always) is None
        known = {roles.OWNER: "secret of the owner"}
        for what, other in (("one", "other"), ("other", "one")):
            cluster = second.create(fresh_id(), passwords=known, start=False)
            assert second.begin_as_made(cluster, "does not fit", known, what.__eq__) is not None
            cluster.start()
            assert ask(cluster, f"SELECT to_regclass('{what}'), to_regclass('{other}')") == [(what, None)]


def test_what_an_owner_uses_is_not_cleared(state, binaries, fresh_id, ask):
    with Clusters(state, binaries) as first, Clusters(state, binaries) as second:
        assert handed_in(first, fresh_id(), ask, "in use", "first")
        (facts,) = [each for each in (state / "made").glob("*/facts.json") if in_use(each)]
        os.utime(facts, (0, 0))
        second.sweep()
        assert (facts.parent / "data" / "PG_VERSION").exists()
    with Clusters(state, binaries) as third:
        third.sweep()
        assert not facts.parent.exists()


def test_what_no_server_starts_on_is_forgotten_and_stays_for_who_uses_it(state, binaries, fresh_id, ask):
    with Clusters(state, binaries) as first, Clusters(state, binaries) as second:
        assert handed_in(first, fresh_id(), ask, "spoilt", "kept")
        (facts,) = [each for each in (state / "made").glob("*/facts.json") if in_use(each)]
        for maps in (facts.parent / "data" / "base").glob("*/pg_filenode.map"):
            maps.unlink()  # a server starts, and nobody can connect
        cluster = second.create(fresh_id(), start=False)
        assert second.begin_as_made(cluster, "spoilt", {roles.OWNER: "x"}, always) == FACTS
        with pytest.raises(LocalError):
            cluster.start()
        another = second.create(fresh_id(), start=False)
        assert second.begin_as_made(another, "spoilt", {}, always) is None
        second.sweep()
        assert (facts.parent / "data").exists()
    with Clusters(state, binaries) as third:
        third.sweep()
        assert not facts.parent.exists()


def in_use(facts: Path) -> bool:
    """Somebody has it locked: it cannot be removed."""
    import fcntl

    fd = os.open(facts, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def put(folder: Path, key: str, *, bytes: int = 10, age: float = 0.0) -> Path:
    """One made of a folder with a file in it, that long ago."""
    data = folder.parent / "data"
    data.mkdir()
    (data / "PG_VERSION").write_text(key)
    found = made.put(folder, key, data, msgspec.structs.replace(FACTS, bytes=bytes))
    found.held.close()
    then = time.time() - age
    os.utime(found.data.parent / made.FACTS, (then, then))
    return found.data.parent


def found(folder: Path, key: str) -> list[Path]:
    """The folders that are found."""
    places = []
    for each in made.find(folder, key):
        places.append(each.data.parent)
        each.held.close()
    return places


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "made").mkdir()
    return tmp_path / "made"


def test_only_its_owner_can_read_what_is_told_of_it(folder):
    previous = os.umask(0)
    try:
        place = put(folder, "key")
    finally:
        os.umask(previous)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert stat.S_IMODE((place / made.FACTS).stat().st_mode) == 0o600


@pytest.mark.parametrize("age", [made.LASTS + 60, -3600])
def test_what_is_of_another_day_is_not_found_and_cleared(folder, age):
    old, new = put(folder, "key", age=age), put(folder, "key")
    assert found(folder, "key") == [new]
    made.clear(folder)
    assert not old.exists()
    assert new.exists()


def test_the_newest_stay_as_many_and_as_large_as_they_may_be(folder):
    places = [put(folder, f"key{number}", age=number) for number in range(made.MOST + 2)]
    made.clear(folder)
    assert [each.exists() for each in places] == [True] * made.MOST + [False] * 2
    large = put(folder, "large", bytes=made.LARGEST + 1, age=-0.0)
    made.clear(folder)
    assert [each for each in folder.iterdir() if each.is_dir()] == [large]


def test_what_a_killed_owner_left_half_made_is_cleared(folder):
    whole = put(folder, "whole")
    for half in ("key-1.new", "key-2"):
        (folder / half / "data").mkdir(parents=True)
    assert found(folder, "key") == []
    made.clear(folder)
    assert [each for each in folder.iterdir() if each.is_dir()] == [whole]


@pytest.mark.parametrize("facts", [b"", b"{}", b'{"told": 1}', None])
def test_what_says_nothing_of_itself_is_not_found(folder, facts):
    place = put(folder, "key")
    if facts is None:
        (place / made.FACTS).unlink()
    else:
        (place / made.FACTS).write_bytes(facts)
    assert found(folder, "key") == []
    made.clear(folder)
    assert place.exists() is (facts is not None)
    assert found(folder, "key") == []


def test_nobody_is_led_elsewhere_by_a_link(folder, tmp_path):
    elsewhere = put(folder, "key").rename(tmp_path / "elsewhere")
    (folder / "key-1").mkdir()
    (folder / "key-1" / made.FACTS).symlink_to(elsewhere / made.FACTS)
    assert found(folder, "key") == []


def test_a_folder_that_cannot_be_cleared_is_left(folder, tmp_path):
    put(folder, "key")
    (folder / "lock").unlink()
    (folder / "lock").symlink_to(tmp_path / "elsewhere")
    made.clear(folder)
    assert len(found(folder, "key")) == 1


def test_data_that_cannot_be_moved_stay_where_they_are(folder, tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        made.put(folder, "key", tmp_path / "nowhere", FACTS)
    assert found(folder, "key") == []
    put(folder, "key")
