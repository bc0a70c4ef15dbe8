"""What comes over the worker's pipe is checked, since the project's code can write there, and nothing holds it."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from neontest.errors import WorkerError
from neontest.migrate import reports
from neontest.migrate.channel import Channel
from neontest.process import Start, spawned
from neontest.stop import Deadline, Stop

WIRE = "import gc\ngc.unfreeze()\nwire = next(o for o in gc.get_objects() if type(o).__name__ == 'Wire')\n"
FORGED = {
    "not JSON": "b'hello'",
    "no object": "b'[1]'",
    "no list": """b'{"is": "done"}'""",
    "unknown kind": """b'[{"is": "surprise"}]'""",
    "a key missing": """b'[{"is": "visited"}]'""",
    "a wrong type": """b'[{"is": "step", "direction": "upgrade", "revision": ["a1"]}]'""",
    "not a number": """b'[{"is": "statement", "statement": {"sql": "x", "seconds": NaN}}]'""",
    "too large a number": """b'[{"is": "statement", "statement": {"sql": "x", "seconds": 1e999}}]'""",
    "no direction": """b'[{"is": "step", "direction": "sideways", "revision": "a1"}]'""",
    "nested": """b'[{"is": "step", "x": ' + b'[' * 200_000 + b']' * 200_000 + b'}]'""",
    "no text": "b'\\xff\\xfe'",
    "a path that is none": """b'[{"is": "loaded", "current": [], "revisions": [], "locations": ["a\\\\u0000b"]}]'""",
}


@pytest.mark.parametrize("line", FORGED.values(), ids=FORGED)
def test_what_is_no_report_ends_the_session_with_one_sentence(files, opened, line):
    files.alembic().revision("a1", f"{WIRE}os.write(wire._reports, {line} + b'\\n')\ntime.sleep(600)")
    walk = opened()
    with pytest.raises(WorkerError, match="the project wrote on neontest's own channel"):
        walk.visit("upgrade", "head", seconds=60)
    assert not walk.session.alive


def channel(body: str) -> Channel:
    script = f"import os, sys\nout = int(sys.argv[2])\n{body}"
    command = [sys.executable, "-c", script]

    def worker(*numbers: int) -> Start:
        words = [*command, *map(str, numbers)]
        return spawned(words, cwd=Path(), environ=dict(os.environ), pass_fds=numbers)

    return Channel(worker, stop=Stop(), log=print)


def test_a_line_without_end_is_not_held_without_end():
    long = channel("while True:\n    os.write(out, b'x' * 65536)")
    began = time.monotonic()
    with pytest.raises(WorkerError, match="more than 32 MiB"):
        long.receive(Deadline(60, what="it"))
    assert time.monotonic() - began < 30


def test_a_long_line_in_small_pieces_is_one_report():
    many = channel(
        'line = b\'[{"is": "note", "text": "\' + b\'x\' * 9_000_000 + b\'"}]\\n[{"is": "done"}]\\n\'\n'
        "for at in range(0, len(line), 1000):\n    os.write(out, line[at : at + 1000])\n"
    )
    note = many.receive(Deadline(60, what="it"))
    assert isinstance(note, reports.Note)
    assert len(note.text) == 9_000_000
    assert isinstance(many.receive(Deadline(60, what="it")), reports.Done)
    many.kill()


DAEMON = """
{wire}
held = {{os.readlink(f"/proc/self/fd/{{n}}") for n in (wire._commands, wire._reports, wire._cancels)}}
ready = os.pipe()
if not os.fork():
    os.setsid()
    if os.fork():
        os._exit(0)
    names = [f"/proc/self/fd/{{n}}" for n in os.listdir("/proc/self/fd")]
    mine = {{os.readlink(name) for name in names if os.path.islink(name)}}
    os.write(ready[1], f"{{os.getpid()}} {{len(mine & held)}}".encode())
    time.sleep(600)
os.wait()
print("daemon", os.read(ready[0], 100).decode())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it is found through /proc")
def test_a_daemon_of_a_migration_holds_none_of_our_files_and_ends_with_the_session(files, opened):
    files.alembic().revision("a1", DAEMON.format(wire=WIRE).strip())
    walk = opened()
    assert walk.visit("upgrade", "head").moved
    walk.session.close()
    (said,) = [line.split() for line in walk.printed if line.startswith("daemon")]
    assert said[2] == "0"
    stat = Path(f"/proc/{said[1]}/stat")  # nobody may have buried it yet
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"
