"""How a server is started: its settings, its socket, and how to see that it is ready."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from neontest.errors import LocalError
from neontest.local.account import Account

SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_permissions": "0700",
    "fsync": "off",  # the recovery of a copied server would sync every file of it
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "replica",
    "max_wal_senders": "4",
    "max_replication_slots": "16",  # one for each copy of a running parent under way
    "max_connections": "100",
    "shared_buffers": "16MB",
    "min_wal_size": "2MB",
    "max_wal_size": "64MB",
    "huge_pages": "off",
    "jit": "off",
    "dynamic_shared_memory_type": "mmap",  # in the data folder: a killed server leaves nothing in /dev/shm
    "logging_collector": "off",
    "ssl": "off",
}
"""All on the command line, where they beat every file of a copied parent."""

LONGEST_SOCKET: Final = 103
"""Bytes in the path of a Unix socket (macOS; Linux has 107)."""


def command(postgres: Path, data: Path, sockets: Path, port: int, settings: Mapping[str, str]) -> list[str]:
    """The command line of a server; `settings` come on top of ours."""
    words = [str(postgres), "-D", str(data), "-k", str(sockets), "-p", str(port)]
    for name, value in (SETTINGS | dict(settings)).items():
        words += ["-c", f"{name}={value}"]
    return words


def is_ready(data: Path) -> bool:
    """The server on this data takes connections.

    Line 8 of its pid file says so. `pg_ctl -w` looks there too, but ten times a second only.
    """
    try:
        lines = (data / "postmaster.pid").read_text(errors="replace").splitlines()
    except OSError:
        return False
    return len(lines) > 7 and lines[7].strip() == "ready"


def log_tail(log: Path, lines: int) -> str:
    """The last lines of a server's log."""
    try:
        fd = os.open(log, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return ""
    with os.fdopen(fd, "rb") as file:
        file.seek(max(0, os.fstat(fd).st_size - 65536))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])


def socket_folder(folder: Path) -> Path:
    """Where a branch's socket is: in its folder, or, where that path is too long for one, in a short one of its own."""
    if len(os.fsencode(folder / ".s.PGSQL.65535")) <= LONGEST_SOCKET:
        return folder
    return Path("/tmp") / f"neontest-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}"  # noqa: S108


def make_private(folder: Path, account: Account) -> None:
    """Make a folder that only the account can enter; one that somebody else made is refused."""
    try:
        folder.mkdir(mode=0o700)
        account.give(folder)
    except FileExistsError:
        facts = folder.lstat()
        if not stat.S_ISDIR(facts.st_mode) or facts.st_mode & 0o077 or facts.st_uid != account.uid:
            raise LocalError(f"{folder} is not ours", hint="remove it, or choose a shorter state folder") from None
