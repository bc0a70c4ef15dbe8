"""What the trace of a visit means: which statement took which lock, and for how long.

The worker says what its looks saw, an observer what it saw from beside; here both become statements of the record.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Final

import msgspec

from neontest.migrate import reports
from neontest.migrate.attribution import MODES, TRUNCATES, WEAK, Draft, Look, Seen, Taken, quoted, speaking_of
from neontest.migrate.observer import Nothing, Observer, Relation
from neontest.migrate.written import Written
from neontest.record import Failure, Lock, Size, Statement

MOST: Final = 10_000
"""Looks of a visit that are kept; the worker reports fewer."""
KINDS: Final = {
    "r": "table",
    "p": "partitioned table",
    "i": "index",
    "I": "partitioned index",
    "S": "sequence",
    "v": "view",
    "m": "materialized view",
    "c": "composite type",
    "t": "toast",
    "f": "foreign table",
}
"""pg_class.relkind."""
WITH_ROWS: Final = ("table", "partitioned table", "materialized view", "foreign table")

_WHATEVER: Final = re.compile(r"\s*(?:vacuum|reindex|cluster|do|call|create|alter|drop|select)\b", re.IGNORECASE)
_RENAMES_ALL: Final = re.compile(
    r"\s*alter\b.*\bset\s+schema\b|\s*alter\s+schema\b.*\brename\b", re.IGNORECASE | re.DOTALL
)
"""Gives other names to relations that it does not lock."""


class Trees:
    """What was there before a visit, partitions under their partitioned tables."""

    def __init__(self, relations: Mapping[int, Relation]) -> None:
        self.relations = relations

    def _above(self, oid: int) -> Iterator[int]:
        above = self.relations[oid].parent if oid in self.relations else None
        while above is not None and above in self.relations:
            yield above
            above = self.relations[above].parent

    def above(self, oid: int) -> tuple[str, ...]:
        """The names of what the relation is a part of, the nearest first."""
        return tuple(self.relations[each].name for each in self._above(oid))

    def rows(self, oid: int) -> int | None:
        """In the table, or in all partitions of a partitioned one: its own statistics are seldom there, or of today."""
        table = self.relations.get(oid)
        parts = self._sums.get(oid) if table is not None and table.kind == "p" else None
        return parts if parts is not None or table is None else table.rows

    @cached_property
    def _sums(self) -> dict[int, int | None]:
        """The rows of each partitioned table: a visit may be of one among thousands of others."""
        sums: dict[int, int | None] = {oid: 0 for oid, each in self.relations.items() if each.kind == "p"}
        for oid, leaf in self.relations.items():
            for above in self._above(oid) if leaf.kind in "rf" else ():
                known = sums.get(above)
                sums[above] = None if known is None or leaf.rows is None else known + leaf.rows
        return sums


def whole(relations: Mapping[int, Relation], oid: int) -> int:
    """The bytes of a relation, of its indexes and its toast table; 0 where it is not there."""
    one = relations.get(oid)
    return (one.bytes or 0) + sum(whole(relations, each) for each in one.parts) if one is not None else 0


class Trail:
    """What a visit has shown so far."""

    def __init__(
        self, observer: Observer | None = None, revision: str | None = None, written: Written | None = None
    ) -> None:
        self._observer: Observer = observer or Nothing()
        self._written = written or Written()
        self.drafts: list[Draft] = []
        self.revision = revision
        self.running: Statement | None = None
        self._open: dict[int, list[Draft]] = {}
        """By transaction, the statements that no look came after."""
        self._held: dict[int, dict[int, dict[str, Taken]]] = {}
        """By transaction, relation and mode."""
        self._last: dict[int, tuple[str, str, int]] = {}
        """Name, kind and file of relations as they were last seen in this visit."""
        self._before: dict[int, dict[int, tuple[str, str, int] | None]] = {}
        """Of each transaction the same for what it changed, as it was before."""
        self._now = 0.0
        self._looks = 0.0
        self._count = 0
        self._timeout = 0.0
        self._wal: int | None = None
        self._runs = False
        self._missed = False
        """Something was committed that no look came after."""
        self._left: dict[int, reports.Locked | None] = {}
        """What committed transactions left of relations; None: dropped."""
        self._leaving: dict[int, dict[int, reports.Locked | None]] = {}
        """The same of open ones."""
        self._whole = True
        """That is all there is to know of what the visit left."""

    # -- what the worker says

    def take(self, report: reports.Report, hide: reports.Hide) -> bool:
        """Note what was seen on the way of a visit; False for what is of no visit."""
        match report:
            case reports.Ran():
                self.ran(report, reports.hidden(report.statement, hide))
            case reports.Began():
                self.began(report)
            case reports.Looked():
                self._written.take(report)
                self.looked(report)
            case reports.Ended():
                self._written.take(report)
                self.ended(report)
            case reports.Step():
                self.revision = report.revision
            case reports.Running():
                if report.statement is not None:  # of one that is told twice to end, the second finds nothing
                    self.running = reports.hidden(report.statement, hide)
            case _:
                return False
        return True

    def began(self, report: reports.Began) -> None:
        self._runs = True
        self._observer.began(report.backend, autocommit=report.autocommit)

    def ran(self, report: reports.Ran, statement: Statement) -> None:
        """A statement has ended; `statement` is the report's with its secrets hidden."""
        sampled, self._runs = self._observer.ended(), False
        if len(self.drafts) >= reports.MOST:
            return
        draft = Draft(
            statement=statement, began=report.began, looks=self._looks, sampled=sampled, timeout=self._timeout
        )
        self.drafts.append(draft)
        self._now = max(self._now, report.began + statement.seconds)
        if statement.transaction:
            self._open.setdefault(statement.transaction, []).append(draft)

    def looked(self, report: reports.Looked) -> None:
        """The worker looked: after a statement that changes the schema, or before a commit."""
        self._now, self._looks, self._timeout = report.at, self._looks + report.seconds, report.timeout
        self._count += 1
        number = report.statement or 0
        after = self.drafts[number - 1] if 0 < number <= len(self.drafts) else None
        wal = self._wal if self._wal is not None else self._observer.wal
        self._wal = report.wal
        candidates = self._open.pop(report.transaction, [])
        if not candidates:
            # Beyond the limit statements are not told; a look after them is nobody's of another transaction.
            latest = [each for each in self.drafts[-1:] if each.statement.transaction == report.transaction]
            candidates = [after] if after is not None and report.transaction == 0 else latest
        if not candidates or self._count > MOST:
            self._whole = False
            return
        candidates[-1].timeout = report.timeout
        candidates[-1].wal += max(0, report.wal - wal) if wal is not None else 0
        held = self._held.setdefault(report.transaction, {})
        for oid in report.gone:
            self._released(held.get(oid, {}), ())
        self._whole &= not report.gone
        look = Look(candidates, after if after in candidates else None, report)
        for each in report.relations:
            self._relation(look, each, held)
            if each.modes != ("AccessShareLock",):
                self._leaving.setdefault(report.transaction, {})[each.oid] = each if each.name else None
                # The commit itself drops or empties temporary tables.
                stays = each.size is not None and not each.schema.startswith("pg_temp")
                self._whole &= stays or not each.name
                serial = each.kind == "S" and each.modes != ("RowExclusiveLock",)  # made, or altered: it has no parts
                if each.size is not None and "RowExclusiveLock" in each.modes and not serial:
                    # What an earlier transaction said of a part is not so any more.
                    parts = each.size.parts
                    self._whole &= parts is not None and self._left.keys().isdisjoint(oid for oid, _ in parts)

    def ended(self, report: reports.Ended) -> None:
        """A transaction is over, and all its locks with it."""
        self._now = report.at
        self._missed |= bool(self._open.pop(report.transaction, None)) and not report.rolled_back
        for modes in self._held.pop(report.transaction, {}).values():
            self._released(modes, ())
        self._left |= self._leaving.pop(report.transaction, {})
        # Another open one may have seen sizes that this one has changed.
        self._whole &= not report.rolled_back and not self._leaving
        before = self._before.pop(report.transaction, {})
        for oid, was in before.items() if report.rolled_back else ():
            if was is None:
                self._last.pop(oid, None)
            else:
                self._last[oid] = was

    # -- what it means

    def _relation(self, look: Look, each: reports.Locked, locks: dict[int, dict[str, Taken]]) -> None:
        known = self._observer.known.get(each.oid)
        last = self._last.get(each.oid) or ((known.name, known.kind, known.node) if known else None)
        if not each.name and last is None:
            return  # made and dropped by what no look came after
        name = f"{quoted(each.schema)}.{quoted(each.name)}" if each.name else ""
        was, kind, node = last or (name, each.kind, each.node)
        aliases = tuple(dict.fromkeys([was, *([name] if name else []), *self._owner(known)]))
        modes = [mode for taken, mode in MODES.items() if taken in each.modes]
        held = locks.setdefault(each.oid, {})
        self._whole &= held.keys() <= set(modes)  # else a part was rolled back, and what it did is undone
        self._released(held, modes)
        for mode in modes:
            if mode not in held:
                draft, seen = look.who(aliases, mode)
                bound = look.candidates[0] if seen == "commit" else draft
                taken = Taken(
                    oid=each.oid, name=was, kind=kind, mode=mode, seen=seen, since=bound.began, looks=bound.looks,
                    timeout=look.timeout(draft),
                )  # fmt: skip
                held[mode] = taken
                draft.locks.append(taken)
        if last is not None and each.name and each.node not in (node, 0) and (known is None or each.node != known.node):
            alone = [draft for draft in self.drafts if not draft.statement.transaction and was not in draft.rewrote]
            look.rewriter(aliases, alone).rewrote[was] = None
        if KINDS.get(kind) in WITH_ROWS:
            if look.scans(aliases, each.scans) and known is not None and look.after is not None:
                look.after.scanned[was] = None
            for draft in look.writers(aliases) if each.changed else ():
                draft.changed[was] = None
        if each.name:
            self._before.setdefault(look.report.transaction, {}).setdefault(each.oid, self._last.get(each.oid))
            self._last[each.oid] = (name, each.kind, each.node)

    def _owner(self, known: Relation | None) -> Iterator[str]:
        """The table of an index or a toast table, by which statements call it; of a toast table's index both."""
        while known is not None and (table := self._observer.known.get(known.table)) not in (None, known):
            yield table.name
            known = table

    def _released(self, held: dict[str, Taken], modes: Collection[str]) -> None:
        """Locks that are no longer there: the transaction is over, or was rolled back to a savepoint."""
        for mode in held.keys() - set(modes):
            taken = held.pop(mode)
            taken.held = self._since(taken.since, taken.looks)

    def _since(self, began: float, looks: float) -> float:
        return max(0.0, self._now - began - (self._looks - looks))

    # -- the end

    def finish(self) -> tuple[tuple[Statement, ...], int | None, tuple[Size, ...]]:
        """The statements, the bytes of log that the visit wrote, and the relations that changed in size."""
        observer = self._observer
        if self._runs:
            observer.ended()
        self._whole &= not self._held
        for transaction in list(self._held):
            self.ended(reports.Ended(transaction=transaction, at=self._now, rolled_back=False))
        if not self.drafts:
            return (), None, ()
        everything, newer = False, self._missed
        for draft in self.drafts:
            everything |= _RENAMES_ALL.match(draft.statement.sql) is not None
            if not draft.statement.transaction:
                everything |= self._alone(draft)
                newer = True
        before, wal = observer.known, observer.wal
        self._renew(newer=newer, everything=everything)
        self._rewritten_alone(before)
        trees = Trees(before) if wal is not None else None
        statements = tuple(self._statement(draft, trees) for draft in self.drafts)
        written = observer.wal - wal if observer.wal is not None and wal is not None else None
        return statements, written, self._sizes(before)

    def _renew(self, *, newer: bool, everything: bool) -> None:
        """Have the observer know what is there now: by what the looks saw, if that is all, else by asking."""
        observer, known = self._observer, self._observer.known
        there = [(each, each.size) for each in self._left.values() if each is not None and each.size is not None]
        rows = [
            (each.oid, each.schema, each.name, each.kind, each.node, *msgspec.structs.astuple(size)[:-1])
            for each, size in there
        ]
        grown = {oid: size for _, table in there for oid, size in table.parts or ()}
        dropped = self._left.keys() - {row[0] for row in rows}
        tables = {row[5] for row in rows} | {known[oid].table for oid in dropped if oid in known}
        if self._whole and self._wal is not None and not newer and not everything and tables <= self._left.keys():
            observer.learn(rows, dropped=dropped, grown=grown, wal=self._wal)
            return
        oids = {taken.oid for draft in self.drafts for taken in draft.locks} | set(self._last)
        observer.renew(oids - {0}, newer=newer, everything=everything)

    def _alone(self, draft: Draft) -> bool:
        """Complete a statement in autocommit; True if nothing says which relations it was about."""
        observer, found = self._observer, dict[tuple[str, str], None]()
        implied = observer.implied(draft.statement.sql)
        seen: list[tuple[Seen, Iterable[tuple[int, str, str, str]]]] = [
            ("sampled", draft.sampled.locks),
            ("inferred", implied),
        ]
        for how, locks in seen:
            for oid, name, kind, mode in locks:
                mode = MODES.get(mode, mode)
                if (name, mode) not in found:
                    found[name, mode] = None
                    taken = Taken(
                        oid=oid, name=name, kind=kind, mode=mode, seen=how, since=draft.began, looks=0.0,
                        timeout=draft.timeout, held=draft.statement.seconds,
                    )  # fmt: skip
                    draft.locks.append(taken)
        writing = {"ROW EXCLUSIVE"} | ({"ACCESS EXCLUSIVE"} if TRUNCATES.search(draft.statement.sql) else set())
        for _, name, kind, mode in implied if draft.statement.rows != 0 else ():
            if mode in writing and KINDS.get(kind, "table") in WITH_ROWS:
                draft.changed[name] = None
        return not implied and _WHATEVER.match(draft.statement.sql) is not None

    def _rewritten_alone(self, before: Mapping[int, Relation]) -> None:
        """New files that only statements in autocommit can have made."""
        alone = [draft for draft in self.drafts if not draft.statement.transaction]
        told = {name for draft in self.drafts for name in draft.rewrote}
        for oid, was in sorted(before.items(), key=lambda item: item[0]) if alone else ():
            now = self._observer.known.get(oid)
            if now is None or now.node in (was.node, 0) or was.name in told:
                continue
            names = (was.name, *self._owner(was))
            (speaking_of(alone, names) or alone)[-1].rewrote[was.name] = None

    def _statement(self, draft: Draft, before: Trees | None) -> Statement:
        return msgspec.structs.replace(
            draft.statement,
            locks=tuple(self._lock(taken, before) for taken in draft.locks),
            rewrote=tuple(draft.rewrote),
            scanned=tuple(draft.scanned),
            changed=tuple(draft.changed),
            waited_seconds=draft.sampled.waited,
            wal_bytes=draft.wal,
        )

    def _lock(self, taken: Taken, before: Trees | None) -> Lock:
        """`before` is None where nobody knows what was there: then it is taken to have been."""
        was = before.relations.get(taken.oid) if before is not None else None
        return Lock(
            relation=taken.name,
            kind=KINDS.get(taken.kind, "table"),
            mode=taken.mode,
            held_seconds=taken.held,
            seen=taken.seen,
            existed=was is not None or before is None,
            rows=before.rows(was.table) if before is not None and was is not None else None,
            timeout_seconds=taken.timeout,
            part_of=before.above(taken.oid) if before is not None else (),
        )

    def _sizes(self, before: Mapping[int, Relation]) -> tuple[Size, ...]:
        """Of tables that something other than reading was done to."""
        now = self._observer.known
        locked = {taken.oid for draft in self.drafts for taken in draft.locks if taken.mode not in WEAK[:2]}
        rewritten = {name for draft in self.drafts for name in draft.rewrote}
        locked |= {oid for oid in self._last.keys() & now.keys() if now[oid].name in rewritten}
        found = []
        for oid in sorted(locked):
            one, other = before.get(oid), now.get(oid)
            either = other or one
            if either is None or either.kind not in "rm":
                continue
            sizes = whole(before, oid), whole(now, oid)
            read = all(each.bytes is not None for each in (one, other) if each is not None)
            if read and sizes[0] != sizes[1]:
                found.append(Size(relation=either.name, before=sizes[0], after=sizes[1]))
        return tuple(found)

    def failure(self, kind: str, message: str) -> Failure:
        """Of a visit that was cut short: named by the statement that ran, if any did."""
        at = self.running
        return Failure(
            kind=kind,
            message=message,
            revision=self.revision,
            file=at.file if at else None,
            line=at.line if at else None,
            sql=at.sql if at else None,
        )
