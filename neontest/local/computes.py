"""What can be done with computes: made, started, suspended, changed, deleted."""

from __future__ import annotations

from functools import partial

from neontest.local import shapes
from neontest.local.branching import ENDPOINTS_LIMIT, new_endpoint, the_compute
from neontest.local.catalog import refresh
from neontest.local.moments import now
from neontest.local.problem import Problem, locked, not_found
from neontest.local.requests import EndpointChange, EndpointSpec
from neontest.local.shapes import Json
from neontest.local.site import HOST, Begin, Site
from neontest.local.store import Branch, Endpoint


def create(site: Site, spec: EndpointSpec) -> tuple[Json, Begin]:
    """A compute for a branch that has none."""
    the_compute([spec])
    if not spec.branch_id:
        raise Problem(400, "branch_id is required")
    with site.store.lock:
        branch = site.free(spec.branch_id)
        if site.store.endpoint_of(branch.id) is not None:
            raise Problem(422, "read_write endpoint already exists", ENDPOINTS_LIMIT)
        endpoint = new_endpoint(branch, spec, site.cluster(branch).port, now())
        site.store.state.endpoints[endpoint.id] = endpoint
        return _begin(site, branch, endpoint, "start_compute")


def start(site: Site, endpoint_id: str) -> tuple[Json, Begin]:
    with site.store.lock:
        endpoint, branch = _free(site, endpoint_id)
        if endpoint.state == "active":
            return _unchanged(site, endpoint)
        endpoint.pending = "active"
        return _begin(site, branch, endpoint, "start_compute")


def suspend(site: Site, endpoint_id: str) -> tuple[Json, Begin]:
    """The server stops; the next copy of its branch is a plain one, and the fastest."""
    with site.store.lock:
        endpoint, branch = _free(site, endpoint_id)
        if endpoint.state == "idle":
            return _unchanged(site, endpoint)
        endpoint.pending = "idle"
        return _begin(site, branch, endpoint, "suspend_compute")


def restart(site: Site, endpoint_id: str) -> tuple[Json, Begin]:
    with site.store.lock:
        endpoint, branch = _free(site, endpoint_id)
        endpoint.pending = "active"
        steps = [
            ("suspend_compute", partial(_stop, site, branch, endpoint)),
            ("start_compute", partial(_start, site, branch, endpoint)),
        ]
        shown, begin = site.begin(branch, endpoint, steps, failed=partial(_rest, endpoint))
        return _shown(site, endpoint, shown), begin


def update(site: Site, endpoint_id: str, change: EndpointChange) -> Json:
    with site.store.lock:
        endpoint, _ = _free(site, endpoint_id)
        if change.name is not None:
            endpoint.name = change.name
        if change.suspend_timeout_seconds is not None:
            endpoint.suspend_timeout_seconds = change.suspend_timeout_seconds
        if change.autoscaling_limit_min_cu is not None:
            endpoint.min_cu = change.autoscaling_limit_min_cu
        if change.autoscaling_limit_max_cu is not None:
            endpoint.max_cu = change.autoscaling_limit_max_cu
        if change.disabled is not None:
            endpoint.disabled = change.disabled
        endpoint.updated_at = now()
        site.store.save()
        return _shown(site, endpoint, [])


def delete(site: Site, endpoint_id: str) -> tuple[Json, Begin] | None:
    """The compute goes, the branch's data stays; None where there is none."""
    with site.store.lock:
        if endpoint_id not in site.store.state.endpoints:
            return None
        endpoint, branch = _free(site, endpoint_id)
        endpoint.pending = "idle"

        def act() -> None:
            _stop(site, branch, endpoint)
            with site.store.lock:
                del site.store.state.endpoints[endpoint.id]

        shown, begin = site.begin(branch, endpoint, [("suspend_compute", act)], failed=partial(_rest, endpoint))
        return _shown(site, endpoint, shown), begin


def _free(site: Site, endpoint_id: str) -> tuple[Endpoint, Branch]:
    endpoint = site.store.endpoint(endpoint_id)
    branch = site.store.branch(endpoint.branch_id)
    if branch.going:
        raise not_found("endpoint")
    if site.store.busy(branch.id):
        raise locked()
    return endpoint, branch


def _begin(site: Site, branch: Branch, endpoint: Endpoint, action: str) -> tuple[Json, Begin]:
    act = partial(_start if action == "start_compute" else _stop, site, branch, endpoint)
    shown, begin = site.begin(branch, endpoint, [(action, act)], failed=partial(_rest, endpoint))
    return _shown(site, endpoint, shown), begin


def _unchanged(site: Site, endpoint: Endpoint) -> tuple[Json, Begin]:
    return _shown(site, endpoint, []), lambda: None


def _shown(site: Site, endpoint: Endpoint, operations: list[Json]) -> Json:
    return {"endpoint": shapes.endpoint(endpoint, site.project, HOST), "operations": operations}


def _start(site: Site, branch: Branch, endpoint: Endpoint) -> None:
    with site.work.data(branch.id):
        site.start(branch, endpoint)


def _stop(site: Site, branch: Branch, endpoint: Endpoint) -> None:
    refresh(site, branch, during_operation=True)
    with site.work.data(branch.id):
        site.stop(branch, endpoint)


def _rest(endpoint: Endpoint) -> None:
    endpoint.pending = None
