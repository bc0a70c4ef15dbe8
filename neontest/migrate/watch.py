"""What a run of env.py does to the database, seen through SQLAlchemy's events: statements, and the first true error.

A part of `worker`, so it runs in the project's interpreter too: Python 3.8, SQLAlchemy 1.3.24 to 2.1, nothing of ours.
"""

# ruff: noqa: PTH100, PTH114, PTH118, PTH120, UP006, UP032, UP035, UP045
from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import re
import signal
import sys
import time
import weakref
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Tuple

if TYPE_CHECKING:
    from neontest.migrate import trace

HERE = os.path.dirname(os.path.abspath(__file__))
STANDARD = os.path.dirname(os.path.abspath(os.__file__))
MOST = 5_000
"""Statements of a visit that are reported: a row-by-row data migration is not told row by row."""
LOST = "lost"
"""The kind of a failure that a lost connection is: SQLAlchemy knows each driver's."""
OWN_KINDS = frozenset({"command", "exit", "timeout", LOST})
"""What neontest calls failures itself: a project's class of that name is told with its module."""
LONGEST = 20_000
"""Characters of a statement or a message that are reported."""

Place = Tuple[Optional[str], Optional[int]]
Facts = Dict[str, Any]
Ran = Tuple[str, Place, bool, float, Any, int]


def text(value: object) -> str:
    """Printable by any encoder: lone surrogates are replaced, and what is too long is cut."""
    whole = str(value)
    cut = whole if len(whole) <= LONGEST else whole[:LONGEST] + " …"
    return cut.encode("utf-8", "replace").decode("utf-8").replace("\x00", "")


class Watch:
    """Sees every statement and every database error of every engine, through SQLAlchemy's events."""

    def __init__(self, send: Callable[..., None], root: str, tracing: trace.Trace) -> None:
        self._send, self._root = send, root
        self._scripts: Dict[str, str] = {}
        self._places: Dict[str, Optional[str]] = {}
        self._running: Dict[int, Ran] = {}
        self.asks: Any = None
        """The connection of a statement that comes now, if it is known to be Alembic's own."""
        self._connections: List[Any] = []
        self._engines: Any = weakref.WeakSet()
        self.trace = tracing
        self.count = 0
        """Statements since the visit or its step began."""
        self.revision: Optional[str] = None
        """Whose step is running."""
        self.backend = 0
        """The server's process behind env.py's connection."""
        self.on = False
        self.first: Optional[Facts] = None
        """The first database error that nothing recovered from since."""

    def listen(self) -> None:
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        event.listen(Engine, "engine_connect", self._connected)
        event.listen(Engine, "before_cursor_execute", self._before)
        event.listen(Engine, "after_cursor_execute", self._after)
        event.listen(Engine, "handle_error", self._failed)
        event.listen(Engine, "rollback_savepoint", self._rolled_back)
        self.trace.listen()

    def name(self, path: str) -> str:
        """A file's name from the project's root, with `/`; absolute where it lies elsewhere."""
        return self._named(path, os.path.realpath(path))

    def _named(self, path: str, real: str) -> str:
        name = os.path.relpath(real, self._root)
        return (path if name.startswith("..") else name).replace(os.sep, "/")

    def scripts(self, paths: List[str]) -> Dict[str, str]:
        """Learn which files are migrations; what each is called."""
        folders = {folder: os.path.realpath(folder) for folder in {os.path.dirname(path) for path in paths}}
        names = {}
        self._scripts.clear()
        self._places.clear()
        for path in paths:
            folder, file = os.path.split(path)
            # Its folder was looked at once: each part of each path anew takes longer than all the rest.
            real = os.path.realpath(path) if os.path.islink(path) else os.path.join(folders[folder], file)
            names[path] = self._scripts[real] = self._named(path, real)
        return names

    def begin(self, on: bool) -> None:
        self.on, self.first, self.revision = on, None, None
        self._connections.clear()
        self.step()

    def step(self) -> None:
        """Count and trace from here on."""
        self.count = 0
        self.trace.begin(self.on)

    def place(self, file: str) -> Optional[str]:
        """The migration's name; "" for SQLAlchemy, Alembic and this file; None for other code."""
        if file not in self._places:
            folders = file.replace(os.sep, "/").split("/")
            library = file.startswith("<") or "sqlalchemy" in folders or "alembic" in folders
            library = library or os.path.dirname(file) in (HERE, STANDARD)
            self._places[file] = self._scripts.get(os.path.realpath(file), "" if library else None)
        return self._places[file]

    def origin(self) -> Tuple[Place, bool]:
        """The innermost line of a migration on the stack; and whether Alembic itself is the one who asks."""
        frame: Any = sys._getframe(2)
        other = own = False
        known = self._places
        while frame is not None:
            code = frame.f_code
            # Of each statement, some twenty times.
            place = known[code.co_filename] if code.co_filename in known else self.place(code.co_filename)
            if place:
                return (place, frame.f_lineno), False
            if place is None:
                other = True
            elif code.co_name == "run_migrations" and not other:
                own = True
            frame = frame.f_back
        return (None, None), own

    def traceback(self, error: BaseException) -> Place:
        """The innermost line of a migration that the exception passed; a migration that does not parse is one too."""
        found: Place = (None, None)
        trace = error.__traceback__
        while trace is not None:
            place = self.place(trace.tb_frame.f_code.co_filename)
            if place:
                found = (place, trace.tb_lineno)
            trace = trace.tb_next
        if found[0] is None and isinstance(error, SyntaxError) and error.filename:
            found = (self.name(error.filename), error.lineno)
        return found

    def cancel(self) -> None:
        """Say what is running, and stop it on the server where the driver can."""
        current: List[Any] = list(self._running.values())
        connection: Any
        nothing: Ran = ("", (None, None), True, 0.0, None, 0)
        sql, (file, line), _, began, connection, _ = current[-1] if current else nothing
        shown = {"sql": text(sql), "file": file, "line": line, "seconds": time.perf_counter() - began}
        self._send("running", statement=shown if current else None)
        with contextlib.suppress(BaseException):  # a refusal is none
            driver = dbapi(connection)
            if hasattr(driver, "cancel"):
                driver.cancel()
            else:  # asyncpg, pg8000
                cancel_backend(connection.engine, self.backend)
        os.kill(os.getpid(), signal.SIGINT)

    def tidy(self, collect: bool) -> None:
        """Give up every connection that the run left open, as the end of its process would."""
        for reference in self._connections:
            connection = reference()
            with contextlib.suppress(Exception):
                if connection is not None and not connection.closed and not is_async(connection):
                    connection.close()
        for engine in list(self._engines):
            with contextlib.suppress(Exception):
                if is_async(engine):
                    engine.dispose(close=False)
                else:
                    engine.dispose()
        self._connections.clear()
        self._running.clear()
        if collect:
            gc.collect()

    def _connected(self, connection: Any, *_: Any) -> None:
        self._engines.add(connection.engine)
        self.trace.connected(connection)
        self._connections.append(weakref.ref(connection))

    def _before(self, connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if self.on:
            asks, self.asks = self.asks, None
            place, own = ((None, None), True) if connection is asks else self.origin()
            transaction = 0
            if not own:
                with contextlib.suppress(Exception):  # none of ours may become the migration's
                    transaction = self.trace.before(connection, statement)
            self._running[id(cursor)] = (statement, place, own, time.perf_counter(), connection, transaction)

    def _after(self, connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        ran = self._running.pop(id(cursor), None)
        if ran is not None:
            self._tell(ran, getattr(cursor, "rowcount", -1))
            if ran[2] or ran[1][0]:
                self.first = None
            if not ran[2]:
                with contextlib.suppress(Exception):
                    self.trace.after(connection, statement, self.count)

    def _tell(self, ran: Ran, rows: object = -1) -> None:
        sql, (file, line), own, began, _, transaction = ran
        self.count += not own
        if not own and self.count == MOST + 1:
            self._send("note", text="more than {:,} statements in one visit: the rest was not looked at".format(MOST))
        if not own and self.count <= MOST:
            facts = {"sql": text(sql), "seconds": time.perf_counter() - began, "file": file, "line": line}
            facts.update(revision=self.revision, transaction=transaction)
            facts["rows"] = rows if isinstance(rows, int) and rows >= 0 else None
            self._send("statement", held=True, instead="began", statement=facts, began=began)

    def _failed(self, context: Any) -> None:
        execution = context.execution_context
        ran = self._running.pop(id(execution.cursor), None) if execution is not None else None
        if ran is not None:
            self._tell(ran)
            self.trace.failed(ran[4])
        if self.first is None:
            file, line = ran[1] if ran is not None else self.origin()[0]
            sql = context.statement
            self.first = dict(described(context.original_exception), file=file, line=line, sql=sql and text(sql))
            if context.is_disconnect:
                self.first["kind"] = LOST

    def _rolled_back(self, *_: Any) -> None:
        self.first = None


def described(error: BaseException) -> Facts:
    """Kind, message and SQLSTATE of an exception, in the words of the database where it has any."""
    origin: Any = getattr(error, "orig", None) or error
    if not hasattr(origin, "diag") and hasattr(origin.__cause__, "sqlstate"):
        origin = origin.__cause__  # asyncpg's own, below SQLAlchemy's adapter
    diag = getattr(origin, "diag", None)
    fields = origin.args[0] if origin.args and isinstance(origin.args[0], dict) else {}  # pg8000
    message = getattr(diag, "message_primary", None) or fields.get("M") or str(origin).strip()
    detail = getattr(diag, "message_detail", None) or fields.get("D") or getattr(origin, "detail", None)
    state = getattr(origin, "sqlstate", None) or getattr(origin, "pgcode", None) or fields.get("C")
    kind = type(origin).__name__
    if kind in OWN_KINDS:
        kind = "{}.{}".format(type(origin).__module__, kind)
    if isinstance(error, SystemExit):
        kind, message = "exit", "the process was asked to exit with status {!r}".format(error.code)
    if isinstance(state, str) and state.startswith("22"):
        message, detail = VALUE.sub('"…"', str(message)), None
    elif isinstance(state, str) and state.startswith("23") and detail:
        detail = without_values(str(detail))
    message = "{} ({})".format(message, detail) if detail else message
    return {"kind": kind, "message": text(message or kind), "sqlstate": state if isinstance(state, str) else None}


VALUE = re.compile(
    r'(?<!column )(?<!relation )(?<!table )(?<!type )(?<!constraint )(?<!parameter )(?<!encoding )"(?:.|\n)*"'
)
"""What a data exception (class 22) quotes from a row: `invalid input syntax for type integer: "…"`."""


def without_values(detail: str) -> Optional[str]:
    """The detail of an integrity error (class 23) without values of rows, which are not for who reads a report.

    `Key (email)=(a@b.c) already exists.` becomes `Key (email)=(…) already exists.`; None for one of no known shape.
    """
    between = " conflicts with existing key "
    key = re.compile(r"(\)\s*=\s*\().*(\)(?: (?:already|is) .*|\.?\s*)?)\Z", re.DOTALL)
    parts = [key.sub(r"\1…\2", part) for part in detail.split(between)]
    told = re.sub(r"(Failing row contains \().*(\)\.?\s*)\Z", r"\1…\2", between.join(parts), flags=re.DOTALL)
    return told if told != detail or detail.startswith("MATCH FULL") else None


def cancel_backend(engine: Any, backend: int) -> None:
    """Stop what another connection's server process runs, over a new connection that ends with this process."""

    def ask() -> None:
        connection = engine.raw_connection()
        cursor = connection.cursor()
        cursor.execute("SELECT pg_cancel_backend({})".format(backend))

    if is_async(engine):
        from sqlalchemy.util import greenlet_spawn

        asyncio.run(greenlet_spawn(ask))
    else:
        ask()


def dbapi(connection: Any) -> Any:
    """The driver's own connection below SQLAlchemy's."""
    pooled = connection.connection
    return getattr(pooled, "dbapi_connection", None) or pooled.connection


def is_async(connectable: Any) -> bool:
    return bool(getattr(connectable.dialect, "is_async", False))
