"""How a local Neon begins: with a new project's default branch, or with what an earlier server left."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from neontest.errors import LocalError
from neontest.local import identity, roles
from neontest.local.moments import now
from neontest.local.site import Site
from neontest.local.store import UNFINISHED, Branch, Endpoint, Role


def first_branch(site: Site) -> None:
    """The default branch `main`, as a new Neon project has it."""
    at = now()
    id = identity.branch_id()
    owner = Role(name=roles.OWNER, password=identity.password(), created_at=at, updated_at=at)
    cluster = site.clusters.create(id, passwords=passwords([owner]), start=False)
    site.opened[id] = cluster
    branch = Branch(
        id=id,
        name="main",
        cluster=id,
        state="ready",
        state_changed_at=at,
        created_at=at,
        updated_at=at,
        default=True,
        roles=[owner],
    )
    endpoint = Endpoint(
        id=identity.endpoint_id(),
        branch_id=id,
        port=cluster.port,
        state="idle",
        created_at=at,
        updated_at=at,
        suspended_at=at,
    )
    with site.store.lock:
        site.store.state.branches[id] = branch
        site.store.state.endpoints[endpoint.id] = endpoint
        site.store.add_database(branch, roles.DATABASE, roles.OWNER)
        site.store.save()


def passwords(known: Iterable[Role]) -> dict[str, str]:
    """Those of the roles that have one, by role."""
    return {role.name: role.password for role in known if role.password is not None}


def clear_unknown(site: Site) -> None:
    """Remove kept clusters, or what is left of them, that no branch has: a server was killed between the two."""
    known = {branch.cluster for branch in site.store.state.branches.values()}
    for folder in list((site.clusters.state / "kept").iterdir()):
        if folder.name not in known and folder.is_dir() and not folder.is_symlink():
            site.clusters.discard(folder.name)


def resume(site: Site) -> None:
    """Take up what an earlier server left, however it ended."""
    store = site.store
    for operation in store.state.operations.values():
        if operation.status in UNFINISHED:
            operation.status, operation.error, operation.updated_at = "failed", "the server was stopped", now()
    for branch in list(store.state.branches.values()):
        expired = branch.expires_at is not None and branch.expires_at <= now()
        # Half made, half deleted, or overdue: nobody can want it any more.
        if branch.state == "init" or branch.going or (expired and not store.children(branch.id)):
            site.clusters.discard(branch.cluster)
            store.remove(branch.id)
            continue
        site.opened[branch.cluster] = site.clusters.open(branch.cluster, passwords=passwords(branch.roles))
        if branch.state == "resetting":
            branch.state, branch.pending = "ready", None
    running = [each for each in store.state.endpoints.values() if each.state != "idle" or each.pending == "active"]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(partial(_start_again, site), running))
    for endpoint in store.state.endpoints.values():
        endpoint.pending = None
        endpoint.port = site.cluster(store.branch(endpoint.branch_id)).port
    store.save()


def _start_again(site: Site, endpoint: Endpoint) -> None:
    """A compute that ran before runs again; one that cannot is left idle, and says why when it is started."""
    try:
        site.start(site.store.branch(endpoint.branch_id), endpoint)
    except LocalError:
        endpoint.state = "idle"
