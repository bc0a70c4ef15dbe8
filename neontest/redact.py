"""Secrets are taken out of whatever is told, in every spelling that they are likely to have."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, TypeVar
from urllib.parse import quote, unquote, urlsplit

import msgspec

T = TypeVar("T", bound=msgspec.Struct)

SHORTEST: Final = 4
"""Characters; shorter secrets are only replaced inside URLs, or they would riddle every text."""
SHORTEST_ENCODED: Final = 8
"""Characters of base64 that nothing else is likely to have in it."""
MARK: Final = "***"
_URL_SAFE: Final = str.maketrans("+/", "-_")
URL_PASSWORD: Final = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/:@]*:)[^\s@/]+(?=@)", re.IGNORECASE)


def spellings(secret: str) -> set[str]:
    """The secret as it is, percent-encoded, decoded, and as JSON writes it; but for what is too short."""
    quoted = (quote(secret, safe=safe, errors="surrogateescape") for safe in ("", "/"))  # it may be no text
    found = (secret, *quoted, unquote(secret), json.dumps(secret)[1:-1])
    return {each for each in found if len(each) >= SHORTEST}


def encodings(secret: str) -> set[str]:
    """What base64 makes of the secret within a longer text, wherever in it the secret stands; "" for a short one.

    Of each of the three ways in which its bytes can fall into groups, what does not depend on its neighbours.
    """
    found = set()
    for before in range(3):
        padded = b"\0" * before + secret.encode("utf-8", "replace")
        kept = base64.b64encode(padded)[(before * 8 + 5) // 6 : len(padded) * 8 // 6].decode()
        found |= {kept, kept.translate(_URL_SAFE)}
    return {each for each in found if len(each) >= SHORTEST_ENCODED}


def url_secrets(url: str) -> tuple[str, ...]:
    """A connection string and the password in it."""
    try:
        return url, unquote(urlsplit(url).password or "")
    except ValueError:
        return (url,)


def to_nobody(secret: str) -> None:
    """Tell nobody."""


class Redactor:
    """Replaces the secrets that it was told of, and every password inside a URL.

    `learned` is called with each connection string and password when it is first known.
    """

    def __init__(self, learned: Callable[[str], None] = to_nobody) -> None:
        self._secrets: set[str] = set()
        self._learned = learned

    def __repr__(self) -> str:
        return f"Redactor({len(self._secrets)} secrets)"

    def add(self, secret: str | None) -> None:
        """Learn a secret in all its spellings."""
        if secret:
            self._secrets |= spellings(secret) | encodings(secret)

    def add_url(self, url: str) -> None:
        """Learn a connection string and the password in it."""
        for secret in url_secrets(url):
            if secret and secret not in self._secrets:
                self._learned(secret)
            self.add(secret)

    def text(self, text: str) -> str:
        # The longest first: one secret may be a part of another.
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, MARK)
        return URL_PASSWORD.sub(rf"\g<1>{MARK}", text)

    def struct(self, value: T) -> T:
        """The same struct with every text in it redacted."""
        text = lru_cache(maxsize=None)(self.text)  # most of them are in it many times

        def redacted(value: Any) -> Any:
            match value:
                case str():
                    return text(value)
                case dict():
                    return {key: redacted(each) for key, each in value.items()}
                case list() | tuple():
                    return [redacted(each) for each in value]
                case _:
                    return value

        return msgspec.convert(redacted(msgspec.to_builtins(value, builtin_types=())), type(value))
