"""Connections of neontest's own to a branch: interruptible, in autocommit, and silent about passwords."""

from __future__ import annotations

import re
import secrets
import select
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

import psycopg2
import psycopg2.extensions

from neontest.errors import ComputesBusy, DatabaseError
from neontest.stop import Deadline, Stop

Connection = psycopg2.extensions.connection

APPLICATION_NAME: Final = "neontest"
_FINAL: Final = (
    "password authentication failed",
    "does not exist",
    "no pg_hba.conf entry",
    "is not permitted to log in",
)
"""Refusals that no waiting mends. libpq gives a failed connection no SQLSTATE, so its text is all there is; in
another language than English a refusal is merely found at the deadline."""

SLOW: Final = ("57014", "55P03")
"""SQLSTATEs of what took longer than it may: as a whole, or waiting for a lock."""

_BUSY: Final = re.compile(r"\bconcurrently active endpoints\b|\bactive endpoints limit\b")
"""Source: https://neon.com/docs/connect/connection-errors (2026-11)."""

SERVER: Final = "pg_postmaster_start_time()::text, coalesce(current_setting('neon.timeline_id', true), '')"
"""SQL for what tells a server from every other one; see `server`."""

_OURS: Final[Mapping[str, Any]] = {
    "application_name": APPLICATION_NAME,
    "client_encoding": "UTF8",  # psycopg2 does not learn of it when it is set later
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""Of a server that cannot be reached any more, a waiting connection learns within a minute: TCP alone takes two hours.
Seconds, and milliseconds: https://www.postgresql.org/docs/18/libpq-connect.html (2026-11)."""

_HEARD: Final = 1.0
"""Seconds after which a signal is heard at the latest: one that comes just before a wait does not end it."""
_connecting = threading.local()
_mask: Final = re.compile(r"(password\s*=\s*)('(?:[^'\\]|\\.)*'|\S+)", re.IGNORECASE)


def driven(conn: Connection, until: float | None = None) -> None:
    """Let libpq go on with what was begun on it, to its end, where a signal's handler may raise (PEP 475); libpq's own
    wait would retry and go on.

    Raises:
        TimeoutError: it has not ended when `time.monotonic()` is `until`; it goes on with the next call.
    """
    while (state := conn.poll()) != psycopg2.extensions.POLL_OK:
        poller = select.poll()
        poller.register(conn.fileno(), select.POLLIN if state == psycopg2.extensions.POLL_READ else select.POLLOUT)
        ready = False
        while not ready:
            left = _HEARD if until is None else min(_HEARD, until - time.monotonic())
            ready = bool(poller.poll(max(0.0, left) * 1000))
            if not ready and left <= 0:
                raise TimeoutError


def _wait(conn: Connection) -> None:
    driven(conn, getattr(_connecting, "until", None))


psycopg2.extensions.set_wait_callback(_wait)


def connect(url: str, *, timeout: float = 10, autocommit: bool = True) -> Connection:
    """A connection to `url`, in autocommit unless told otherwise.

    `url` may be SQLAlchemy's (`postgresql+psycopg2://`). `timeout` in seconds covers the handshake, not the
    look-up of the host's name. An exception that leaves a running query, such as a signal's, closes the connection.

    Raises:
        DatabaseError: naming the host and the database, never the password; ComputesBusy for the project's limit.
    """
    _connecting.until = time.monotonic() + timeout
    try:
        conn: Connection = psycopg2.connect(_plain(url), **_OURS)
        conn.autocommit = autocommit
    except TimeoutError:
        raise DatabaseError(f"{place(url)} did not answer within {timeout:g} s") from None
    except (psycopg2.Error, UnicodeError, ValueError) as error:
        # `from None`: the original's text may quote the URL.
        told = f"cannot connect to {place(url)}: {without_secrets(str(error), url)}"
        raise (ComputesBusy if _BUSY.search(told) else DatabaseError)(told) from None
    finally:
        _connecting.until = None
    return conn


def begun(url: str) -> Connection:
    """A connection to `url` that is not there yet: `driven` makes it, and goes on with what it is asked.

    Raises:
        DatabaseError: there is no way to begin.
    """
    try:
        conn: Connection = psycopg2.connect(_plain(url), async_=True, **_OURS)
    except (psycopg2.Error, UnicodeError, ValueError) as error:
        raise DatabaseError(f"cannot connect to {place(url)}: {without_secrets(str(error), url)}") from None
    return conn


def connect_when_ready(url: str, deadline: Deadline, stop: Stop) -> Connection:
    """The first connection that `url` grants: a compute may be waking, or all computes of the project be busy.

    Raises:
        DatabaseError: at once for a refusal that waiting does not mend, else the last one at the deadline.
    """
    pause = 0.05
    while True:
        stop.check()
        deadline.check()
        try:
            return connect(url, timeout=min(10.0, max(0.1, deadline.left())))
        except DatabaseError as error:
            if any(text in error.message for text in _FINAL) or deadline.left() <= pause:
                raise
        stop.wait(pause)
        pause = min(1.0, pause * 1.6)


@contextmanager
def mapped(doing: str) -> Iterator[None]:
    """Turn psycopg2's errors inside the block into a DatabaseError that says what was being done."""
    try:
        yield
    except psycopg2.Error as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DatabaseError(f"{doing}: {first}" + (f" ({error.pgcode})" if error.pgcode else "")) from error


def execute(conn: Connection, sql: str) -> None:
    """Send a text of statements, or of none: of comments only, for instance, which psycopg2 raises for."""
    with conn.cursor() as cursor:
        try:
            cursor.execute(sql)
        except psycopg2.ProgrammingError as error:
            if str(error) != "can't execute an empty query":
                raise


def advisory_guard(conn: Connection) -> tuple[int, int]:
    """Take a random advisory lock for this session; (classid, objid) is how pg_locks shows it, with objsubid 2.

    Another connection that finds it in its own pg_locks is connected to the same database as `conn`.
    """
    # 31 bits: pg_locks shows the signed arguments as unsigned oids.
    pair = (secrets.randbelow(2**31), secrets.randbelow(2**31))
    with mapped("cannot take an advisory lock"), conn.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", pair)
    return pair


def shows(conn: Connection, guard: tuple[int, int]) -> bool:
    """Whether the lock of `advisory_guard` is to be seen: the connection leads to the same database."""
    with mapped("cannot look for an advisory lock"), conn.cursor() as cursor:
        cursor.execute(
            "SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = %s AND objid = %s", guard
        )
        return cursor.rowcount > 0


def server(conn: Connection) -> tuple[str, ...]:
    """What tells a server from every other one, and from itself before a restart; a branch is never its parent's.

    Neon's servers say which history of pages is theirs, too: a setting of its extension, empty elsewhere.
    """
    with mapped("cannot tell the server from others"), conn.cursor() as cursor:
        cursor.execute(f"SELECT {SERVER}")
        return tuple(filter(None, cursor.fetchone() or ()))


def alive(conn: Connection) -> bool:
    """The server still answers on this connection."""
    with suppress(psycopg2.Error), conn.cursor() as cursor:
        cursor.execute("SELECT 1")
        return True
    return False


def server_version(conn: Connection) -> int:
    """The server's version as a number: 180006 is 18.6."""
    return conn.server_version


def place(url: str) -> str:
    """`database "app" at host:port`, for messages."""
    with suppress(ValueError):
        parts = urlsplit(url)
        if parts.hostname:
            port = f":{parts.port}" if parts.port else ""
            return f'database "{unquote(parts.path[1:])}" at {parts.hostname}{port}'
    return "the database"


def without_secrets(text: str, url: str) -> str:
    """The text on one line, without the password of `url` in any spelling."""
    found = re.match(r"[^:/]+://[^:@/]*:(.*)@", url, re.DOTALL)
    raw = found[1] if found else ""
    parameter = re.search(r"[?&]password=([^&]*)", url)
    for secret in (raw, parameter[1] if parameter else ""):
        # The longest first: a short password may be a piece of its own quoted form.
        for spelling in sorted({secret, unquote(secret), quote(unquote(secret), safe="")}, key=len, reverse=True):
            if spelling:
                text = text.replace(spelling, "***")
    if url in text:
        text = text.replace(url, "***")
    return " ".join(_mask.sub(r"\1***", text).split())


def _plain(url: str) -> str:
    """The URL without SQLAlchemy's driver: `postgresql+psycopg2://` is `postgresql://`."""
    scheme, separator, rest = url.partition("://")
    return scheme.partition("+")[0] + separator + rest
