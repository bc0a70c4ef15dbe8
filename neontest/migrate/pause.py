"""Stops an upgrade before one of its statements, so that it can be cancelled in the middle: there, or by others.

A part of `worker`, so it runs in the project's interpreter too: Python 3.8, SQLAlchemy 1.3.24 to 2.1, nothing of ours.

Before the statement a report `paused` is sent, and the answer is awaited: `stop` has the server cancel it, as if it had
just begun; `go` lets it run. Once that has ended, `resumed` says how, and `go` is awaited again: so whoever made it
wait can let go before anything else happens.
"""

# ruff: noqa: UP006, UP035, UP045
from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Optional, Tuple

if TYPE_CHECKING:
    from neontest.migrate import watch
else:
    import neontest_watch as watch  # put there by worker

Facts = Dict[str, Any]
CANCEL = "SELECT pg_sleep(60) WHERE pg_cancel_backend(pg_backend_pid())"
"""The server cancels the very statement that asks for it: there is no race in that."""
SITUATION = "SELECT pg_backend_pid(), current_setting('search_path')"
IN_TRANSACTION = (2, 3)
"""libpq's transaction status: begun, begun and failed."""


class Pause:
    """Counts statements as they are reported, and stops at one of them, once."""

    def __init__(self, watching: watch.Watch, send: Callable[..., None], go_on: Callable[[], bool]) -> None:
        self._watch, self._send, self._go_on = watching, send, go_on
        self._at, self._after, self._begun, self._done = 0, False, 0, False
        self._cursor: Any = None
        """Of the statement that was let go."""

    @contextlib.contextmanager
    def __call__(self, facts: Optional[Facts]) -> Iterator[None]:
        """Pause in the block at statement `at`, from 1; with `after`, at whatever comes next to it."""
        if facts is None:
            yield
            return
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        self._at, self._after, self._begun, self._done = facts["at"], facts["after"], 0, False
        listeners: List[Tuple[str, Callable[..., Any]]] = [
            ("before_cursor_execute", self._before),
            ("after_cursor_execute", self._ended),
            ("handle_error", self._failed),
        ]
        for name, listener in listeners:
            event.listen(Engine, name, listener)
        try:
            yield
        finally:
            for name, listener in listeners:
                event.remove(Engine, name, listener)

    def _before(
        self, connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, _: bool = False
    ) -> None:
        if self._done or not self._watch.on:
            return
        (file, line), own = self._watch.origin()
        here = self._begun >= self._at if self._after else not own and self._begun + 1 == self._at
        self._begun += not own
        if not here:
            return
        self._done = True
        driver = watch.dbapi(connection)
        backend, path = self._situation(driver)
        shown = {"sql": watch.text(statement), "file": file, "line": line}
        self._send("paused", statement=shown, backend=backend, search_path=path)
        if self._go_on():
            self._cursor = cursor
            return
        asking = driver.cursor()
        try:
            asking.execute(CANCEL)
        except Exception as error:  # noqa: BLE001  # the server's: SQLAlchemy makes of it what it makes of any other
            # By SQLAlchemy's own way from the driver's errors to its own, the same from 1.3 to 2.1.
            connection._handle_dbapi_exception(error, statement, parameters, cursor, context)

    def _situation(self, driver: Any) -> Any:
        """The server's process and where it looks for tables; nothing in a transaction, which may have failed."""
        status = getattr(getattr(driver, "info", None), "transaction_status", None)
        if not getattr(driver, "autocommit", False) or status in IN_TRANSACTION:
            return 0, ""
        cursor = driver.cursor()
        cursor.execute(SITUATION)
        found = cursor.fetchone()
        cursor.close()
        return found

    def _ended(self, connection: Any, cursor: Any, *_: Any) -> None:
        self._resumed(cursor, ended=True)

    def _failed(self, context: Any) -> None:
        execution = context.execution_context
        self._resumed(execution.cursor if execution is not None else None, ended=False)

    def _resumed(self, cursor: Any, ended: bool) -> None:
        if self._cursor is not None and cursor is self._cursor:
            self._cursor = None
            self._send("resumed", ended=ended)
            self._go_on()
