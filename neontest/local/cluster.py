"""Real Postgres clusters, one per branch: a copied data folder, a server of its own, and a guard above it.

Layout of a state folder: `tmpl/` fresh clusters, `b/<id>/{data,log}` branches, `lock/<id>` claims on them, `new/`
copies under way, `bin/` programs that the servers' account could not execute otherwise. Several owners may share one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import socket
import stat
import sys
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
from neontest.local import remains
from neontest.local.account import Account, choose, prepare_state, runnable
from neontest.local.backup import copy_running, refuse_tablespaces
from neontest.local.binaries import Binaries
from neontest.local.claim import Claim, Fate, claim, try_claim
from neontest.local.copy_tree import copy_tree
from neontest.local.guard import Guard, Held
from neontest.local.template import template

SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_permissions": "0700",
    "fsync": "off",  # on the command line it beats every file of the parent; a copy's recovery would sync every file
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "replica",
    "max_wal_senders": "4",
    "max_replication_slots": "16",  # one for each copy of a running parent under way
    "max_connections": "100",
    "shared_buffers": "16MB",
    "min_wal_size": "2MB",
    "max_wal_size": "64MB",
    "huge_pages": "off",
    "jit": "off",
    "dynamic_shared_memory_type": "mmap",  # in the data folder: a killed server leaves nothing in /dev/shm
    "logging_collector": "off",
    "ssl": "off",
}
LONGEST_SOCKET: Final = 103
"""Bytes in the path of a Unix socket (macOS; Linux has 107)."""

COPIES_AT_ONCE: Final = 12


class Cluster:
    """One branch's cluster. Made by `Clusters`; safe to use from several threads."""

    def __init__(self, clusters: Clusters, id: str, held: Claim, port: int | None) -> None:
        self.id = id
        self.folder = clusters.state / "b" / id
        self.data = self.folder / "data"
        self.sockets = _socket_folder(self.folder)
        self.tls = False
        self.started_at: datetime | None = None
        self._clusters = clusters
        self._claim = held
        self._guard: Guard | None = None
        self._turn = threading.Condition(threading.RLock())
        self._copies = 0
        self._slots = threading.BoundedSemaphore(COPIES_AT_ONCE)
        self._reservation, self.port = _reserve(port)

    def __repr__(self) -> str:
        return f"<Cluster {self.id} port={self.port} running={self.running}>"

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
        try:
            fd = os.open(self.folder / "log", os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            return ""
        with os.fdopen(fd, "rb") as log:
            log.seek(max(0, os.fstat(fd).st_size - 65536))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])

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
                if not _is_taken(self.port):
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
            self._reservation.close()
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
            self._reservation.close()
            self._claim.release(forget=not keep)

    def _try_start(self, end: float) -> bool:
        clusters = self._clusters
        if self.sockets != self.folder:
            _make_private(self.sockets, clusters.account)
        command = [str(clusters.binaries.bindir / "postgres"), "-D", str(self.data), "-k", str(self.sockets)]
        command += ["-p", str(self.port)]
        for name, value in (SETTINGS | clusters.settings).items():
            command += ["-c", f"{name}={value}"]
        self._guard = Guard(self.folder, self.sockets, command, keep=clusters.persistent, account=clusters.account)
        try:
            while not self._is_ready():
                if not self._guard.serving() or time.monotonic() > end:
                    self._end_guard("stop")
                    return False
                time.sleep(0.002)
        except BaseException:
            self._end_guard("stop")
            raise
        return True

    def _is_ready(self) -> bool:
        """Line 8 of the pid file says so; `pg_ctl -w` looks ten times a second only."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) > 7 and lines[7].strip() == "ready"

    def _end_guard(self, word: str) -> None:
        guard, self._guard = self._guard, None
        self.started_at = None
        if guard is not None:
            guard.order(word)
            guard.wait(20)

    def _move(self, port: int | None) -> None:
        self._reservation.close()
        self._reservation, self.port = _reserve(port)
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
        self.settings: dict[str, str] = {}
        self._pid = os.getpid()
        self._mutex = threading.Lock()
        self._own: dict[str, Cluster] = {}
        for name, mode in (("b", 0o711), ("lock", 0o700), ("tmpl", 0o711), ("new", 0o700), ("bin", 0o755)):
            folder = self.state / name
            folder.mkdir(mode=mode, exist_ok=True)
            folder.chmod(mode)
        self.account.give(self.state / "b")  # the guard, which is not root, removes folders in it
        self.binaries = replace(binaries, bindir=runnable(binaries, self.state / "bin", self.account))

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
        """Remove what dead owners left here, and stop their kept servers; the ids of what was removed.

        A living owner's branch is never touched: its lock is held.
        """
        removed = []
        names = {path.name for folder in ("b", "lock", "new") for path in (self.state / folder).iterdir()}
        for id in sorted(names):
            held = try_claim(self._lock_path(id), create=True)
            if held is None:
                continue
            folder = self.state / "b" / id
            fate = held.fate()
            remains.remove(self.state / "new" / id, self.state / "new" / id)
            if folder.exists() and fate.left_running(now):
                held.release(forget=False)
                continue
            existed = folder.exists()
            remains.end_server(folder / "data")
            keep = existed and fate.keep and fate.expires_at is None
            if not keep:
                remains.remove(folder, _socket_folder(folder))
                if existed:
                    removed.append(id)
            held.release(forget=not keep)
        return removed

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


def _socket_folder(folder: Path) -> Path:
    """Where the socket is: the branch's folder, or, where that path is too long for one, a short one of its own."""
    if len(os.fsencode(folder / ".s.PGSQL.65535")) <= LONGEST_SOCKET:
        return folder
    return Path("/tmp") / f"neontest-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}"  # noqa: S108


def _make_private(folder: Path, account: Account) -> None:
    """Make a folder that only the account can enter; one that somebody else made is refused."""
    try:
        folder.mkdir(mode=0o700)
        account.give(folder)
    except FileExistsError:
        facts = folder.lstat()
        if not stat.S_ISDIR(facts.st_mode) or facts.st_mode & 0o077 or facts.st_uid != account.uid:
            raise LocalError(f"{folder} is not ours", hint="remove it, or choose a shorter state folder") from None


def _reserve(port: int | None) -> tuple[Held, int]:
    """A port of 127.0.0.1 that nobody else is given: `port` if it is free, else another.

    On Linux a bound socket with SO_REUSEADDR that does not listen keeps bind(0) away from its port, and yet lets
    Postgres listen there. Elsewhere the port is only known to have been free; a lost one is noticed at the start.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(("127.0.0.1", port or 0))
    except OSError:
        sock.bind(("127.0.0.1", 0))
    number: int = sock.getsockname()[1]
    held = Held(sock.detach())
    if sys.platform != "linux":
        held.close()
    return held, number


def _is_taken(port: int) -> bool:
    """Somebody listens on the port of 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
            sock.listen(1)
        except OSError:
            return True
    return False
