"""SQL cut into its words, so that a statement can be taken apart without a parser's grammar. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, Literal

import msgspec

Kind = Literal["word", "quoted", "string", "number", "operator", "symbol", "placeholder"]

_SKIPPED: Final = re.compile(r"\s+|--[^\n]*")
_DOLLAR: Final = re.compile(r"\$(?:[A-Za-z_\x80-\U0010ffff][\w\x80-\U0010ffff]*)?\$")
_TOKENS: Final = (
    ("placeholder", re.compile(r"%\(\w+\)s|%s")),
    ("string", re.compile(r"[eE]'(?:[^'\\]|\\.|'')*'|(?:[bBxXnN]|[uU]&)?'(?:[^']|'')*'", re.DOTALL)),
    ("quoted", re.compile(r'(?:[uU]&)?"(?:[^"]|"")+"')),
    ("word", re.compile(r"[^\W\d][\w$]*")),
    ("number", re.compile(r"\d[\w.]*(?:(?<=[eE])[+-]\d+)?|\.\d\w*")),
    ("symbol", re.compile(r"::|:=|[()\[\],;.:]|\$\d+")),
    ("operator", re.compile(r"(?:(?!--|/\*)[-+*/<>=~!@#%^&|`?])+")),
)
_OPENING: Final = {"(": ")", "[": "]"}


class Unreadable(ValueError):
    """The text is no SQL that this can take apart."""


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """One word of a text: what it is, as it is written, and where."""

    kind: Kind
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    @property
    def word(self) -> str:
        """A word without quotes, in capitals; "" for everything else: only such a one is a key word."""
        return self.text.upper() if self.kind == "word" else ""

    @property
    def name(self) -> str | None:
        """The name that it is, as the catalogs have it; None for what is no name."""
        if self.kind == "quoted" and self.text[0] == '"':
            return self.text[1:-1].replace('""', '"')
        return self.text.lower() if self.kind == "word" else None


def tokens(sql: str) -> tuple[Token, ...]:
    """The words of a text, comments left out.

    Strings are read as with `standard_conforming_strings = on`.

    Raises:
        Unreadable: for a quote or a comment without an end, or a character that no SQL has.
    """
    return tuple(_tokens(sql))


def readable(sql: str) -> tuple[tuple[Token, ...], int]:
    """The words up to the first thing that cannot be read, and where that is: the text's length if all can be."""
    found: list[Token] = []
    try:
        found.extend(_tokens(sql))
    except Unreadable:
        return tuple(found), found[-1].end if found else 0
    return tuple(found), len(sql)


def _tokens(sql: str) -> Iterator[Token]:
    at = 0
    while at < len(sql):
        if skipped := _SKIPPED.match(sql, at):
            at = skipped.end()
        elif sql.startswith("/*", at):
            at = _comment_end(sql, at)
        else:
            token = _token(sql, at)
            yield token
            at = token.end


def _token(sql: str, at: int) -> Token:
    if dollar := _DOLLAR.match(sql, at):
        end = sql.find(dollar[0], dollar.end())
        if end < 0:
            raise Unreadable("a dollar quote without an end")
        return Token(kind="string", text=sql[at : end + len(dollar[0])], start=at)
    for kind, pattern in _TOKENS:
        if found := pattern.match(sql, at):
            return Token(kind=kind, text=found[0], start=at)  # type: ignore[arg-type]
    raise Unreadable(f"nothing known at character {at}")


def _comment_end(sql: str, at: int) -> int:
    """Where the comment that begins here ends: they nest."""
    depth = 0
    for mark in re.compile(r"/\*|\*/").finditer(sql, at):
        depth += 1 if mark[0] == "/*" else -1
        if not depth:
            return mark.end()
    raise Unreadable("a comment without an end")


def split(given: Sequence[Token], at: str = ",") -> tuple[tuple[Token, ...], ...]:
    """The tokens between those that are `at`, outside of all parentheses; empty parts are left out.

    Raises:
        Unreadable: where parentheses do not match.
    """
    parts: list[list[Token]] = [[]]
    expected: list[str] = []
    for token in given:
        if token.kind == "symbol" and token.text == at and not expected:
            parts.append([])
            continue
        if token.kind == "symbol":
            if token.text in _OPENING:
                expected.append(_OPENING[token.text])
            elif token.text in _OPENING.values() and (not expected or expected.pop() != token.text):
                raise Unreadable("a parenthesis too many")
        parts[-1].append(token)
    if expected:
        raise Unreadable("a parenthesis too few")
    return tuple(tuple(part) for part in parts if part)


class Words:
    """A place in a row of tokens, from which it is read on."""

    def __init__(self, sql: str, given: Sequence[Token]) -> None:
        self.sql = sql
        self._tokens = tuple(given)
        self._at = 0

    def __bool__(self) -> bool:
        """Something is left."""
        return self._at < len(self._tokens)

    @property
    def next(self) -> Token | None:
        return self._tokens[self._at] if self else None

    @property
    def rest(self) -> tuple[Token, ...]:
        return self._tokens[self._at :]

    def take(self) -> Token:
        """The next one.

        Raises:
            Unreadable: at the end, as the other methods that need something to be there.
        """
        if not self:
            raise Unreadable("the end came too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def has(self, *words: str) -> bool:
        """Take these key words if they come next, all of them or none."""
        following = self._tokens[self._at : self._at + len(words)]
        if len(following) < len(words) or any(
            token.word != word and not (token.kind != "quoted" and token.text == word)
            for token, word in zip(following, words, strict=True)
        ):
            return False
        self._at += len(words)
        return True

    def needs(self, *words: str) -> None:
        if not self.has(*words):
            raise Unreadable(f"{' '.join(words)} is missing")

    def name(self) -> str:
        """The next one, which is a name, as the catalogs have it."""
        found = self.take().name
        if found is None:
            raise Unreadable("a name is missing")
        return found

    def qualified(self) -> str:
        """A name with or without its schema, as SQL."""
        parts = [quote(self.name())]
        while self.has("."):
            parts.append(quote(self.name()))
        return ".".join(parts)

    def group(self) -> Words:
        """What stands between this parenthesis and its other."""
        self.needs("(")
        begin, depth = self._at, 1
        while depth:
            token = self.take()
            if token.kind == "symbol":
                depth += {"(": 1, ")": -1}.get(token.text, 0)
        return Words(self.sql, self._tokens[begin : self._at - 1])

    def until(self, *words: str) -> Words:
        """What stands before the first of these key words outside of parentheses, or before the end; never nothing."""
        begin, depth = self._at, 0
        while self:
            token = self._tokens[self._at]
            if not depth and self._at > begin and token.word in words:
                break
            depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(token.text, 0) if token.kind == "symbol" else 0
            self._at += 1
        if self._at == begin:
            raise Unreadable("an expression is missing")
        return Words(self.sql, self._tokens[begin : self._at])

    def parts(self) -> tuple[Words, ...]:
        """What is left, cut at its commas."""
        return tuple(Words(self.sql, part) for part in split(self.rest))

    def names(self) -> tuple[str, ...]:
        """Names with commas between them, nothing else."""
        found = []
        for part in self.parts():
            found.append(part.name())
            if part:
                raise Unreadable("not a list of names")
        return tuple(found)

    @property
    def text(self) -> str:
        """What is left, as it is written.

        Raises:
            Unreadable: where it is nothing, or has the place of a parameter, of which the value is not known.
        """
        rest = self.rest
        if not rest or any(token.kind == "placeholder" or token.text == ";" for token in rest):
            raise Unreadable("not an expression")
        return self.sql[rest[0].start : rest[-1].end]

    def replaced(self, word: str, by: str) -> str:
        """What is left, with `by` for each such key word."""
        text, at = "", self.rest[0].start if self else 0
        for token in self.rest:
            text += self.sql[at : token.start] + (by if token.word == word else token.text)
            at = token.end
        return text

    @property
    def mentioned(self) -> tuple[str, ...]:
        """Every name in what is left, once: columns among them."""
        return tuple(dict.fromkeys(token.name for token in self.rest if token.name is not None))


def quote(name: str) -> str:
    """The name in quotes, as SQL that runs."""
    return '"' + name.replace('"', '""') + '"'


def statements(sql: str) -> tuple[Words, ...]:
    """Each statement of a text."""
    return tuple(Words(sql, part) for part in split(tokens(sql), ";"))
