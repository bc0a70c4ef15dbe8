"""A child of the project's code, and all that it started, end when we say so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from neontest.process import MARK, Child, Process, marked, spawned
from neontest.stop import Deadline, Stop
from neontest.suite import run_to_end

linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are found through /proc")
DAEMON = """
import os, sys, time
ready = os.pipe()
if not os.fork():
    os.setsid()
    if os.fork():
        os._exit(0)
    os.write(ready[1], b"!")
    if "exec" in sys.argv:
        os.execvp("sleep", ["sleep", "600"])
    os.environ.clear()
    print(os.getpid(), flush=True)
    time.sleep(600)
os.wait()
os.read(ready[0], 1)
"""


@linux
def test_a_daemon_ends_with_the_tests_that_started_it(tmp_path: Path) -> None:
    seen: list[str] = []
    (tmp_path / "daemon.py").write_text(DAEMON)
    (tmp_path / "test_it.py").write_text(
        "import os, subprocess, sys\ndef test_it():\n"
        "    for how in ('stay', 'exec'):\n        subprocess.run([sys.executable, 'daemon.py', how], check=True)\n"
        f"    print('MARK', os.environ['{MARK}'])\n"
    )
    tail, status, in_time = run_to_end(
        [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider"], what="tests", cwd=tmp_path,
        environment=dict(os.environ), deadline=Deadline(60, what="tests"), stop=Stop(), log=seen.append,
    )  # fmt: skip
    assert (status, in_time) == (0, True), tail
    mark = next(line.split("MARK ")[1] for line in seen if "MARK" in line)
    assert marked(mark.encode()) == []


@linux
def test_only_the_childs_own_are_ended(tmp_path: Path) -> None:
    """Another child of the same run lives on, and so does what was started with a clean environment."""
    sleep = spawned(["sleep", "600"], cwd=tmp_path, environ=dict(os.environ))
    one, other = (Child(sleep, stop=Stop(), log=print) for _ in range(2))
    with subprocess.Popen(["sleep", "600"], env={}) as bystander:
        try:
            one.end()
            assert other.poll() is None
            assert bystander.poll() is None
        finally:
            other.end()
            bystander.kill()


@linux
def test_a_neontest_in_a_neontest_is_found_by_both_marks(tmp_path: Path) -> None:
    stop = Stop()
    heard: list[str] = []
    environ = {**os.environ, MARK: "outer-"}
    script = ["sh", "-c", f"echo ${MARK}; sleep 600"]
    child = Child(spawned(script, cwd=tmp_path, environ=environ), stop=stop, log=heard.append)
    try:
        while not heard:
            child.wait(0.01)
        assert heard[0].startswith("outer-")
        assert len(heard[0]) == len("outer-") + 32
    finally:
        child.end()
    assert marked(heard[0].encode()) == []


def test_a_second_end_signals_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of the process group may be another's by then."""
    child = Child(spawned(["true"], cwd=tmp_path, environ=dict(os.environ)), stop=Stop(), log=print)
    assert child.wait(10)
    assert child.end() == 0
    signalled: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda group, signum: signalled.append(group))
    assert (child.end(), signalled) == (0, [])


def test_a_start_that_fails_leaves_no_file_open(tmp_path: Path) -> None:
    def fails(*_: object) -> Process:
        raise OSError("no")

    before = sorted(Path("/dev/fd").iterdir())
    with pytest.raises(OSError, match="no"):
        Child(fails, stop=Stop(), log=print)
    assert sorted(Path("/dev/fd").iterdir()) == before


def test_where_processes_cannot_be_listed_none_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(_: str) -> list[str]:
        raise PermissionError

    monkeypatch.setattr("neontest.process.os.listdir", closed)
    assert marked(b"anything") == []
