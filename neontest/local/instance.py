"""One cluster: its data, its server, its port, the guard above it and the claim on it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psycopg2
from msgspec.structs import replace
from psycopg2.extensions import connection as Connection  # noqa: N812 (a class)

from neontest.errors import LocalError
from neontest.local import made, remains, roles, server
from neontest.local.claim import Claim
from neontest.local.guard import Guard
from neontest.local.placing import Untouched
from neontest.local.ports import is_taken, reserve
from neontest.local.setup import Setup

COPIES_AT_ONCE: Final = 12
"""Of one running parent: each takes a replication slot of 16."""

GUARD_SECONDS: Final = 20.0
"""How long a guard may take; Postgres kills its own children 5 s after an order to quit."""

UNTOUCHED: Final = "untouched"
"""The name of a file in the folder of a cluster whose server never ran: what there is of its data is worth nothing."""


class Cluster:
    """One branch's cluster. Made by `Clusters`; safe to use from several threads."""

    def __init__(
        self, setup: Setup, id: str, held: Claim, port: int | None, untouched: Untouched | None = None
    ) -> None:
        self.id = id
        self.folder = setup.folder(id)
        self.data = self.folder / "data"
        self.sockets = server.socket_folder(self.folder)
        self.tls = setup.tls
        self.started_at: datetime | None = None
        self._setup = setup
        self._claim = held
        self._untouched = untouched
        self._guard: Guard | None = None
        self._turn = threading.Condition(threading.RLock())
        self._copies = 0
        self._gone = False
        self._slots = threading.BoundedSemaphore(COPIES_AT_ONCE)
        self._port = reserve(port)

    def __repr__(self) -> str:
        return f"<Cluster {self.id} port={self.port} running={self.running}>"

    @property
    def port(self) -> int:
        """Where the server listens, or will: a port of 127.0.0.1, reserved while this object lives."""
        return self._port.number

    @property
    def running(self) -> bool:
        """The server is alive."""
        guard = self._guard
        return guard is not None and guard.serving()

    def admin(self, dbname: str = "postgres") -> Connection:
        """A new connection as the superuser, in autocommit, over the socket that only we can reach."""
        try:
            connection = psycopg2.connect(
                host=str(self.sockets),
                port=self.port,
                user="postgres",
                dbname=dbname,
                connect_timeout=10,
                application_name="neontest",
            )
        except psycopg2.OperationalError as error:
            raise LocalError(f"the local branch {self.id} does not answer: {str(error).strip()}") from error
        connection.autocommit = True
        return connection

    def log_tail(self, lines: int = 20) -> str:
        """The last lines that the server said."""
        return server.log_tail(self.folder / "log", lines)

    def leave(self, untouched: Untouched) -> None:
        """Let this new cluster have no data before its server first starts."""
        (self.folder / UNTOUCHED).touch(mode=0o600)
        self._untouched = untouched

    def hand_over(self, put: Callable[[Path], Path]) -> bool:
        """Have `put` move the data of this cluster, which is stopped, and begin anew as a copy of where they are then.

        False, and nothing happened, where it is not stopped. Not for clusters that outlive their owner.
        """
        with self.at_rest():
            if self.running or self._untouched is not None:
                return False
            self._untouched = Untouched(template=put(self.data), passwords={}, made=True)
            return True

    def start(self, *, port: int | None = None, seconds: float = 60.0) -> None:
        """Start the server and wait until it takes connections; nothing happens if it runs.

        With `port` it moves there first, if it can. Look at `port` afterwards: a lost one is replaced.

        Raises:
            LocalError: it ended, or was not ready in time; the message has the tail of its log.
        """
        with self.at_rest():
            if self.running:
                return
            if self._gone:
                raise LocalError(f"the local branch {self.id} is gone")
            self._end_guard("stop")
            if port is not None and port != self.port:
                self._move(port)
            try:
                self._place_and_start(seconds)
            except LocalError:
                if self._untouched is not None and self._untouched.made:
                    made.forget(self._untouched.template)
                raise

    def _place_and_start(self, seconds: float) -> None:
        if self._untouched is not None:
            self._untouched.place(self._setup, self.id)
        for attempt in range(5):
            if attempt:
                self._move(None)
            if self._try_start(time.monotonic() + seconds):
                self.started_at = datetime.now(UTC)
                return
            if not is_taken(self.port):
                break
        raise LocalError(f"Postgres did not start for the local branch {self.id}:\n{self.log_tail()}")

    def stop(self) -> None:
        """Stop the server cleanly; its data stays. Copies of it under way are awaited."""
        with self.at_rest():
            self._end_guard("stop")

    def detach(self, expires_at: datetime) -> None:
        """Let the server run on after our end, until a sweep after `expires_at`."""
        with self.at_rest():
            self._claim.decide(replace(self._claim.fate(), expires_at=expires_at.astimezone(UTC).isoformat()))
            self._end_guard("detach")
            self._port.close()
            self._claim.release(forget=False)

    @contextlib.contextmanager
    def unchanged(self) -> Iterator[Untouched | None]:
        """Hold the cluster in its state while it is copied; the value is what it is while its server never ran."""
        with self._slots:
            with self._turn:
                self._copies += 1
            try:
                yield self._untouched
            finally:
                with self._turn:
                    self._copies -= 1
                    self._turn.notify_all()

    @contextlib.contextmanager
    def at_rest(self) -> Iterator[None]:
        """Hold the cluster for ourselves, once the copies of it under way are done."""
        with self._turn:
            self._turn.wait_for(lambda: self._copies == 0)
            yield

    def begin_end(self, word: str) -> None:
        """Give the guard its order without waiting, so that many clusters end at once."""
        guard = self._guard
        if guard is not None:
            guard.order(word)

    def finish(self, *, keep: bool) -> None:
        """After `begin_end`: wait for the end, remove what is not to be kept, and give the claim up."""
        with self._turn:
            self._gone = True
            gone = False
            try:
                self._end_guard("")
                if not keep:
                    remains.remove(self.folder, self.sockets)
                    gone = True
            finally:
                self._port.close()
                self._claim.release(forget=gone)

    def _try_start(self, end: float) -> bool:
        setup = self._setup
        if self.sockets != self.folder:
            server.make_private(self.sockets, setup.account)
        command = server.command(setup.postgres, self.data, self.sockets, self.port, setup.settings)
        self._guard = Guard(
            self.folder,
            self.sockets,
            command,
            claim=self._claim.fileno(),
            keep=setup.persistent,
            account=setup.account,
        )
        try:
            while not server.is_ready(self.data):
                if not self._guard.serving() or time.monotonic() > end:
                    self._end_guard("stop")
                    return False
                time.sleep(0.002)
            self._first()
        except BaseException:
            self._end_guard("stop")
            raise
        return True

    def _first(self) -> None:
        """What has to be done before anybody is told that the server runs."""
        opened = self._setup.binaries.major <= roles.OPEN_MAJOR
        passwords = self._untouched.passwords if self._untouched is not None else {}
        if opened or passwords:
            try:
                with contextlib.closing(self.admin()) as admin:
                    if opened:
                        roles.close(admin)
                    for role, password in passwords.items():
                        roles.set_password(admin, role, password)
            except psycopg2.Error as error:
                raise LocalError(f"the local branch {self.id} could not be made ready: {str(error).strip()}") from error
        if self._untouched is not None:
            (self.folder / UNTOUCHED).unlink(missing_ok=True)
            self._untouched = None

    def _end_guard(self, word: str) -> None:
        guard, self._guard = self._guard, None
        self.started_at = None
        if guard is not None:
            guard.order(word)
            guard.wait(GUARD_SECONDS)
        if word != "detach":
            remains.end_server(self.data)  # the guard may have been killed

    def _move(self, port: int | None) -> None:
        self._port.close()
        self._port = reserve(port)
        self._claim.decide(replace(self._claim.fate(), port=self.port))
