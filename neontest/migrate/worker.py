"""The project's side of a session: walks its migrations inside its own interpreter, and reports as JSON lines.

Runs under Python 3.8 and later with the standard library, Alembic 1.8 to 1.20 and SQLAlchemy 1.3.24 to 2.1, and what
the project itself has; never imports neontest. Started as `python -u worker.py COMMANDS REPORTS`, two inherited
descriptors. Commands come a JSON object a line, and so do reports; each command ends with a report `done`. When the
commands end, the process and its children do.

Commands:  start, open, visit, stairway (answered step by step with go or stop), current, cancel, close
Reports:   hello, loaded, step, statement, visited, current, running, note, wrong-database, failed, done
"""

# ruff: noqa: PTH100, PTH109, PTH118, PTH120
from __future__ import annotations

import atexit
import contextlib
import importlib.util
import json
import os
import queue
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, Callable, Dict

HERE = os.path.dirname(os.path.abspath(__file__))
DRIVERS = ("psycopg2", "psycopg", "asyncpg", "pg8000")


def beside(name: str) -> Any:
    """The module in the file beside this one: neontest itself is not to be had in the project's interpreter."""
    spec: Any = importlib.util.spec_from_file_location("neontest_" + name, os.path.join(HERE, name + ".py"))
    sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if TYPE_CHECKING:
    from neontest.migrate import guard, walker, watch
else:
    watch = beside("watch")
    guard = beside("guard")
    beside("loading")
    walker = beside("walker")

Facts = Dict[str, Any]


class Wire:
    """The two descriptors. Only the process that was started talks; what it forks does not."""

    def __init__(self, commands: int, reports: int) -> None:
        os.set_inheritable(commands, False)
        os.set_inheritable(reports, False)
        self._commands, self._reports = commands, reports
        self._pid = os.getpid()
        self._lock = threading.Lock()
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
        """Wait for the word between two steps of a stairway."""
        return bool(self.commands.get()["do"] == "go")

    def send(self, what: str, **facts: Any) -> None:
        if os.getpid() != self._pid:
            return
        line = (json.dumps(dict(facts, **{"is": what}), ensure_ascii=False) + "\n").encode("utf-8", "replace")
        with self._lock:
            while line:
                line = line[os.write(self._reports, line) :]

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
    """Import what needs no project and no database, while the branch is being made, and say what is here."""
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
    versions = {"alembic": alembic.__version__, "sqlalchemy": sqlalchemy.__version__}
    wire.send("hello", python="{}.{}.{}".format(*sys.version_info[:3]), drivers=drivers, **versions)


def serve(wire: Wire) -> None:
    """Obey the commands one by one; whatever fails is a report, never a traceback."""
    project = wire.commands.get()
    watching = watch.Watch(wire.send, project["root"])
    wire.cancel = watching.cancel
    walk = walker.Walker(wire.send, wire.go_on, watching, project)
    command: Facts = {"do": "start"}
    while command["do"] != "close":
        try:
            if command["do"] == "start":
                hello(wire, project["kind"])
                walk.guard.listen()
                watching.listen()
            elif command["do"] == "open":
                walk.open(command)
            elif command["do"] == "visit":
                walk.visit(command["direction"], command["to"])
            elif command["do"] == "stairway":
                walk.stairway(command["steps"], command["isolate"])
            elif command["do"] == "current":
                wire.send("current", current=walk.heads())
        except walker.Unloadable as error:
            wire.send("failed", error=error.args[0])
        except guard.Refused:
            pass  # said where it was seen
        wire.send("done")
        command = wire.commands.get()


def main() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if os.path.abspath(sys.path[0]) == HERE:
        del sys.path[0]  # this file's folder is no place for the project's imports
    sys.path.append(os.getcwd())
    wire = Wire(int(sys.argv[1]), int(sys.argv[2]))
    threading.Thread(target=wire.listen, name="neontest", daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):
        serve(wire)
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()  # the project's
        sys.stdout.flush()
    os._exit(0)  # threads that the project left running do not keep a finished session alive


if __name__ == "__main__":
    main()
