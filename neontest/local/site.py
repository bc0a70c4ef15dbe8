"""One local Neon: its facts, its work and its clusters, and what every verb upon them needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import quote

import msgspec

from neontest.local.cluster import Cluster, Clusters
from neontest.local.moments import now
from neontest.local.problem import Problem, locked, not_found
from neontest.local.shapes import Json, operations
from neontest.local.store import Branch, Endpoint, Project, Role, Store
from neontest.local.work import Act, Work

HOST: Final = "127.0.0.1"
"""Where the clusters listen."""
POOLED_DOMAIN: Final = "local.neontest.test"

Begin = Callable[[], object]
"""What begins the work behind an answer, once the answer is made."""


class Site(msgspec.Struct, frozen=True, kw_only=True):
    store: Store
    work: Work
    clusters: Clusters
    tls: bool
    branches_limit: int
    opened: dict[str, Cluster] = msgspec.field(default_factory=dict)
    """The clusters in hand, by their ids."""

    @property
    def project(self) -> Project:
        return self.store.state.project

    def cluster(self, branch: Branch) -> Cluster:
        """The cluster with the branch's data."""
        if (cluster := self.opened.get(branch.cluster)) is None:
            raise Problem(500, f"the data of branch {branch.id} is not there")
        return cluster

    def living(self, branch_id: str) -> Branch:
        """A branch that was not asked to go."""
        branch = self.store.branch(branch_id)
        if branch.going:
            raise not_found("branch")
        return branch

    def free(self, branch_id: str) -> Branch:
        """A branch on which nothing is being done.

        Neon locks the whole project while operations run. Here two conflict when they are about the same branch, so
        that branches of one parent can be made side by side.
        """
        branch = self.living(branch_id)
        if self.store.busy(branch_id):
            raise locked()
        return branch

    def begin(
        self, branch: Branch, endpoint: Endpoint | None, steps: Sequence[tuple[str, Act]], *, failed: Act
    ) -> tuple[list[Json], Begin]:
        """The operations as the answer shows them, and what begins them. Called with the store's lock held."""
        made = self.store.add_operations(branch.id, endpoint.id if endpoint else None, [name for name, _ in steps])
        self.store.save()
        acts = [act for _, act in steps]
        return operations(made, self.project), lambda: self.work.submit(made, acts, failed=failed)

    # computes: called with the branch's data held, and without the store's lock

    def start(self, branch: Branch, endpoint: Endpoint) -> None:
        """The branch's server answers."""
        cluster = self.cluster(branch)
        cluster.start()
        with self.store.lock:
            endpoint.state, endpoint.pending = "active", None
            endpoint.port = cluster.port  # another one than was handed out only if somebody took that meanwhile
            endpoint.started_at = endpoint.updated_at = now()
            self.store.save()

    def stop(self, branch: Branch, endpoint: Endpoint) -> None:
        """The branch's server is stopped, its data at rest."""
        self.cluster(branch).stop()
        with self.store.lock:
            endpoint.state, endpoint.pending = "idle", None
            endpoint.suspended_at = endpoint.updated_at = now()
            self.store.save()

    def wake(self, branch: Branch) -> Endpoint | None:
        """The branch's compute, started if it was idle.

        On Neon a connection wakes it. Here nobody listens for an idle one, so asking for its connection string does.
        """
        endpoint = self.store.endpoint_of(branch.id)
        if endpoint is not None and endpoint.state == "idle" and not endpoint.disabled:
            with self.work.data(branch.id):
                self.start(branch, endpoint)  # a server that runs already is left alone
        return endpoint

    def uri(self, port: int, endpoint_id: str, role: Role, database: str, *, pooled: bool) -> str:
        """A connection string with its password.

        Locally nothing pools. A pooled string is told from a direct one as on Neon, by its host's `-pooler`; libpq
        (psql, psycopg) then connects to `hostaddr`; other drivers cannot use it and shall ask for `pooled=false`.
        """
        login = f"{quote(role.name, safe='')}:{quote(role.password or '', safe='')}"
        tail = "sslmode=require&channel_binding=require" if self.tls else "sslmode=disable"
        name = quote(database, safe="")
        if pooled:
            where = f"hostaddr={HOST}&port={port}"
            return f"postgresql://{login}@{endpoint_id}-pooler.{POOLED_DOMAIN}/{name}?{where}&{tail}"
        return f"postgresql://{login}@{HOST}:{port}/{name}?{tail}"
