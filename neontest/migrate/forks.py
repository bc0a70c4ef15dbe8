"""The worker's side of the fork server: imports what every session needs, then forks a process for each.

Part of worker.py: Python 3.8 and later, the standard library only.

A request is one datagram, a JSON object with `cwd` and `mark`, and with it six descriptors: the pipe whose end kills
the session, standard output and error, the pipe for the answer, commands and reports. The answer is `pid N`, once the
session can be killed with its group, and `status N`, its wait status.
"""

# ruff: noqa: PTH123, PTH208

from __future__ import annotations

import array
import contextlib
import gc
import json
import os
import signal
import socket
import sys
import threading
from typing import Any

DESCRIPTORS = 6
MARK = "NEONTEST_MARK"
"""As in process.py, by which a process that left its group is known."""
LARGEST = 65536


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


def served(number: int) -> tuple[int, int]:
    """Fork for each request; returns only in a session's own process, its descriptors for commands and reports.

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
        commands, reports = born(request, descriptors)
        if fresh:
            for each in (commands, reports):
                os.set_inheritable(each, True)
            alone = [sys.executable, "-u", sys.argv[0], "alone", str(commands), str(reports)]
            os.execv(sys.executable, alone)  # noqa: S606
        return commands, reports


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


def born(request: dict[str, Any], descriptors: list[int]) -> tuple[int, int]:
    """Become the session; what is between it and the server waits for its end, and tells it."""
    leash, out, err, answer, commands, reports = descriptors
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid:
        for each in (leash, out, err, commands, reports):
            os.close(each)
        silenced()
        _, status = os.waitpid(pid, 0)
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
    return commands, reports


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
