"""Which path is which verb."""

from __future__ import annotations

import functools
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

import msgspec
from werkzeug.routing import Map, Rule

from neontest.local import branching, catalog, computes, listing, masking, requests, schema, shapes
from neontest.local.problem import Problem, not_found
from neontest.local.requests import Query
from neontest.local.shapes import Json
from neontest.local.site import HOST, Site

OK: Final = HTTPStatus.OK
CREATED: Final = HTTPStatus.CREATED
NO_CONTENT: Final = HTTPStatus.NO_CONTENT


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request, as a route sees it."""

    site: Site
    path: dict[str, str]
    query: Query
    body: bytes


class Answer(msgspec.Struct, frozen=True):
    json: Json | None
    status: HTTPStatus = OK
    begin: Callable[[], object] | None = None
    """The work that the answer speaks of."""


Route = Callable[[Call], Answer]
ROUTES: Final[dict[tuple[str, str], Route]] = {}
PROJECT: Final = "/projects/<project_id>"
BRANCH: Final = PROJECT + "/branches/<branch_id>"
ENDPOINT: Final = PROJECT + "/endpoints/<endpoint_id>"


def on(method: str, path: str) -> Callable[[Route], Route]:
    """Make the function the answer to a method and a path."""

    def add(route: Route) -> Route:
        ROUTES[method, path] = route
        return route

    return add


@functools.cache
def url_map() -> Map:
    """The paths, with `(method, path)` as the name of each."""
    return Map(
        [Rule(f"/api/v2{path}", endpoint=(method, path), methods=[method]) for method, path in ROUTES],
        strict_slashes=False,
        merge_slashes=False,
        redirect_defaults=False,
    )


# who is asking


@on("GET", "/users/me")
def me(call: Call) -> Answer:
    return Answer(shapes.user(call.site.project, call.site.branches_limit))


@on("GET", "/users/me/organizations")
def organizations(call: Call) -> Answer:
    return Answer({"organizations": [shapes.organization(call.site.project)]})


@on("GET", "/auth")
def auth(call: Call) -> Answer:
    return Answer({"account_id": call.site.project.account_id, "auth_method": "api_key_user"})


@on("GET", "/projects")
def projects(call: Call) -> Answer:
    return Answer(listing.projects(call.site, call.query))


@on("GET", "/projects/shared")
def shared_projects(call: Call) -> Answer:
    return Answer({"projects": []})


# the project


@on("GET", PROJECT)
def project(call: Call) -> Answer:
    return Answer({"project": shapes.project(call.site.project, HOST, call.site.branches_limit)})


@on("GET", PROJECT + "/operations")
def operations(call: Call) -> Answer:
    return Answer(listing.operations(call.site, call.query))


@on("GET", PROJECT + "/operations/<operation_id>")
def operation(call: Call) -> Answer:
    found = call.site.store.operation(call.path["operation_id"].lower())
    return Answer({"operation": shapes.operation(found, call.site.project)})


@on("GET", PROJECT + "/connection_uri")
def connection_uri(call: Call) -> Answer:
    site, query = call.site, call.query
    pooled = query.flag("pooled", default=True)
    endpoint_id, branch_id = query.text("endpoint_id"), query.text("branch_id")
    database_name, role_name = query.required("database_name"), query.required("role_name")
    with site.store.lock:
        if endpoint_id is not None:
            found = site.store.endpoint(endpoint_id)
            if branch_id not in (None, found.branch_id):
                raise not_found("endpoint")
            branch_id = found.branch_id
        branch = site.living(branch_id) if branch_id else site.store.default_branch()
    catalog.refresh(site, branch)
    with site.store.lock:
        database, role = site.store.database(branch, database_name), site.store.role(branch, role_name)
        if role.password is None:
            raise unknown_password()
    endpoint = site.wake(branch)
    if endpoint is None:
        raise not_found("endpoint")
    return Answer({"uri": site.uri(endpoint.port, endpoint.id, role, database.name, pooled=pooled)})


# branches


@on("GET", PROJECT + "/branches")
def branches(call: Call) -> Answer:
    return Answer(listing.branches(call.site, call.query))


@on("POST", PROJECT + "/branches")
def create_branch(call: Call) -> Answer:
    json, begin = branching.create(call.site, requests.body(call.body, requests.CreateBranch))
    return Answer(json, CREATED, begin)


@on("POST", PROJECT + "/branch_anonymized")
def create_anonymized_branch(call: Call) -> Answer:
    asked = requests.body(call.body, requests.CreateAnonymized)
    if not asked.masking_rules or not asked.start_anonymization:
        raise Problem(422, "a local Neon anonymizes only at once: give masking_rules, and start_anonymization true")
    for each in asked.masking_rules:
        masking.expression(each)
    created = asked.branch_create or requests.CreateBranch()
    if created.branch is not None and created.branch.init_source == branching.SCHEMA_ONLY:
        raise Problem(422, "a schema-only branch has nothing to anonymize")
    created.annotation_value = asked.annotation_value
    json, begin = branching.create(call.site, created, asked.masking_rules)
    return Answer(json, CREATED, begin)


@on("GET", BRANCH + "/anonymized_status")
def anonymized_status(call: Call) -> Answer:
    found = call.site.store.branch(call.path["branch_id"])
    if found.masking is None:
        raise not_found("anonymized branch")
    return Answer(shapes.masking(found, found.masking, call.site.project))


@on("GET", PROJECT + "/branches/count")
def count(call: Call) -> Answer:
    return Answer({"count": len(listing.found_branches(call.site, call.query))})


@on("GET", BRANCH)
def branch(call: Call) -> Answer:
    """A branch on its way out is shown until it is gone: a 404 proves that nothing is left."""
    found = call.site.store.branch(call.path["branch_id"])
    return Answer({"branch": shapes.branch(found, call.site.project), "annotation": shapes.annotation(found)})


@on("PATCH", BRANCH)
def update_branch(call: Call) -> Answer:
    change = requests.body(call.body, requests.UpdateBranch).branch
    return Answer(branching.update(call.site, call.path["branch_id"], change))


@on("DELETE", BRANCH)
def delete_branch(call: Call) -> Answer:
    call.query.flag("hard_delete", default=False)  # nothing is kept here, in either case
    deleted = branching.delete(call.site, call.path["branch_id"])
    return Answer(None, NO_CONTENT) if deleted is None else Answer(deleted[0], OK, deleted[1])


@on("POST", BRANCH + "/restore")
def restore_branch(call: Call) -> Answer:
    asked = requests.body(call.body, requests.RestoreBranch)
    json, begin = branching.restore(call.site, call.path["branch_id"], asked)
    return Answer(json, OK, begin)


@on("POST", BRANCH + "/set_as_default")
def set_as_default(call: Call) -> Answer:
    return Answer(branching.set_as_default(call.site, call.path["branch_id"]))


@on("GET", BRANCH + "/schema")
def branch_schema(call: Call) -> Answer:
    call.query.refuse("lsn", "timestamp")
    if (form := call.query.text("format")) not in (None, "sql"):
        raise Problem(422, f'format "{form}" is not available on a local Neon: only "sql" is')
    found, database = call.site.living(call.path["branch_id"]), call.query.required("db_name")
    catalog.refresh(call.site, found)
    return Answer({"sql": schema.dump(call.site, found, database)})


@on("GET", BRANCH + "/compare_schema")
def compare_schema(call: Call) -> Answer:
    call.query.refuse("lsn", "timestamp", "base_lsn", "base_timestamp")
    found, database = call.site.living(call.path["branch_id"]), call.query.required("db_name")
    base_id = call.query.text("base_branch_id") or found.parent_id
    if base_id is None:
        raise Problem(422, "the branch has no parent to compare it with: base_branch_id is required")
    base = call.site.living(base_id)
    for each in (found, base):
        catalog.refresh(call.site, each)
    return Answer({"diff": schema.compare(call.site, found, base, database)})


# roles and databases


@on("GET", BRANCH + "/roles")
def roles(call: Call) -> Answer:
    found = call.site.living(call.path["branch_id"])
    catalog.refresh(call.site, found)
    return Answer({"roles": [shapes.role(each, found.id) for each in found.roles]})


@on("POST", BRANCH + "/roles")
def create_role(call: Call) -> Answer:
    asked = requests.body(call.body, requests.CreateRole).role
    json, begin = catalog.create_role(call.site, call.path["branch_id"], asked)
    return Answer(json, CREATED, begin)


@on("GET", BRANCH + "/roles/<role_name>")
def role(call: Call) -> Answer:
    found = call.site.living(call.path["branch_id"])
    catalog.refresh(call.site, found)
    return Answer({"role": shapes.role(call.site.store.role(found, call.path["role_name"]), found.id)})


@on("GET", BRANCH + "/roles/<role_name>/reveal_password")
def reveal_password(call: Call) -> Answer:
    found = call.site.living(call.path["branch_id"])
    asked = call.site.store.role(found, call.path["role_name"])
    if asked.password is None:
        raise unknown_password()
    call.site.wake(found)  # who asks for a password is about to connect
    return Answer({"password": asked.password})


@on("GET", BRANCH + "/databases")
def databases(call: Call) -> Answer:
    found = call.site.living(call.path["branch_id"])
    catalog.refresh(call.site, found)
    return Answer({"databases": [shapes.database(each, found.id) for each in found.databases]})


@on("POST", BRANCH + "/databases")
def create_database(call: Call) -> Answer:
    asked = requests.body(call.body, requests.CreateDatabase).database
    json, begin = catalog.create_database(call.site, call.path["branch_id"], asked)
    return Answer(json, CREATED, begin)


@on("GET", BRANCH + "/databases/<database_name>")
def database(call: Call) -> Answer:
    found = call.site.living(call.path["branch_id"])
    catalog.refresh(call.site, found)
    asked = call.site.store.database(found, call.path["database_name"])
    return Answer({"database": shapes.database(asked, found.id)})


@on("DELETE", BRANCH + "/roles/<role_name>")
def delete_role(call: Call) -> Answer:
    deleted = catalog.delete_role(call.site, call.path["branch_id"], call.path["role_name"])
    return Answer(None, NO_CONTENT) if deleted is None else Answer(deleted[0], OK, deleted[1])


@on("DELETE", BRANCH + "/databases/<database_name>")
def delete_database(call: Call) -> Answer:
    deleted = catalog.delete_database(call.site, call.path["branch_id"], call.path["database_name"])
    return Answer(None, NO_CONTENT) if deleted is None else Answer(deleted[0], OK, deleted[1])


# computes


@on("GET", BRANCH + "/endpoints")
def branch_endpoints(call: Call) -> Answer:
    found = call.site.living(call.path["branch_id"])
    endpoint = call.site.store.endpoint_of(found.id)
    return Answer({"endpoints": [shapes.endpoint(endpoint, call.site.project, HOST)] if endpoint else []})


@on("GET", PROJECT + "/endpoints")
def endpoints(call: Call) -> Answer:
    found = call.site.store.endpoints()
    return Answer({"endpoints": [shapes.endpoint(each, call.site.project, HOST) for each in found]})


@on("POST", PROJECT + "/endpoints")
def create_endpoint(call: Call) -> Answer:
    json, begin = computes.create(call.site, requests.body(call.body, requests.CreateEndpoint).endpoint)
    return Answer(json, CREATED, begin)


@on("GET", ENDPOINT)
def endpoint(call: Call) -> Answer:
    found = call.site.store.endpoint(call.path["endpoint_id"])
    return Answer({"endpoint": shapes.endpoint(found, call.site.project, HOST)})


@on("PATCH", ENDPOINT)
def update_endpoint(call: Call) -> Answer:
    change = requests.body(call.body, requests.UpdateEndpoint).endpoint
    return Answer(computes.update(call.site, call.path["endpoint_id"], change))


@on("DELETE", ENDPOINT)
def delete_endpoint(call: Call) -> Answer:
    deleted = computes.delete(call.site, call.path["endpoint_id"])
    return Answer(None, NO_CONTENT) if deleted is None else Answer(deleted[0], OK, deleted[1])


@on("POST", ENDPOINT + "/start")
def start_endpoint(call: Call) -> Answer:
    json, begin = computes.start(call.site, call.path["endpoint_id"])
    return Answer(json, OK, begin)


@on("POST", ENDPOINT + "/suspend")
def suspend_endpoint(call: Call) -> Answer:
    json, begin = computes.suspend(call.site, call.path["endpoint_id"])
    return Answer(json, OK, begin)


@on("POST", ENDPOINT + "/restart")
def restart_endpoint(call: Call) -> Answer:
    json, begin = computes.restart(call.site, call.path["endpoint_id"])
    return Answer(json, OK, begin)


def unknown_password() -> Problem:
    return Problem(412, "the password of a role that was made by SQL is not stored")
