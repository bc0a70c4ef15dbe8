"""A project that a session has loaded."""

from __future__ import annotations

from pathlib import Path

import msgspec

from neontest.record import Revision


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """What the project says of itself once it is loaded."""

    current: tuple[str, ...] | None
    """The revisions that the database is at; None where the project does not load, but has its own commands."""
    history: tuple[Revision, ...]
    """Alembic's own reading, parents first: also of version locations that only env.py sets."""
    version_locations: tuple[Path, ...]
    notes: tuple[str, ...] = ()
