"""The Neon API v2, seen from outside: the client, what it answers, and when to ask again."""

import sys
from typing import Final

COMMAND_LINE: Final = "httpx._main"
"""Of httpx, which does without where it cannot be imported: it loads rich and pygments, half of what httpx costs."""

if COMMAND_LINE not in sys.modules:
    sys.modules[COMMAND_LINE] = None  # type: ignore[assignment]  # as Python notes what is not to be imported
