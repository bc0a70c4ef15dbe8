"""Markup that cannot be made of data: text is escaped unless `tag` made it."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from neontest.renderers import words


class Markup(str):
    """Text that is markup already. Only this module and what puts the page together make one."""

    __slots__ = ()


Child: TypeAlias = "str | Iterable[Child] | None"
VOID: Final = frozenset({"input", "meta"})
JSON_ESCAPES: Final = {ord(each): f"\\u{ord(each):04x}" for each in "<>&\u2028\u2029"}


def escaped(text: str) -> Markup:
    """The text, so that it is nothing but text, between tags and in a quoted attribute.

    Characters that turn or hide the text beside them are replaced, and line ends of all kinds are plain ones.
    """
    return Markup(html.escape(words.clean(text.replace("\r\n", "\n"))))


def tag(name: str, /, *children: Child, **attributes: str | int | bool | None) -> Markup:
    """An element. Text in it is escaped; None and False are left out; `class_` is `class`, and so on."""
    given = "".join(attribute(key, value) for key, value in attributes.items())
    if name in VOID:
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{join(children)}</{name}>")


def attribute(key: str, value: str | int | bool | None) -> str:
    if value is None or value is False:
        return ""
    key = key.rstrip("_").replace("_", "-")
    return f" {key}" if value is True else f' {key}="{escaped(str(value))}"'


def join(children: Iterable[Child]) -> Markup:
    """The children one after another, text escaped."""
    parts = []
    for child in children:
        if isinstance(child, str):
            parts.append(child if isinstance(child, Markup) else escaped(child))
        elif child is not None:
            parts.append(join(child))
    return Markup("".join(parts))


def script_json(value: Any) -> Markup:
    """The value as JSON that cannot end its `<script>` element, nor begin a comment in it."""
    text = json.dumps(cleaned(value), ensure_ascii=False, separators=(",", ":"))
    return Markup(text.translate(JSON_ESCAPES))


def cleaned(value: Any) -> Any:
    """The value with every text as `escaped` would show it."""
    match value:
        case str():
            return words.clean(value)
        case dict():
            return {key: cleaned(each) for key, each in value.items()}
        case list() | tuple():
            return [cleaned(each) for each in value]
    return value


def table(heads: Iterable[Child], rows: Iterable[Child], **attributes: str | int | bool | None) -> Markup:
    """A table that scrolls by itself where the page is too narrow for it."""
    head = tag("thead", tag("tr", [each if is_cell(each) else tag("th", each, scope="col") for each in heads]))
    return tag("div", tag("table", head, tag("tbody", rows), **attributes), class_="wide")


def is_cell(child: Child) -> bool:
    return isinstance(child, Markup) and child.startswith("<th")


def number(*children: Child) -> Markup:
    """A cell of a number."""
    return tag("td", children, class_="n")
