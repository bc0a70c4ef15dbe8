"""The words of differences: how an object is called, and how a changed fact reads. Pure."""

from __future__ import annotations

import re
from typing import Final

from neontest.postgres.grants import PREFIX
from neontest.postgres.model import Key
from neontest.postgres.names import literal, one_line, quoted, short, without_public

_LABEL: Final = re.compile(r"'((?:[^']|'')*)'")
_VALUE_LIMIT: Final = 120
_ON: Final = frozenset({"constraint", "index", "trigger", "rule", "policy", "statistics"})


def thing(key: Key) -> str:
    """What a person calls the object, on one line: `column user.age`, `index ix on user`, `function f(integer)`."""
    kind, on, name = key
    match kind:
        case "grant":
            return f"grant on {on} to {quoted(name)}" if name != "PUBLIC" else f"grant on {on} to PUBLIC"
        case "database":
            text = "database"
        case "setting":
            text = f"setting {name} of {on}"
        case "default privileges":
            text = f"default privileges on {name}" + (f" in schema {on}" if on else "")
        case "user mapping":
            text = f"user mapping for {name} on server {on}"
        case "domain constraint":
            text = f"constraint {name} on domain {without_public(on)}"
        case "column" | "attribute":
            text = f"{kind} {without_public(on)}.{name}"
        case _ if kind in _ON:
            text = f"{kind} {without_public(name) if kind == 'statistics' else name} on {without_public(on)}"
        case _:
            text = f"{kind} {without_public(f'{on}.{name}' if on else name)}"
    return one_line(text)


_ABSENT: Final = {
    "owner's privileges": "all",
    "access method": "default",
    "collation": "default",
    "compression": "default",
    "fires": "normally",
    "replica identity": "default",
    "statistics target": "default",
    "storage": "default",
    "tablespace": "default",
}
"""What the absence of a fact means, where it is not "none"."""


def fact(kind: str, name: str, old: str | None, new: str | None, *, changed: str) -> str:
    """How one changed fact reads: `type integer → bigint`, `now not null`, `body changed`."""
    if {old, new} == {None, "yes"}:
        return f"now {name}" if new else f"no longer {name}"
    if kind == "enum" and name == "values" and old is not None and new is not None:
        return labels(old, new)
    if kind in ("grant", "setting"):
        return change(old, new)
    if name.startswith(PREFIX):
        return f"{name.removeprefix('grant ')}: {change(old, new)}"
    if name == "comment":
        return "comment " + change(None if old is None else literal(old), None if new is None else literal(new))
    if old is not None and new is not None and (name == "body" or is_long(old) or is_long(new)):
        return f"{name} {changed}"
    said = change(old, new, _ABSENT.get(name, "none"))
    return said if name == "definition" else f"{name} {said}"


def change(old: str | None, new: str | None, absent: str = "none") -> str:
    """`integer → bigint`, `none` for what is not there; long values are cut."""
    return " → ".join(absent if text is None else short(without_public(text), _VALUE_LIMIT) for text in (old, new))


def is_long(value: str) -> bool:
    """Whether the value is better shown as a unified diff than within a line."""
    return "\n" in value or len(value) > _VALUE_LIMIT


def labels(old: str, new: str) -> str:
    """`value 'ok' added after 'sad'`."""
    was, now = ([f"'{label}'" for label in _LABEL.findall(text)] for text in (old, new))
    said = []
    gone = [label for label in was if label not in now]
    came = [label for label in now if label not in was]
    if len(was) == len(now) and len(gone) == 1 and was.index(gone[0]) == now.index(came[0]):
        return f"value {gone[0]} → {came[0]}" + ("" if _shared(was, now) else ", values in another order")
    said += [f"value {label} removed" for label in gone]
    for label in came:
        place = now.index(label)
        beside = f"after {now[place - 1]}" if place else f"before {now[1]}" if len(now) > 1 else "alone"
        said.append(f"value {label} added {beside}")
    if not _shared(was, now):
        said.append("values in another order: " + ", ".join(was) + " → " + ", ".join(now))
    return ", ".join(said)


def line(text: str) -> str:
    """The text with nothing in it that could break the line."""
    return one_line(text)


def _shared(was: list[str], now: list[str]) -> bool:
    """Whether what both have stands in the same order."""
    return [label for label in was if label in now] == [label for label in now if label in was]
