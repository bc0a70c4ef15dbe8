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
        _free_segment(lines)
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


def _free_segment(pid_file: list[str]) -> None:
    """Free the System V segment on line 7 ("key id") if nobody uses it; its id may be another's since a reboot."""
    try:
        key, shmid = (int(word) for word in pid_file[6].split())
    except (IndexError, ValueError):
        return
    if sys.platform == "linux" and not _is_unused(key, shmid):
        return
    command = ["ipcrm", "-m", str(shmid)]
    with contextlib.suppress(OSError):
        subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True)


def _is_unused(key: int, shmid: int) -> bool:
    end = time.monotonic() + 2
    while True:
        try:
            rows = [line.split() for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
        except OSError:
            return True
        # Columns: key shmid perms size cpid lpid nattch …; the key is a signed number there.
        mine = [row for row in rows if int(row[0]) % 2**32 == key % 2**32 and int(row[1]) == shmid]
        if not mine:
            return False
        if int(mine[0][6]) == 0:
            return True
        if time.monotonic() > end:
            return False
        time.sleep(0.01)  # children of a killed server leave it within milliseconds
