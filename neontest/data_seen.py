"""Whose rows a run saw; a part of the record, and so public.

Fields are named as the JSON report has them; moments are UTC.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec


class DataSeen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which data the run's branches held."""

    kind: Literal["copy", "schema-only", "anonymized"]
    """Of the parent's rows: all of them, none, or all with columns masked."""
    lsn: str | None = None
    """Of the parent's history; None where there is none, or nobody knows it."""
    time: str | None = None
    """The moment of the parent's history, where one was asked for."""
    masked: int = 0
    """Columns."""
    rules: str | None = None
    """Name of the file with the masking rules."""
    revisions: tuple[str, ...] = ()
    """Those that made the local parent."""
    prepared: str | None = None
    seeded: str | None = None
    """What prepared and filled the local parent: a .sql file, or `a command`."""
    made_at: datetime | None = None
    """When an earlier run made it; None where this one did."""
    rows: int = 0
    """To be invented for each empty table."""
