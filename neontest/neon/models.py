"""What the Neon API answers, as far as neontest reads it.

Keys that Neon adds are ignored. `default` and `protected` of a branch have no default here: an answer without them
is refused, since what may be deleted depends on them. Moments are aware datetimes (UTC).
Source: the OpenAPI document of the Neon API v2 (npm `@neondatabase/api-client` 2.7.3, 2026-11).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
T = TypeVar("T")


class Branch(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    project_id: str
    name: str
    created_at: Moment
    default: bool
    protected: bool
    current_state: str = ""
    pending_state: str | None = None
    parent_id: str | None = None
    parent_lsn: str | None = None
    init_source: str | None = None
    """`parent-data`, `schema-only`, or what Neon comes up with."""
    expires_at: Moment | None = None
    annotation: dict[str, str] = msgspec.field(name="neontest-annotation", default_factory=dict)
    """What its creator wrote beside it. It stands outside the branch's own object in every answer."""


class Anonymized(msgspec.Struct, frozen=True, kw_only=True):
    """How far the masking of a branch is."""

    branch_id: str
    state: str
    status_message: str = ""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A compute: what one connects to."""

    id: str
    host: str
    branch_id: str
    type: str
    current_state: str
    pending_state: str | None = None
    disabled: bool = False


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    action: str
    status: str
    branch_id: str | None = None
    endpoint_id: str | None = None
    error: str | None = None
    retry_at: Moment | None = None
    failures_count: int = 0
    created_at: Moment | None = None


class Database(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    owner_name: str
    branch_id: str = ""


class Role(msgspec.Struct, frozen=True, kw_only=True):
    """A role; the password that some answers carry is not even read."""

    name: str
    branch_id: str = ""
    authentication_method: str | None = None
    """`password`, `oauth`, `no_login`, or what Neon comes up with."""


class ProjectOwner(msgspec.Struct, frozen=True, kw_only=True):
    branches_limit: int = 0


class Project(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    pg_version: int = 0
    region_id: str = ""
    store_passwords: bool | None = None
    owner: ProjectOwner | None = None
    effective_project_permission: str | None = None
    """`CAN_VIEW`, `CAN_EDIT` or `CAN_MANAGE`: what the key may do. Older answers do not say it."""


class Auth(msgspec.Struct, frozen=True, kw_only=True):
    """Whom the key belongs to; the one question that keys of every kind may ask."""

    account_id: str
    auth_method: str


class Names(msgspec.Struct, frozen=True, kw_only=True):
    database: str = ""
    role: str = ""


class ConnectionUri(msgspec.Struct, frozen=True, kw_only=True):
    """A direct connection string, and for whom to what."""

    connection_uri: str
    connection_parameters: Names = Names()

    def __repr__(self) -> str:
        return "ConnectionUri(…)"


class CreatedBranch(msgspec.Struct, frozen=True, kw_only=True):
    """The receipt of a branch: it is ready when its operations are through."""

    branch: Branch
    endpoints: tuple[Endpoint, ...] = ()
    operations: tuple[Operation, ...] = ()
    uris: tuple[ConnectionUri, ...] = ()
    """Only where the parent has one role and one database."""
    adopted: bool = False
    """Its creation was answered by nobody; it was found by its name."""


class Annotation(msgspec.Struct, frozen=True, kw_only=True):
    value: dict[str, str] = {}


class Pagination(msgspec.Struct, frozen=True, kw_only=True):
    next: str | None = None
    cursor: str | None = None


class OneBranch(msgspec.Struct, frozen=True, kw_only=True):
    branch: Branch
    annotation: Annotation | None = None
    endpoints: tuple[Endpoint, ...] = ()
    operations: tuple[Operation, ...] = ()
    connection_uris: tuple[ConnectionUri, ...] = ()

    def annotated(self) -> Branch:
        return annotated(self.branch, self.annotation)


class Branches(msgspec.Struct, frozen=True, kw_only=True):
    branches: tuple[Branch, ...]
    annotations: dict[str, Annotation] = {}
    pagination: Pagination | None = None

    def annotated(self) -> tuple[Branch, ...]:
        return tuple(annotated(branch, self.annotations.get(branch.id)) for branch in self.branches)


class Operations(msgspec.Struct, frozen=True, kw_only=True):
    operations: tuple[Operation, ...] = ()
    pagination: Pagination | None = None


class OneOperation(msgspec.Struct, frozen=True, kw_only=True):
    operation: Operation


class Endpoints(msgspec.Struct, frozen=True, kw_only=True):
    endpoints: tuple[Endpoint, ...]


class Databases(msgspec.Struct, frozen=True, kw_only=True):
    databases: tuple[Database, ...]


class Roles(msgspec.Struct, frozen=True, kw_only=True):
    roles: tuple[Role, ...]


class OneProject(msgspec.Struct, frozen=True, kw_only=True):
    project: Project


class Uri(msgspec.Struct, frozen=True, kw_only=True):
    uri: str

    def __repr__(self) -> str:
        return "Uri(…)"


class Password(msgspec.Struct, frozen=True, kw_only=True):
    password: str

    def __repr__(self) -> str:
        return "Password(…)"


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every refusal; `code` is often empty."""

    message: str = ""
    code: str = ""
    request_id: str = ""


def annotated(branch: Branch, annotation: Annotation | None) -> Branch:
    """The branch with what its creator wrote beside it."""
    return msgspec.structs.replace(branch, annotation=dict(annotation.value)) if annotation else branch


def decode(body: bytes, kind: type[T]) -> T:
    """Read an answer's body; msgspec.DecodeError (or its ValidationError) where it is something else."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (RecursionError, UnicodeDecodeError) as error:
        raise msgspec.DecodeError(type(error).__name__) from None


def encode(body: Any) -> bytes:
    return msgspec.json.encode(body)
