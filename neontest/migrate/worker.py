"""The project's side of a session: walks its migrations inside its own interpreter, and reports in JSON lines.

Runs under Python 3.8 and later with the standard library, Alembic 1.8 to 1.20 and SQLAlchemy 1.3.24 to 2.1, and what
the project itself has; never imports neontest. Started as `python -u worker.py SOCKET KIND`, where it forks a process
for each session that is asked for on the socket, or as `worker.py alone COMMANDS REPORTS`, which is one. A session has
two descriptors. Commands come a JSON object a line, reports a JSON array of some a line; each command ends with a
report `done`. When the commands end, the process and its children do.

Commands:  start, open, visit (its pauses and its landing are answered with go or stop), stairway (step by step
           with go or stop), current, models, inputs, cancel, close
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
import queue
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Callable, Dict, List

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
    from neontest.migrate import forks, guard, inputs, models, shortcuts, trace, walker, watch
else:
    forks = beside("forks")
    beside("driver")
    inputs = beside("inputs")
    trace = beside("trace")
    watch = beside("watch")
    guard = beside("guard")
    beside("loading")
    beside("pause")
    shortcuts = beside("shortcuts")
    walker = beside("walker")
    beside("operations")
    beside("unseen")
    models = beside("models")

Facts = Dict[str, Any]


class Wire:
    """The two descriptors. Only the process that was started talks; what it forks does not."""

    def __init__(self, commands: int, reports: int) -> None:
        os.set_inheritable(commands, False)
        os.set_inheritable(reports, False)
        self._commands, self._reports = commands, reports
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._held: List[Facts] = []
        self._ours = True
        os.register_at_fork(after_in_child=self._forked)
        self.commands: "queue.SimpleQueue[Facts]" = queue.SimpleQueue()
        self.cancel: Callable[[], None] = lambda: None

    def _forked(self) -> None:
        """Close both in what the project forks; a fork of that may have other files by these numbers."""
        if self._ours:
            self._ours = False
            os.close(self._commands)
            os.close(self._reports)

    def go_on(self) -> bool:
        """Wait for the word: between two steps of a stairway, in a pause, at the end of a visit."""
        command = self.commands.get()
        if command["do"] not in ("go", "stop"):
            self.commands.put(command)  # nobody waits for this any more
        return bool(command["do"] == "go")

    def send(self, what: str, **facts: Any) -> None:
        """Write a report; one that is `held` goes with the next, or soon: waking neontest costs like a statement.

        The last one that is still held, if it is `instead` of which this one says all, is not told any more.
        """
        if os.getpid() != self._pid:
            return
        held, instead = facts.pop("held", False), facts.pop("instead", "")
        facts["is"] = what
        with self._lock:
            if instead and self._held and self._held[-1]["is"] == instead:
                self._held.pop()
            self._held.append(facts)
            if not held or len(self._held) >= TOGETHER:
                self._write()

    def _write(self) -> None:
        line = (ENCODE(self._held) + "\n").encode("utf-8", "replace") if self._held else b""
        self._held = []  # not before: an interrupt while it is encoded loses nothing
        while line:
            line = line[os.write(self._reports, line) :]

    def flush(self) -> None:
        """Write for ever, in a thread of its own, what is held: a statement may take its time."""
        while True:
            time.sleep(SOON)
            with self._lock:
                self._write()

    def listen(self) -> None:
        """Read commands for ever, in a thread of its own: `cancel` is obeyed at once, the rest waits its turn."""
        with open(self._commands, "rb", closefd=False) as lines:
            for line in lines:
                command = json.loads(line)
                if command["do"] == "cancel":
                    self.cancel()
                    continue
                self.commands.put(command)
                if command["do"] == "close":
                    return
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
    project = wire.commands.get()
    watching = watch.Watch(wire.send, project["root"], trace.Trace(wire.send))
    wire.cancel = watching.cancel
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
        command = wire.commands.get()


def main() -> None:
    if os.path.abspath(sys.path[0]) == HERE:
        del sys.path[0]  # this file's folder is no place for the project's imports
    if sys.argv[1] == "alone":
        commands, reports = int(sys.argv[2]), int(sys.argv[3])
    else:
        forks.imported(sys.argv[2])
        commands, reports = forks.served(int(sys.argv[1]))
    sys.path.append(os.getcwd())
    wire = Wire(commands, reports)
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
