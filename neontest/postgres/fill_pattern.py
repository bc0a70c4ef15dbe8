"""A text that a regular expression or a LIKE pattern matches. Pure.

The common part of Postgres's regular expressions: literals, classes, groups, alternatives, quantifiers, anchors. What
lies beyond it (look-ahead, back references) gives no text; whether a text really matches is for the server to say.
Source: https://www.postgresql.org/docs/18/functions-matching.html (2026-11-22).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_CLASSES: Final = {
    "d": "0123456789",
    "digit": "0123456789",
    "w": "abcdefghijklmnopqrstuvwxyz0123456789",
    "alnum": "abcdefghijklmnopqrstuvwxyz0123456789",
    "alpha": "abcdefghijklmnopqrstuvwxyz",
    "lower": "abcdefghijklmnopqrstuvwxyz",
    "upper": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "xdigit": "0123456789abcdef",
    "s": " ",
    "space": " ",
    "blank": " ",
    "punct": "-._",
}
_ANY: Final = _CLASSES["w"]
_PRINTABLE: Final = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-_.+@ "
_MORE: Final = 6
"""So many times more than the least may a part without an upper limit be repeated."""

Draw = Callable[[int], int]
"""A number from 0 to below the given one."""


class _Unknown(Exception):
    """The pattern says something that is not understood here."""


def matching(pattern: str, draw: Draw) -> str | None:
    """A text that the regular expression matches; None where it is not understood."""
    reader = _Reader(pattern.removeprefix("(?i)"), draw)
    try:
        text = reader.alternatives()
        return text if reader.at == len(reader.pattern) else None
    except (_Unknown, IndexError, RecursionError):
        return None


def like(pattern: str, draw: Draw) -> str:
    """A text that the LIKE pattern matches."""
    text, characters = [], iter(pattern)
    for character in characters:
        if character == "%":
            text.append("".join(_ANY[draw(len(_ANY))] for _ in range(4)))
        elif character == "_":
            text.append(_ANY[draw(len(_ANY))])
        else:
            text.append(next(characters, "") if character == "\\" else character)
    return "".join(text)


class _Reader:
    """Reads the pattern from left to right and writes the text as it goes."""

    def __init__(self, pattern: str, draw: Draw) -> None:
        self.pattern = pattern
        self.at = 0
        self._draw = draw

    def _peek(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def _next(self) -> str:
        self.at += 1
        return self.pattern[self.at - 1]

    def alternatives(self) -> str:
        found = [self._branch()]
        while self._peek() == "|":
            self._next()
            found.append(self._branch())
        return found[self._draw(len(found))]

    def _branch(self) -> str:
        text = []
        while self._peek() not in ("", "|", ")"):
            start = self.at
            one = self._atom()
            least, most = self._quantifier()
            count = least + (self._draw(most - least + 1) if most > least else 0)
            after = self.at
            for number in range(count):
                if number:
                    # Each time anew, so that the repeated part varies.
                    self.at = start
                    one = self._atom()
                text.append(one)
            self.at = after
        return "".join(text)

    def _atom(self) -> str:
        character = self._next()
        if character in "^$":
            return ""
        if character == ".":
            return self._one(_ANY)
        if character == "[":
            return self._one(self._bracket())
        if character == "\\":
            return self._escape()
        if character == "(":
            if self._peek() == "?":
                self._next()
                if self._next() != ":":
                    raise _Unknown
            text = self.alternatives()
            if self._next() != ")":
                raise _Unknown
            return text
        if character in "*+?{":
            raise _Unknown
        return character

    def _quantifier(self) -> tuple[int, int]:
        least, most = 1, 1
        character = self._peek()
        if character and character in "*+?":
            self._next()
            least, most = {"*": (0, _MORE), "+": (1, _MORE), "?": (0, 1)}[character]
        elif character == "{":
            end = self.pattern.index("}", self.at) if "}" in self.pattern[self.at :] else -1
            low, comma, high = self.pattern[self.at + 1 : end].partition(",")
            if end < 0 or not low.isdigit() or not (high.isdigit() or not high):
                raise _Unknown
            least = int(low)
            most = int(high) if high else least + _MORE if comma else least
            self.at = end + 1
        if least != 1 or most != 1:
            if self._peek() == "?":
                self._next()
            if self._peek() in ("*", "+", "{"):
                raise _Unknown
        # From an upper limit far away only the first few numbers are of use.
        return least, min(most, least + 4 * _MORE)

    def _escape(self) -> str:
        character = self._next()
        if character in "dws":
            return self._one(_CLASSES[character])
        if character in "DWS":
            return self._one({"D": "abc", "W": "-._", "S": _ANY}[character])
        if character in "AZmMyYbB<>":
            return ""
        if character.isalnum():
            raise _Unknown
        return character

    def _bracket(self) -> str:
        negated = self._peek() == "^"
        if negated:
            self._next()
        found: list[str] = []
        first = True
        while self._peek() != "]" or first:
            first = False
            if self.pattern.startswith("[:", self.at):
                end = self.pattern.find(":]", self.at)
                name = self.pattern[self.at + 2 : end]
                if end < 0 or name not in _CLASSES:
                    raise _Unknown
                found.extend(_CLASSES[name])
                self.at = end + 2
                continue
            character = self._next()
            if character == "\\":
                escaped = self._next()
                if escaped in _CLASSES:
                    found.extend(_CLASSES[escaped])
                    continue
                character = escaped
            if self._peek() == "-" and self.pattern[self.at + 1 : self.at + 2] not in ("]", ""):
                self._next()
                last = self._next()
                found.extend(chr(code) for code in range(ord(character), min(ord(last), ord(character) + 255) + 1))
            else:
                found.append(character)
        self._next()
        if negated:
            found = [each for each in _PRINTABLE if each not in found]
        return "".join(each for each in found if each.isprintable())

    def _one(self, of: str) -> str:
        if not of:
            raise _Unknown
        return of[self._draw(len(of))]
