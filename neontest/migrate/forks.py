"""The worker's side of the fork server: imports what every session needs, then forks a process for each.

Part of worker.py: Python 3.8 and later, the standard library only.

A request is one datagram, a JSON object with `cwd` and `mark`, and with it seven descriptors: the pipe whose end kills
the session, standard output and error, the pipe for the answer, and the session's own: commands, reports, cancels. The
answer is `pid N`, once the session can be killed with its group, and `status N`, its wait status.
"""

# ruff: noqa: PTH123, PTH208

from __future__ import annotations

import array
import contextlib
import gc
import json
import mmap
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any

DESCRIPTORS = 7
MARK = "NEONTEST_MARK"
"""As in process.py, by which a process that left its group is known."""
LARGEST = 65536
READ = 1.0
"""Seconds that somebody is waited for who reads what a session has left to say."""


class Kept:
    """Reports that a session has not written yet, JSON objects with commas between them.

    They are in memory that the process between it and its server sees, too: what it did not come to write, that does.
    """

    SIZE = 1 << 16
    HEAD = 4
    """Bytes in front that say how many are taken."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, self.SIZE)
        self.count = 0

    def add(self, report: bytes) -> bool:
        """False where there is no room left."""
        size = self._size()
        data = b"," + report if size else report
        if self.HEAD + size + len(data) > self.SIZE:
            return False
        self._memory[self.HEAD + size : self.HEAD + size + len(data)] = data
        self.count += 1
        self._take(size + len(data))  # not before: whoever looks meanwhile sees whole reports only
        return True

    @contextlib.contextmanager
    def taken(self) -> Iterator[bytes]:
        """All as one array in a line, empty where there is nothing; kept on where they cannot be written at all."""
        size = self._size()
        held = self._memory[self.HEAD : self.HEAD + size]
        self._take(0)  # now: whoever is killed while he writes has written them
        self.count = 0
        try:
            yield b"[%s]\n" % held if held else b""
        except OSError:
            self._take(size)
            raise

    def _size(self) -> int:
        return int.from_bytes(self._memory[: self.HEAD], "little")

    def _take(self, size: int) -> None:
        self._memory[: self.HEAD] = size.to_bytes(self.HEAD, "little")


def imported(kind: str) -> None:
    """Import what the sessions will; one that cannot be had is their matter.

    Hardly any of it is garbage: to look for some takes a tenth of the time, and in each session as much again.
    """
    gc.disable()
    names = ["alembic.command", "alembic.script", "sqlalchemy", "logging.config"]
    for name in names + (["flask.cli", "flask_migrate"] if kind == "flask" else []):
        with contextlib.suppress(Exception):
            __import__(name)
    gc.freeze()
    gc.enable()


def served(number: int) -> tuple[list[int], Kept]:
    """Fork for each request; returns only in a session's own process: its own descriptors, and where it keeps reports.

    A session begins anew, without what was imported, where a fork would not be whole: threads are not forked, though
    the locks that they hold are, and on macOS some of the system's libraries end a process that was forked.
    """
    fresh = sys.platform == "darwin" or threads() > 1
    requests = socket.socket(fileno=number)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        request, descriptors = received(requests)
        try:
            child = os.fork()
        except OSError as error:  # no more processes: who asked sees its answer end
            os.write(2, f"no worker can be forked: {error.strerror}\n".encode())
            child = -1
        if child:
            for each in descriptors:
                os.close(each)
            continue
        requests.close()
        own, kept = born(request, descriptors)
        if fresh:
            for each in own:
                os.set_inheritable(each, True)
            alone = [sys.executable, "-u", sys.argv[0], "alone", *map(str, own)]
            os.execv(sys.executable, alone)  # noqa: S606
        return own, kept


def threads() -> int:
    """Of this process, also those that Python does not know of, where there is a /proc."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return threading.active_count()


def received(requests: socket.socket) -> tuple[dict[str, Any], list[int]]:
    numbers = array.array("i")
    body, more, _, _ = requests.recvmsg(LARGEST, socket.CMSG_SPACE(DESCRIPTORS * numbers.itemsize))
    for level, kind, data in more:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
    return json.loads(body), list(numbers)


def born(request: dict[str, Any], descriptors: list[int]) -> tuple[list[int], Kept]:
    """Become the session; what is between it and the server waits for its end, tells it, and what was left to say."""
    leash, out, err, answer, *own = descriptors
    commands, reports, cancels = own
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    kept = Kept()
    pid = os.fork()
    if pid:
        for each in (leash, out, err, commands, cancels):
            os.close(each)
        silenced()
        _, status = os.waitpid(pid, 0)
        with contextlib.suppress(OSError), kept.taken() as left:
            os.set_blocking(reports, False)
            while left and select.select([], [reports], [], READ)[1]:
                left = left[os.write(reports, left) :]
        with contextlib.suppress(OSError):
            os.write(answer, b"status %d\n" % status)
        os._exit(0)
    os.setsid()
    watched(leash, descriptors)
    with contextlib.suppress(OSError):
        os.write(answer, b"pid %d\n" % os.getpid())
    os.close(answer)
    os.close(leash)
    for number, standard in ((out, 1), (err, 2)):
        os.dup2(number, standard)
        os.close(number)
    marked(request["mark"])
    os.chdir(request["cwd"])
    return own, kept


def silenced() -> None:
    """Hold nobody's output open."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    os.close(nothing)


def watched(leash: int, descriptors: list[int]) -> None:
    """Let a process beside this one, and not its child, kill the whole group when the pipe `leash` ends."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        if status:
            os._exit(1)  # nobody would end what is begun here
        return
    try:
        if os.fork():
            os._exit(0)
    except OSError:
        os._exit(1)
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    silenced()
    for each in descriptors:
        if each != leash:
            with contextlib.suppress(OSError):
                os.close(each)
    with contextlib.suppress(OSError):
        os.read(leash, 1)
    os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)


def marked(mark: str) -> None:
    """Let this process's environment, as others see it, say whose it is: a fork shows that of its server.

    Source of the addresses: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html, fields 50 and 51 (2026-11).
    Where there is no /proc nobody looks there.
    """
    before, os.environ[MARK] = os.environ.get(MARK, ""), mark
    if len(before) != len(mark):
        return
    with contextlib.suppress(OSError, ValueError, IndexError):
        with open("/proc/self/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        start, end = int(fields[47]), int(fields[48])
        with open("/proc/self/mem", "r+b", buffering=0) as memory:
            memory.seek(start)
            place = memory.read(end - start).index(b"%s=%s\0" % (MARK.encode(), before.encode()))
            memory.seek(start + place + len(MARK) + 1)
            memory.write(mark.encode())
