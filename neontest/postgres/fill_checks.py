"""What CHECK expressions let one guess of values: common forms are understood, of all others just the constants. Pure.

A guess is only a candidate: whether a row is taken is for the server to say.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Final

import msgspec

from neontest.postgres.fill_model import Check

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<string>'(?:[^']|'')*')|(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<quoted>"(?:[^"]|"")*")
    |(?P<word>[^\W\d][\w$]*)|(?P<cast>::)|(?P<mark>[()\[\],.])|(?P<operator>[<>=!~*#@&|^?+/%`-]+))""",
    re.VERBOSE,
)
_LONG_TYPES: Final = frozenset({"varying", "precision", "without", "with", "time", "zone"})
_LENGTHS: Final = frozenset(
    {"length", "char_length", "character_length", "octet_length", "cardinality", "array_length"}
)
_SAME: Final = frozenset({"lower", "upper", "btrim", "ltrim", "rtrim", "abs"})
_TURNED: Final = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "<>": "<>"}


class Hints(msgspec.Struct, kw_only=True):
    """What is known of one column's values, from all its checks."""

    one_of: tuple[str, ...] = ()
    low: tuple[str, bool] | None = None
    """The least value, and whether it is one itself."""
    high: tuple[str, bool] | None = None
    shortest: int = 0
    longest: int | None = None
    patterns: list[str] = msgspec.field(default_factory=list)
    likes: list[str] = msgspec.field(default_factory=list)
    upper: bool = False
    literals: list[str] = msgspec.field(default_factory=list)
    """Every constant that stands in a check of the column, wherever."""

    def and_also(self, other: Hints) -> Hints:
        """What both say together."""
        low = self.low if other.low is None else _narrower(self.low, other.low, more=True)
        high = self.high if other.high is None else _narrower(self.high, other.high, more=False)
        lengths = [each for each in (self.longest, other.longest) if each is not None]
        both = tuple(each for each in self.one_of if each in other.one_of)
        return Hints(
            one_of=both or other.one_of or self.one_of,
            low=low,
            high=high,
            shortest=max(self.shortest, other.shortest),
            longest=min(lengths, default=None),
            patterns=[*self.patterns, *other.patterns],
            likes=[*self.likes, *other.likes],
            upper=self.upper or other.upper,
            literals=[*self.literals, *other.literals],
        )


class _Token(msgspec.Struct, frozen=True):
    kind: str
    """literal, name, word, mark, operator or cast."""
    text: str


_Item = _Token | list["_Item"]
"""A list is what stands in parentheses."""


def hints(checks: Iterable[Check], names: Collection[str]) -> dict[str, Hints]:
    """What the checks say, by the name of the column (VALUE for a domain's)."""
    found = {name: Hints() for name in names}
    for check in checks:
        items = _simple(_nested(iter(_tokens(check.expression))))
        mentioned = {item.text for item in _flat(items) if item.kind in ("name", "word") and item.text in found}
        literals = [item.text for item in _flat(items) if item.kind == "literal"]
        upper = any(item.text == "upper" for item in _flat(items) if item.kind == "word")
        for name in mentioned:
            found[name].literals.extend(literals)
            found[name].upper |= upper
        _conjunction(items, found)
    return found


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while (match := _TOKEN.match(text, at)) and match.end() > at:
        at = match.end()
        kind, value = match.lastgroup, match[match.lastgroup or 0]
        if kind == "string":
            yield _Token("literal", value[1:-1].replace("''", "'"))
        elif kind == "number":
            yield _Token("literal", value)
        elif kind == "quoted":
            yield _Token("name", value[1:-1].replace('""', '"'))
        elif kind is not None:
            yield _Token(kind, value)


def _nested(tokens: Iterator[_Token]) -> list[_Item]:
    """The tokens up to the closing parenthesis, each pair of parentheses a list."""
    items: list[_Item] = []
    for token in tokens:
        if token.kind == "mark" and token.text == "(":
            items.append(_nested(tokens))
        elif token.kind == "mark" and token.text == ")":
            break
        else:
            items.append(token)
    return items


def _simple(items: list[_Item]) -> list[_Item]:
    """The same without casts, signs joined with their numbers, and without parentheses around one thing."""
    result: list[_Item] = []
    at = 0
    while at < len(items):
        item = items[at]
        at += 1
        if isinstance(item, list):
            inner = _simple(item)
            call = bool(result) and isinstance(result[-1], _Token) and result[-1].kind in ("name", "word")
            result.append(inner[0] if len(inner) == 1 and not (call and not _keyword(result[-1])) else inner)
        elif item.kind == "cast":
            at = _after_type(items, at)
        elif (
            item.text == "-"
            and (not result or (isinstance(result[-1], _Token) and result[-1].kind == "operator"))
            and at < len(items)
            and isinstance(after := items[at], _Token)
            and after.kind == "literal"
        ):
            result.append(_Token("literal", f"-{after.text}"))
            at += 1
        else:
            result.append(item)
    # Around a whole: ((a = 1)) is a = 1.
    while len(result) == 1 and isinstance(result[0], list):
        result = result[0]
    return result


def _keyword(item: _Item) -> bool:
    return isinstance(item, _Token) and item.text in ("AND", "OR", "NOT", "ANY", "ALL", "IN", "THEN", "ELSE", "WHEN")


def _after_type(items: list[_Item], at: int) -> int:
    """Where the expression goes on after a cast's type."""
    at += 1
    while at < len(items):
        item = items[at]
        if isinstance(item, list) or (item.kind == "mark" and item.text in "[]"):
            at += 1
        elif item.kind == "mark" and item.text == ".":
            at += 2
        elif item.kind == "word" and item.text in _LONG_TYPES:
            at += 1
        else:
            break
    return at


def _flat(items: Iterable[_Item]) -> Iterator[_Token]:
    for item in items:
        if isinstance(item, list):
            yield from _flat(item)
        else:
            yield item


def _split(items: list[_Item], word: str) -> list[list[_Item]]:
    parts: list[list[_Item]] = [[]]
    for item in items:
        if isinstance(item, _Token) and item.kind == "word" and item.text == word:
            parts.append([])
        else:
            parts[-1].append(item)
    return [part[0] if len(part) == 1 and isinstance(part[0], list) else part for part in parts]


def _conjunction(items: list[_Item], found: dict[str, Hints]) -> None:
    for part in _split(items, "AND"):
        if len(_split(part, "AND")) > 1:
            _conjunction(part, found)
        elif len(either := _split(part, "OR")) > 1:
            _disjunction(either, found)
        else:
            _comparison(part, found)


def _disjunction(either: list[list[_Item]], found: dict[str, Hints]) -> None:
    """`a = 1 OR a = 2` is a choice; `a IS NULL OR …` is the rest; of anything else only the constants are of use."""
    rest = [part for part in either if not any(token.text == "NULL" for token in _flat(part))]
    if len(rest) == 1:
        _conjunction(rest[0], found)
        return
    choices: dict[str, list[str]] = {}
    for part in rest:
        apart = {name: Hints() for name in found}
        _comparison(part, apart)
        said = {name: hint.one_of for name, hint in apart.items() if hint.one_of}
        if len(said) != 1:
            return
        for name, values in said.items():
            choices.setdefault(name, []).extend(values)
    if len(choices) == 1:
        for name, texts in choices.items():
            found[name].one_of = tuple(dict.fromkeys(texts))


def _comparison(items: list[_Item], found: dict[str, Hints]) -> None:
    """One comparison of a column, or of its length, with constants."""
    places = [at for at, item in enumerate(items) if isinstance(item, _Token) and item.kind == "operator"]
    if len(places) != 1:
        return
    operator = items[places[0]]
    assert isinstance(operator, _Token)
    left, right, sign = items[: places[0]], items[places[0] + 1 :], operator.text
    subject = _subject(left, found)
    if subject is None and (subject := _subject(right, found)) is not None and sign in _TURNED:
        right, sign = left, _TURNED[sign]
    if subject is None:
        return
    what, name = subject
    constants = [token.text for token in _flat(right) if token.kind == "literal"]
    words = {token.text for token in _flat(right) if token.kind in ("word", "name")}
    if constants and not words - {"ANY", "ARRAY", "true", "false"}:
        (_length if what == "length" else _value)(found[name], sign, constants, chosen="ANY" in words)


def _subject(items: list[_Item], found: dict[str, Hints]) -> tuple[str, str] | None:
    """("value" or "length", column), where the items are a column or a simple function of it."""
    if len(items) == 1 and isinstance(items[0], list):
        return _subject(items[0], found)
    if len(items) == 1 and isinstance(items[0], _Token) and items[0].text in found and items[0].kind != "literal":
        return "value", items[0].text
    if len(items) == 2 and isinstance(items[0], _Token) and items[0].kind == "word":
        inner: list[_Item] = items[1] if isinstance(items[1], list) else [items[1]]
        argument = _split_commas(inner)[0]
        if (subject := _subject(argument, found)) is not None:
            if items[0].text in _LENGTHS:
                return "length", subject[1]
            if items[0].text in _SAME:
                return subject
    return None


def _split_commas(items: list[_Item]) -> list[list[_Item]]:
    parts: list[list[_Item]] = [[]]
    for item in items:
        if isinstance(item, _Token) and item.kind == "mark" and item.text == ",":
            parts.append([])
        else:
            parts[-1].append(item)
    return parts


def _length(hint: Hints, sign: str, constants: list[str], *, chosen: bool) -> None:
    if chosen or not constants[0].isdigit():
        return
    number = int(constants[0])
    if sign in ("<", "<=", "="):
        most = number - 1 if sign == "<" else number
        hint.longest = most if hint.longest is None else min(most, hint.longest)
    if sign in (">", ">=", "=", "<>"):
        least = number if sign in (">=", "=") else number + 1
        hint.shortest = max(hint.shortest, least if sign != "<>" or not number else 0)


def _value(hint: Hints, sign: str, constants: list[str], *, chosen: bool) -> None:
    constant = constants[0]
    if sign == "=" and (chosen or len(constants) == 1):
        kept = [each for each in constants if not hint.one_of or each in hint.one_of]
        hint.one_of = tuple(dict.fromkeys(kept or constants))
    elif sign in (">", ">="):
        hint.low = _narrower(hint.low, (constant, sign == ">="), more=True)
    elif sign in ("<", "<="):
        hint.high = _narrower(hint.high, (constant, sign == "<="), more=False)
    elif sign in ("~", "~*"):
        hint.patterns.append(constant)
    elif sign in ("~~", "~~*"):
        hint.likes.append(constant)
    elif sign == "<>" and not constant:
        hint.shortest = max(hint.shortest, 1)


def _narrower(old: tuple[str, bool] | None, new: tuple[str, bool], *, more: bool) -> tuple[str, bool]:
    if old is None:
        return new
    try:
        higher = float(new[0]) > float(old[0])
    except ValueError:
        # Dates as text: in ISO form their order is the texts'.
        higher = new[0] > old[0]
    return new if higher == more else old
