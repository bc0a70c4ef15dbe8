"""Lets the project connect to the branch and to no other Postgres, by a lock that only the branch shows.

A part of `worker`, so it runs in the project's interpreter too: Python 3.8, SQLAlchemy 1.3.24 to 2.1, nothing of ours.
"""

# ruff: noqa: UP006, UP035, UP045
from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Callable, List, Optional

if TYPE_CHECKING:
    from neontest.migrate import watch
else:
    import neontest_watch as watch  # put there by worker

BACKEND = "neontest-backend"
"""In the `info` of a connection that leads to the branch: the server's process behind it."""
DATABASE = "neontest-database"
"""The same for the database; only where nothing leads elsewhere."""
QUERY = """
SELECT CASE WHEN EXISTS (
  SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = {} AND objid = {}
) THEN pg_backend_pid() ELSE 0 END, current_database(), host(inet_server_addr()), inet_server_port()
"""


class Refused(BaseException):
    """The project connected to something that is not the branch. No `except Exception` of an env.py holds it."""


class Guard:
    """Looks at each new connection before its first statement, and at what env.py hands to `context.configure`."""

    def __init__(self, send: Callable[..., None]) -> None:
        self._send = send
        self._query = ""
        self._others = False
        self.refused = False

    def listen(self) -> None:
        from sqlalchemy import event
        from sqlalchemy.pool import Pool

        # A listener of the class goes before those of a project's own engine.
        event.listen(Pool, "connect", self._connected)

    def begin(self, key: Optional[List[int]], others: bool) -> None:
        """From now on refuse what does not show the lock; `others`: only where it is to be migrated."""
        self._query = QUERY.format(key[0] & 0xFFFFFFFF, key[1] & 0xFFFFFFFF) if key else ""
        self._others = others

    def check(self, connection: Any) -> int:
        """Refuse a connection of env.py's that leads elsewhere; the server's process behind it, 0 if not looked at."""
        if not self._query or connection is None:
            return 0
        backend: int = connection.info.get(BACKEND, 0)
        if not backend and connection.dialect.name == "postgresql":
            backend = self._look(watch.dbapi(connection), connection.in_transaction())[0]
        if not backend:
            url = connection.engine.url
            self._refuse(url.host, url.port, url.database, early=not self._others)
        return backend

    def _connected(self, driver: Any, record: Any) -> None:
        """Look at a new connection of any pool, before anybody has it."""
        dialect = getattr(getattr(record, "_ConnectionRecord__pool", None), "_dialect", None)
        if not self._query or self._others or getattr(dialect, "name", "") != "postgresql":
            return
        backend, database, host, port = self._look(driver, False)
        if backend:
            record.info[BACKEND], record.info[DATABASE] = backend, database
            return
        info = getattr(getattr(driver, "driver_connection", driver), "info", None)
        # libpq's drivers know the name that was dialled, as long as they are open.
        host, port = getattr(info, "host", None) or host, getattr(info, "port", None) or port
        with contextlib.suppress(Exception):
            driver.close()
        self._refuse(host, port, database, early=True)

    def _look(self, driver: Any, in_transaction: bool) -> Any:
        """Backend (0: elsewhere), database, address and port; leaves no transaction where there was none."""
        status = getattr(getattr(driver, "info", None), "transaction_status", None)
        idle = not in_transaction if status is None else status == 0
        alone = idle and getattr(driver, "autocommit", None) is False
        if alone:  # one round trip instead of three: no BEGIN, no ROLLBACK
            driver.autocommit = True
        cursor = driver.cursor()
        cursor.execute(self._query)
        found = cursor.fetchone()
        cursor.close()
        if alone:
            driver.autocommit = False
        elif idle:
            driver.rollback()
        return found

    def _refuse(self, host: Optional[str], port: Optional[int], database: Optional[str], *, early: bool) -> None:
        if not self.refused:
            self._send("wrong-database", host=host, port=port, database=database, early=early)
        self.refused = True
        raise Refused
