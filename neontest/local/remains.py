"""Clears away what a dead owner left: a server, its shared memory, its folder, its socket."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from neontest.errors import LocalError
from neontest.local import dynamic


def end_starting(data: Path) -> None:
    """End a server that was started on the data folder but has no pid file yet (Linux; it ends by itself elsewhere)."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"/postgres") and words[1:3] == [b"-D", os.fsencode(data)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(entry.name), signal.SIGKILL)


def end_making(data: Path) -> None:
    """End what still makes a data folder for a dead owner, and free its shared memory.

    Linux; elsewhere it ends by itself. `initdb` names the folder in its command, its children in their environment.
    """
    end = time.monotonic() + 6.0
    while True:
        left = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0") + (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if {os.fsencode(data), b"PGDATA=" + os.fsencode(data)} & set(words):
                left.append(int(entry.name))
        if not left or time.monotonic() > end:
            break
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)
    end_server(data)
    if sys.platform == "linux":
        with contextlib.suppress(FileNotFoundError):  # the folder was removed meanwhile, by whomever
            dynamic.free_unbegun(data.stat().st_uid)


def end_server(data: Path) -> None:
    """End whatever server runs on the data folder, and free its shared memory.

    The pid in its file is only trusted if that process works in this very folder: a pid may have been given away.

    Raises:
        LocalError: it does not end.
    """
    pid_file = data / "postmaster.pid"
    try:
        lines = pid_file.read_text(errors="replace").splitlines()
        pid = abs(int(lines[0]))
    except (OSError, ValueError, IndexError):
        return
    for signum, seconds in ((signal.SIGQUIT, 6.0), (signal.SIGKILL, 6.0)):
        if not works_in(pid, data):
            break
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)
        end = time.monotonic() + seconds
        while works_in(pid, data) and time.monotonic() < end:
            time.sleep(0.002)
    if works_in(pid, data):
        raise LocalError(f"the server with pid {pid} on {data} does not end", hint="end it by hand")
    if pid_file.exists():  # it was killed: nobody else will free its segment
        _free_segment(data, lines)
        with contextlib.suppress(FileNotFoundError):
            pid_file.unlink()


def works_in(pid: int, data: Path) -> bool:
    """The process lives and its working folder is `data`."""
    if Path("/proc/self/cwd").is_symlink():
        try:
            return Path(f"/proc/{pid}/cwd").readlink() == data
        except OSError:
            return False
    command = ["ps", "-ww", "-o", "stat=,command=", "-p", str(pid)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    return f"-D {data} " in done.stdout and not done.stdout.startswith("Z")


def remove(folder: Path, sockets: Path) -> None:
    """Remove a branch's folder, and that of its socket; children of a killed server may still be leaving it."""
    for path in {folder, sockets}:
        for _ in range(50):
            shutil.rmtree(path, ignore_errors=True)
            if not path.exists():
                break
            time.sleep(0.02)
        else:
            raise LocalError(f"{path} cannot be removed", hint="remove it by hand")


def _free_segment(data: Path, pid_file: list[str]) -> None:
    """Free the System V segment of a killed server's data folder, if nobody uses it.

    Line 7 of the pid file has its key and id; the id may be another's since a reboot. Before that line is written, the
    key is the folder's inode number, unless that was taken: `PGSharedMemoryCreate` in src/backend/port/sysv_shmem.c.
    """
    try:
        key, shmid = (int(word) for word in pid_file[6].split())
    except (IndexError, ValueError):
        key, shmid = data.stat().st_ino, None
    if sys.platform == "linux":
        owner = data.stat().st_uid
        shmid = _unused(key, shmid, owner)
        if shmid is not None:
            dynamic.free(shmid, owner)
    if shmid is not None:
        with contextlib.suppress(OSError):
            subprocess.run(["ipcrm", "-m", str(shmid)], check=False, stdin=subprocess.DEVNULL, capture_output=True)


def _unused(key: int, shmid: int | None, uid: int) -> int | None:
    """The id of the segment with this key (and this id, if one is given) and owner, once nobody uses it."""
    end = time.monotonic() + 2
    while True:
        try:
            rows = [line.split() for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
        except OSError:
            return shmid
        for row in rows:
            # Columns: key shmid perms size cpid lpid nattch uid …; the key is a signed number there.
            if int(row[0]) % 2**32 == key % 2**32 and shmid in (None, int(row[1])) and int(row[7]) == uid:
                if int(row[6]) == 0:
                    return int(row[1])
                break
        else:
            return None
        if time.monotonic() > end:
            return None
        time.sleep(0.01)  # children of a killed server leave it within milliseconds
