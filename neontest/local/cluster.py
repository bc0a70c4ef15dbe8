"""Real Postgres clusters, one per branch: a copied data folder, a server of its own, and a guard above it.

Layout of a state folder: `tmpl/` fresh clusters, `b/<id>/{data,log}` branches, `lock/<id>` claims on them, `new/`
copies under way, `bin/` programs that the servers' account could not execute otherwise, `ext/` extensions'
control files, `tls/` a certificate. Several owners may share one.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 (a class)

from neontest.errors import LocalError
from neontest.local import remains, server
from neontest.local.account import Account, choose, prepare_state, runnable
from neontest.local.backup import copy_running, refuse_tablespaces
from neontest.local.binaries import Binaries
from neontest.local.claim import Claim, Fate, claim
from neontest.local.copy_tree import copy_tree
from neontest.local.extensions import extensions
from neontest.local.guard import Guard
from neontest.local.ports import is_taken, reserve
from neontest.local.sweep import sweep
from neontest.local.template import template
from neontest.local.tls import certificate

COPIES_AT_ONCE: Final = 12


class Cluster:
    """One branch's cluster. Made by `Clusters`; safe to use from several threads."""

    def __init__(self, clusters: Clusters, id: str, held: Claim, port: int | None) -> None:
        self.id = id
        self.folder = clusters.state / "b" / id
        self.data = self.folder / "data"
        self.sockets = server.socket_folder(self.folder)
        self.tls = clusters.tls
        self.started_at: datetime | None = None
        self._clusters = clusters
        self._claim = held
        self._guard: Guard | None = None
        self._turn = threading.Condition(threading.RLock())
        self._copies = 0
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

    def start(self, *, port: int | None = None, seconds: float = 60.0) -> None:
        """Start the server and wait until it takes connections; nothing happens if it runs.

        With `port` it moves there first, if it can. Look at `port` afterwards: a lost one is replaced.

        Raises:
            LocalError: it ended, or was not ready in time; the message has the tail of its log.
        """
        with self._turn:
            self._turn.wait_for(lambda: self._copies == 0)
            if self.running:
                return
            self._end_guard("")
            if port is not None and port != self.port:
                self._move(port)
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
        with self._turn:
            self._turn.wait_for(lambda: self._copies == 0)
            self._end_guard("stop")

    def detach(self, expires_at: datetime) -> None:
        """Let the server run on after our end, until a sweep after `expires_at`."""
        with self._turn:
            self._claim.decide(replace(self._claim.fate(), expires_at=expires_at.astimezone(UTC).isoformat()))
            self._clusters.forget(self)
            self._end_guard("detach")
            self._port.close()
            self._claim.release(forget=False)

    @contextlib.contextmanager
    def unchanged(self) -> Iterator[bool]:
        """Hold the cluster in its state, running or not (the value), while it is copied."""
        with self._slots:
            with self._turn:
                self._copies += 1
                running = self.running
            try:
                yield running
            finally:
                with self._turn:
                    self._copies -= 1
                    self._turn.notify_all()

    def begin_end(self, word: str) -> None:
        """Give the guard its order without waiting, so that many clusters end at once."""
        guard = self._guard
        if guard is not None:
            guard.order(word)

    def finish(self, *, keep: bool) -> None:
        """After `begin_end`: wait for the end, remove what is not to be kept, and give the claim up."""
        with self._turn:
            self._end_guard("")
            remains.end_server(self.data)
            if not keep:
                remains.remove(self.folder, self.sockets)
            self._port.close()
            self._claim.release(forget=not keep)

    def _try_start(self, end: float) -> bool:
        clusters = self._clusters
        if self.sockets != self.folder:
            server.make_private(self.sockets, clusters.account)
        command = server.command(clusters.postgres, self.data, self.sockets, self.port, clusters.settings)
        self._guard = Guard(self.folder, self.sockets, command, keep=clusters.persistent, account=clusters.account)
        try:
            while not server.is_ready(self.data):
                if not self._guard.serving() or time.monotonic() > end:
                    self._end_guard("stop")
                    return False
                time.sleep(0.002)
        except BaseException:
            self._end_guard("stop")
            raise
        return True

    def _end_guard(self, word: str) -> None:
        guard, self._guard = self._guard, None
        self.started_at = None
        if guard is not None:
            guard.order(word)
            guard.wait(20)

    def _move(self, port: int | None) -> None:
        self._port.close()
        self._port = reserve(port)
        self._claim.decide(replace(self._claim.fate(), port=self.port))


class Clusters:
    """The clusters of one owner in a state folder.

    `persistent` ones outlive the owner: their servers end with it, their data stays. The others vanish with it.
    """

    def __init__(self, state: Path, binaries: Binaries, *, persistent: bool = False) -> None:
        self.account: Account = choose()
        prepare_state(state, self.account)
        self.state = state.resolve()
        self.persistent = persistent
        self._pid = os.getpid()
        self._mutex = threading.Lock()
        self._own: dict[str, Cluster] = {}
        for name, mode in (
            ("b", 0o711),
            ("lock", 0o700),
            ("tmpl", 0o711),
            ("new", 0o700),
            ("bin", 0o755),
            ("ext", 0o755),
            ("tls", 0o711),
        ):
            folder = self.state / name
            folder.mkdir(mode=mode, exist_ok=True)
            folder.chmod(mode)
        self.account.give(self.state / "b")  # the guard, which is not root, removes folders in it
        self.binaries = replace(binaries, bindir=runnable(binaries, self.state / "bin", self.account))
        shown = extensions(self.state / "ext", self.binaries, self.account)
        secure = certificate(self.state / "tls" / "server", self.account) if binaries.tls else None
        self.tls = secure is not None
        self.postgres = shown.postgres
        self.settings = {**shown.settings, **(secure or {})}

    def __enter__(self) -> Clusters:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def create(self, id: str, *, start: bool = True, port: int | None = None) -> Cluster:
        """A fresh cluster, as a new Neon project's: role `neondb_owner` (no password yet), database `neondb`."""
        source = template(self.state / "tmpl", self.binaries, self.account)
        return self._make(id, start, port, lambda data: copy_tree(source, data, account=self.account))

    def clone(self, id: str, parent: Cluster, *, start: bool = True, port: int | None = None) -> Cluster:
        """A copy of a cluster, with all its databases and roles, at this moment; the parent may be in use."""

        def copy(data: Path) -> None:
            with parent.unchanged() as running:
                refuse_tablespaces(parent.data)
                if not running:
                    copy_tree(parent.data, data, account=self.account)
                    return
                with contextlib.closing(parent.admin()) as admin:
                    copy_running(admin, self.binaries.major, parent.data, data, account=self.account)

        return self._make(id, start, port, copy)

    def open(self, id: str) -> Cluster:
        """A persistent cluster that an earlier owner left, stopped.

        Raises:
            LocalError: there is none, or another process has it.
        """
        held = claim(self._lock_path(id))
        try:
            if not (self.state / "b" / id / "data").is_dir():
                raise LocalError(f"there is no local branch {id} in {self.state}")
            cluster = Cluster(self, id, held, held.fate().port)
            remains.end_server(cluster.data)
            held.decide(Fate(keep=self.persistent, port=cluster.port))
        except BaseException:
            held.release(forget=False)
            raise
        with self._mutex:
            self._own[id] = cluster
        return cluster

    def delete(self, cluster: Cluster) -> None:
        """End the server and remove all that the cluster was; copies of it under way are awaited."""
        with cluster._turn:
            cluster._turn.wait_for(lambda: cluster._copies == 0)
            self.forget(cluster)
            cluster.begin_end("")
            cluster.finish(keep=False)

    def forget(self, cluster: Cluster) -> None:
        """Leave the cluster out of what `close` ends."""
        with self._mutex:
            self._own.pop(cluster.id, None)

    def sweep(self, now: datetime | None = None) -> list[str]:
        """Clear the state folder of what dead owners left; the ids of the branches removed."""
        return sweep(self.state, now)

    def close(self) -> None:
        """Stop this owner's clusters, all at once, and delete them unless the state is persistent."""
        if os.getpid() != self._pid:  # a forked child owns nothing
            return
        with self._mutex:
            own, self._own = list(self._own.values()), {}
        for cluster in own:
            cluster.begin_end("stop" if self.persistent else "")
        failures = []
        for cluster in own:
            try:
                cluster.finish(keep=self.persistent)
            except LocalError as error:
                failures.append(error)
        if failures:
            raise failures[0]

    def _make(self, id: str, start: bool, port: int | None, copy: Callable[[Path], None]) -> Cluster:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", id):
            raise LocalError(f"{id!r} is no id for a local branch")
        held = claim(self._lock_path(id))
        cluster = None
        staging = self.state / "new" / id
        try:
            if (self.state / "b" / id).exists():
                raise LocalError(f"the local branch {id} exists")
            cluster = Cluster(self, id, held, port)
            staging.mkdir(mode=0o700)
            copy(staging / "data")
            self.account.give(staging)
            staging.rename(cluster.folder)
            held.decide(Fate(keep=self.persistent, port=cluster.port))
            with self._mutex:
                self._own[id] = cluster
            if start:
                cluster.start()
        except BaseException:
            self._unmake(cluster, held, staging)
            raise
        return cluster

    def _unmake(self, cluster: Cluster | None, held: Claim, staging: Path) -> None:
        remains.remove(staging, staging)
        if cluster is None:
            held.release(forget=False)
            return
        self.forget(cluster)
        cluster.finish(keep=False)

    def _lock_path(self, id: str) -> Path:
        return self.state / "lock" / id
