"""Which database, which role, and whether a connection string leads to the branch that was meant."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import parse_qsl

from neontest.errors import UnexpectedAnswer, UsageError, one_line
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
_URI: Final = re.compile(
    r"postgres(?:ql)?://[^@/?#\s]+@(?P<host>[\w.-]+)(?::(?P<port>\d+))?(?:/[^@/?#\s]*)?(?:\?(?P<query>[^#\s]*))?"
)
# What a query can say about the server, the database or the role, past all that stands before it.
_ELSEWHERE: Final = frozenset({"host", "service", "servicefile", "dbname", "database", "user", "password"})


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
    said = one_line(", ".join(sorted(names))) or "none"
    if wanted is not None:
        if wanted in names:
            return wanted
        raise UsageError(f"the branch has no {what} {wanted!r}", hint=f"it has: {said}")
    if len(names) == 1:
        return names[0]
    if usual in names:
        return usual
    raise UsageError(f"which {what} of the branch to use is not clear", hint=f"choose with --{what} one of: {said}")


def checked_uri(uri: str, endpoints: Iterable[Endpoint], branch_id: str, others: Iterable[Endpoint] = ()) -> str:
    """The connection string, once it is proved to lead straight to a compute of this branch.

    `others` are the computes of its parent, which it must never lead to, whosesoever the API says they are.
    A pooled host would break session state that migrations rely on; a foreign host would run them somewhere else.
    libpq and Python split an odd URI at different places, so only a plain one is believed. `endpoint.host` of a server
    on this machine is `host:port`.
    """
    parts = _URI.fullmatch(uri)
    if parts is None or not uri.isascii() or not uri.isprintable():
        raise UnexpectedAnswer(f"the connection string of branch {branch_id} is not one of Postgres")
    name = parts["host"].lower()
    if name.partition(".")[0].endswith("-pooler"):
        raise UnexpectedAnswer(
            f"the connection string of branch {branch_id} is a pooled one, though the direct one was asked for",
            hint="migrations need a session of their own; report this",
        )
    settings = parse_qsl(parts["query"] or "", keep_blank_values=True)
    query = dict(settings)
    if len(query) < len(settings) or not _ELSEWHERE.isdisjoint(query):
        raise UnexpectedAnswer(
            f"the connection string of branch {branch_id} says in its query where it leads",
            hint="nothing was run there; report this",
        )
    own = {endpoint.host.lower() for endpoint in endpoints if endpoint.branch_id == branch_id}
    # libpq connects to `hostaddr`, whatever the host is called.
    address = query.get("hostaddr", name).lower()
    port = query.get("port") or parts["port"] or "5432"
    if f"{address}:{port}" not in own and not (address in own and port == "5432"):
        raise UnexpectedAnswer(
            f"the connection string of branch {branch_id} leads to {address}:{port}, which is none of "
            f"the branch's computes ({', '.join(sorted(own)) or 'it has none'})",
            hint="nothing was run there; report this",
        )
    if {address, f"{address}:{port}"} & {each.host.lower() for each in others}:
        raise UnexpectedAnswer(
            f"the connection string of branch {branch_id} leads to {address}:{port}, a compute of its parent",
            hint="nothing was run there; report this",
        )
    return uri
