"""How checks read locks: which visits stand for a deploy and its rollback, and which locks hold others up there. Pure.

The whole walk is what is deployed; the stairway stands in where that did not get to its end. A table that the pending
revisions made themselves has no users yet, and a small one is locked for a moment only: both are left out.
"""

from __future__ import annotations

import enum
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from neontest import statements
from neontest.record import Lock, Record, Statement, Visit, Walk
from neontest.report import Finding, Level
from neontest.statements import Build, brief, shown
from neontest.walks import down, place, up

BLOCKS: Final = {
    "ACCESS EXCLUSIVE": "reads and writes",
    "EXCLUSIVE": "writes",
    "SHARE ROW EXCLUSIVE": "writes",
    "SHARE": "writes",
}
"""What waits for a lock of that mode, the worst first.

Source: https://www.postgresql.org/docs/current/explicit-locking.html (2026-11).
"""
RANK: Final = {mode: rank for rank, mode in enumerate(BLOCKS)}
ABOUT: Final = {"statement": "", "commit": "at most ", "sampled": "about ", "inferred": "at most "}
"""How well it is known for how long a lock was held, by how it was seen."""
JUDGED: Final = frozenset({"table", "partitioned table", "foreign table", "materialized view"})
"""Kinds of relations that an application waits for; whoever locks an index locks its table, too."""
PARTITIONED: Final = (
    "CONCURRENTLY does not work on a partitioned table: create the index ON ONLY it, build one CONCURRENTLY on each"
    " partition, and attach them"
)
INVENTED: Final = "measured on invented rows: the time is not judged"
UNKNOWN: Final = "how many rows are in it is not known: the time is not judged"


class Size(enum.Enum):
    """What is known of the rows that were in a relation."""

    EXCUSED = "made by the pending revisions, empty or small"
    LARGE = "at or above the limit"
    INVENTED = "neontest's own rows stand for those of the real table"
    UNKNOWN = "never analyzed"

    @property
    def remark(self) -> str | None:
        return {Size.INVENTED: INVENTED, Size.UNKNOWN: UNKNOWN}.get(self)


def measured(record: Record) -> bool:
    """Statements were seen on rows of the parent's own: what no lock or time was found in is fine."""
    return any(visit.traced and not walk.with_rows for walk in record.walks for visit in walk.visits)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A visit that stands for the deploy of the pending revisions, or of one of them, or for its rollback."""

    record: Record
    walk: Walk
    visit: Visit
    born: frozenset[str]
    """Relations that the pending revisions made in another visit."""

    @property
    def rolling_back(self) -> bool:
        return self.visit.direction == "downgrade"

    @cached_property
    def relations(self) -> dict[str, Lock]:
        """A lock of each relation, for what it says of the relation itself."""
        return {
            lock.relation: lock for statement in self.visit.statements for lock in statement.locks if judged(lock.kind)
        }

    def named(self, name: str) -> str | None:
        """The relation that a statement calls so, if the visit locked it."""
        wanted = statements.unquoted(name)
        found = [each for each in self.relations if statements.unquoted(each)[-len(wanted) :] == wanted]
        return min(found, key=lambda each: not each.startswith("public."), default=None)

    def invented(self, relation: str) -> bool:
        filled, lock = self.record.filled, self.relations.get(relation)
        names = {relation, *(lock.part_of if lock is not None else ())}
        return self.walk.with_rows and (not filled or any(each.table in names and each.rows for each in filled))

    def whole(self, statement: Statement, relations: Iterable[str]) -> list[str]:
        """The same, each partition as the partitioned table that the statement speaks of, if it speaks of one."""
        found = dict[str, None]()
        for each in relations:
            above = self.relations[each].part_of if each in self.relations else ()
            spoken = [tree for tree in above if tree in self.relations and statements.mentions(statement.sql, tree)]
            found[spoken[-1] if spoken else each] = None
        return list(found)

    def splits(self, built: Build) -> bool:
        """The index is on a partitioned table, where CONCURRENTLY is refused, but for building it again."""
        relation = self.named(built.table) if built.table and not built.again else None
        return relation is not None and self.relations[relation].kind == "partitioned table"

    def size(self, relation: str) -> Size:
        """Whether a lock on the relation is worth a word, and what is known of it."""
        lock = self.relations.get(relation)
        if lock is None or not lock.existed or relation in self.born:
            return Size.EXCUSED
        if self.invented(relation):
            return Size.INVENTED
        if lock.rows is None:
            return Size.UNKNOWN
        return Size.LARGE if lock.rows >= max(1, self.record.limits.small_table) else Size.EXCUSED

    def level(self, worst: Level, size: Size = Size.LARGE) -> Level:
        """One lower for a rollback, which is rarer than a deploy; info where nothing was measured on real rows."""
        if size in (Size.INVENTED, Size.UNKNOWN):
            return Level.INFO
        return lower(worst) if self.rolling_back else worst

    def transaction(self, at: int) -> range:
        """Where the statements of the same transaction stand, from that one on; itself alone in autocommit."""
        return range(at, self._ends[at])

    @cached_property
    def _ends(self) -> list[int]:
        """Of each statement's transaction, or of itself in autocommit: all in one pass, for there may be thousands."""
        rows, ends = self.visit.statements, list[int]()
        for at in reversed(range(len(rows))):
            same = ends and rows[at].transaction and rows[at].transaction == rows[at + 1].transaction
            ends.append(ends[-1] if same else at + 1)
        return ends[::-1]

    @cached_property
    def _growing(self) -> list[int]:
        """Where the statements stand that take the longer the more rows the real tables have."""
        return [at for at, each in enumerate(self.visit.statements) if self._grows(each)]

    def growing(self, at: int) -> Statement | None:
        """The first of them after that statement, in its transaction."""
        next_one = bisect_right(self._growing, at)
        if next_one == len(self._growing) or self._growing[next_one] not in self.transaction(at):
            return None
        return self.visit.statements[self._growing[next_one]]

    def _grows(self, statement: Statement) -> bool:
        if statements.moves_rows(statement.sql):
            return not statement.changed or any(self._may_be_large(each) for each in statement.changed)
        tables = {*self.whole(statement, (*statement.rewrote, *statement.scanned))}
        tables.update(filter(None, (self.named(built.table or "") for built in statements.builds(statement.sql))))
        return any(self.size(each) is not Size.EXCUSED for each in tables)

    def _may_be_large(self, relation: str) -> bool:
        return self.size(relation) is not Size.EXCUSED or (relation not in self.relations and relation not in self.born)

    def taken(self) -> Iterator[Taken]:
        """Every lock that holds up somebody who uses a relation that is not excused, a partitioned table's once."""
        for at, statement in enumerate(self.visit.statements):
            for lock in statement.locks:
                blocks = lock.mode in BLOCKS and judged(lock.kind) and self.size(lock.relation) is not Size.EXCUSED
                if blocks and not self._covered(at, lock):
                    yield Taken(stage=self, at=at, lock=lock)

    def _covered(self, at: int, lock: Lock) -> bool:
        """The transaction locks a table that the partition is a part of, as strongly and for as long."""
        by = self._partitioned[self._ends[at]] if lock.part_of else ()
        return any(
            each.relation in lock.part_of
            and RANK[each.mode] <= RANK[lock.mode]
            and each.held_seconds >= lock.held_seconds
            for each in by
        )

    @cached_property
    def _partitioned(self) -> dict[int, list[Lock]]:
        """Locks of partitioned tables by the end of their transaction, for those of their partitions."""
        found: defaultdict[int, list[Lock]] = defaultdict(list)
        for at, statement in enumerate(self.visit.statements):
            found[self._ends[at]] += [
                each for each in statement.locks if each.kind == "partitioned table" and each.mode in BLOCKS
            ]
        return found

    def by_transaction(self) -> dict[tuple[int, int], list[Taken]]:
        """Those locks, by what ends them: a transaction, or in autocommit the statement."""
        found: defaultdict[tuple[int, int], list[Taken]] = defaultdict(list)
        for each in self.taken():
            found[each.statement.transaction, 0 if each.statement.transaction else each.at + 1].append(each)
        return dict(found)

    def finding(
        self,
        check: str,
        level: Level,
        statement: Statement,
        message: str,
        *,
        details: tuple[str, ...] = (),
        hint: str | None = None,
        fix: str | None = None,
    ) -> Finding:
        """A finding at the statement's line."""
        revision = statement.revision or self.walk.revision
        at = (statement.file, statement.line)
        file, line = at if statement.file else place(self.record, revision, self.visit.direction)
        said = f"rolling back: {message}" if self.rolling_back else message
        return Finding(
            check=check, level=level, message=said, revision=revision, file=file, line=line, details=details, hint=hint,
            fix=fix,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A lock in its place: who took it, and what the transaction did while it was held."""

    stage: Stage
    at: int
    lock: Lock

    @property
    def statement(self) -> Statement:
        return self.stage.visit.statements[self.at]

    @property
    def size(self) -> Size:
        return self.stage.size(self.lock.relation)

    @property
    def after(self) -> tuple[Statement, ...]:
        """The statements that ran while it was held, after the one that took it."""
        return tuple(self.stage.visit.statements[at] for at in self.stage.transaction(self.at)[1:])

    @property
    def rewrites(self) -> bool:
        """The statement made new files for the relation."""
        return self.lock.relation in self.stage.whole(self.statement, self.statement.rewrote)

    @property
    def slow_by_itself(self) -> str | None:
        """Why the statement takes the longer the more rows there are; None if it does not."""
        relation, statement = self.lock.relation, self.statement
        if self.rewrites:
            return "it writes every row of the table anew"
        if any(
            built.table is None or self.stage.named(built.table) == relation
            for built in statements.builds(statement.sql)
        ):
            return "it builds an index"
        scanned = self.stage.whole(statement, statement.scanned)
        return "it reads every row of the table" if relation in scanned else None

    @property
    def slow_later(self) -> Statement | None:
        """The first statement that does, of those that ran while the lock was held."""
        return self.stage.growing(self.at)

    @property
    def slow_by_kind(self) -> str | None:
        """Why the lock is held the longer the more rows there are, however few there are here; None if it is not."""
        later = None if self.slow_by_itself else self.slow_later
        return f"{brief(later.sql)} follows in the same transaction" if later else self.slow_by_itself


def stages(record: Record) -> Iterator[Stage]:
    """The visits to judge: the deploy, then the rollback."""
    whole = next((walk for walk in record.walks if walk.kind == "whole" and walk.visits), None)
    stairs = [walk for walk in record.walks if walk.kind == "stairway" and walk.visits]
    deploys = [whole] if whole is not None and (arrived(up(whole)) or not stairs) else stairs
    born: set[str] = set()
    for walk in deploys:
        visit = walk.visits[0]
        yield Stage(record=record, walk=walk, visit=visit, born=frozenset(born))
        born |= made(visit)
    others = [walk for walk in stairs if down(walk) is not None]
    fits = whole is not None and down(whole) is not None and (arrived(down(whole)) or not others)
    for walk in [whole] if whole is not None and fits else others:
        back = down(walk)
        if back is not None:
            yield Stage(record=record, walk=walk, visit=back, born=frozenset(born))


def arrived(visit: Visit | None) -> bool:
    return visit is not None and visit.error is None and visit.moved


def made(visit: Visit) -> set[str]:
    """Relations that the visit made, under names that none had before."""
    locks = [lock for statement in visit.statements for lock in statement.locks]
    return {lock.relation for lock in locks if not lock.existed} - {lock.relation for lock in locks if lock.existed}


def judged(kind: str) -> bool:
    return kind in JUDGED


def lower(level: Level) -> Level:
    return Level.WARNING if level is Level.ERROR else Level.INFO


def worst_first(taken: Taken) -> tuple[int, float]:
    return RANK[taken.lock.mode], -taken.lock.held_seconds


def duration(seconds: float) -> str:
    """Such as `0.25 s`, `4.8 s`, `3 m 05 s`."""
    return f"{seconds:.3g} s" if seconds < 60 else f"{int(seconds) // 60} m {int(seconds) % 60:02d} s"


def table(lock: Lock) -> str:
    """The relation and about how many rows it has, where that is known."""
    return shown(lock.relation) + (f" (about {lock.rows:,} rows)" if lock.rows else "")


def line(statement: Statement) -> str:
    """A statement as a detail: where it is, what it says, how long it took."""
    where = f"{statement.file}:{statement.line}: " if statement.file and statement.line else ""
    return f"{where}{brief(statement.sql, 120)} ({duration(statement.seconds)})"
