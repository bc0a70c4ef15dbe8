"""Real Postgres clusters, one per branch: a copied data folder, a server of its own, and a guard above it.

Several owners (processes) may share a state folder, and several threads of one owner its clusters.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from neontest.errors import LocalError
from neontest.local import made, remains
from neontest.local.backup import copy_running, refuse_tablespaces
from neontest.local.binaries import Binaries
from neontest.local.claim import Claim, Fate, claim
from neontest.local.copy_tree import copy_tree
from neontest.local.held import Held
from neontest.local.instance import UNTOUCHED, Cluster
from neontest.local.made import Facts
from neontest.local.placing import Untouched, place
from neontest.local.server import socket_folder
from neontest.local.setup import prepare
from neontest.local.sweep import sweep
from neontest.local.template import template

__all__ = ["Cluster", "Clusters"]

NONE: Final[Mapping[str, str]] = {}


class Clusters:
    """The clusters of one owner in a state folder.

    `persistent` ones outlive the owner: their servers end with it, their data stays. The others vanish with it.
    """

    def __init__(self, state: Path, binaries: Binaries, *, persistent: bool = False) -> None:
        self._setup = prepare(state, binaries, persistent=persistent)
        self.state = self._setup.state
        self.binaries = self._setup.binaries
        self.tls = self._setup.tls
        self.persistent = persistent
        self._pid = os.getpid()
        self._mutex = threading.Lock()
        self._own: dict[str, Cluster] = {}
        self._closed = False
        self._made: list[Held] = []
        """Locks of what was made and is in use here."""

    def __enter__(self) -> Clusters:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def create(
        self, id: str, *, passwords: Mapping[str, str] = NONE, start: bool = True, port: int | None = None
    ) -> Cluster:
        """A fresh cluster, as a new Neon project's: role `neondb_owner`, database `neondb`.

        Its data are copied, and the roles' passwords set, when its server first starts.
        """
        untouched = self._untouched(passwords)
        return self._make(id, start, port, lambda cluster: cluster.leave(untouched))

    def clone(self, id: str, parent: Cluster, *, start: bool = True, port: int | None = None) -> Cluster:
        """A copy of a cluster, with all its databases and roles, at this moment; the parent may be in use."""

        def copy(data: Path) -> None:
            refuse_tablespaces(parent.data)
            if not parent.running:
                copy_tree(parent.data, data, account=self._setup.account)
                return
            with contextlib.closing(parent.admin()) as admin:
                copy_running(admin, self.binaries.major, parent.data, data, account=self._setup.account)

        def fill(cluster: Cluster) -> None:
            with parent.unchanged() as untouched:
                if untouched is not None:
                    cluster.leave(untouched)
                else:
                    place(self._setup, id, copy)

        return self._make(id, start, port, fill)

    def open(self, id: str, *, passwords: Mapping[str, str] = NONE) -> Cluster:
        """A cluster that an earlier owner left: a persistent one, or one left running; stopped.

        `passwords` are those of its roles, for one whose server never ran.

        Raises:
            LocalError: there is none, or another process has it.
        """
        held = claim(self._lock_path(id))
        try:
            folder = self._setup.folder(id)
            untouched = self._untouched(passwords) if (folder / UNTOUCHED).exists() else None
            if untouched is None and not (folder / "data").is_dir():
                raise LocalError(f"there is no local branch {id} in {self.state}")
            cluster = Cluster(self._setup, id, held, held.fate().port, untouched)
            remains.end_server(cluster.data)
            held.decide(Fate(port=cluster.port))
        except BaseException:
            held.release(forget=False)
            raise
        self._keep_in_hand(cluster)
        return cluster

    def discard(self, id: str) -> None:
        """Remove what there is of a cluster that nobody wants any more, however little of it an earlier owner left."""
        held = claim(self._lock_path(id))
        gone = False
        try:
            folder = self._setup.folder(id)
            remains.end_server(folder / "data")
            remains.remove(folder, socket_folder(folder))
            gone = True
        finally:
            held.release(forget=gone)

    def delete(self, cluster: Cluster) -> None:
        """End the server and remove all that the cluster was; copies of it under way are awaited."""
        self._forget(cluster)
        with cluster.at_rest():
            cluster.begin_end("")
            cluster.finish(keep=False)

    def begin_as_made(
        self, cluster: Cluster, key: str, passwords: Mapping[str, str], fits: Callable[[str], bool]
    ) -> Facts | None:
        """Have a cluster that never ran begin as a copy of what was handed in under the key, if what was told fits."""
        name = self._made_key(key)
        for found in made.find(self.state / "made", name) if name else ():
            try:
                if fits(found.facts.told):
                    cluster.leave(Untouched(template=found.data, passwords=passwords, made=True))
                    self._made.append(found.held)
                    return found.facts
            finally:
                if found.held not in self._made:
                    found.held.close()
        return None

    def hand_in(self, cluster: Cluster, key: str, facts: Facts) -> bool:
        """Keep the data of a stopped cluster for later owners, under the key; it goes on as a copy of them.

        False, and nothing happened, where they cannot be kept.
        """
        name = self._made_key(key)

        def put(data: Path) -> Path:
            found = made.put(self.state / "made", name or "", data, facts)
            self._made.append(found.held)
            return found.data

        try:
            return name is not None and cluster.hand_over(put)
        except OSError:
            return False

    def detach(self, cluster: Cluster, expires_at: datetime) -> None:
        """Let the server run on after our end, until a sweep after `expires_at`."""
        self._forget(cluster)
        cluster.detach(expires_at)

    def sweep(self, now: datetime | None = None) -> list[str]:
        """Clear the state folder of what dead owners left; the ids of the branches removed."""
        return sweep(self.state, now)

    def close(self) -> None:
        """Stop this owner's clusters, all at once, and delete them unless the state is persistent."""
        if os.getpid() != self._pid:  # a forked child owns nothing
            return
        with self._mutex:
            self._closed = True
            own, self._own = list(self._own.values()), {}
        for cluster in own:
            cluster.begin_end("stop" if self.persistent else "")
        failures = []
        try:
            for cluster in own:
                try:
                    cluster.finish(keep=self.persistent)
                except LocalError as error:
                    failures.append(error)
        finally:
            for held in self._made:
                held.close()
        if failures:
            raise failures[0]

    def _untouched(self, passwords: Mapping[str, str]) -> Untouched:
        return Untouched(template=self._template(), passwords=passwords)

    def _template(self) -> Path:
        return template(self.state / "tmpl", self.binaries, self._setup.account)

    def _made_key(self, key: str) -> str | None:
        """Data are of one Postgres with its extensions, of one account, of one boot: nothing was synced to the disk.

        None where nobody knows when the machine was started.
        """
        boot, setup = made.boot(), self._setup
        of = f"{self._template().name} {setup.postgres} {sorted(setup.settings.items())} {boot} {key}"
        return hashlib.sha256(of.encode()).hexdigest()[:32] if boot else None

    def _make(self, id: str, start: bool, port: int | None, fill: Callable[[Cluster], None]) -> Cluster:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", id):
            raise LocalError(f"{id!r} is no id for a local branch")
        if id in self._own:
            raise LocalError(f"the local branch {id} exists")
        held = claim(self._lock_path(id))
        cluster = None
        try:
            if any((self.state / where / id).exists() for where in ("b", "kept")):
                raise LocalError(f"the local branch {id} exists")
            cluster = Cluster(self._setup, id, held, port)
            cluster.folder.mkdir(mode=0o700)
            self._setup.account.give(cluster.folder)
            fill(cluster)
            held.decide(Fate(port=cluster.port))
            self._keep_in_hand(cluster)
            if start:
                cluster.start()
        except OSError as error:
            self._unmake(cluster, held)
            raise LocalError(f"the local branch {id} could not be made: {str(error).strip()}") from error
        except BaseException:
            self._unmake(cluster, held)
            raise
        return cluster

    def _keep_in_hand(self, cluster: Cluster) -> None:
        with self._mutex:
            if self._closed:
                raise LocalError("the local engine is being stopped")
            self._own[cluster.id] = cluster

    def _unmake(self, cluster: Cluster | None, held: Claim) -> None:
        if cluster is None:
            held.release(forget=False)
            return
        self._forget(cluster)
        cluster.finish(keep=False)

    def _forget(self, cluster: Cluster) -> None:
        with self._mutex:
            self._own.pop(cluster.id, None)

    def _lock_path(self, id: str) -> Path:
        return self.state / "lock" / id
