"""The fork server: each worker is a process as if it had been started alone, and ends as such."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from neontest.errors import WorkerError
from neontest.migrate.forkserver import ForkServer
from neontest.migrate.session import Session
from neontest.process import MARK, marked
from neontest.stop import Deadline, Stop

linux = pytest.mark.skipif(sys.platform != "linux", reason="it is found through /proc")


@contextmanager
def serving(python: Path = Path(sys.executable), **environ: str) -> Iterator[ForkServer]:
    server = ForkServer(
        python, kind="alembic", cwd=Path("/"), environ={**os.environ, **environ}, stop=Stop(), log=print
    )
    try:
        yield server
    finally:
        server.close()


def program(tmp_path: Path, script: str) -> Path:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    return python


def pid_of(session: Session) -> int:
    _ = session.interpreter
    child = session._channel._child
    child.poll()
    pid = child._process.pid
    assert pid is not None
    return pid


@linux
def test_a_worker_shows_a_mark_of_its_own_and_holds_no_file_of_the_server(files):
    files.alembic()
    with serving(NEONTEST_MARK="outer-") as server:
        sessions = [Session(files.project(), server, stop=Stop(), log=print) for _ in range(2)]
        pids = [pid_of(session) for session in sessions]
        marks = []
        for pid in pids:
            shown = Path(f"/proc/{pid}/environ").read_bytes()
            (mark,) = re.findall(rb"(?:^|\0)" + MARK.encode() + rb"=(outer-[0-9a-f]{32})\0", shown)
            marks.append(mark)
            assert pid in marked(mark)
            opened = [str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()]
            # Output, error, commands, reports, cancels: nothing of the server, and not the pipe that it answers on.
            assert sorted(each.partition(":")[0] for each in opened) == ["/dev/null", *["pipe"] * 5]
        assert len(set(marks)) == 2
        sessions[0].kill()
        assert marked(marks[0]) == []
        assert pids[1] in marked(marks[1])
        sessions[1].kill()


def test_how_a_worker_ended_is_known(files):
    files.alembic()
    with serving() as server:
        session = Session(files.project(), server, stop=Stop(), log=print)
        os.kill(pid_of(session), signal.SIGKILL)
        with pytest.raises(WorkerError, match="was killed by SIGKILL"):
            session.current()
        session.kill()


def test_a_server_that_has_ended_takes_no_request(files):
    files.alembic()
    with serving() as server:
        pass
    with pytest.raises(WorkerError, match="no worker can be started"):
        Session(files.project(), server, stop=Stop(), log=print)


def test_where_there_are_threads_a_session_begins_anew(files, tmp_path):
    """A lock that another thread holds when a process is forked is never let go in it."""
    files.alembic("import sitecustomize\nassert sitecustomize.thread.is_alive()\n").revision("a1")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import threading, time\nlock = threading.Lock()\n"
        "def hold():\n    with lock:\n        time.sleep(600)\n"
        "thread = threading.Thread(target=hold, daemon=True)\nthread.start()\n"
    )
    with serving(PYTHONPATH=str(tmp_path / "site")) as server:
        session = Session(files.project(), server, stop=Stop(), log=print)
        assert session.interpreter.alembic
        assert "alone" in Path(f"/proc/{pid_of(session)}/cmdline").read_text().split("\0")
        session.close()


@linux
def test_what_left_the_group_is_found_by_the_sessions_own_mark_in_a_neontest_in_a_neontest(files, database, tmp_path):
    files.alembic().revision("a1", f"__import__('subprocess').run(['setsid', '-f', 'sleep', '{600 + os.getpid()}'])")
    with serving(NEONTEST_MARK="outer-") as server:
        session = Session(files.project(), server, stop=Stop(), log=print)
        environ = {**server.environ, "DATABASE_URL": database.url}
        session.open(database.url, environ, guard=database.guard, deadline=Deadline(60, what="loading"))
        mark = session._channel._child._mark.encode()
        assert session.visit("upgrade", "head", deadline=Deadline(60, what="it")).moved
        assert len(marked(mark)) > 1
        sleeping = ["pgrep", "-f", f"^sleep {600 + os.getpid()}$"]
        assert subprocess.run(sleeping, stdout=subprocess.DEVNULL).returncode == 0
        session.kill()
        assert subprocess.run(sleeping, stdout=subprocess.DEVNULL).returncode == 1


def test_a_session_whose_server_still_imports_is_ended_at_once(files, tmp_path):
    files.alembic()
    with serving(program(tmp_path, "sleep 5; exec " + sys.executable + ' "$@"')) as server:
        session = Session(files.project(), server, stop=Stop(), log=print)
        began = time.monotonic()
        session.kill()
        assert time.monotonic() - began < 3


def test_an_interpreter_that_ends_is_named_with_how_it_ended(files, tmp_path):
    files.alembic()
    with serving(program(tmp_path, "exit 3")) as server:
        session = Session(files.project(), server, stop=Stop(), log=print)
        with pytest.raises(WorkerError, match="ended with exit status 3"):
            _ = session.interpreter
        session.kill()


def test_an_interpreter_that_hangs_holds_nobody_up(files, tmp_path):
    files.alembic()
    with serving(program(tmp_path, "trap '' INT TERM\nwhile :; do sleep 1; done")) as server:
        session = Session(files.project(), server, stop=Stop(), log=print)
        began = time.monotonic()
        session.kill()
        assert time.monotonic() - began < 30


@linux
def test_a_worker_that_is_born_after_its_end_does_not_live(files, tmp_path):
    """Its server was stopped meanwhile, and goes on."""
    files.alembic()
    with serving() as server:
        first = Session(files.project(), server, stop=Stop(), log=print)
        pid_of(first)
        pid = server._child._process.pid
        os.kill(pid, signal.SIGSTOP)
        late = Session(files.project(), server, stop=Stop(), log=print)
        mark = late._channel._child._mark.encode()
        late.kill()
        os.kill(pid, signal.SIGCONT)
        second = Session(files.project(), server, stop=Stop(), log=print)
        pid_of(second)  # the server has come to it, so it has come to the one before
        end = time.monotonic() + 10
        while marked(mark):
            assert time.monotonic() < end
            time.sleep(0.01)
        first.kill()
        second.kill()


def test_nothing_heavy_is_imported_before_it_is_started():
    """It imports Alembic meanwhile, which is the longest wait of a short run."""
    script = "import sys, neontest.run; print(sorted({'httpx', 'psycopg2', 'rich'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
