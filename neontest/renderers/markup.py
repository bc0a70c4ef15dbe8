"""Markdown as GitHub reads it, made of any text: whatever stands in a name stays text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from neontest.renderers import words

BLANK: Final = "&#8203;"
"""A blank without width. GitHub looks for mentions, references and addresses in the text that comes of the Markdown,
where an entity is the sign itself again: only something in between keeps them apart.

Source: https://docs.github.com/en/get-started/writing-on-github/working-with-advanced-formatting/autolinked-references-and-urls
(2026-11).
"""
_SIGNS: Final = re.compile(r"[\\`*\[\]#|<>&~@$]|_(?![A-Za-z0-9])|(?<![A-Za-z0-9])_")
"""An underscore within a word begins nothing, and parentheses only after a bracket."""
_SIGNALS: Final = re.compile(
    r"(?P<after>@|#(?=\d)|\bGH-(?=\d)|:(?=//)|\bwww(?=\.)|:(?=[+-]1:|[a-z][\w+-]*:))", re.IGNORECASE | re.ASCII
)
_LEADING: Final = re.compile(r"^(?:[-=:+]+(?=[\s:|-]|$)|\d{1,9}[.)](?=\s|$))")
"""What begins a list, a heading or a table where it begins a line."""
_PLAIN: Final = re.compile(r"[A-Za-z0-9_](?:[\w./:,-]*[A-Za-z0-9_])?", re.ASCII)


def escaped(text: str, limit: int = 1_000) -> str:
    """The text so that Markdown, HTML, mentions and references in it are only text, on one line, cut at the limit."""
    text = cut(words.clean(" ".join(text.split())), limit)
    parts = _SIGNALS.split(text)
    # Of split() with one group, every other part is what matched.
    told = "".join(_entities(part) + BLANK * (at % 2) for at, part in enumerate(parts))
    return _LEADING.sub(lambda found: found[0][:-1] + f"&#{ord(found[0][-1])};", told)


def _entities(text: str) -> str:
    return _SIGNS.sub(lambda found: f"&#{ord(found[0])};", text)


def cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def name(text: str, limit: int = 200) -> str:
    """The text as a name, in the letters of code."""
    if _PLAIN.fullmatch(text) and len(text) <= limit:
        return f"`{text}`"
    return f"<code>{escaped(text, limit)}</code>"


def link(text: str, url: str | None) -> str:
    """The text, which is escaped already, as a link where there is an address."""
    return f"[{text}]({url})" if url else text


def code(text: str, language: str = "") -> str:
    """The text as a code block, whatever backticks are in it."""
    # What a terminal obeys goes, the ends of lines stay: `clean` turns other signs that end lines into a mark.
    text = words.clean(text.replace("\r\n", "\n"))
    fence = fence_for(text)
    return f"{fence}{language}\n{text}\n{fence}"


def fence_for(text: str) -> str:
    return "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))


def folded(summary: str, text: str) -> str:
    """The text behind a line, which is escaped already, and opens it."""
    return f"{opening(summary)}\n\n{text}\n\n{CLOSING}"


def opening(summary: str) -> str:
    return f"<details><summary>{summary}</summary>"


CLOSING: Final = "</details>"


def row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
