"""The project's side of a session: walks its migrations inside its own interpreter, and reports in JSON lines.

Runs under Python 3.8 and later with the standard library, Alembic 1.8 to 1.20 and SQLAlchemy 1.3.24 to 2.1, and what
the project itself has; never imports neontest. Started as `python -u worker.py SOCKET KIND`, where it forks a process
for each session that is asked for on the socket, or as `worker.py alone COMMANDS REPORTS CANCELS`, which is one. A
session has three descriptors. Commands come a JSON object a line, reports a JSON array of some a line; each command
ends with a report `done`. A byte on the third cancels what runs; when that pipe ends, the process and its children do.

Commands:  start, open, visit (its pauses and its landing are answered with go or stop), stairway (step by step
           with go or stop), current, models, inputs, close
Reports:   hello, loaded, step, began, statement, looked, ended, paused, resumed, landed, visited, current, models,
           inputs, running, note, wrong-database, failed, done
"""

# ruff: noqa: PTH100, PTH109, PTH118, PTH120
from __future__ import annotations

import _signal  # the first of all, and not yet `signal`, which has to be read itself

if __name__ == "__main__":
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)  # told to end before there is a session, it has nothing to say

import atexit
import contextlib
import importlib.util
import json
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Callable, Dict, List, NoReturn, Optional

HERE = os.path.dirname(os.path.abspath(__file__))
ENCODE = json.JSONEncoder(ensure_ascii=False).encode
SOON = 0.05
"""Seconds that a report is held at most."""
TOGETHER = 256
"""Reports that are held at most: neontest reads no endless line."""
DRIVERS = ("psycopg2", "psycopg", "asyncpg", "pg8000")


def beside(name: str) -> Any:
    """The module in the file beside this one: neontest itself is not to be had in the project's interpreter."""
    spec: Any = importlib.util.spec_from_file_location("neontest_" + name, os.path.join(HERE, name + ".py"))
    sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if TYPE_CHECKING:
    from neontest.migrate import forks, guard, inputs, models, rereading, shortcuts, trace, walker, watch
else:
    forks = beside("forks")
    beside("driver")
    beside("looks")
    inputs = beside("inputs")
    trace = beside("trace")
    watch = beside("watch")
    guard = beside("guard")
    beside("loading")
    beside("pause")
    rereading = beside("rereading")
    shortcuts = beside("shortcuts")
    walker = beside("walker")
    beside("operations")
    beside("unseen")
    models = beside("models")

Facts = Dict[str, Any]


class Wire:
    """The three descriptors. Only the process that was started talks; what it forks does not."""

    def __init__(self, own: List[int], kept: forks.Kept, *, shared: bool) -> None:
        """`own` are those for commands, reports, cancels; `shared` where another process sees what is `kept`."""
        self._own = own
        self._commands, self._reports, self._cancels = own
        for each in own:
            os.set_inheritable(each, False)
        self._kept, self._shared = kept, shared
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._slow: Optional[Facts] = None
        """The last report, if nothing has come since."""
        self._ours = True
        os.register_at_fork(after_in_child=self._forked)
        self._read = b""
        """What came of commands that were not asked for yet."""
        self._next: Optional[Facts] = None
        self.cancel: Callable[[], None] = lambda: None
        self.heed: Callable[[Facts], None] = lambda _: None
        """Sees each command first."""

    def _forked(self) -> None:
        """Close them in what the project forks; a fork of that may have other files by these numbers."""
        if self._ours:
            self._ours = False
            for each in self._own:
                with contextlib.suppress(OSError):
                    os.close(each)

    def command(self) -> Facts:
        """Wait for the next one. The main thread reads it itself: to be woken by another is one more switch a step."""
        if self._next is not None:
            found, self._next = self._next, None
            return found
        while b"\n" not in self._read:
            data = os.read(self._commands, 1 << 16)
            if not data:
                over()
            self._read += data
        line, _, self._read = self._read.partition(b"\n")
        command: Facts = json.loads(line)
        self.heed(command)
        return command

    def go_on(self) -> bool:
        """Wait for the word: between two steps of a stairway, in a pause, at the end of a visit."""
        command = self.command()
        if command["do"] not in ("go", "stop"):
            self._next = command  # nobody waits for this any more
        return bool(command["do"] == "go")

    def send(
        self, what: str, *, held: bool = False, kept: bool = False, slow: bool = False, instead: str = "", **facts: Any
    ) -> None:
        """Write a report; one that is `held` goes with the next, or soon: waking neontest costs like a statement.

        One that is not to be lost with this process is held as `kept`. One that is only told if nothing comes soon is
        `slow`; what comes `instead` says all of it, after anything else it is told.
        """
        if os.getpid() != self._pid:
            return
        facts["is"] = what
        with self._lock:
            if self._slow is not None and self._slow["is"] != instead:
                self._hold(self._slow)
            self._slow = facts if slow else None
            if not slow:
                self._hold(facts)
                if not (held or (kept and self._shared)) or self._kept.count >= TOGETHER:
                    self._write()

    def _hold(self, facts: Facts) -> None:
        report = ENCODE(facts).encode("utf-8", "replace")
        if not self._kept.add(report):
            self._write()
            if not self._kept.add(report):
                self._put(b"[%s]\n" % report)

    def _write(self) -> None:
        with self._kept.taken() as line:
            self._put(line)

    def _put(self, line: bytes) -> None:
        while line:
            line = line[os.write(self._reports, line) :]

    def flush(self) -> None:
        """Write for ever, in a thread of its own, what is held: a statement may take its time."""
        while True:
            time.sleep(SOON)
            with self._lock:
                slow, self._slow = self._slow, None
                if slow is not None:
                    self._hold(slow)
                self._write()

    def listen(self) -> None:
        """Wait for ever, in a thread of its own, to be told to cancel what the main thread is at."""
        while os.read(self._cancels, 1):
            self.cancel()
        over()


def over() -> NoReturn:
    """Nobody is there any more."""
    if os.getsid(0) == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)


def hello(wire: Wire, kind: str) -> None:
    """Say what is here, without the project and a database; the imports were done before the session was forked."""
    try:
        import alembic
        import alembic.command
        import alembic.script
        import sqlalchemy

        if kind == "flask":
            import flask.cli  # noqa: F401
            import flask_migrate  # noqa: F401
    except ImportError as error:
        raise walker.Unloadable(dict(watch.described(error), missing=getattr(error, "name", None))) from error
    drivers = [name for name in DRIVERS if importlib.util.find_spec(name) is not None]
    versions: Facts = {"alembic": alembic.__version__, "sqlalchemy": sqlalchemy.__version__}
    wire.send("hello", python="{}.{}.{}".format(*sys.version_info[:3]), drivers=drivers, **versions)


def serve(wire: Wire) -> None:
    """Obey the commands one by one; whatever fails is a report, never a traceback."""
    project = wire.command()
    watching = watch.Watch(wire.send, project["root"], trace.Trace(wire.send))
    wire.cancel, wire.heed = watching.cancel, watching.trace.heed
    walk = walker.Walker(wire.send, wire.go_on, watching, project)
    read = inputs.Inputs()
    command: Facts = {"do": "start"}
    while command["do"] != "close":
        try:
            if command["do"] == "start":
                hello(wire, project["kind"])
                walk.guard.listen()
                watching.listen()
                shortcuts.Shortcuts(watching).listen()
                rereading.Rereading().listen()
            elif command["do"] == "open":
                watching.trace.wanted = command["trace"]
                if command["inputs"]:
                    read.listen(*command["inputs"])
                walk.open(command)
            elif command["do"] == "visit":
                walk.visit(command["direction"], command["to"], command.get("pause"))
            elif command["do"] == "stairway":
                walk.stairway(command["steps"], command["isolate"])
            elif command["do"] == "current":
                wire.send("current", current=walk.heads())
            elif command["do"] == "models":
                wire.send("models", models=models.compared(walk))
            elif command["do"] == "inputs":
                wire.send("inputs", **read.told(walk.beyond(command["at"])))
        except walker.Unloadable as error:
            wire.send("failed", error=error.args[0])
        except guard.Refused:
            pass  # said where it was seen
        wire.send("done")
        command = wire.command()


def main() -> None:
    if os.path.abspath(sys.path[0]) == HERE:
        del sys.path[0]  # this file's folder is no place for the project's imports
    if sys.argv[1] == "alone":
        own, kept = list(map(int, sys.argv[2:])), forks.Kept()
    else:
        forks.imported(sys.argv[2])
        own, kept = forks.served(int(sys.argv[1]))
    sys.path.append(os.getcwd())
    wire = Wire(own, kept, shared=sys.argv[1] != "alone")
    for forever in (wire.listen, wire.flush):
        threading.Thread(target=forever, name="neontest", daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):
        signal.signal(signal.SIGINT, signal.default_int_handler)
        serve(wire)
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()  # the project's
        sys.stdout.flush()
    os._exit(0)  # threads that the project left running do not keep a finished session alive


if __name__ == "__main__":
    main()
