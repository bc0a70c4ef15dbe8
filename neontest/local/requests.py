"""What clients may ask for: bodies and queries, read and bounded.

Unknown keys are ignored, as on Neon; a null is as good as nothing. What cannot be read is a 400.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from neontest.local.moments import LONGEST_LIFE, now, parsed
from neontest.local.problem import Problem

T = TypeVar("T")

LONGEST_CURSOR: Final = 8192
"""Characters; the longest name, of 256, becomes 4096 of them at most."""

PRINTED: Final = r"\A[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]*\Z"
"""No control characters, and nothing else that ends a line."""

Name = Annotated[str, Meta(min_length=1, max_length=256, pattern=PRINTED)]
ComputeName = Annotated[str, Meta(min_length=1, max_length=64, pattern=PRINTED)]
Seconds = Annotated[int, Meta(ge=-1, le=604800)]
ComputeUnit = Annotated[float, Meta(ge=0.25)]
Annotation = Annotated[dict[str, str], Meta(max_length=50)]


class BranchSpec(msgspec.Struct, kw_only=True):
    name: Name | None = None
    parent_id: str | None = None
    parent_lsn: str | None = None
    parent_timestamp: str | None = None
    protected: bool | None = None
    archived: bool | None = None
    init_source: str | None = None
    expires_at: str | None = None


class EndpointSpec(msgspec.Struct, kw_only=True):
    type: Literal["read_write", "read_only"]
    branch_id: str | None = None
    name: ComputeName | None = None
    suspend_timeout_seconds: Seconds | None = None
    autoscaling_limit_min_cu: ComputeUnit | None = None
    autoscaling_limit_max_cu: ComputeUnit | None = None


class CreateBranch(msgspec.Struct, kw_only=True):
    branch: BranchSpec | None = None
    endpoints: list[EndpointSpec] | None = None
    annotation_value: Annotation | None = None


class MaskingRule(msgspec.Struct, kw_only=True):
    database_name: str
    schema_name: str
    table_name: str
    column_name: str
    masking_function: str | None = None
    masking_value: str | None = None


class CreateAnonymized(msgspec.Struct, kw_only=True):
    branch_create: CreateBranch | None = None
    masking_rules: list[MaskingRule] | None = None
    start_anonymization: bool | None = None
    annotation_value: Annotation | None = None


class BranchChange(msgspec.Struct, kw_only=True):
    name: Name | None = None
    protected: bool | None = None
    expires_at: str | UnsetType | None = UNSET
    """Here a null means something: no expiry any more."""


class UpdateBranch(msgspec.Struct, kw_only=True):
    branch: BranchChange


class RestoreBranch(msgspec.Struct, kw_only=True):
    source_branch_id: str
    source_lsn: str | None = None
    source_timestamp: str | None = None
    preserve_under_name: str | None = None


class CreateEndpoint(msgspec.Struct, kw_only=True):
    endpoint: EndpointSpec


class EndpointChange(msgspec.Struct, kw_only=True):
    name: ComputeName | None = None
    suspend_timeout_seconds: Seconds | None = None
    autoscaling_limit_min_cu: ComputeUnit | None = None
    autoscaling_limit_max_cu: ComputeUnit | None = None
    disabled: bool | None = None


class UpdateEndpoint(msgspec.Struct, kw_only=True):
    endpoint: EndpointChange


class RoleSpec(msgspec.Struct, kw_only=True):
    name: Annotated[str, Meta(min_length=1, max_length=63)]
    no_login: bool | None = None


class CreateRole(msgspec.Struct, kw_only=True):
    role: RoleSpec


class DatabaseSpec(msgspec.Struct, kw_only=True):
    name: Annotated[str, Meta(min_length=1, max_length=63)]
    owner_name: Annotated[str, Meta(min_length=1, max_length=63)]


class CreateDatabase(msgspec.Struct, kw_only=True):
    database: DatabaseSpec


def body(data: bytes, form: type[T]) -> T:
    """The request's body; none at all is an empty object, as on Neon."""
    try:
        return msgspec.json.decode(data if data.strip() else b"{}", type=form)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, f"the request body is not what this operation takes: {error}") from error


class Query:
    """The query's parameters, each read as what it has to be."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def text(self, name: str) -> str | None:
        """The parameter, None where it is absent or empty."""
        return self._values.get(name) or None

    def required(self, name: str) -> str:
        if (value := self.text(name)) is None:
            raise Problem(400, f"query parameter {name} is required")
        return value

    def number(self, name: str, *, low: int, high: int, default: int) -> int:
        if (value := self.text(name)) is None:
            return default
        # int() would also take "１", " 1 " and "1_0".
        if not (value.isascii() and value.isdigit() and len(value) < 10 and low <= int(value) <= high):
            raise Problem(400, f"query parameter {name} must be a number from {low} to {high}")
        return int(value)

    def flag(self, name: str, *, default: bool) -> bool:
        """A boolean in any case: the PyPI package neon-api sends `True`."""
        if (value := self.text(name)) is None:
            return default
        if value.lower() not in ("true", "false", "1", "0"):
            raise Problem(400, f"query parameter {name} must be true or false")
        return value.lower() in ("true", "1")

    def choice(self, name: str, options: Sequence[str], *, default: str) -> str:
        if (value := self.text(name)) is None:
            return default
        if value.lower() not in options:
            raise Problem(400, f"query parameter {name} must be one of {', '.join(options)}")
        return value.lower()

    def refuse(self, *names: str) -> None:
        """Say of parameters that mean another moment in time that there is none here."""
        for name in names:
            if self.text(name):
                raise no_time_travel(name)


def no_time_travel(name: str) -> Problem:
    return Problem(
        422, f"{name} is not available on a local Neon: a copy of a Postgres cluster has no history to go back to"
    )


def expiry(written: str) -> datetime:
    """When a branch shall expire, held against Neon's rules."""
    moment = parsed(written)
    if moment is None:
        raise Problem(400, "expires_at must be an RFC 3339 moment with a zone, such as 2026-01-31T12:00:00Z")
    at = now()
    if moment <= at:
        raise Problem(422, "expires_at must be in the future")
    if moment > at + LONGEST_LIFE:
        raise Problem(422, "expires_at must be at most 30 days from now")
    return moment


def cursor(position: list[str]) -> str:
    """An opaque token for a place in a list."""
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode()


def position(token: str, length: int) -> list[str]:
    """The place that a token stands for."""
    try:
        if len(token) > LONGEST_CURSOR:
            raise ValueError("too long")
        found: Any = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (binascii.Error, UnicodeError, ValueError, RecursionError) as error:
        raise Problem(400, "query parameter cursor is not one that was handed out here") from error
    if isinstance(found, list) and len(found) == length and all(isinstance(each, str) for each in found):
        return found
    raise Problem(400, "query parameter cursor is not one that was handed out here")
