"""`[tool.neontest]` put into the text of a pyproject.toml, of which every other byte stays as it is. Pure."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Final

from neontest.errors import ConfigError

COMMENT: Final = "# Every option of `neontest run --help` can stand here; `neontest config` prints what holds."
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")

Keys = Mapping[str, Any]
"""As in `[tool.neontest]`; a table in it is a mapping of strings."""


def missing(text: str, keys: Keys) -> dict[str, Any]:
    """The keys that the file's `[tool.neontest]` has not; what it has, with whatever value, is its owner's."""
    has = _own(tomllib.loads(text)) or {}
    left: dict[str, Any] = {}
    for name, value in keys.items():
        if isinstance(value, Mapping):
            inner = has.get(name)
            rest = {key: each for key, each in value.items() if not (isinstance(inner, dict) and key in inner)}
            if rest and (inner is None or isinstance(inner, dict)):
                left[name] = rest
        elif name not in has:
            left[name] = value
    return left


def with_table(text: str, keys: Keys, *, file: str) -> str:
    """The text with these keys in `[tool.neontest]`; unchanged where it has them all.

    Raises:
        ConfigError: the table is written in a way that cannot be added to from outside.
    """
    before = tomllib.loads(text)
    left = missing(text, keys)
    has = _own(before)
    if has is not None and not left:
        return text
    after = deepcopy(before)
    _merge(after, {"tool": {"neontest": left}})
    plain = {name: value for name, value in left.items() if not isinstance(value, Mapping)}
    tables = {name: value for name, value in left.items() if isinstance(value, Mapping)}
    newline = "\r\n" if text.count("\r\n") * 2 > text.count("\n") else "\n"
    new = text
    if has is None:
        new = _appended(new, ["[tool.neontest]", COMMENT, *_lines(plain)], newline)
    elif plain:
        new = _after_header(new, ("tool", "neontest"), _lines(plain), newline)
    for name, table in tables.items():
        if has is not None and name in has:
            new = _after_header(new, ("tool", "neontest", name), _lines(table), newline)
        else:
            new = _appended(new, [f"[tool.neontest.{_key(name)}]", *_lines(table)], newline)
    try:
        right = tomllib.loads(new) == after
    except tomllib.TOMLDecodeError:
        right = False
    if not right:
        raise ConfigError(
            f"{file}: [tool.neontest] is written in a way that neontest does not add to",
            hint="add by hand:\n" + "\n".join(["[tool.neontest]", *_lines(plain), *_written(tables)]),
        )
    return new


def _own(document: Mapping[str, Any]) -> dict[str, Any] | None:
    tool = document.get("tool")
    own = tool.get("neontest") if isinstance(tool, dict) else None
    return own if isinstance(own, dict) else None


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    for name, value in more.items():
        if isinstance(value, Mapping):
            inner = into.setdefault(name, {})
            if isinstance(inner, dict):
                _merge(inner, value)
        else:
            into[name] = value


def _appended(text: str, lines: list[str], newline: str) -> str:
    gap = "" if not text else newline if text.endswith("\n") else newline * 2
    return text + gap + newline.join(lines) + newline


def _after_header(text: str, table: tuple[str, ...], lines: list[str], newline: str) -> str:
    """The text with the lines right below the table's header; unchanged where there is no such header."""
    name = r"\s*\.\s*".join(rf"(?:{re.escape(each)}|\"{re.escape(each)}\"|'{re.escape(each)}')" for each in table)
    match = re.search(rf"(?m)^[ \t]*\[\s*{name}\s*\][^\n]*(?:\n|\Z)", text)
    if match is None:
        return text
    head = text[: match.end()]
    return head + ("" if head.endswith("\n") else newline) + newline.join(lines) + newline + text[match.end() :]


def _lines(values: Mapping[str, Any]) -> list[str]:
    return [f"{_key(name)} = {_value(value)}" for name, value in values.items()]


def _written(tables: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [line for name, table in tables.items() for line in (f"[tool.neontest.{_key(name)}]", *_lines(table))]


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _value(name)


def _value(value: Any) -> str:
    """As TOML: JSON's strings, numbers, lists and truth values are TOML's, but that TOML wants DEL escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
