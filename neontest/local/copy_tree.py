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
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

from neontest.local.account import Account
from neontest.local.wal import SEGMENT, last_segment

FICLONE: Final = 0x40049409
"""Linux, ioctl_ficlone(2), on every architecture but mips, powerpc and sparc (there it fails, and bytes are copied)."""
GET_FLAGS: Final = 0x80086601
SET_FLAGS: Final = 0x40086602
APART: Final = 0x00020000
"""FS_IOC_GETFLAGS, FS_IOC_SETFLAGS and FS_TOPDIR_FL of linux/fs.h, as `chattr +T` uses them; with the exceptions of
FICLONE, and another size on 32 bits, where it fails as well."""
CANNOT_SHARE: Final = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV, errno.ENOSYS, errno.EPERM)

LEFT_OUT: Final = re.compile(
    r"postmaster\.(pid|opts)|pgsql_tmp.*|pg_internal\.init.*|backup_label(\.old)?|tablespace_map(\.old)?|\.s\.PGSQL\..*"
)
EMPTIED: Final = frozenset(
    {"pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots", "pg_stat_tmp", "pg_subtrans"}
)
"""As pg_basebackup leaves them out: https://www.postgresql.org/docs/18/protocol-replication.html (2026-11-22)."""


def apart(folder: Path) -> None:
    """Have the file system keep apart what is made in the folder: each folder in it begins elsewhere on the disk.

    Only ext4 minds. Without a journal, as on the disks of many virtual machines, it would put a copy where one was just
    deleted, and there pass over every file that is not long enough gone: 30 ms become 170, and 700 after some hundred.
    """
    if sys.platform != "linux":
        return
    import fcntl

    with suppress(OSError), _opened(folder) as fd:  # a hint, and no more
        flags = bytearray(8)
        fcntl.ioctl(fd, GET_FLAGS, flags)
        value = int.from_bytes(flags[:4], sys.byteorder)
        if not value & APART:
            fcntl.ioctl(fd, SET_FLAGS, (value | APART).to_bytes(4, sys.byteorder) + bytes(4))


def copy_tree(source: Path, target: Path, *, account: Account, wal: bool = True) -> None:
    """Copy a data folder to `target`, which must not exist, owned by `account`.

    Without WAL files if not `wal`; of a server that was stopped cleanly only the one that its start reads. Files may
    change, grow and vanish meanwhile: that is for the backup's WAL to mend. Links are never followed.
    """
    copying = _Copying(account, last_segment(source) if wal else None)
    with _opened(source) as old:
        target.mkdir(mode=0o700)
        with _opened(target) as new:
            copying.folder(old, new, skip=frozenset() if wal else frozenset({"pg_wal"}))


def copy_wal(source: Path, target: Path, *, account: Account) -> None:
    """Copy the WAL segments from one data folder to another."""
    copying = _Copying(account)
    with _opened(source / "pg_wal") as old, _opened(target / "pg_wal") as new:
        for entry in os.scandir(old):
            if SEGMENT.fullmatch(entry.name):
                copying.file(old, new, entry.name)


@contextmanager
def _opened(path: Path | str, within: int | None = None) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=within)
    try:
        yield fd
    finally:
        os.close(fd)


class _Copying:
    """One copy of a data folder, between open folders."""

    def __init__(self, account: Account, segment: str | None = None) -> None:
        """`segment`: the only WAL file to copy, if not all."""
        self._account = account
        self._segment = segment
        self._shares = True
        """The file system was not yet seen to be one that cannot share blocks."""

    def folder(self, old: int, new: int, skip: frozenset[str] = frozenset()) -> None:
        """In folders named by `skip`, and those that are emptied, only folders are kept."""
        for entry in os.scandir(old):
            if LEFT_OUT.fullmatch(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                self._inner(old, new, entry.name, skip)
            elif entry.is_file(follow_symlinks=False) and (
                self._segment in (None, entry.name) or not SEGMENT.fullmatch(entry.name)
            ):
                self.file(old, new, entry.name)
        self._give(new)

    def _inner(self, old: int, new: int, name: str, skip: frozenset[str]) -> None:
        with ExitStack() as opened:
            try:
                inner_old = opened.enter_context(_opened(name, old))
            except FileNotFoundError:
                return
            os.mkdir(name, 0o700, dir_fd=new)
            inner_new = opened.enter_context(_opened(name, new))
            if name in skip:
                self._folders_only(inner_old, inner_new)
            elif name not in EMPTIED:
                self.folder(inner_old, inner_new)
            self._give(inner_new)

    def _folders_only(self, old: int, new: int) -> None:
        for entry in os.scandir(old):
            if entry.is_dir(follow_symlinks=False):
                os.mkdir(entry.name, 0o700, dir_fd=new)
                self._give_entry(new, entry.name)

    def file(self, old: int, new: int, name: str) -> None:
        try:
            source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=old)
        except FileNotFoundError:
            return
        try:
            facts = os.fstat(source)
            if not stat.S_ISREG(facts.st_mode):
                return
            if sys.platform == "darwin" and _clonefile(source, new, name):
                self._give_entry(new, name)
                return
            target = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=new)
            try:
                self._bytes(source, target, facts.st_size)
                self._give(target)
            finally:
                os.close(target)
        finally:
            os.close(source)

    def _bytes(self, source: int, target: int, size: int) -> None:
        if size == 0:
            return
        if sys.platform != "linux":
            while block := os.read(source, 1 << 20):
                os.write(target, block)
            return
        import fcntl

        if self._shares:
            try:
                fcntl.ioctl(target, FICLONE, source)
            except OSError as error:
                if error.errno not in CANNOT_SHARE:
                    raise
                self._shares = False
            else:
                return
        done = 0
        while done < size and (count := os.sendfile(target, source, done, min(size - done, 1 << 30))):
            done += count

    def _give(self, fd: int) -> None:
        if self._account.switch:
            os.fchown(fd, self._account.uid, self._account.gid)

    def _give_entry(self, folder: int, name: str) -> None:
        if self._account.switch:
            os.chown(name, self._account.uid, self._account.gid, dir_fd=folder, follow_symlinks=False)


@cache
def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def _clonefile(source: int, folder: int, name: str) -> bool:
    """macOS: share the blocks on APFS; false where the file system cannot."""
    return bool(_libc().fclonefileat(source, folder, os.fsencode(name), 0) == 0)
