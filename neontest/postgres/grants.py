"""Access control lists in a normal form: one fact a grantee, independent of order and of what is implied."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

PRIVILEGES: Final = {
    "r": "SELECT",
    "a": "INSERT",
    "w": "UPDATE",
    "d": "DELETE",
    "D": "TRUNCATE",
    "x": "REFERENCES",
    "t": "TRIGGER",
    "m": "MAINTAIN",
    "X": "EXECUTE",
    "U": "USAGE",
    "C": "CREATE",
    "c": "CONNECT",
    "T": "TEMPORARY",
    "s": "SET",
    "A": "ALTER SYSTEM",
}
"""Letters of aclitem, in the order in which they are told.

Source: https://www.postgresql.org/docs/18/ddl-priv.html, table 5.1 (2026-11-22).
"""

PREFIX: Final = "grant to "
"""Of the names of such facts, before the grantee."""

OWN: Final = "owner's privileges"
"""The fact that is there where the owner has not all rights."""

_ORDER: Final = {word: place for place, word in enumerate(PRIVILEGES.values())}
_ELEMENT: Final = re.compile(r'"((?:[^"\\]|\\.)*)"|([^,{}]+)')
_ITEM: Final = re.compile(r'("(?:[^"]|"")*"|[^"=]*)=([a-zA-Z*]*)/("(?:[^"]|"")*"|.*)\Z', re.DOTALL)


@lru_cache(maxsize=16384)
def grants(acl: str | None, default: str | None, owner: str | None, public: str) -> tuple[tuple[str, str], ...]:
    """("grant to app", "SELECT, INSERT") for each grantee, sorted.

    `acl` and `default` are aclitem[] as text; a NULL acl means the default: all to the owner, `public` to PUBLIC.
    What the owner has anyway is left out, so that a new owner is one difference and not three.
    `*` marks the grant option; a grantor other than the owner is named.
    """
    if acl is None:
        return ((PREFIX + "PUBLIC", public),) if public else ()
    given = _by_grantee(acl, owner)
    own: tuple[tuple[str, str], ...] = ()
    if default is not None and owner is not None:
        rights = given.pop(owner, "none")
        if rights != _by_grantee(default, owner).get(owner, "none"):
            own = ((OWN, rights),)
    return own + tuple(sorted((PREFIX + (grantee or "PUBLIC"), rights) for grantee, rights in given.items()))


def _by_grantee(acl: str, owner: str | None) -> dict[str, str]:
    rights: dict[str, list[str]] = {}
    for quoted, plain in _ELEMENT.findall(acl):
        match = _ITEM.match(re.sub(r"\\(.)", r"\1", quoted) if quoted else plain)
        if match is None:
            continue
        grantor = _role(match[3])
        by = f" (by {grantor})" if owner is not None and grantor != owner else ""
        for letter, option in re.findall(r"([a-zA-Z])(\*?)", match[2]):
            rights.setdefault(_role(match[1]), []).append(PRIVILEGES.get(letter, letter) + option + by)
    return {
        grantee: ", ".join(sorted(words, key=lambda word: (_ORDER.get(word.partition(" (")[0].rstrip("*"), 99), word)))
        for grantee, words in rights.items()
    }


def _role(text: str) -> str:
    return text[1:-1].replace('""', '"') if text.startswith('"') else text
