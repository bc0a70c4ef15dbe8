"""SQL without the values that are written in it. Pure.

A value is whatever stands as a literal: strings of every kind (`''`, `E''`, `B''`, `X''`, `U&''`, `N''`, between
dollars), numbers, the rows of a COPY, and comments, which may hold any of them. `'…'` stands in its place: what is left
reads as SQL, and can be taken apart like it. Names, key words (`NULL`, `true`) and the lengths of types stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from neontest.postgres.tokens import Token, readable

GONE: Final = "'…'"
CUT: Final = "…"

_COPIED: Final = re.compile(
    r"(\bCOPY\b[^;]*?\bFROM\s+STDIN\b[^;]*;)[^\n]*\n.*?(?:^\\\.[ \t]*$|\Z)", re.IGNORECASE | re.DOTALL | re.MULTILINE
)
"""With the rows, which end with `\\.` on a line of its own."""
_SIZED: Final = frozenset(
    {
        *("BIT", "BPCHAR", "CHAR", "CHARACTER", "DEC", "DECIMAL", "FLOAT", "GEOGRAPHY", "GEOMETRY", "HALFVEC"),
        *("INTERVAL", "NCHAR", "NUMERIC", "SECOND", "SPARSEVEC", "TIME", "TIMESTAMP", "TIMESTAMPTZ", "TIMETZ"),
        *("VARBIT", "VARCHAR", "VARYING", "VECTOR"),
    }
)
"""Types that can have a length or a precision, by their last word: `CHARACTER VARYING`, `INTERVAL DAY TO SECOND`."""


def without_literals(sql: str) -> str:
    """The statements with `'…'` for each literal; what cannot be read is cut off, with all that follows it."""
    sql = _COPIED.sub(r"\g<1>", sql)
    found, end = readable(sql)
    whole = end == len(sql)
    # With standard_conforming_strings off, or cut in the middle, such a string goes on where it seems to end.
    for number, token in enumerate(found):
        if token.kind == "string" and token.text.endswith("\\'") and token.text[:1] not in "eE":
            found, whole = found[:number], False
            break
    text = "".join(_told(sql, found))
    return text if whole else f"{text} {CUT}" if text else CUT


def _told(sql: str, found: Sequence[Token]) -> Iterator[str]:
    at, sizes = 0, set(_sizes(found))
    for number, token in enumerate(found):
        yield _gap(sql[at : token.start])
        literal = token.kind == "string" or (token.kind == "number" and number not in sizes)
        yield GONE if literal else token.text
        at = token.end
    last = found[-1].end if found else 0
    yield _gap(sql[last:]) if not sql[last:].strip() else ""


def _gap(text: str) -> str:
    """What stands between two words: blanks as they are, a comment as one."""
    return text if not text.strip() else "\n" if "\n" in text else " "


def _sizes(found: Sequence[Token]) -> Iterator[int]:
    """The places of the numbers that say how long or how exact a type is: `numeric(10, 2)`, `integer[3]` not."""
    for number, token in enumerate(found[:-1]):
        if token.word not in _SIZED or found[number + 1].text != "(":
            continue
        inside: list[int] = []
        for place in range(number + 2, len(found)):
            if found[place].text == ")":
                yield from inside
                break
            if found[place].kind == "number":
                inside.append(place)
            elif found[place].text != "," and found[place].kind != "word":
                break
