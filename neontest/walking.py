"""The walks: whole, as a deploy, a rollback and a second deploy would be; and the stairway, revision by revision."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import product

import msgspec

from neontest.errors import NeontestError
from neontest.postgres.data import DataChange
from neontest.postgres.diff import Difference, diff
from neontest.postgres.fingerprint import State, compare
from neontest.postgres.model import Snapshot
from neontest.record import Direction, Refused, Statement, Visit, Walk
from neontest.rows import touched
from neontest.talk import Talk
from neontest.trial import Trial, failed, usable

THREE: tuple[Direction, ...] = ("upgrade", "downgrade", "upgrade")


class Afterwards(msgspec.Struct, frozen=True, kw_only=True):
    """The rows after a downgrade, of the tables that the walk had touched: to be compared with an untouched branch."""

    names: frozenset[str]
    state: State

    @classmethod
    def read(cls, trial: Trial, names: frozenset[str]) -> Afterwards | None:
        state = trial.rows.before(names)
        return None if state is None else cls(names=names, state=state)

    def lost(self, untouched: Trial) -> DataChange | None:
        """What is not as it was, by a branch of the same moment on which nothing was walked."""
        before = untouched.rows.before(self.names)
        return None if before is None else compare(before, self.state)


class Pace:
    """Collects the visits of one walk, and what the schema and the rows were at its landings.

    `names` are the tables that the walk is known to touch, None where that is not known; what its own visits show is
    added to them.
    """

    def __init__(
        self,
        trial: Trial,
        revision: str | None,
        *,
        before: State | None,
        names: Collection[str] | None,
        grow: bool = True,
    ) -> None:
        self._trial = trial
        self._revision = revision
        self._grow = grow
        """Give rows to what the upgrade made."""
        self.before = trial.schema
        """The schema before the first visit."""
        self._first: Snapshot | None = None
        self._rows_before = before
        self._names = None if names is None else frozenset(names)
        self.visits: list[Visit] = []
        self._not_restored: tuple[Difference, ...] = ()
        self._not_repeated: tuple[Difference, ...] = ()
        self._changed: DataChange | None = None
        self._lost: DataChange | None = None
        self.afterwards: Afterwards | None = None
        """Of a walk whose rows were not read before it, once it has come down."""

    def add(self, visit: Visit) -> bool:
        """Note a visit that has just been made; False if the walk cannot go on after it."""
        self.visits.append(visit)
        now = self._trial.schema
        if self._names is not None and len(self.visits) < len(THREE):
            self._names = self._names.union(*touched(visit).values()) if visit.traced else None
        if failed(visit):
            return False
        if len(self.visits) == 1:
            self._first = now
            self._changed = self._since()
            if self._grow:
                self._trial.rows.grow(now)
        elif len(self.visits) == 2:
            self._not_restored = diff(self.before, now)
            self._lost = self._since()
            if self._rows_before is None and self._names is not None:
                self.afterwards = Afterwards.read(self._trial, self._names)
        else:
            assert self._first is not None
            self._not_repeated = diff(self._first, now)
            if self._grow:
                self._trial.rows.grow(now)
        return True

    def _since(self) -> DataChange | None:
        """What changed in the rows since the walk began; None where they were not read."""
        if self._rows_before is None:
            return None
        return self._trial.rows.after(self._names, self._rows_before)[1]

    @property
    def fit(self) -> bool:
        """The branch is where a first upgrade would have left it: what comes next may be judged on it."""
        if len(self.visits) == 3:
            return not failed(self.visits[2]) and all(each.change == "order" for each in self._not_repeated)
        # A downgrade that failed and was rolled back as a whole has done no harm.
        return len(self.visits) == 2 and failed(self.visits[1]) and self._trial.schema == self._first

    def walk(self, note: str | None = None) -> Walk:
        return Walk(
            kind="stairway" if self._revision else "whole",
            revision=self._revision,
            branch=self._trial.lease.branch.id,
            visits=tuple(self.visits),
            not_restored=self._not_restored,
            not_repeated=self._not_repeated,
            data_changed=self._changed,
            data_lost=self._lost,
            with_rows=self._trial.rows.invented,
            note=note,
        )


class Whole(msgspec.Struct, frozen=True, kw_only=True):
    """The whole walk, and how it left its branch."""

    walk: Walk
    fit: bool
    """The branch is at head, as upgrades alone would have left it: fit to run tests on."""
    afterwards: Afterwards | None


def whole(trial: Trial, *, target: str, start: str, grow: bool, talk: Talk) -> Whole:
    """Up, down and up again, all pending revisions at once.

    `target` is `head` or `heads`; `start` is what to go back to, `base` or the parent's revisions. With `grow`, what
    the upgrade made gets rows: where the stairway follows, that has rows as they were before each revision, while
    rows that are only invented at head never went through the upgrades, and a right rollback may not know them.
    """
    pace = Pace(trial, None, before=trial.rows.whole_before(), names=(), grow=grow)
    for direction, to in zip(THREE, (target, start, target), strict=True):
        talk.say(f"whole walk: {direction} to {to}")
        if not pace.add(trial.visit(direction, to)):
            break
    return Whole(walk=pace.walk(), fit=pace.fit, afterwards=pace.afterwards)


class Stairway:
    """Up, down and up again for each revision, on as many branches as it takes.

    With `isolate`, each step has a run of env.py and a connection of its own, as a rollback would have; that takes its
    time, and is for where no whole walk has shown that.

    A revision that leaves its branch unfit costs a fresh sibling, brought to that revision by upgrades only: so one bad
    revision never hides the next. Where invented rows stand in the way of an upgrade, it is walked again without them.
    """

    def __init__(
        self,
        fresh: Callable[[Trial | None], Trial],
        *,
        isolate: bool,
        touches: Callable[[str], Collection[str] | None],
        talk: Talk,
    ) -> None:
        self._fresh = fresh
        self._isolate = isolate
        self._touches = touches
        """The tables that a revision is known to touch, None where nobody knows."""
        self._talk = talk
        self.walks: list[Walk] = []
        self.refused: list[Refused] = []
        """The upgrades that rows stood in the way of."""
        self.trial: Trial | None = None
        """The branch that the last revision was walked on."""
        self.fit = False
        """That branch is at the last revision, as upgrades alone would have left it."""
        self.blocked: str | None = None
        """The revision whose upgrade fails: none after it could be walked."""
        self._bare: str | None = None
        """The revision that is to be walked without invented rows."""

    def walk(self, revisions: Sequence[str]) -> None:
        """Walk them all, or up to the first whose upgrade fails."""
        done = 0
        while done < len(revisions) and self.blocked is None:
            if not self.fit or self.trial is None:
                self.trial = self._ready(revisions[:done])
            done += self._climb(self.trial, revisions[done:])

    def _ready(self, below: Sequence[str]) -> Trial:
        """A fresh branch, upgraded through the revisions that were walked already."""
        trial = self._fresh(self.trial)
        for revision in below[-1:]:
            self._talk.say(f"stairway: a fresh branch, upgraded to {revision}")
            visit = trial.visit("upgrade", revision)
            if failed(visit):
                raise NeontestError(
                    f"a fresh branch could not be upgraded to {revision}, though that worked before",
                    hint=visit.error.message if visit.error else None,
                )
        self.fit = True
        return trial

    def _pace(self, trial: Trial, revision: str) -> Pace:
        """The walk of one revision, from a branch where there are rows for it."""
        if revision != self._bare:
            trial.rows.invent(trial.schema)
        names = self._touches(revision)
        return Pace(trial, revision, before=trial.rows.before(names), names=names)

    def _climb(self, trial: Trial, revisions: Sequence[str]) -> int:
        """Walk revisions until one leaves the branch unfit, or ends the run of env.py; how many were walked."""
        remaining = list(revisions)
        pace = self._pace(trial, remaining[0])

        def after(visit: Visit) -> bool:
            nonlocal pace
            if not pace.visits:
                self._talk.say(f"stairway: {remaining[0]} ({len(revisions) - len(remaining) + 1} of {len(revisions)})")
            if not pace.add(visit):
                return False
            if len(pace.visits) < 3:
                return True
            self.walks.append(pace.walk())
            self.fit = pace.fit
            remaining.pop(0)
            if remaining and self.fit:
                pace = self._pace(trial, remaining[0])
            return self.fit

        trial.stairway(
            [(direction, revision) for revision, direction in product(revisions, THREE)], after, isolate=self._isolate
        )
        if pace.visits and (len(pace.visits) < 3 or failed(pace.visits[-1])):
            self._stumbled(trial, pace, remaining)
        return len(revisions) - len(remaining)

    def _stumbled(self, trial: Trial, pace: Pace, remaining: list[str]) -> None:
        """A visit failed: note the walk, and what that means for the revisions after it."""
        revision, visit = remaining[0], pace.visits[-1]
        first = len(pace.visits) == 1
        refused = trial.refused(visit) if first else None
        if first:
            self.refused = [each for each in self.refused if each.revision != revision]
        if refused is not None:
            self.refused.append(msgspec.structs.replace(refused, revision=revision))
            if refused.invented:
                # Does it work without them? No rows this time, on this branch if it can be as if it never had any.
                self._bare = revision
                self.fit = trial.without_rows(visit, since=pace.before)
                return
        self.walks.append(pace.walk())
        remaining.pop(0)
        if first:
            self.blocked = revision
            self.fit = False
        else:
            self.fit = pace.fit and usable(visit)


def upgrade_statements(walks: Sequence[Walk]) -> tuple[Statement, ...]:
    """What the upgrades sent, each revision's once: by the whole walk if its upgrade arrived, else by the stairway."""
    firsts = [(walk.kind, walk.visits[0]) for walk in walks if walk.visits]
    arrived = [visit for kind, visit in firsts if kind == "whole" and not failed(visit)]
    chosen = arrived or [visit for kind, visit in firsts if kind == "stairway"]
    return tuple(statement for visit in chosen for statement in visit.statements)
