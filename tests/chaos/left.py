"""What a run that was ended has left on this machine (Linux): processes, files, sockets, shared memory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

SEGMENTS = Path("/proc/sysvipc/shm")


def processes(*marks: str | Path) -> dict[int, str]:
    """The commands of the processes that have one of the marks in their command or environment, by id."""
    wanted = [os.fsencode(mark) for mark in marks]
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (entry / "cmdline").read_bytes()
            text = command + b"\0" + environment(entry)
            if int(entry.name) != os.getpid() and any(mark in text for mark in wanted):
                found[int(entry.name)] = command.replace(b"\0", b" ").decode("utf-8", "replace")[:160].strip()
    return found


def environment(entry: Path) -> bytes:
    """Empty where it is another user's."""
    try:
        return (entry / "environ").read_bytes()
    except PermissionError:
        return b""


def segments_made_by(pids: Iterable[int], but: Iterable[str] = ()) -> list[str]:
    """The ids of the System V shared memory that these made, `but` for what was there before they could."""
    makers, known = set(pids), set(but)
    return [row[1] for row in _segments() if int(row[4]) in makers and row[1] not in known]


def segments() -> list[str]:
    """The ids of all there is."""
    return [row[1] for row in _segments()]


def _segments() -> list[list[str]]:
    return [line.split() for line in SEGMENTS.read_text().splitlines()[1:]]


def sockets(folder: Path) -> list[str]:
    """The Unix sockets that are bound in that folder."""
    lines = Path("/proc/net/unix").read_text().splitlines()
    return sorted({line.split()[-1] for line in lines if f" {folder}/" in line})


def dynamic() -> set[str]:
    """The files of dynamic shared memory of Postgres, and whatever else is in memory with our name."""
    names = ("PostgreSQL.*", "nt-*")
    # An empty one holds no memory: an initdb that was killed between two system calls.
    return {each.name for name in names for each in Path("/dev/shm").glob(name) if _size(each)}


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def files(*folders: Path) -> list[str]:
    """Everything directly in these folders, as `folder/name`."""
    return [f"{each.name}/{path.name}" for each in folders if each.is_dir() for path in sorted(each.iterdir())]
