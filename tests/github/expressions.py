"""GitHub's expressions, as far as our workflows use them.

Source: https://docs.github.com/en/actions/reference/workflows-and-actions/expressions (2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:[^']|'')*')|(?P<number>\d+)|(?P<name>[A-Za-z_][\w-]*)|(?P<sign>&&|\|\||==|!=|[!().,\[\]]))"
)
PLACE = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
STATUS = re.compile(r"\b(?:always|success|failure|cancelled)\s*\(")

Functions = Mapping[str, Callable[..., Any]]


def rendered(value: Any, contexts: Mapping[str, Any], functions: Functions) -> Any:
    """The value with each `${{ }}` in its place filled in; one that is nothing else keeps its type."""
    if not isinstance(value, str):
        return value
    if (whole := PLACE.fullmatch(value.strip())) is not None and value.count("${{") == 1:
        return evaluated(whole[1], contexts, functions)
    return PLACE.sub(lambda found: text(evaluated(found[1], contexts, functions)), value)


def condition(given: Any, contexts: Mapping[str, Any], functions: Functions) -> bool:
    """Whether a step or job with this `if` runs: only after success, unless it asks for a status itself."""
    if given is None:
        return bool(functions["success"]())
    words = str(given).strip()
    if (whole := PLACE.fullmatch(words)) is not None:
        words = whole[1]
    wanted = truthy(evaluated(words, contexts, functions))
    return wanted if STATUS.search(words) else wanted and bool(functions["success"]())


def evaluated(expression: str, contexts: Mapping[str, Any], functions: Functions) -> Any:
    """The value of an expression; what is not there is None, as GitHub's null."""
    parser = Parser(expression, contexts, functions)
    value = parser.either()
    assert parser.place == len(parser.tokens), f"not understood: {expression}"
    return value


def text(value: Any) -> str:
    """The value as GitHub writes it into a string."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def truthy(value: Any) -> bool:
    return value not in (None, "", False, 0)


class Parser:
    """Recursive descent: `||`, then `&&`, then comparison, then `!`."""

    def __init__(self, expression: str, contexts: Mapping[str, Any], functions: Functions) -> None:
        self.contexts, self.functions = contexts, functions
        self.tokens: list[tuple[str, str]] = []
        self.place = at = 0
        expression = expression.strip()
        while at < len(expression):
            found = TOKEN.match(expression, at)
            assert found is not None, f"not understood: {expression[at:]}"
            assert found.lastgroup is not None
            self.tokens.append((found.lastgroup, found[found.lastgroup]))
            at = found.end()

    def next_is(self, *signs: str) -> str | None:
        if self.place < len(self.tokens) and self.tokens[self.place] in [("sign", each) for each in signs]:
            self.place += 1
            return self.tokens[self.place - 1][1]
        return None

    def either(self) -> Any:
        value = self.both()
        while self.next_is("||"):
            other = self.both()
            value = value if truthy(value) else other
        return value

    def both(self) -> Any:
        value = self.compared()
        while self.next_is("&&"):
            other = self.compared()
            value = other if truthy(value) else value
        return value

    def compared(self) -> Any:
        value = self.single()
        while sign := self.next_is("==", "!="):
            same = equal(value, self.single())
            value = same if sign == "==" else not same
        return value

    def single(self) -> Any:
        if self.next_is("!"):
            return not truthy(self.single())
        if self.next_is("("):
            value = self.either()
            assert self.next_is(")")
            return value
        kind, word = self.tokens[self.place]
        self.place += 1
        if kind == "string":
            return word[1:-1].replace("''", "'")
        if kind == "number":
            return int(word)
        assert kind == "name", f"not understood: {word}"
        if word in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[word]
        return self.called(word) if self.next_is("(") else self.found(word)

    def called(self, name: str) -> Any:
        arguments = []
        while not self.next_is(")"):
            arguments.append(self.either())
            self.next_is(",")
        return self.functions[name](*arguments)

    def found(self, name: str) -> Any:
        value: Any = self.contexts[name]
        while self.next_is("."):
            member = self.tokens[self.place][1]
            self.place += 1
            value = value.get(member) if isinstance(value, Mapping) else None
        return value


def equal(one: Any, other: Any) -> bool:
    """Strings without case; null, booleans and numbers of different types as numbers."""
    if isinstance(one, str) and isinstance(other, str):
        return one.lower() == other.lower()
    if type(one) is type(other):
        return bool(one == other)
    return number(one) == number(other)


def number(value: Any) -> float:
    """As GitHub makes one for a comparison; NaN, which equals nothing, of other texts."""
    if value is None or value == "":
        return 0.0
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")
