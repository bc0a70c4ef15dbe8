"""What can be done with branches: made, changed, reset from another one, deleted.

Each verb checks Neon's rules and notes what shall be under the store's lock, and gives back the answer with what
begins the work. Rules and words: https://neon.com/docs/manage/branches and /guides/branch-expiration (2026-11-22).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing, nullcontext
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from neontest.local import identity, shapes
from neontest.local.catalog import change_passwords, refresh
from neontest.local.emptying import empty
from neontest.local.masking import mask
from neontest.local.moments import now
from neontest.local.ports import Port, reserve
from neontest.local.problem import Problem, locked, not_found
from neontest.local.requests import (
    BranchChange,
    CreateBranch,
    EndpointSpec,
    MaskingRule,
    RestoreBranch,
    expiry,
    no_time_travel,
)
from neontest.local.shapes import Json
from neontest.local.site import HOST, Begin, Site
from neontest.local.store import Branch, Endpoint, Masking, Role
from neontest.local.work import Act

SCHEMA_ONLY: Final = "schema-only"
ENDPOINTS_LIMIT: Final = "ENDPOINTS_LIMIT_EXCEEDED"

RESTORED: Final = ("parent_id", "schema_only", "masking", "roles", "databases", "last_reset_at", "expires_at")
"""What a restore changes of a branch's facts, beside its state."""


def create(site: Site, asked: CreateBranch, rules: Sequence[MaskingRule] = ()) -> tuple[Json, Begin]:
    """A new branch of the named parent (else of the default branch), with a compute if one is asked for.

    `rules`: it is there once its columns are masked by them.
    """
    store = site.store
    spec_given = asked.branch
    with store.lock:
        parent = _parent(site, spec_given.parent_id if spec_given else None)
    refresh(site, parent)  # the child inherits what SQL made, too
    with store.lock:
        if spec_given is not None:
            _refuse_what_is_not_here(spec_given.parent_lsn, spec_given.parent_timestamp, spec_given.init_source)
        schema_only = spec_given is not None and spec_given.init_source == SCHEMA_ONLY
        parent = _parent(site, spec_given.parent_id if spec_given else None)
        expires_at = expiry(spec_given.expires_at) if spec_given and spec_given.expires_at else None
        protected = bool(spec_given and spec_given.protected)
        if protected and expires_at:
            raise Problem(422, "a protected branch cannot expire")
        id = identity.branch_id()
        name = spec_given.name if spec_given and spec_given.name else id
        store.check_name(name)
        if len(store.state.branches) >= site.branches_limit:
            raise Problem(422, "branches limit exceeded", "BRANCHES_LIMIT_EXCEEDED")
        compute = the_compute(asked.endpoints or [])

        at = now()
        branch = Branch(
            id=id,
            name=name,
            cluster=id,
            parent_id=None if schema_only else parent.id,
            schema_only=schema_only,
            masking=Masking(columns=len(rules), created_at=at, updated_at=at) if rules else None,
            pending="ready",
            state_changed_at=at,
            created_at=at,
            updated_at=at,
            protected=protected,
            annotation=asked.annotation_value or {},
        )
        _set_expiry(branch, expires_at)
        # As on Neon: the passwords come along, except from a protected parent.
        new_passwords = parent.protected
        branch.roles = [_inherited(each, at, new_password=new_passwords) for each in parent.roles]
        store.state.branches[id] = branch
        for each in parent.databases:
            store.add_database(branch, each.name, each.owner_name)
        endpoint, port = None, None
        if compute is not None:
            port = reserve()  # the answer names it before the server is there
            endpoint = new_endpoint(branch, compute, port.number, at)
            store.state.endpoints[endpoint.id] = endpoint
        steps: list[tuple[str, Act]] = [
            ("create_branch", partial(_copy, site, branch, parent, port, rules, new_passwords=new_passwords))
        ]
        if endpoint is not None:
            steps.append(("start_compute", partial(_start, site, branch, endpoint)))
        shown, begin = site.begin(branch, endpoint, steps, failed=lambda: _rest(branch, endpoint))
        return _created(site, branch, endpoint, shown), begin


def update(site: Site, branch_id: str, change: BranchChange) -> Json:
    """Another name, protection or expiry; no operation is needed for these."""
    store = site.store
    with store.lock:
        branch = site.living(branch_id)
        expires_at: datetime | None = branch.expires_at
        if change.expires_at is None:
            expires_at = None
        elif isinstance(change.expires_at, str):
            expires_at = expiry(change.expires_at)
        protected = branch.protected if change.protected is None else change.protected
        if expires_at is not None:
            if branch.default:
                raise Problem(422, "the default branch cannot expire")
            if protected:
                raise Problem(422, "a protected branch cannot expire")
            if store.children(branch.id):
                raise Problem(422, "a branch with children cannot expire")
        if change.name is not None:
            store.check_name(change.name, but=branch.id)
            branch.name = change.name
        branch.protected = protected
        if expires_at != branch.expires_at:
            _set_expiry(branch, expires_at)
        branch.updated_at = now()
        store.save()
        return {"branch": shapes.branch(branch, site.project), "operations": []}


def delete(site: Site, branch_id: str) -> tuple[Json, Begin] | None:
    """The branch and its data go; None where there is nothing to delete (any more)."""
    store = site.store
    with store.lock:
        branch = store.state.branches.get(branch_id)
        if branch is None or branch.going:
            return None
        if branch.default:
            raise Problem(422, "cannot delete the default branch")
        if branch.protected:
            raise Problem(422, "cannot delete a protected branch")
        if children := store.children(branch_id):
            raise Problem(422, f"cannot delete branch that has children: {children[0].id}")
        if store.busy(branch_id):
            raise locked()
        endpoint = store.endpoint_of(branch_id)
        branch.pending = "storage_deleted"
        branch.updated_at = now()
        steps: list[tuple[str, Act]] = [("delete_timeline", partial(_remove, site, branch))]
        if endpoint is not None and endpoint.state != "idle":
            endpoint.pending = "idle"
            # The server ends with its data, in one go: nobody reads what a clean stop would have written.
            steps.insert(0, ("suspend_compute", lambda: None))

        def failed() -> None:
            branch.pending = None

        shown, begin = site.begin(branch, endpoint, steps, failed=failed)
        return {"branch": shapes.branch(branch, site.project), "operations": shown}, begin


def restore(site: Site, branch_id: str, asked: RestoreBranch) -> tuple[Json, Begin]:
    """The branch begins anew as a copy of another one, as `reset from parent` does; its address stays."""
    store = site.store
    with store.lock:
        _refuse_what_is_not_here(asked.source_lsn, asked.source_timestamp, None, of="source")
        branch = site.free(branch_id)
        if asked.preserve_under_name:
            raise Problem(422, "preserve_under_name is not available on a local Neon")
        source = site.free(asked.source_branch_id)
        if source.id == branch.id:
            raise no_time_travel("a branch's own past")
        if store.children(branch.id):
            raise Problem(422, "Branch has children, preserve_under_name is required")
        if source.expires_at is not None:
            raise Problem(422, "an expiring branch cannot be the parent of another one")
        at = now()
        old_cluster, old_facts = branch.cluster, {name: getattr(branch, name) for name in RESTORED}
        branch.state, branch.pending, branch.state_changed_at = "resetting", "ready", at
        branch.parent_id, branch.schema_only, branch.masking = source.id, False, None
        branch.last_reset_at = branch.updated_at = at
        branch.roles = [_inherited(each, at, new_password=source.protected) for each in source.roles]
        branch.databases = []
        for each in source.databases:
            store.add_database(branch, each.name, each.owner_name)
        if branch.expires_at is not None and branch.ttl_seconds is not None:
            branch.expires_at = at.replace(microsecond=0) + timedelta(seconds=branch.ttl_seconds)  # it starts anew
        endpoint = store.endpoint_of(branch_id)
        runs = endpoint is not None and endpoint.state == "active"
        steps: list[tuple[str, Act]] = [("create_timeline", partial(_replace, site, branch, source))]
        if endpoint is not None and runs:
            endpoint.pending = "active"
            steps.append(("start_compute", partial(_start, site, branch, endpoint)))

        def failed() -> None:
            if branch.cluster == old_cluster:  # its data are what they were
                for name, value in old_facts.items():
                    setattr(branch, name, value)
            branch.state, branch.state_changed_at = "ready", now()
            _rest(branch, endpoint)

        shown, begin = site.begin(branch, endpoint, steps, failed=failed)
        return {"branch": shapes.branch(branch, site.project), "operations": shown}, begin


def set_as_default(site: Site, branch_id: str) -> Json:
    with site.store.lock:
        branch = site.free(branch_id)
        if branch.expires_at is not None:
            raise Problem(422, "an expiring branch cannot be the default branch")
        site.store.default_branch().default = False
        branch.default = True
        branch.updated_at = now()
        site.store.save()
        return {"branch": shapes.branch(branch, site.project), "operations": []}


def the_compute(asked: list[EndpointSpec]) -> EndpointSpec | None:
    """The one compute that a branch may have here."""
    if any(each.type == "read_only" for each in asked):
        raise Problem(422, "read_only endpoints are not available on a local Neon")
    if len(asked) > 1:
        raise Problem(422, "read_write endpoint already exists", ENDPOINTS_LIMIT)
    return asked[0] if asked else None


def new_endpoint(branch: Branch, asked: EndpointSpec, port: int, at: datetime) -> Endpoint:
    return Endpoint(
        id=identity.endpoint_id(),
        branch_id=branch.id,
        port=port,
        pending="active",
        name=asked.name,
        suspend_timeout_seconds=asked.suspend_timeout_seconds or 0,
        min_cu=asked.autoscaling_limit_min_cu or 0.25,
        max_cu=asked.autoscaling_limit_max_cu or asked.autoscaling_limit_min_cu or 0.25,
        created_at=at,
        updated_at=at,
    )


def _parent(site: Site, parent_id: str | None) -> Branch:
    try:
        parent = site.free(parent_id) if parent_id else site.free(site.store.default_branch().id)
    except Problem as problem:
        raise (not_found("parent branch") if problem.status == 404 else problem) from None
    if parent.expires_at is not None:
        raise Problem(422, "an expiring branch cannot be the parent of another one")
    if parent.state != "ready":
        raise Problem(422, "branch not ready yet")
    return parent


def _refuse_what_is_not_here(
    lsn: str | None, timestamp: str | None, init_source: str | None, *, of: str = "parent"
) -> None:
    if lsn:
        raise no_time_travel(f"{of}_lsn")
    if timestamp:
        raise no_time_travel(f"{of}_timestamp")
    if init_source not in (None, "", "parent-data", SCHEMA_ONLY):
        raise Problem(
            422,
            f'init_source "{init_source}" is not available on a local Neon: only "parent-data" and "{SCHEMA_ONLY}" are',
        )


def _inherited(role: Role, at: datetime, *, new_password: bool) -> Role:
    password = identity.password() if new_password and role.password is not None else role.password
    return Role(name=role.name, password=password, login=role.login, created_at=at, updated_at=at)


def _set_expiry(branch: Branch, expires_at: datetime | None) -> None:
    branch.expires_at = expires_at
    branch.ttl_seconds = max(1, round((expires_at - now()).total_seconds())) if expires_at else None


def _created(site: Site, branch: Branch, endpoint: Endpoint | None, operations: list[Json]) -> Json:
    project = site.project
    answer: Json = {
        "branch": shapes.branch(branch, project),
        "endpoints": [shapes.endpoint(endpoint, project, HOST)] if endpoint else [],
        "operations": operations,
        "roles": [shapes.role(each, branch.id) for each in branch.roles],
        "databases": [shapes.database(each, branch.id) for each in branch.databases],
    }
    # With several roles or databases Neon does not choose for the client.
    if endpoint is not None and len(branch.roles) == len(branch.databases) == 1 and branch.roles[0].password:
        role, database = branch.roles[0], branch.databases[0]
        answer["connection_uris"] = [
            {
                "connection_uri": site.uri(endpoint.port, endpoint.id, role, database.name, pooled=False),
                "connection_parameters": {
                    "database": database.name,
                    "password": role.password,
                    "role": role.name,
                    "host": f"{HOST}:{endpoint.port}",
                    "pooler_host": f"{HOST}:{endpoint.port}",
                },
            }
        ]
    return answer


# acts: in a thread of Work, no lock held


def _copy(
    site: Site,
    branch: Branch,
    parent: Branch,
    port: Port | None,
    rules: Sequence[MaskingRule],
    *,
    new_passwords: bool,
) -> None:
    with site.work.data(branch.id), closing(port) if port else nullcontext():
        # By the end of this block the cluster has reserved the port for itself.
        number = port.number if port else None
        cluster = site.clusters.clone(branch.cluster, site.cluster(parent), start=False, port=number)
        site.opened[branch.cluster] = cluster
        if new_passwords:
            change_passwords(cluster, branch.roles)
        if branch.schema_only or branch.masking is not None:
            cluster.start()
            if branch.masking is None:
                empty(cluster)
            else:
                mask(site, branch.masking, cluster, rules)
            if port is None:
                cluster.stop()
    _ready(site, branch)


def _start(site: Site, branch: Branch, endpoint: Endpoint) -> None:
    with site.work.data(branch.id):
        site.start(branch, endpoint)


def _replace(site: Site, branch: Branch, source: Branch) -> None:
    with site.work.data(branch.id):
        old = site.cluster(branch)
        was_running = old.running
        old.stop()  # the copy takes over its port
        fresh = f"{branch.id}-{branch.cluster.count('-')}"
        try:
            cluster = site.clusters.clone(fresh, site.cluster(source), start=False, port=old.port)
        except BaseException:
            if was_running:
                old.start()
            raise
        site.opened[fresh] = cluster
        with site.store.lock:
            branch.cluster = fresh
            site.store.save()
        del site.opened[old.id]
        site.clusters.delete(old)
        if source.protected:
            change_passwords(cluster, branch.roles)
    _ready(site, branch)


def _remove(site: Site, branch: Branch) -> None:
    with site.work.data(branch.id):
        cluster = site.opened.pop(branch.cluster, None)
        if cluster is not None:
            site.clusters.delete(cluster)
    with site.store.lock:
        site.store.remove(branch.id)


def _ready(site: Site, branch: Branch) -> None:
    with site.store.lock:
        branch.state, branch.pending = "ready", None
        branch.state_changed_at = branch.updated_at = now()


def _rest(branch: Branch, endpoint: Endpoint | None) -> None:
    """After a failure nothing is pending any more; the branch stays as it is, to be looked at and deleted."""
    branch.pending = None
    if endpoint is not None:
        endpoint.pending = None
