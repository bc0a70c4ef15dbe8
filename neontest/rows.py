"""The rows on a branch: invented where there are none, and read before and after visits, within one budget of time."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Final, Literal

from neontest.postgres import fingerprint
from neontest.postgres.connect import Connection
from neontest.postgres.data import DataChange, Filled, Read
from neontest.postgres.fill import Filler
from neontest.postgres.fingerprint import State
from neontest.postgres.fingerprint_tables import Listing
from neontest.postgres.model import Snapshot
from neontest.record import Visit
from neontest.statements import Mentioned, defines, opaque
from neontest.stop import Deadline
from neontest.walks import IRREVERSIBLE

How = Literal["full", "touched", "sample", "off"]

SMALL: Final = 64 << 20
"""Bytes of a database that is read whole before its walk, though only some of it will be touched: a moment's work."""
WRITING: Final = frozenset({"ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"})
"""Lock modes under which rows can change, or go with their column."""
TABLES: Final = frozenset({"table", "partitioned table"})
WORST: Final = ("full", "sample", "count", "not")


@dataclass(slots=True, kw_only=True)
class Plan:
    """What a run does about rows, what time it has left for reading them, and what became of it."""

    rows: int
    """To invent for each empty table."""
    seed: int
    how: How
    seconds: float
    """What is left of the time to read."""
    deadline: Deadline
    """Of the run."""
    touched: dict[str, frozenset[str]] = field(default_factory=dict)
    """The tables that a revision's upgrade and downgrade write to, by revision, once a whole walk has shown them."""
    upgraded: frozenset[str] | None = None
    """Those that the upgrade of all writes to; None while no whole walk has shown them."""
    filled: dict[str, Filled] = field(default_factory=dict)
    read: dict[str, Read] = field(default_factory=dict)

    @contextmanager
    def budget(self) -> Iterator[Deadline]:
        """The deadline of one reading; its time is taken off what is left."""
        began = time.monotonic()
        try:
            yield self.deadline.sooner(self.seconds, what="reading rows")
        finally:
            self.seconds = max(0.0, self.seconds - (time.monotonic() - began))

    def learn(self, visits: Sequence[Visit]) -> None:
        """Take from a whole walk which tables each revision touches; what nobody traced stays unknown.

        So does what a downgrade that failed did not come to: its rows have to be read before the revision is walked.
        """
        if not visits or not all(visit.traced for visit in visits[:2]) or not arrived(visits[0]):
            return
        up, *down = map(touched, visits[:2])
        self.upgraded = frozenset().union(*up.values())
        known = passed(visits[1]) if down and not arrived(visits[1]) else None
        for by_revision in (up, *down) if down else ():
            for revision, tables in by_revision.items():
                if revision is not None and (known is None or revision in known):
                    self.touched[revision] = self.touched.get(revision, frozenset()) | tables


class Rows:
    """The rows of one branch."""

    def __init__(self, connection: Connection, plan: Plan, *, forget: Callable[[], None]) -> None:
        """`forget` is called when rows were invented: what anybody knew of sizes is not so any more."""
        self._connection, self._plan, self._forget = connection, plan, forget
        self._filler: Filler | None = None
        self._looked: Snapshot | None = None
        """The schema as it was when the filler looked at it."""
        self.invented = False
        """Some rows, or values, of this branch are neontest's own."""
        self._mixed = False
        """Others were written since, maybe made of these."""

    def invent(self, schema: Snapshot) -> None:
        """Give every empty table rows, if the run asks for that; `schema` is the branch's as it is now."""
        if not self._plan.rows:
            return
        if self._filler is None:
            self._filler = Filler(
                self._connection, rows=self._plan.rows, seed=self._plan.seed, deadline=self._plan.deadline
            )
        self._fill(self._filler.fill_empty(look=schema is not self._looked))
        self._looked = schema

    def grow(self, schema: Snapshot) -> None:
        """Give rows to what an upgrade made, on a branch that has invented ones."""
        if self._filler is not None and (filled := self._filler.fill_new()) is not None:
            self._fill(filled)
            self._looked = schema

    def saw(self, visit: Visit) -> None:
        """Take note of a visit that was made on the branch."""
        if self.invented and not (rolled_back(visit) or defines_only(visit)):
            self._mixed = True

    def withdraw(self) -> bool:
        """Take all invented rows away, so that the branch is as upgrades alone would have left it; False: it is not."""
        if self._filler is None or self._mixed or not self._filler.withdraw():
            return False
        self._filler, self._looked, self.invented = None, None, False
        self._forget()
        return True

    def _fill(self, filled: tuple[Filled, ...]) -> None:
        if filled:
            self._forget()
        for each in filled:
            self.invented = self.invented or each.rows > 0 or bool(each.columns)
            known = self._plan.filled.get(each.table)
            if known is None or (each.rows, bool(known.why)) > (known.rows, bool(each.why)):
                self._plan.filled[each.table] = each

    def budget(self) -> AbstractContextManager[Deadline]:
        """The deadline of one reading of rows, whoever reads them."""
        return self._plan.budget()

    def before(self, names: Collection[str] | None) -> State | None:
        """The state of these tables, None for all; None where rows are not to be read."""
        return None if self._plan.how == "off" else self.state(names)

    def whole_before(self) -> State | None:
        """The state before a whole walk, where it is cheap to have before anybody knows what the walk will touch."""
        if self._plan.how == "off":
            return None
        with self._plan.budget():
            listing = fingerprint.listed(self._connection)
        cheap = self.invented or sum(each.bytes for each in fingerprint.tables(listing)) <= SMALL
        return self.state(None, listing=listing) if cheap or self._plan.how == "full" else None

    def after(self, names: Collection[str] | None, before: State) -> tuple[State, DataChange]:
        """The same tables now, under whatever name, and those of `names`; and what changed since `before`."""
        state = self.state(names, before)
        return state, fingerprint.compare(before, state)

    def state(self, names: Collection[str] | None, like: State | None = None, listing: Listing | None = None) -> State:
        """These tables now, None for all; with `like`, those of that state as well; `listing`: all, just listed."""
        everything = names is None or self._plan.how == "full"
        wanted = None if everything else like.prints.keys() if like is not None else ()
        with self._plan.budget() as deadline:
            state = fingerprint.read(
                self._connection, wanted, names=names or (), how="sample" if self._plan.how == "sample" else "full",
                deadline=deadline, like=like, listing=listing,
            )  # fmt: skip
        for each in state.reads:
            worst = self._plan.read.get(each.table)
            if worst is None or WORST.index(each.how) >= WORST.index(worst.how):
                self._plan.read[each.table] = each
        return state


def arrived(visit: Visit) -> bool:
    return visit.error is None and visit.moved


def rolled_back(visit: Visit) -> bool:
    """It failed, and all of it was one transaction."""
    return not arrived(visit) and visit.traced and {each.transaction for each in visit.statements} <= {1}


def defines_only(visit: Visit) -> bool:
    """It can have written no rows, other than those of a table that it gave another shape."""
    return visit.traced and not any(each.changed or not defines(each.sql) for each in visit.statements)


def passed(visit: Visit) -> frozenset[str]:
    """The revisions that a failed visit shows whole: those before the one at fault, and one that refuses on purpose."""
    at = visit.error.revision if visit.error else None
    seen = {each.revision for each in visit.statements if each.revision is not None} - {at}
    if at is not None and visit.error is not None and visit.error.kind == IRREVERSIBLE:
        seen.add(at)
    return frozenset(seen)


def touched(visit: Visit) -> dict[str | None, frozenset[str]]:
    """The tables that a visit's statements wrote to, or could have, by revision.

    A lock stays until its transaction ends, so a later statement shows none for a table that is locked already: it
    counts as touched where the statement names it, or runs code that could.
    """
    found: defaultdict[str | None, set[str]] = defaultdict(set)
    held: defaultdict[int, Mentioned] = defaultdict(Mentioned)
    for statement in visit.statements:
        own = {lock.relation for lock in statement.locks if lock.kind in TABLES and lock.mode in WRITING}
        found[statement.revision].update(own, statement.changed, statement.rewrote)
        if statement.transaction:
            before = held[statement.transaction]
            found[statement.revision] |= before.all if opaque(statement.sql) else before.by(statement.sql)
            before.add(own)
    return {revision: frozenset(tables) for revision, tables in found.items()}
