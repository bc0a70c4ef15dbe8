"""The dynamic shared memory of a killed server: files in /dev/shm, with names that nobody else can tell apart.

Servers of ours keep it in their data folder (`dynamic_shared_memory_type=mmap`); the ones that `initdb` runs choose for
themselves. Which files were theirs stands in the server's System V segment, as long as that is there.
Source: PGShmemHeader in src/include/storage/pg_shmem.h and dsm_control_header in src/backend/storage/ipc/dsm.c, the
same in PostgreSQL 14 to 18 (2026-11).
"""

from __future__ import annotations

import contextlib
import ctypes
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

FOLDER: Final = Path("/dev/shm")  # noqa: S108 -- where glibc's shm_open puts them
SEGMENT_MAGIC: Final = 679834894
CONTROL_MAGIC: Final = 0x9A503D32
SHM_RDONLY: Final = 0o10000
HEADER: Final = struct.Struct("@iiNNI")
"""magic, creator's pid, total size, free offset, handle of the control file."""
CONTROL: Final = struct.Struct("=III")
"""magic, number of items in use, number of items."""
ITEM_BYTES: Final = 40
FIRST_ITEM: Final = 16


def free(shmid: int, uid: int) -> None:
    """Remove the files that the unused segment names, if they are the same owner's; Linux on 64 bits."""
    handle = _control_handle(shmid)
    if handle is None or not FOLDER.is_dir():
        return
    control = FOLDER / f"PostgreSQL.{handle}"
    for name in (*_items(control, uid), control.name):
        path = FOLDER / name
        with contextlib.suppress(OSError):
            if path.lstat().st_uid == uid:
                path.unlink()


def _control_handle(shmid: int) -> int | None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    libc.shmdt.argtypes = [ctypes.c_void_p]
    address = libc.shmat(shmid, None, SHM_RDONLY)
    if address in (None, ctypes.c_void_p(-1).value):
        return None
    try:
        magic, _, size, _, handle = HEADER.unpack(ctypes.string_at(address, HEADER.size))
    finally:
        libc.shmdt(address)
    return handle if magic == SEGMENT_MAGIC and size and handle else None


def _items(control: Path, uid: int) -> Iterator[str]:
    """The names of the files that the control file lists; none if it is not one of the owner's."""
    try:
        if control.lstat().st_uid != uid:
            return
        content = control.read_bytes()
        magic, used, _ = CONTROL.unpack_from(content)
    except (OSError, struct.error):
        return
    if magic != CONTROL_MAGIC:
        return
    for number in range(min(used, (len(content) - FIRST_ITEM) // ITEM_BYTES)):
        (handle,) = struct.unpack_from("=I", content, FIRST_ITEM + number * ITEM_BYTES)
        yield f"PostgreSQL.{handle}"
