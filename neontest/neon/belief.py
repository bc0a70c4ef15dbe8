"""Whether an answer is about what was asked for: migrations run on what it names, and deletions too."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from neontest.errors import UnexpectedAnswer
from neontest.neon.creation import SCHEMA_ONLY
from neontest.neon.models import Anonymized, Branch, Endpoint, Operation
from neontest.neon.paths import is_id
from neontest.whose import PLAIN, Source

T = TypeVar("T", Branch, Operation)


def same(found: T, wanted: str, what: str) -> T:
    """What was asked for by its id; UnexpectedAnswer where the answer is about another."""
    if found.id != wanted:
        raise UnexpectedAnswer(f"asked for {what} {wanted}, the API answered with another", hint="report this")
    return found


def about(found: Anonymized, branch_id: str) -> Anonymized:
    """The state of that branch's masking; UnexpectedAnswer where it is another's."""
    if found.branch_id != branch_id:
        raise UnexpectedAnswer(f"asked for the masking of branch {branch_id}, the API answered with another's")
    return found


def is_new_branch(
    found: Branch,
    endpoints: Iterable[Endpoint],
    *,
    project_id: str,
    name: str,
    parent_id: str | None,
    source: Source = PLAIN,
) -> bool:
    """Whether this can be the branch that was to be made, and none that was there before.

    One that was to have no rows is a root branch, or says that it has none: else it is a copy of the data.
    """
    return (
        (found.name, found.project_id) == (name, project_id)
        and found.id != parent_id
        and is_id(found.id)
        and not found.default
        and not found.protected
        and (not source.schema_only or (found.init_source or found.parent_id or SCHEMA_ONLY) == SCHEMA_ONLY)
        and all(endpoint.branch_id == found.id for endpoint in endpoints)
    )
