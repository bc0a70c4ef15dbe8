"""Copies of data folders: what is taken, what is left out, and whose they are."""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path

import pytest

from neontest.local.account import Account
from neontest.local.copy_tree import APART, GET_FLAGS, SET_FLAGS, apart, copy_tree, copy_wal

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


def flags(folder: Path, more: int = 0) -> bytes | None:
    """The folder's in its file system, once it has `more`; None where it takes none."""
    fd, found = os.open(folder, os.O_RDONLY), bytearray(8)
    try:
        fcntl.ioctl(fd, GET_FLAGS, found)
        if more:
            fcntl.ioctl(fd, SET_FLAGS, (int.from_bytes(found[:4], sys.byteorder) | more).to_bytes(8, sys.byteorder))
            fcntl.ioctl(fd, GET_FLAGS, found)
    except OSError:
        return None
    finally:
        os.close(fd)
    return bytes(found)


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


def test_what_is_in_a_folder_begins_apart_where_the_file_system_knows_how(tmp_path: Path) -> None:
    """As `chattr +T`; elsewhere it stays as it was."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    plain = flags(tmp_path / "one")
    apart(tmp_path / "one")
    apart(tmp_path / "one")
    assert flags(tmp_path / "one") == (flags(tmp_path / "other", APART) or plain)
    apart(tmp_path / "missing")
    apart(Path("/proc"))
