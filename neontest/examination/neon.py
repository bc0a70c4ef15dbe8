"""Neon's side: the key, the project, the parent branch, and what room there is. Only asked, never changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from neontest.errors import Forbidden, NeonError, NotFound, Unauthorized, one_line
from neontest.examination.finding import Finding, Not, attempt
from neontest.ground import find_parent
from neontest.neon.client import Neon
from neontest.neon.models import Branch, Project
from neontest.settings import Settings
from neontest.stop import Deadline, Stop

SECONDS: Final = 6.0
"""For each question."""
KINDS: Final = {
    "api_key_user": "a personal key: it may do what its owner may",
    "api_key_org": "an organization's key, or one for a project of it (the API does not say which)",
    "oauth": "an OAuth token",
}
TABLE: Final = ("project", "parent", "database", "limits")


def neon(settings: Settings, stop: Stop) -> Iterator[Finding]:
    """The findings about Neon; those that need an answer that did not come are "not known"."""
    if settings.engine == "local":
        said = "runs use the local engine"
        if settings.api_key is None:
            yield Finding(what="key", state="not set", said=f"NEON_API_KEY: {said}")
        else:
            yield Finding(what="key", state="not needed", said=f"{said}: {settings.engine_why}")
        return
    line, client = attempt("key", lambda: ("", _client(settings, stop)))
    if client is None:
        yield line
        yield from _unknown(TABLE, "as there is no key to ask with")
        return
    with client:
        line, reached = attempt("key", lambda: _key(client))
        yield line
        if reached is None:
            refused = line.said.startswith("refused")
            yield from _unknown(TABLE, "as the key was not taken" if refused else "as nothing could be asked")
            return
        line, project = attempt("project", lambda: _project(settings, client))
        yield line
        if project is None:
            yield from _unknown(TABLE[1:], "as the project is not")
            return
        line, parent = attempt("parent", lambda: _parent(settings, client, project))
        yield line
        if parent is None:
            yield from _unknown(("database",), "as the parent is not")
        else:
            yield attempt("database", lambda: _database(settings, client, project, parent))[0]
        yield attempt("limits", lambda: _limits(client, project))[0]


def _unknown(names: tuple[str, ...], why: str) -> Iterator[Finding]:
    for name in names:
        yield Finding(what=name, state="not known", said=why)


def _client(settings: Settings, stop: Stop) -> Neon:
    if settings.api_key is None:
        raise Not("wrong", "NEON_API_KEY is not set", "export NEON_API_KEY, or use --local")
    return Neon(settings.api_key, host=settings.api_host, stop=stop)


def _asked(what: str) -> Deadline:
    return Deadline(SECONDS, what=what)


def _key(client: Neon) -> tuple[str, bool]:
    """What kind of key it is. One that may not even ask that is no worse for it: the project will tell."""
    try:
        auth = client.auth(deadline=_asked("asking whose key it is"))
    except Unauthorized as error:
        raise Not(
            "wrong",
            f"refused: {_short(error)}",
            "make a new one at console.neon.tech (account or organization settings, API keys): this one is mistyped,"
            " expired, revoked, or another Neon's",
        ) from error
    except (Forbidden, NotFound):
        return f"taken by {client.host}; of what kind it is, it may not ask", True
    return KINDS.get(auth.auth_method, one_line(auth.auth_method)), True


def _project(settings: Settings, client: Neon) -> tuple[str, Project]:
    if not settings.project_id:
        raise Not("wrong", "none is named", "export NEON_PROJECT_ID, or set project-id in [tool.neontest]")
    try:
        found = client.project(settings.project_id, deadline=_asked("asking for the project"))
    except NotFound as error:
        raise Not(
            "wrong",
            f"the key sees no project {one_line(settings.project_id)}",
            "check NEON_PROJECT_ID, and that the key is one of the project's organization or of the project itself",
        ) from error
    may = found.effective_project_permission
    said = f"{one_line(found.name)} ({found.id}), Postgres {found.pg_version}, {one_line(found.region_id)}"
    if may == "CAN_VIEW":
        raise Not("wrong", f"{said}: the key may only look at it", "use a key that may create and delete branches")
    if found.store_passwords is False:
        raise Not("wrong", f"{said}: it stores no passwords", "turn `store_passwords` on: else there are no URLs")
    return said + (f"; the key {may.lower().replace('_', ' ')}" if may else ""), found


def _parent(settings: Settings, client: Neon, project: Project) -> tuple[str, Branch]:
    found = find_parent(client, project.id, settings.parent, _asked("looking for the parent"))
    said = f"{one_line(found.name)} ({found.id})" + (", the project's default" if found.default else "")
    if found.expires_at is not None:
        raise Not("wrong", f"{said} expires, and so can have no branches", "choose another, or remove its expiry")
    return said + (", protected: branches of it get passwords of their own" if found.protected else ""), found


def _database(settings: Settings, client: Neon, project: Project, parent: Branch) -> tuple[str, None]:
    database, role = client.choose_database_and_role(
        project.id, parent.id, settings.database, settings.role, deadline=_asked("listing databases and roles")
    )
    return f"{one_line(database)}, as the role {one_line(role)}", None


def _limits(client: Neon, project: Project) -> tuple[str, None]:
    used = len(client.branches(project.id, deadline=_asked("counting the branches")))
    limit = project.owner.branches_limit if project.owner else 0
    if limit <= 0:
        return f"{used} branches; the API does not tell this key how many there may be", None
    said = f"{used} of {limit} branches"
    # The whole walk has one branch, the stairway another; a revision that leaves its own unfit costs one more.
    if used >= limit:
        raise Not("wrong", f"{said}: no room for a run", "`neontest sweep`, delete branches, or raise the plan's limit")
    if used + 2 > limit:
        raise Not("warning", f"{said}: a run takes two", "`neontest sweep`, delete branches, or run with --mode whole")
    return said, None


def _short(error: NeonError) -> str:
    return error.message.partition(" (request ")[0].partition(": ")[2]
