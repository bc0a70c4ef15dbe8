from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from neontest import scratch
from neontest.process import MARK, end_marked, marked


@pytest.fixture(autouse=True)
def own_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_it_is_private_and_gone_when_closed(own_tmp: Path) -> None:
    held = scratch.Scratch()
    assert held.path.stat().st_mode & 0o777 == 0o700
    (held.folder() / "file").write_text("secret")
    held.close()
    held.close()
    assert list(own_tmp.iterdir()) == []


def test_a_living_owners_folder_is_not_swept() -> None:
    held = scratch.Scratch()
    assert scratch.sweep() == 0
    assert held.path.is_dir()
    held.close()


def test_a_killed_owners_folder_is_swept(own_tmp: Path) -> None:
    script = (
        "import os, signal, tempfile; tempfile.tempdir = os.environ['T']\n"
        "from neontest.scratch import Scratch\n"
        "held = Scratch(); (held.path / 'f').write_text('x'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environ = {**os.environ, "T": str(own_tmp), "PYTHONPATH": str(Path(__file__).parent.parent)}
    assert subprocess.run([sys.executable, "-c", script], env=environ, check=False).returncode == -9
    assert len(list(own_tmp.iterdir())) == 1
    assert scratch.sweep() == 1
    assert list(own_tmp.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found through /proc")
def test_what_a_killed_owner_started_in_other_sessions_is_ended_and_nothing_else(own_tmp: Path) -> None:
    script = (
        "import os, signal, subprocess, tempfile; tempfile.tempdir = os.environ['T']\n"
        "from neontest.process import MARK\nfrom neontest.scratch import Scratch\n"
        "held = Scratch()\n"
        "for mark in (held.mark + 'child', 'of another'):\n"
        "    subprocess.Popen(['sleep', '600'], env={**os.environ, MARK: mark}, start_new_session=True)\n"
        "print(held.mark, flush=True); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    held = scratch.Scratch()
    environ = {**os.environ, "T": str(own_tmp), "PYTHONPATH": str(Path(__file__).parent.parent)}
    with (own_tmp / "said").open("w") as said:  # not a pipe, which the children would hold open
        subprocess.run([sys.executable, "-c", script], env=environ, check=False, stdout=said)
    mark = (own_tmp / "said").read_text().strip().encode()
    mine = subprocess.Popen(["sleep", "600"], env={MARK: held.mark})
    try:
        end = time.monotonic() + 10
        while not (marked(mark) and marked(b"of another")):  # a program has no environment while it is loaded
            assert time.monotonic() < end
            time.sleep(0.01)
        (own_tmp / scratch.PREFIX).mkdir()  # its name is the beginning of every mark
        assert scratch.sweep() == 2
        assert marked(mark) == []
        assert len(marked(b"of another")) == 1
        assert mine.poll() is None
    finally:
        mine.kill()
        mine.wait()
        for each in (b"of another", mark):
            end_marked(each)
        held.close()


def test_links_and_folders_half_made_are_left_alone(own_tmp: Path) -> None:
    target = own_tmp / "target"
    target.mkdir()
    (own_tmp / "neontest-run-link").symlink_to(target)
    (own_tmp / "new-neontest-run-x").mkdir()
    assert scratch.sweep() == 0
    os.utime(own_tmp / "new-neontest-run-x", (0, 0))
    assert scratch.sweep() == 1
    assert target.is_dir()


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found through /proc")
def test_a_sweep_ends_neither_itself_nor_whom_another_variable_names(own_tmp: Path) -> None:
    dead = own_tmp / f"{scratch.PREFIX}dead"
    dead.mkdir()
    script = (
        "import tempfile, sys; tempfile.tempdir = sys.argv[1]; from neontest import scratch; print(scratch.sweep())"
    )
    environ = {**os.environ, MARK: scratch.marking(dead) + "child", "PYTHONPATH": str(Path(__file__).parent.parent)}
    named = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"LOG": f"{dead}.log"})
    try:
        assert named.stdin is not None
        assert named.stdout is not None
        named.stdin.write(b"!")
        named.stdin.flush()
        assert named.stdout.read(1) == b"!"  # it is loaded, and has its environment
        words = [sys.executable, "-c", script, str(own_tmp)]
        swept = subprocess.run(words, env=environ, check=False, stdout=subprocess.PIPE)
        assert (swept.returncode, swept.stdout) == (0, b"1\n")
        assert named.poll() is None
    finally:
        named.kill()
        named.communicate()
