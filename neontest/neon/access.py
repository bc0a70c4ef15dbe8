"""How to reach a branch: its computes, and by which database and role."""

from __future__ import annotations

from dataclasses import dataclass, field

from neontest.errors import NotFound, Refused
from neontest.neon.client import Neon
from neontest.neon.connection import DEFAULT_DATABASE, DEFAULT_ROLE
from neontest.neon.models import Endpoint
from neontest.stop import Deadline


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How to reach a branch."""

    database: str
    role: str
    endpoints: tuple[Endpoint, ...]
    uri: str | None = field(default=None, repr=False)
    """The direct connection string, a secret; None where nobody asked for it, or there is no compute."""


def access(
    neon: Neon, project_id: str, branch_id: str, database: str | None, role: str | None, *, deadline: Deadline
) -> Access:
    """The way to a branch by what was asked for, else by the names that `choose_database_and_role` chooses.

    The names that nearly every project has are tried first: then nothing needs to be listed.
    """
    endpoints = neon.endpoints(project_id, branch_id, deadline=deadline)
    names = database or DEFAULT_DATABASE, role or DEFAULT_ROLE

    def reached() -> Access:
        uri = neon.connection_uri(
            project_id, branch_id, database=names[0], role=names[1], endpoints=endpoints, deadline=deadline
        )
        return Access(database=names[0], role=names[1], endpoints=endpoints, uri=uri)

    if endpoints:
        try:
            return reached()
        except (NotFound, Refused):
            pass
    names = neon.choose_database_and_role(project_id, branch_id, database, role, deadline=deadline)
    return reached() if endpoints else Access(database=names[0], role=names[1], endpoints=())
