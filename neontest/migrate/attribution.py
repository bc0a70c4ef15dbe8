"""Which of several statements a look speaks of: the one that names the relation, or whose kind could have done it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal

import msgspec

from neontest.migrate import reports
from neontest.migrate.observer import Sampled
from neontest.record import Statement

MODES: Final = {
    "AccessShareLock": "ACCESS SHARE",
    "RowShareLock": "ROW SHARE",
    "RowExclusiveLock": "ROW EXCLUSIVE",
    "ShareUpdateExclusiveLock": "SHARE UPDATE EXCLUSIVE",
    "ShareLock": "SHARE",
    "ShareRowExclusiveLock": "SHARE ROW EXCLUSIVE",
    "ExclusiveLock": "EXCLUSIVE",
    "AccessExclusiveLock": "ACCESS EXCLUSIVE",
}
"""pg_locks.mode, weakest first."""
WEAK: Final = ("ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE")
"""What reading and writing rows takes."""
Seen = Literal["statement", "commit", "sampled", "inferred"]

_PLAIN: Final = re.compile(r"[a-z_][a-z0-9_$]*\Z")
_BEFORE: Final = (
    r"\b(?:from|into|update|table|only|join|using|copy|on|truncate|lock|index|view|sequence|exists|references)\s+"
)
"""What a relation stands after, if that is what it is; a schema and a quote may come between."""
_SCHEMA: Final = r'"?([\w$]+)"?\s*\.\s*'
_THERE: Final = re.compile(rf'(?={_BEFORE}(?:{_SCHEMA})?"?([\w$]+))', re.IGNORECASE)
"""Consumes nothing: what stands after one such word may be another."""
_WORD: Final = re.compile(r"[\w$]+")
_LOCK: Final = re.compile(
    r"\s*(?:lock\b|(?:do|call)\b.*\b(?:alter|create|drop|lock|truncate|reindex|cluster|refresh)\b)",
    re.IGNORECASE | re.DOTALL,
)
"""Takes a strong lock on what it names, though it need not begin as a change of the schema does."""
_LIMITS: Final = re.compile(r"\block_timeout\b", re.IGNORECASE)
TRUNCATES: Final = re.compile(r"\btruncate\b", re.IGNORECASE)

_REWRITES: Final = re.compile(
    r"(?:\A|;)\s*(?:truncate|reindex|cluster|refresh|vacuum\b[^;]*\bfull|alter\b[^;]*\b(?:type|default|generated|stored"
    r"|expression|(?:un)?logged|tablespace|access\s+method|sequence|identity))",
    re.IGNORECASE,
)
"""May write files anew, among the statements that change the schema."""
_ADDS: Final = re.compile(
    r"(?:\A|;)\s*alter\b[^;]*\badd\s+(?:column|(?!column|constraint|check|foreign|unique|primary|exclude|not)\w)",
    re.IGNORECASE,
)
"""Writes files anew only if the type of the new column asks for it: serial, or a domain with a constraint."""
_CODE: Final = re.compile(r"\s*(?:do|call|select|with|execute)\b", re.IGNORECASE)
"""Its text need not tell what it does."""


class Taken(msgspec.Struct, kw_only=True):
    """A lock while nobody knows yet when it ends."""

    oid: int
    name: str
    kind: str
    mode: str
    seen: Seen
    since: float
    looks: float
    """Seconds that looks had taken when it began: they are not the migration's."""
    timeout: float
    held: float = 0.0


@dataclass(slots=True, kw_only=True)
class Draft:
    """A statement that more is learnt of."""

    statement: Statement
    began: float
    looks: float
    sampled: Sampled
    locks: list[Taken] = field(default_factory=list)
    rewrote: dict[str, None] = field(default_factory=dict)
    scanned: dict[str, None] = field(default_factory=dict)
    changed: dict[str, None] = field(default_factory=dict)
    wal: int = 0
    timeout: float = 0.0

    def mentions(self, names: Iterable[str]) -> int:
        """How sure it is that the statement speaks of one of these relations: 2 where only a relation can stand."""
        return max(map(self._sure, names), default=0)

    def _sure(self, name: str) -> int:
        if plain(name):
            return words(self.statement.sql).get(bare(name).lower(), 0)
        found = _odd(bare(name)).finditer(self.statement.sql)
        return max((2 if match[1] else 1 for match in found), default=0)


@dataclass(slots=True)
class Look:
    """One look, and the statements that it came after."""

    candidates: list[Draft]
    after: Draft | None
    """The one that changes the schema, if it came right after one."""
    report: reports.Looked
    limits: int = field(init=False)
    """How many come before the first that sets `lock_timeout`; none where no statement does."""
    _by_word: dict[str, dict[int, int]] | None = field(default=None, init=False)
    """Which candidates have a word, by number, and how sure it is that they mean a relation."""

    def __post_init__(self) -> None:
        sets = (number for number, each in enumerate(self.candidates) if _LIMITS.search(each.statement.sql))
        self.limits = next(sets, 0)

    def who(self, names: Sequence[str], mode: str) -> tuple[Draft, Seen]:
        """The statement that took a lock which is new: the first that could have.

        A statement that changes the schema is taken to have what it speaks of, and every strong lock that no other
        statement speaks of.
        """
        if len(self.candidates) == 1:
            return self.candidates[0], "statement" if self.after else "commit"
        speaking = self._speaking(names)
        if self.after is None:
            return (speaking or self.candidates[-1:])[0], "commit"
        explicit = [draft for draft in speaking if draft is not self.after and _LOCK.match(draft.statement.sql)]
        if explicit and mode not in WEAK:
            return explicit[0], "commit"
        if any(draft is self.after for draft in speaking) or (not speaking and mode not in WEAK):
            return self.after, "statement"
        return (speaking or self.candidates[-2:-1])[0], "commit"

    def _speaking(self, names: Sequence[str]) -> list[Draft]:
        """Those candidates that most surely speak of the relation: there may be hundreds, for as many relations."""
        if not all(map(plain, names)):
            return speaking_of(self.candidates, names)
        if self._by_word is None:
            self._by_word = {}
            for number, draft in enumerate(self.candidates):
                for word, sure in words(draft.statement.sql).items():
                    self._by_word.setdefault(word, {})[number] = sure
        found = [self._by_word.get(bare(name).lower(), {}) for name in names]
        best = max((sure for each in found for sure in each.values()), default=0)
        numbers = {number for each in found for number, sure in each.items() if sure == best}
        return [self.candidates[number] for number in sorted(numbers)]

    def timeout(self, draft: Draft) -> float:
        """The `lock_timeout` that held for a statement: the one of now, unless only a later statement has set it."""
        later = draft in self.candidates[: self.limits]
        return draft.timeout if later else self.report.timeout

    def rewriter(self, names: Sequence[str], alone: Sequence[Draft]) -> Draft:
        """The statement that wrote the relation's files anew.

        `alone` are statements in autocommit before: what they did to the relation is seen only now, with the first lock
        that a transaction takes on it. Of several that may have done it by their kind, the slowest did.
        """
        found = self.who(names, "ACCESS EXCLUSIVE")[0]
        able = (found, *speaking_of(alone, names))
        may = [draft for draft in able if _REWRITES.search(draft.statement.sql)]
        may = may or [draft for draft in able if _ADDS.search(draft.statement.sql)]
        may = may or [draft for draft in self.candidates if _CODE.match(draft.statement.sql)]
        return max(may, key=lambda draft: draft.statement.seconds, default=found)

    def scans(self, names: Sequence[str], scans: int) -> bool:
        """More scans than the statements that change no schema can have made by themselves; TRUNCATE reads nothing."""
        if not scans or self.after is None or TRUNCATES.search(self.after.statement.sql):
            return False
        others = [draft for draft in self.candidates if draft is not self.after]
        return scans > sum(draft.mentions(names) > 0 for draft in others)

    def writers(self, names: Sequence[str]) -> Sequence[Draft]:
        """Every statement that may have changed rows: those that name the table, else the last of each revision."""
        others = [draft for draft in self.candidates if draft is not self.after] or self.candidates
        return speaking_of(others, names) or list({draft.statement.revision: draft for draft in others}.values())


def speaking_of(drafts: Sequence[Draft], names: Sequence[str]) -> list[Draft]:
    """Those that most surely speak of the relation."""
    sure = [draft.mentions(names) for draft in drafts]
    return [draft for draft, found in zip(drafts, sure, strict=True) if found and found == max(sure)]


def quoted(name: str) -> str:
    """The identifier as snapshots write it."""
    return name if _PLAIN.match(name) else '"' + name.replace('"', '""') + '"'


@lru_cache(maxsize=4096)
def words(sql: str) -> Mapping[str, int]:
    """Every word of the statement in lower case: 2 where it stands after what a relation stands after, else 1."""
    found = dict.fromkeys(_WORD.findall(sql.lower()), 1)
    for there in _THERE.finditer(sql):
        found |= {word.lower(): 2 for word in there.groups() if word is not None}
    return found


@lru_cache(maxsize=4096)
def plain(name: str) -> bool:
    """The relation's own name is a word of ASCII."""
    return name.isascii() and _WORD.fullmatch(bare(name)) is not None


@lru_cache(maxsize=4096)
def bare(name: str) -> str:
    """The relation's own name, out of a qualified one."""
    found = re.search(r'(?:"((?:[^"]|"")*)"|([^".]*))\Z', name)
    return (found[1] or found[2] or "").replace('""', '"') if found else name


@lru_cache(maxsize=4096)
def _odd(name: str) -> re.Pattern[str]:
    """What finds a name that is more than a word of ASCII."""
    return re.compile(rf'({_BEFORE}(?:{_SCHEMA})?"?)?(?<![\w$]){re.escape(name)}(?![\w$])', re.IGNORECASE)
