"""Which database, which role, and whether a connection string leads to the branch that was meant."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import parse_qs, urlsplit

from neontest.errors import UnexpectedAnswer, UsageError
from neontest.neon.models import Database, Endpoint, Role

DEFAULT_DATABASE: Final = "neondb"
DEFAULT_ROLE: Final = "neondb_owner"
# Roles that Neon makes for Neon Auth and the Data API, and its own.
# https://neon.com/docs/data-api/get-started (2026-11)
NEONS_ROLES: Final = frozenset(
    {
        "anonymous",
        "anon",
        "authenticated",
        "authenticator",
        "cloud_admin",
        "neon_auth",
        "neon_service",
        "neon_superuser",
        "service_role",
        "web_access",
    }
)


def chosen_database(databases: Iterable[Database], wanted: str | None) -> Database:
    """The database that was asked for, else the only one, else `neondb`; UsageError names the candidates."""
    candidates = {database.name: database for database in databases}
    name = _chosen("database", tuple(candidates), wanted, DEFAULT_DATABASE)
    return candidates[name]


def chosen_role(roles: Iterable[Role], wanted: str | None) -> str:
    """The role that was asked for, else the only one that can log in, else `neondb_owner`."""
    roles = tuple(roles)
    if wanted is not None:
        return _chosen("role", tuple(role.name for role in roles), wanted, DEFAULT_ROLE)
    candidates = tuple(
        role.name for role in roles if role.authentication_method != "no_login" and role.name not in NEONS_ROLES
    )
    return _chosen("role", candidates, None, DEFAULT_ROLE)


def _chosen(what: str, names: tuple[str, ...], wanted: str | None, usual: str) -> str:
    said = ", ".join(sorted(names)) or "none"
    if wanted is not None:
        if wanted in names:
            return wanted
        raise UsageError(f"the branch has no {what} {wanted!r}", hint=f"it has: {said}")
    if len(names) == 1:
        return names[0]
    if usual in names:
        return usual
    raise UsageError(f"which {what} of the branch to use is not clear", hint=f"choose with --{what} one of: {said}")


def checked_uri(uri: str, endpoints: Iterable[Endpoint], branch_id: str) -> str:
    """The connection string, once it is proved to lead straight to a compute of this branch.

    A pooled host would break session state that migrations rely on; a foreign host would run them somewhere else.
    A server on this machine says its address as `host:port` in `endpoint.host`, or as `hostaddr` in the query.
    """
    try:
        parts = urlsplit(uri)
        name, port = parts.hostname or "", parts.port
    except ValueError:
        parts, name, port = urlsplit(""), "", None
    if parts.scheme not in ("postgresql", "postgres") or not name:
        raise UnexpectedAnswer(f"the connection string of branch {branch_id} is not one of Postgres")
    if name.partition(".")[0].endswith("-pooler"):
        raise UnexpectedAnswer(
            f"the connection string of branch {branch_id} is a pooled one, though the direct one was asked for",
            hint="migrations need a session of their own; report this",
        )
    own = {endpoint.host.lower() for endpoint in endpoints if endpoint.branch_id == branch_id}
    query = parse_qs(parts.query)
    addresses = {name, f"{name}:{port}"}
    for hostaddr in query.get("hostaddr", []):
        addresses |= {hostaddr, f"{hostaddr}:{query.get('port', [str(port)])[0]}"}
    if not addresses & own:
        raise UnexpectedAnswer(
            f"the connection string of branch {branch_id} leads to {name}, which is none of the branch's computes "
            f"({', '.join(sorted(own)) or 'it has none'})",
            hint="nothing was run there; report this",
        )
    return uri
