"""Copies of data folders: what is taken, what is left out, and whose they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from neontest.local.account import Account
from neontest.local.copy_tree import copy_tree, copy_wal

SELF = Account(uid=os.geteuid(), gid=os.getegid(), switch=False)
SEGMENT = "000000010000000000000001"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder like a server's."""
    data = tmp_path / "data"
    for name in ("base/5", "base/pgsql_tmp", "pg_wal/archive_status", "pg_replslot/slot", "pg_notify", "global"):
        (data / name).mkdir(parents=True)
    files = {
        "PG_VERSION": b"18\n",
        "base/5/1259": os.urandom(3 << 20),
        "base/5/empty": b"",
        "base/5/pg_internal.init": b"cache",
        "base/pgsql_tmp/x": b"temporary",
        "postmaster.pid": b"1",
        "postmaster.opts": b"postgres",
        "backup_label.old": b"old",
        "pg_notify/0000": b"old",
        "pg_replslot/slot/state": b"old",
        f"pg_wal/{SEGMENT}": b"wal",
        "pg_wal/archive_status/done": b"",
    }
    for name, content in files.items():
        (data / name).write_bytes(content)
    (data / "link").symlink_to(tmp_path / "elsewhere")
    return data


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_a_copy_has_the_data_and_nothing_of_the_running_server(data: Path, tmp_path: Path) -> None:
    copy_tree(data, tmp_path / "copy", account=SELF)
    assert names(tmp_path / "copy") == {
        "PG_VERSION",
        "base",
        "base/5",
        "base/5/1259",
        "base/5/empty",
        "global",
        "pg_notify",
        "pg_replslot",
        "pg_wal",
        "pg_wal/archive_status",
        "pg_wal/archive_status/done",
        f"pg_wal/{SEGMENT}",
    }
    assert (tmp_path / "copy/base/5/1259").read_bytes() == (data / "base/5/1259").read_bytes()


def test_no_file_is_shared_with_the_original_and_all_are_private(data: Path, tmp_path: Path) -> None:
    copy_tree(data, tmp_path / "copy", account=SELF)
    for path in (tmp_path / "copy").rglob("*"):
        facts = path.stat()
        assert facts.st_mode & 0o077 == 0
        assert facts.st_nlink == 1 or path.is_dir()


def test_wal_comes_separately_for_a_server_in_use(data: Path, tmp_path: Path) -> None:
    copy_tree(data, tmp_path / "copy", account=SELF, wal=False)
    assert names(tmp_path / "copy/pg_wal") == {"archive_status"}
    copy_wal(data, tmp_path / "copy", account=SELF)
    assert (tmp_path / "copy/pg_wal" / SEGMENT).read_bytes() == b"wal"


def test_nothing_is_written_over(data: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    with pytest.raises(FileExistsError):
        copy_tree(data, tmp_path / "copy", account=SELF)


@pytest.mark.skipif(os.geteuid() != 0, reason="root only")
def test_root_gives_the_copy_to_the_servers_account(data: Path, tmp_path: Path) -> None:
    copy_tree(data, tmp_path / "copy", account=Account(uid=65534, gid=65534, switch=True))
    owners = {path.stat().st_uid for path in (tmp_path / "copy", *(tmp_path / "copy").rglob("*"))}
    assert owners == {65534}
