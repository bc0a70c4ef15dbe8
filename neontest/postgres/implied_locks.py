"""The locks that a statement takes by its kind, for what nobody saw while it ran. Pure.

From the pages of the commands and "Explicit Locking" in Postgres's documentation
(https://www.postgresql.org/docs/current/explicit-locking.html, 2026-11). Whatever is not known here implies nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

ROW_EXCLUSIVE: Final = "ROW EXCLUSIVE"
SHARE_UPDATE_EXCLUSIVE: Final = "SHARE UPDATE EXCLUSIVE"
SHARE: Final = "SHARE"
SHARE_ROW_EXCLUSIVE: Final = "SHARE ROW EXCLUSIVE"
EXCLUSIVE: Final = "EXCLUSIVE"
ACCESS_EXCLUSIVE: Final = "ACCESS EXCLUSIVE"

Implied = tuple[str, str]
"""A relation as the statement names it, and the mode."""

_PART: Final = r'(?:"(?:[^"]|"")+"|[^\x00-@\[-^`{-\x7f][^\x00-#%-/:-@\[-^`{-\x7f]*)'
"""An identifier. Ranges of other than ASCII characters take a millisecond each to compile where case is ignored."""
_NAME: Final = rf"({_PART}(?:\s*\.\s*{_PART})?)"
_IF: Final = r"(?:if\s+(?:not\s+)?exists\s+)?"
_ONLY: Final = r"(?:only\s+)?"
_QUOTED: Final = r"""(?<![\w$])[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*\""""
"""A text or a name in quotes; only in an E'' text a backslash keeps a quote from ending it."""
_TOKEN: Final = re.compile(rf"""--[^\n]*|/\*.*?\*/|{_QUOTED}|(\$(?:[A-Za-z_]\w*)?\$).*?\1|;""", re.DOTALL)
_QUOTING: Final = re.compile(_QUOTED, re.DOTALL)
_CONCURRENT: Final = r"\([^)]*\bconcurrently\b(?!\s+'?(?:false|off|0))[^)]*\)"
"""Options of REINDEX that have it on."""
_LIGHT: Final = re.compile(
    r"\s*(?:validate\s+constraint|set\s+statistics|alter\s+(?:column\s+)?\S+\s+set\s+statistics|cluster\s+on"
    r"|set\s+without\s+cluster|set\s*\(|reset\s*\(|attach\s+partition|alter\s+(?:column\s+)?\S+\s+(?:re)?set\s*\(n_dis"
    rf"|detach\s+partition\s+{_NAME}\s+(?:concurrently|finalize)\b)",
    re.IGNORECASE,
)
_FOREIGN: Final = re.compile(rf"\breferences\s+{_NAME}", re.IGNORECASE)
_ADDS_FOREIGN: Final = re.compile(r"\s*add\s+(?:constraint\s+\S+\s+)?foreign\s+key\b", re.IGNORECASE)
_ATTACHES: Final = re.compile(rf"\battach\s+partition\s+{_NAME}", re.IGNORECASE)
_DETACHES: Final = re.compile(rf"\s*detach\s+partition\s+{_NAME}\s*\Z", re.IGNORECASE)
_TRIGGERS: Final = re.compile(r"\s*(?:enable|disable)\s+(?:(?:replica|always)\s+)?trigger\b", re.IGNORECASE)


def _of(pattern: str) -> str:
    """As a statement may write it; compiled only where a statement is to be read: together they take 8 ms."""
    return r"\s*" + re.sub(r"\s+", r"\\s+", pattern)


_SIMPLE: Final = (
    (_of(rf"create (?:unique )?index concurrently {_IF}(?:{_PART} )?on {_ONLY}{_NAME}"), SHARE_UPDATE_EXCLUSIVE),
    (_of(rf"create (?:unique )?index (?!concurrently){_IF}(?:{_PART} )?on {_ONLY}{_NAME}"), SHARE),
    (_of(rf"create (?:or replace )?(?:constraint )?trigger .*? on {_NAME}"), SHARE_ROW_EXCLUSIVE),
    (_of(rf"create statistics .*? from {_NAME}"), SHARE_UPDATE_EXCLUSIVE),
    (_of(rf"create (?:or replace )?(?:rule|policy) .*? (?:to|on) {_NAME}"), ACCESS_EXCLUSIVE),
    (_of(rf"drop (?:trigger|rule|policy) {_IF}{_PART} on {_NAME}"), ACCESS_EXCLUSIVE),
    (_of(rf"comment on (?:table|view|materialized view|index|sequence) {_NAME}"), SHARE_UPDATE_EXCLUSIVE),
    (_of(rf"reindex\s*(?:\(.*?\)\s*)?(?:table|index) concurrently {_NAME}"), SHARE_UPDATE_EXCLUSIVE),
    (_of(rf"reindex\s*{_CONCURRENT}\s*(?:table|index) {_NAME}"), SHARE_UPDATE_EXCLUSIVE),
    (_of(rf"reindex\s*(?:\(.*?\)\s*)?table {_NAME}"), SHARE),
    (_of(rf"reindex\s*(?:\(.*?\)\s*)?index {_NAME}"), ACCESS_EXCLUSIVE),
    (_of(rf"cluster (?:verbose )?(?:\(.*?\) )?{_NAME}"), ACCESS_EXCLUSIVE),
    (_of(rf"refresh materialized view concurrently {_NAME}"), EXCLUSIVE),
    (_of(rf"refresh materialized view (?!concurrently){_NAME}"), ACCESS_EXCLUSIVE),
    (_of(rf"vacuum (?:full (?:freeze )?(?:verbose )?(?:analyze )?|\([^)]*\bfull\b[^)]*\) ){_NAME}"), ACCESS_EXCLUSIVE),
    (
        _of(rf"vacuum (?!full)(?:\((?![^)]*\bfull\b)[^)]*\) )?(?:(?:freeze|verbose|analyze) )*{_NAME}"),
        SHARE_UPDATE_EXCLUSIVE,
    ),
    (_of(rf"analy[sz]e (?:verbose )?(?:\(.*?\) )?{_NAME}"), SHARE_UPDATE_EXCLUSIVE),
    (_of(rf"(?:with .*?)?insert into {_NAME}"), ROW_EXCLUSIVE),
    (_of(rf"(?:with .*?)?update {_ONLY}{_NAME}"), ROW_EXCLUSIVE),
    (_of(rf"(?:with .*?)?delete from {_ONLY}{_NAME}"), ROW_EXCLUSIVE),  # noqa: S608
    (_of(rf"(?:with .*?)?merge into {_ONLY}{_NAME}"), ROW_EXCLUSIVE),
    (_of(rf"copy {_NAME}\s*(?:\([^)]*\)\s*)?from"), ROW_EXCLUSIVE),
)
_LISTS: Final = (
    (_of(r"drop index concurrently (?:if exists )?(?P<list>.*)"), SHARE_UPDATE_EXCLUSIVE),
    (
        _of(
            r"drop (?:table|view|materialized view|index(?! concurrently)|sequence|foreign table) (?:if exists )?"
            r"(?P<list>.*)"
        ),
        ACCESS_EXCLUSIVE,
    ),
    (_of(r"truncate (?:table )?(?P<list>.*)"), ACCESS_EXCLUSIVE),
    (_of(r"lock (?:table )?(?P<list>.*?)(?: in (?P<mode>[a-z ]+?) mode.*)?\Z"), ACCESS_EXCLUSIVE),
)
_ALTER: Final = _of(
    rf"alter (table|view|materialized view|index|sequence|foreign table) {_IF}{_ONLY}{_NAME}\s*\*?\s*(?P<what>.*)"
)


def implied(sql: str) -> tuple[Implied, ...]:
    """The relations that `sql`, one statement or several, must lock, and in which mode, each once."""
    found: dict[Implied, None] = {}
    for statement in split(sql):
        for name, mode in _one(statement):
            found[re.sub(r"\s*\.\s*", ".", name), mode] = None
    return tuple(found)


def split(sql: str) -> Iterator[str]:
    """The statements without comments; a `;` inside quotes ends none."""
    parts: list[str] = []
    at = 0
    for token in _TOKEN.finditer(sql):
        parts.append(sql[at : token.start()])
        at = token.end()
        if token[0] == ";":
            yield "".join(parts).strip()
            parts.clear()
        else:
            parts.append(" " if token[0].startswith(("--", "/*")) else token[0])
    last = "".join([*parts, sql[at:]]).strip()
    if last:
        yield last


def parts(name: str) -> list[str]:
    """The schema, if it is there, and the relation, each with its quotes."""
    return re.findall(_PART, name)


def _one(sql: str) -> Iterator[Implied]:
    altered = re.match(_ALTER, sql, re.IGNORECASE | re.DOTALL)
    if altered is not None:
        yield from _altered(altered[1].lower(), altered[2], altered["what"])
        return
    for pattern, mode in _LISTS:
        if listed := re.match(pattern, " ".join(sql.split()), re.IGNORECASE):
            given = listed.groupdict().get("mode")
            for each in listed["list"].split(","):
                if name := re.match(rf"\s*{_ONLY}{_NAME}", each, re.IGNORECASE):
                    yield name[1], given.upper() if given else mode
            return
    for pattern, mode in _SIMPLE:
        if matched := re.match(pattern, " ".join(sql.split()), re.IGNORECASE):
            yield matched[matched.lastindex or 1], mode
            return


def _altered(kind: str, name: str, what: str) -> Iterator[Implied]:
    """ALTER TABLE takes the strongest lock that one of its subcommands needs."""
    foreign = [match[1] for match in _FOREIGN.finditer(what)]
    for each in foreign:
        yield each, SHARE_ROW_EXCLUSIVE
    actions = _actions(what)
    for part in (*_ATTACHES.finditer(what), *_DETACHES.finditer(what)):
        yield part[1], ACCESS_EXCLUSIVE
    if kind == "index" and all(re.match(r"\s*(?:set|reset)\s*\(|\s*rename\b", each, re.I) for each in actions):
        yield name, SHARE_UPDATE_EXCLUSIVE
    elif kind == "sequence" and not re.match(r"\s*(?:rename|owner|set\s+schema)", what, re.IGNORECASE):
        yield name, SHARE_ROW_EXCLUSIVE
    elif kind == "table" and all(_LIGHT.match(each) for each in actions):
        yield name, SHARE_UPDATE_EXCLUSIVE
    elif kind == "table" and all(
        _ADDS_FOREIGN.match(each) or _TRIGGERS.match(each) or _LIGHT.match(each) for each in actions
    ):
        yield name, SHARE_ROW_EXCLUSIVE
    else:
        yield name, ACCESS_EXCLUSIVE


def _actions(what: str) -> list[str]:
    """The subcommands: between commas that are in no parentheses and no quotes."""
    found, depth, at = [""], 0, 0
    while at < len(what):
        quote = _QUOTING.match(what, at)
        if quote:
            found[-1] += quote[0]
            at = quote.end()
            continue
        letter = what[at]
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            found.append("")
        else:
            found[-1] += letter
        at += 1
    return found
