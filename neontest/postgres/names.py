"""Names as Postgres writes them, made safe for one line of text."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_PLAIN: Final = re.compile(r"[a-z_][a-z0-9_$]*\Z")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_PUBLIC: Final = re.compile(r"""("(?:[^"]|"")*"\.?|'(?:[^']|'')*')|(?<![\w$".])public\.(?=\S)""")


@lru_cache(maxsize=65536)
def quoted(name: str) -> str:
    """The identifier, in double quotes where its characters need them. Key words stay bare: nobody runs this text."""
    return name if _PLAIN.match(name) else '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """The text in single quotes, as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def one_line(text: str) -> str:
    """The text with every character that could break or turn a line written as its escape."""
    return _CONTROL.sub(_escape, text)


def short(text: str, limit: int = 100) -> str:
    """The text on one line, blanks folded, cut in the middle of nowhere but never silently."""
    folded = one_line(" ".join(text.split(" ")) if "\n" not in text else " ".join(text.split()))
    return folded if len(folded) <= limit else folded[: limit - 1].rstrip() + "…"


def without_public(text: str) -> str:
    """SQL or a name with `public.` left out of names, where it is not inside quotes."""
    return _PUBLIC.sub(lambda found: found[1] or "", text) if "public." in text else text


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character) or (
        f"\\x{ord(character):02x}" if ord(character) < 256 else f"\\u{ord(character):04x}"
    )
