"""A Neon of one's own, in this process: real Postgres clusters, and the API that speaks for them.

`neontest run` has one for as long as it runs, `neontest serve` one whose state is kept. Both are spoken to over a
loopback socket: there is one way only.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from uuid import uuid4

from neontest.errors import UsageError
from neontest.local import identity
from neontest.local.app import App
from neontest.local.binaries import Binaries
from neontest.local.callers import Callers
from neontest.local.catalog import take_in
from neontest.local.cluster import Clusters
from neontest.local.extensions import missing_extension_hint
from neontest.local.held import Held
from neontest.local.listener import Listener
from neontest.local.made import Facts, size_of
from neontest.local.moments import now
from neontest.local.reaper import Reaper
from neontest.local.resume import clear_unknown, first_branch, passwords, resume
from neontest.local.site import Site
from neontest.local.state_folder import find_state
from neontest.local.store import Project, State, Store
from neontest.local.work import Work

BRANCHES_LIMIT: Final = 100
"""Branches that a local project may have; Neon's Free plan has 10."""
FILE: Final = "neon.json"
KEY_FILE: Final = "api-key"
LOCK_FILE: Final = "serve.lock"


class LocalNeon:
    """A local Neon with one project, from `with` to its end.

    `persistent` keeps branches, passwords and the key in `state`, for one server at a time; otherwise nothing remains.
    `port` 0 takes a free one. An answer waits up to `settle` seconds for its operations, so that nobody need ask.

    Raises (at `with`):
        UsageError: the address cannot be listened on, or another server has the state.
        LocalError: Postgres cannot be started.
    """

    def __init__(
        self,
        state: Path,
        binaries: Binaries,
        *,
        persistent: bool,
        api_key: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        branches_limit: int = BRANCHES_LIMIT,
        settle: float = 0.0,
    ) -> None:
        self.state = state
        self.api_host = ""
        self.api_key = api_key or ""
        self.project_id = ""
        self.tls = False
        self.notes: tuple[str, ...] = ()
        """What a person should know about this engine, as sentences."""
        self._binaries = binaries
        self._persistent = persistent
        self._address = (host, port)
        self._branches_limit = branches_limit
        self._settle = settle
        self._ends = ExitStack()
        self._site: Site | None = None

    def __repr__(self) -> str:
        return f"<LocalNeon {self.api_host or 'not started'}>"

    def __enter__(self) -> Self:
        with ExitStack() as ends:
            clusters = Clusters(self.state, self._binaries, persistent=self._persistent)
            if self._persistent:
                ends.callback(_only_server(clusters.state).close)
                self.api_key = _kept_key(clusters.state / KEY_FILE, self.api_key)
            self.api_key = self.api_key or identity.api_key()
            # Before anything costly is done: an address in use is the commonest mistake.
            listener = ends.enter_context(Listener(*self._address))
            clusters.sweep()
            ends.callback(clusters.close)
            self._site = site = self._opened(clusters)
            ends.callback(site.work.close)
            callers = Callers(self._address[0], *listener.bound)
            app = App(site, self.api_key, callers=callers, settle=self._settle)
            listener.serve(app)
            ends.callback(app.close)
            ends.callback(listener.stop)
            ends.enter_context(Reaper(site))
            self.api_host = f"http://{listener.address}/api/v2"
            self.project_id = site.project.id
            self.tls = clusters.tls
            self.notes = tuple(_notes(self._binaries, clusters))
            self._ends = ends.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ends.close()

    @property
    def bindir(self) -> Path:
        """Where the server's programs are, and perhaps its tools."""
        return self._binaries.bindir

    def missing_extension(self, name: str) -> str:
        """What to do about an extension that this Postgres does not have, in one sentence."""
        return missing_extension_hint(self._binaries, name)

    def keep(self, branch_id: str, expires_at: datetime, url: str) -> Path:
        """Let a branch's server run on after our end, until a sweep after `expires_at`.

        Its connection string, a secret, is left in the file that is returned, for its owner only.
        """
        assert self._site is not None
        with self._site.store.lock:
            branch = self._site.store.branch(branch_id)
            cluster = self._site.cluster(branch)
            self._site.clusters.detach(cluster, expires_at)
            self._site.opened.pop(branch.cluster, None)
            self._site.store.remove(branch.id)
        file = cluster.folder / "url"
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as out:
            out.write(url + "\n")
        return file

    def begin_as_made(self, branch_id: str, key: str, fits: Callable[[str], bool]) -> bool:
        """Have a branch whose server never ran begin as what was handed in under the key, if what was told fits."""
        assert self._site is not None
        site = self._site
        branch = site.store.branch(branch_id)
        with site.work.data(branch.id):
            facts = site.clusters.begin_as_made(site.cluster(branch), key, passwords(branch.roles), fits)
            if facts is None:
                return False
        with site.store.lock:
            take_in(site, branch, facts.roles, facts.databases)
            site.store.save()
        return True

    def hand_in(self, branch_id: str, key: str, told: str) -> bool:
        """Keep the data of a suspended branch for other engines to begin with; False where they cannot be kept."""
        assert self._site is not None
        site = self._site
        branch = site.store.branch(branch_id)
        with site.work.data(branch.id):
            cluster = site.cluster(branch)
            facts = Facts(
                told=told,
                roles={each.name: each.login for each in branch.roles},
                databases={each.name: each.owner_name for each in branch.databases},
                bytes=size_of(cluster.data),
            )
            return site.clusters.hand_in(cluster, key, facts)

    def _opened(self, clusters: Clusters) -> Site:
        file = clusters.state / FILE if self._persistent else None
        store = (Store.load(file) if file else None) or Store(_new_state(self._binaries.major), file=file)
        if (kept := store.state.project.pg_version) != self._binaries.major:
            raise UsageError(
                f"the state {clusters.state} holds data of Postgres {kept}, which {self._binaries.version} cannot read",
                hint=f"use --postgres-version {kept}, or another --state folder",
            )
        site = Site(
            store=store, work=Work(store), clusters=clusters, tls=clusters.tls, branches_limit=self._branches_limit
        )
        if file is not None:
            clear_unknown(site)
        if store.state.branches:
            resume(site)
        else:
            first_branch(site)
        return site


def kept_version(state: Path) -> int | None:
    """The major version of the Postgres whose data a state holds; None where there is nothing yet.

    Raises:
        UsageError: the folder is not safely ours; see `state_folder`.
        LocalError: what it holds cannot be read.
    """
    real = find_state(state)
    store = Store.load(real / FILE) if real else None
    return store.state.project.pg_version if store else None


def _new_state(major: int) -> State:
    return State(
        project=Project(
            id=identity.project_id(), name="local", pg_version=major, created_at=now(), account_id=str(uuid4())
        )
    )


def _only_server(state: Path) -> Held:
    """The lock that one server of a state holds."""
    held = Held(os.open(state / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    try:
        fcntl.flock(held.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        held.close()
        raise UsageError(
            f"another neontest serves the state {state}", hint="stop that one, or name another folder with --state"
        ) from None
    return held


def _kept_key(file: Path, wanted: str) -> str:
    """The key of this state: the one that is wanted now, else the one kept, else a new one; kept in a 0600 file."""
    if not wanted:
        try:
            kept = file.read_text().strip()
        except FileNotFoundError:
            kept = ""
        if kept:
            return kept
    key = wanted or identity.api_key()
    fresh = file.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(key + "\n")
    fresh.replace(file)
    return key


def _notes(binaries: Binaries, clusters: Clusters) -> list[str]:
    notes = [f"Postgres {binaries.version}, {binaries.source}"]
    if not clusters.tls:
        why = "has no TLS" if not binaries.tls else "has TLS, but no certificate could be made (no openssl program)"
        notes.append(
            f"this Postgres {why}: connection strings carry sslmode=disable, and those that neonctl or Neon's actions"
            " put together with sslmode=require will not connect"
        )
    return notes
