"""The dynamic shared memory of a killed server: files in /dev/shm, with names that nobody else can tell apart.

Servers of ours keep it in their data folder (`dynamic_shared_memory_type=mmap`); the ones that `initdb` runs choose for
themselves. Which files were theirs stands in the server's System V segment, as long as that is there. One that was
killed just after it made its control file, and before its segment named it, left one of zeros.
Source: PGShmemHeader in src/include/storage/pg_shmem.h, dsm_control_header and dsm_postmaster_startup in
src/backend/storage/ipc/dsm.c, the same in PostgreSQL 14 to 18 (2026-11).
"""

from __future__ import annotations

import contextlib
import ctypes
import stat
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
PROGRAM: Final = b"postgres"
UNBEGUN_BYTES: Final = 65536
"""More than a control file of what `initdb` runs has (26,976 in PostgreSQL 15)."""


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


def free_unbegun(uid: int) -> None:
    """Remove the owner's control files that nobody began to write, and nobody has open or mapped; Linux.

    A server that lives has its own open until it is mapped, and mapped as long as it lives.
    """
    unbegun = {str(path) for path in FOLDER.glob("PostgreSQL.[0-9]*") if _is_unbegun(path, uid)}
    with contextlib.suppress(OSError):  # root of a container may not look
        for path in unbegun - _in_use(uid) if unbegun else ():
            with contextlib.suppress(OSError):
                Path(path).unlink()


def _is_unbegun(path: Path, uid: int) -> bool:
    try:
        about = path.lstat()
        if about.st_uid != uid or not stat.S_ISREG(about.st_mode) or about.st_size > UNBEGUN_BYTES:
            return False
        content = path.read_bytes()
    except OSError:
        return False
    return not content or ((len(content) - FIRST_ITEM) % ITEM_BYTES == 0 and not any(content))


def _in_use(uid: int) -> set[str]:
    """The files that the owner's processes have open, and then those that they have mapped: never the other order.

    Raises:
        PermissionError: that is not to be seen of a server's.
    """
    used: set[str] = set()
    for what in (_open, _mapped):
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if process.stat().st_uid == uid:
                    used |= what(process)
            except PermissionError:
                if (process / "comm").read_bytes().strip() == PROGRAM:
                    raise
            except (FileNotFoundError, ProcessLookupError):
                continue
    return used


def _open(process: Path) -> set[str]:
    found = set()
    for each in (process / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(str(each.readlink()))
    return found


def _mapped(process: Path) -> set[str]:
    lines = (process / "maps").read_text(errors="replace").splitlines()
    return {line[line.index("/") :] for line in lines if "/" in line}


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
