"""The Neon API v2, seen from outside: the client, what it answers, and when to ask again."""

from __future__ import annotations

import sys
from typing import Final

NOT_NEEDED: Final = ("httpx._main", "trio")
"""What httpx and httpcore import if it is there: a command line, with rich and pygments, and waiting as trio does.

It takes longer than all else of theirs.
"""


def _load() -> None:
    held_back = [each for each in NOT_NEEDED if each not in sys.modules]
    for each in held_back:
        sys.modules[each] = None  # type: ignore[assignment]  # as Python notes what cannot be imported
    try:
        import httpcore  # noqa: F401
        import httpx  # noqa: F401
    finally:
        for each in held_back:
            del sys.modules[each]


_load()
