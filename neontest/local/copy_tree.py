"""Copies a server's data folder, sharing blocks with the original where the file system can (reflink, clonefile).

Never by hard links: both servers would open the same files and write in place.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import stat
import sys
from functools import cache
from pathlib import Path
from typing import Any, Final

from neontest.local.account import Account

FICLONE: Final = 0x40049409
"""Linux, ioctl_ficlone(2), on every architecture but mips, powerpc and sparc (there it fails, and bytes are copied)."""

LEFT_OUT: Final = re.compile(
    r"postmaster\.(pid|opts)|pgsql_tmp.*|pg_internal\.init.*|backup_label(\.old)?|tablespace_map(\.old)?|\.s\.PGSQL\..*"
)
EMPTIED: Final = frozenset(
    {"pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots", "pg_stat_tmp", "pg_subtrans"}
)
"""As pg_basebackup leaves them out: https://www.postgresql.org/docs/18/protocol-replication.html (2026-11-22)."""


def copy_tree(source: Path, target: Path, *, account: Account, wal: bool = True) -> None:
    """Copy a data folder to `target`, which must not exist, owned by `account`; without WAL files if not `wal`.

    Files may change, grow and vanish meanwhile: that is for the backup's WAL to mend. Links are never followed.
    """
    old = os.open(source, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        target.mkdir(mode=0o700)
        new = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            _copy_folder(old, new, account, skip=frozenset() if wal else frozenset({"pg_wal"}))
        finally:
            os.close(new)
    finally:
        os.close(old)


def copy_wal(source: Path, target: Path, *, account: Account) -> None:
    """Copy the WAL segments from one data folder to another."""
    old = os.open(source / "pg_wal", os.O_RDONLY | os.O_DIRECTORY)
    new = os.open(target / "pg_wal", os.O_RDONLY | os.O_DIRECTORY)
    try:
        for entry in os.scandir(old):
            if re.fullmatch(r"[0-9A-F]{24}", entry.name):
                _copy_file(old, new, entry.name, account)
    finally:
        os.close(old)
        os.close(new)


def _copy_folder(old: int, new: int, account: Account, skip: frozenset[str]) -> None:
    """`old` and `new` are open folders; in those named by `skip`, and those that are emptied, only folders are kept."""
    for entry in os.scandir(old):
        if LEFT_OUT.fullmatch(entry.name):
            continue
        if entry.is_dir(follow_symlinks=False):
            try:
                inner_old = os.open(entry.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=old)
            except FileNotFoundError:
                continue
            try:
                os.mkdir(entry.name, 0o700, dir_fd=new)
                inner_new = os.open(entry.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=new)
                try:
                    if entry.name in skip:
                        _copy_folders_only(inner_old, inner_new, account)
                    elif entry.name not in EMPTIED:
                        _copy_folder(inner_old, inner_new, account, frozenset())
                    _give(inner_new, account)
                finally:
                    os.close(inner_new)
            finally:
                os.close(inner_old)
        elif entry.is_file(follow_symlinks=False):
            _copy_file(old, new, entry.name, account)
    _give(new, account)


def _copy_folders_only(old: int, new: int, account: Account) -> None:
    for entry in os.scandir(old):
        if entry.is_dir(follow_symlinks=False):
            os.mkdir(entry.name, 0o700, dir_fd=new)
            if account.switch:
                os.chown(entry.name, account.uid, account.gid, dir_fd=new, follow_symlinks=False)


def _copy_file(old: int, new: int, name: str, account: Account) -> None:
    try:
        source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=old)
    except FileNotFoundError:
        return
    try:
        facts = os.fstat(source)
        if not stat.S_ISREG(facts.st_mode):
            return
        if sys.platform == "darwin" and _clonefile(source, new, name):
            if account.switch:
                os.chown(name, account.uid, account.gid, dir_fd=new, follow_symlinks=False)
            return
        target = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=new)
        try:
            _copy_bytes(source, target, facts.st_size)
            _give(target, account)
        finally:
            os.close(target)
    finally:
        os.close(source)


def _copy_bytes(source: int, target: int, size: int) -> None:
    if size == 0:
        return
    if sys.platform != "linux":
        while block := os.read(source, 1 << 20):
            os.write(target, block)
        return
    import fcntl

    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV, errno.ENOSYS, errno.EPERM):
            raise
    else:
        return
    done = 0
    while done < size and (count := os.sendfile(target, source, done, min(size - done, 1 << 30))):
        done += count


def _give(fd: int, account: Account) -> None:
    if account.switch:
        os.fchown(fd, account.uid, account.gid)


@cache
def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def _clonefile(source: int, folder: int, name: str) -> bool:
    """macOS: share the blocks on APFS; false where the file system cannot."""
    return bool(_libc().fclonefileat(source, folder, os.fsencode(name), 0) == 0)
