"""How a branch is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from neontest.neon.paths import project_path, stamp
from neontest.whose import Source

SCHEMA_ONLY: Final = "schema-only"


def creation(
    project_id: str,
    *,
    name: str,
    expires_at: datetime,
    annotation: Mapping[str, str],
    parent_id: str | None,
    source: Source,
) -> tuple[str, dict[str, Any]]:
    """Path and body of the request; a branch that is to be masked has a path of its own."""
    given = {
        "name": name,
        "expires_at": stamp(expires_at),
        "parent_id": parent_id,
        "parent_lsn": source.lsn,
        "parent_timestamp": source.time,
        "init_source": SCHEMA_ONLY if source.schema_only else None,
    }
    branch = {key: value for key, value in given.items() if value is not None}
    asked = {"branch": branch, "endpoints": [{"type": "read_write"}]}
    if not source.rules:
        return project_path(project_id) + "/branches", {**asked, "annotation_value": dict(annotation)}
    return project_path(project_id) + "/branch_anonymized", {
        "branch_create": asked,
        "masking_rules": msgspec.to_builtins(source.rules),
        "start_anonymization": True,
        "annotation_value": dict(annotation),
    }
