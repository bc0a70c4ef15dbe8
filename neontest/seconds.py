"""A duration, as the record has it."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

LONGEST: Final = 1e8
"""Seconds, three years: a report that tells of more was made up, and its sums would be infinite."""
Seconds = Annotated[float, msgspec.Meta(ge=-LONGEST, le=LONGEST)]
