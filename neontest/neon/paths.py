"""How the API wants ids, paths and moments written."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from neontest.errors import UsageError

_ID = re.compile(r"[a-z0-9-]{1,60}")


def is_id(value: str) -> bool:
    return _ID.fullmatch(value) is not None


def checked_id(value: str, what: str) -> str:
    """The id, as the API's contract writes ids; UsageError before any request otherwise."""
    if not is_id(value):
        raise UsageError(
            f"{what} {value[:80]!r} is not an id of Neon's",
            hint="ids consist of small letters, digits and hyphens, 60 at most; the console shows them",
        )
    return value


def project_path(project_id: str) -> str:
    return f"/projects/{checked_id(project_id, 'the project')}"


def branch_path(project_id: str, branch_id: str) -> str:
    return f"{project_path(project_id)}/branches/{checked_id(branch_id, 'the branch')}"


def stamp(moment: datetime) -> str:
    """RFC 3339 in UTC, whole seconds: what the API stores."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
