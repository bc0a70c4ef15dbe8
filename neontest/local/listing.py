"""Lists, in pages: sorted, searched, and with a cursor to go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from neontest.local import shapes
from neontest.local.requests import Query, cursor, position
from neontest.local.shapes import Json
from neontest.local.site import HOST, Site
from neontest.local.store import Branch

PAGE: Final = 100
"""Entries in a page of branches or operations when the client does not say; Neon does not document its number."""

_KEYS: Final[dict[str, Callable[[Branch], str]]] = {
    "name": lambda branch: branch.name,
    "created_at": lambda branch: branch.created_at.isoformat(timespec="microseconds"),
    "updated_at": lambda branch: branch.updated_at.isoformat(timespec="microseconds"),
}


def branches(site: Site, query: Query) -> Json:
    """A page of branches, with the annotations of those that have one."""
    sort_by = query.choice("sort_by", tuple(_KEYS), default="updated_at")
    order = query.choice("sort_order", ("asc", "desc"), default="desc")
    limit = query.number("limit", low=1, high=10000, default=PAGE)
    after = query.text("cursor")
    place = tuple(position(after, 2)) if after else None
    descending = order == "desc"

    def key(branch: Branch) -> tuple[str, ...]:
        return (_KEYS[sort_by](branch), branch.id)

    with site.store.lock:
        found = sorted(found_branches(site, query), key=key, reverse=descending)
        if place is not None:
            found = [each for each in found if (key(each) < place if descending else key(each) > place)]
        page = found[:limit]
        pagination = {"sort_by": sort_by, "sort_order": order.upper()}
        if len(found) > limit:
            pagination["next"] = cursor(list(key(page[-1])))
        return {
            "branches": [shapes.branch(each, site.project) for each in page],
            "annotations": {each.id: shapes.annotation(each) for each in page if each.annotation},
            "pagination": pagination,
        }


def found_branches(site: Site, query: Query) -> list[Branch]:
    """Branches whose name or id contains what is searched for."""
    search = query.text("search") or ""
    return [each for each in site.store.branches() if search in each.name or search in each.id]


def operations(site: Site, query: Query) -> Json:
    """A page of operations, the newest first; as on Neon the last page has a cursor too."""
    limit = query.number("limit", low=1, high=1000, default=PAGE)
    after = query.text("cursor")
    with site.store.lock:
        found = list(reversed(site.store.state.operations.values()))
        if after:
            (last,) = position(after, 1)
            ids = [each.id for each in found]
            found = found[ids.index(last) + 1 :] if last in ids else []
        page = found[:limit]
        answer: Json = {"operations": shapes.operations(page, site.project)}
        if page:
            answer["pagination"] = {"cursor": cursor([page[-1].id])}
        return answer


def projects(site: Site, query: Query) -> Json:
    """The one project, unless something else is looked for."""
    query.number("limit", low=1, high=400, default=10)
    project = site.project
    search, organization, after = query.text("search") or "", query.text("org_id"), query.text("cursor")
    answer: Json = {"projects": [], "applications": {}, "integrations": {}}
    if after:
        position(after, 1)
    elif (search in project.name or search in project.id) and organization in (None, shapes.ORGANIZATION):
        answer["projects"] = [shapes.project_item(project, HOST)]
        answer["pagination"] = {"cursor": cursor([project.id])}
    return answer
