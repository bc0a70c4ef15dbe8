"""neontest tests Alembic migrations on a throw-away copy-on-write branch of the real database."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
