"""Moments as Neon writes them: UTC, RFC 3339, whole seconds, `Z`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

LONGEST_LIFE: Final = timedelta(days=30)
"""A branch may expire at most this far ahead. https://neon.com/docs/guides/branch-expiration (2026-11-22)"""

# Both a zone and a full date and time are demanded; `fromisoformat` alone would take much more.
_RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


def text(moment: datetime) -> str:
    """The moment as the API writes it, a fraction of a second cut off."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parsed(written: str) -> datetime | None:
    """The moment in UTC and whole seconds, or None where it is no RFC 3339 moment with a zone."""
    if not _RFC3339.fullmatch(written):
        return None
    try:
        return datetime.fromisoformat(written.upper()).astimezone(UTC).replace(microsecond=0)
    except (ValueError, OverflowError):
        return None
