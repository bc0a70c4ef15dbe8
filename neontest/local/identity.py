"""Ids and secrets in the forms that Neon gives them: `br-quiet-river-a1b2c3d4`."""

from __future__ import annotations

import secrets
from typing import Final

_FIRST: Final = """
    amber autumn bold calm cold damp dawn frosty gentle green hidden late misty morning nameless odd
    old patient plain polished proud quiet rough shy silent small snowy spring still summer tiny
"""
_SECOND: Final = """
    bird brook bush cell cherry cloud dew field fire flower fog forest frost glade grass haze hill lab
    lake leaf meadow moon night paper pine pond rain river sea shape sky snow sound star sun tree wave
"""
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz0123456789"


def branch_id() -> str:
    return f"br-{_words()}-{_tail(8)}"


def endpoint_id() -> str:
    return f"ep-{_words()}-{_tail(8)}"


def project_id() -> str:
    return f"{_words()}-{secrets.randbelow(90_000_000) + 10_000_000}"


def password() -> str:
    """A role's password; letters and digits only, so that nobody who pastes it into a URL has to escape it."""
    return "npg_" + secrets.token_hex(12)


def api_key() -> str:
    return "napi_" + secrets.token_hex(32)


def _words() -> str:
    return f"{secrets.choice(_FIRST.split())}-{secrets.choice(_SECOND.split())}"


def _tail(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(length))
