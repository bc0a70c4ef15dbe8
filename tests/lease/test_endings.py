"""However a process ends, its branch is given back: at once after a signal, by the next command after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from neontest.lease.cleanup import Cleaned, cleanup
from neontest.lease.ledger import Ledger
from neontest.neon.client import Neon

HOLDER = Path(__file__).with_name("holder.py")
BRANCHES = "/branches$"
Start = Callable[[], "subprocess.Popen[str]"]


@pytest.fixture
def start(server: Any, ledger: Ledger, project: str, key: str) -> Iterator[Start]:
    """Starts a process that takes a branch."""
    started: list[subprocess.Popen[str]] = []

    def begin() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(HOLDER), server.url, project, server.main["id"], str(ledger.folder)],
            env=os.environ | {"NEON_API_KEY": key, "PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def rest(ledger: Ledger, neon: Neon) -> list[Cleaned]:
    return list(cleanup(ledger, neon, now=lambda: datetime.now(UTC), sweep_local=lambda folder: None))


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize(
    ("moment", "fault"),
    [
        ("before the branch is made", {"method": "POST", "path": BRANCHES, "drop": True}),
        ("before the answer", {"method": "POST", "path": BRANCHES, "drop": True, "committed": True}),
        ("while its operations run", {"method": "GET", "path": "/operations/", "drop": True}),
    ],
)
def test_a_killed_process_leaves_nothing_after_cleanup(
    server: Any, start: Start, ledger: Ledger, neon: Neon, moment: str, fault: dict[str, Any]
) -> None:
    ended = threading.Event()
    processes: list[subprocess.Popen[str]] = []

    def kill() -> None:
        ended.wait(20)
        processes[0].kill()
        processes[0].wait()

    server.fault(call=kill, **fault)
    processes.append(start())
    ended.set()
    assert processes[0].wait(30) == -signal.SIGKILL
    assert (len(server.branches) == 2) is (moment != "before the branch is made")
    assert [done.outcome for done in rest(ledger, neon)] == ["given back"]
    assert list(server.branches) == [server.main["id"]]
    assert list(ledger.found()) == []


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_gives_the_branch_back_at_once(
    server: Any, start: Start, ledger: Ledger, neon: Neon, signum: signal.Signals
) -> None:
    process = start()
    assert line(process) == "taken"
    began = monotonic()
    process.send_signal(signum)
    assert line(process) == "proved 1"
    assert process.wait(30) == 128 + signum
    assert monotonic() - began < 7
    assert list(server.branches) == [server.main["id"]]
    assert rest(ledger, neon) == []


@pytest.mark.parametrize("path", [BRANCHES, "/operations/"])
def test_a_signal_while_the_branch_is_being_made_gives_it_back(
    server: Any, start: Start, ledger: Ledger, path: str
) -> None:
    never, arrived = threading.Event(), threading.Event()
    server.fault("POST" if path == BRANCHES else "GET", path, until=never, call=arrived.set)
    process = start()
    assert arrived.wait(30)
    process.send_signal(signal.SIGTERM)
    assert line(process) == "proved 1"
    assert process.wait(30) == 128 + signal.SIGTERM
    assert list(server.branches) == [server.main["id"]]


def test_further_signals_do_not_interrupt_the_deletion(server: Any, start: Start, ledger: Ledger) -> None:
    process = start()
    assert line(process) == "taken"

    def again() -> None:
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            process.send_signal(signum)

    for method, path in (("GET", "/branches/"), ("DELETE", ""), ("GET", "/operations/")):
        server.fault(method, path, call=again)
    server.fault("DELETE", "", status=423, times=3, call=again)
    process.send_signal(signal.SIGINT)
    assert line(process) == "proved 1"
    assert process.wait(30) == 128 + signal.SIGINT
    assert list(server.branches) == [server.main["id"]]
    assert list(ledger.found()) == []


def test_a_branch_that_cannot_be_given_back_in_time_stays_in_the_ledger(
    server: Any, start: Start, ledger: Ledger, neon: Neon
) -> None:
    process = start()
    assert line(process) == "taken"
    began = monotonic()
    server.fault("DELETE", "", status=403, message="not allowed")
    process.send_signal(signal.SIGTERM)
    assert line(process) == "proved 0"
    assert process.wait(30) == 128 + signal.SIGTERM
    assert monotonic() - began < 9
    assert [done.outcome for done in rest(ledger, neon)] == ["given back"]
    assert list(server.branches) == [server.main["id"]]
