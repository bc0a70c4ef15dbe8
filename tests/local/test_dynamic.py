"""Control files of servers that were killed before they wrote in them: whose they are, nothing says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from neontest.local import dynamic
from neontest.local.remains import end_making

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
CONTROL_BYTES = dynamic.FIRST_ITEM + 674 * dynamic.ITEM_BYTES


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("neontest.local.dynamic.FOLDER", tmp_path)
    return tmp_path


def made(memory: Path, content: bytes, name: str = "PostgreSQL.7") -> Path:
    path = memory / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("size", [0, CONTROL_BYTES])
def test_one_that_nobody_began_to_write_and_nobody_has_is_removed(memory: Path, size: int) -> None:
    path = made(memory, bytes(size))
    dynamic.free_unbegun(os.geteuid())
    assert not path.exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("PostgreSQL.7", dynamic.CONTROL_MAGIC.to_bytes(4, sys.byteorder) + bytes(CONTROL_BYTES - 4)),
        ("PostgreSQL.7", bytes(CONTROL_BYTES - 1) + b"\1"),
        ("PostgreSQL.7", bytes(CONTROL_BYTES + 8)),
        ("PostgreSQL.7", bytes(dynamic.FIRST_ITEM + 40_000 * dynamic.ITEM_BYTES)),
        ("other.7", bytes(CONTROL_BYTES)),
    ],
    ids=["begun", "its last byte", "no control file", "too large", "another name"],
)
def test_what_is_not_known_to_be_one_stays(memory: Path, name: str, content: bytes) -> None:
    path = made(memory, content, name)
    dynamic.free_unbegun(os.geteuid())
    assert path.exists()


def test_that_of_another_owner_stays(memory: Path) -> None:
    path = made(memory, bytes(CONTROL_BYTES))
    dynamic.free_unbegun(os.geteuid() + 1)
    assert path.exists()


HOLDS = """
import mmap, os, sys
file = os.open(sys.argv[1], os.O_RDWR)
print("open", flush=True)
sys.stdin.readline()
mapped = mmap.mmap(file, os.fstat(file).st_size)
for number in range(file, 20):  # the map's own one too: a server has none
    try:
        os.close(number)
    except OSError:
        pass
print("mapped", flush=True)
sys.stdin.readline()
os._exit(0)
"""


def test_one_that_somebody_has_open_or_mapped_stays(memory: Path) -> None:
    path = made(memory, bytes(CONTROL_BYTES))
    words = [sys.executable, "-c", HOLDS, str(path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for said in ("open\n", "mapped\n"):
            assert process.stdout.readline() == said
            dynamic.free_unbegun(os.geteuid())
            assert path.exists()
            process.stdin.write("\n")
            process.stdin.flush()
    dynamic.free_unbegun(os.geteuid())
    assert not path.exists()


def test_a_data_folder_that_is_gone_has_left_nothing(tmp_path: Path) -> None:
    """Whatever its making failed with is told, and not that it is gone."""
    end_making(tmp_path / "gone")


def test_where_it_is_not_to_be_seen_who_has_one_it_stays(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for root in a container, who may not look at the processes of others."""
    path = made(memory, bytes(CONTROL_BYTES))
    monkeypatch.setattr("neontest.local.dynamic.PROGRAM", Path("/proc/self/comm").read_bytes().strip())
    refused = PermissionError(13, "Permission denied")
    monkeypatch.setattr(Path, "readlink", lambda self: (_ for _ in ()).throw(refused))
    dynamic.free_unbegun(os.geteuid())
    assert path.exists()
