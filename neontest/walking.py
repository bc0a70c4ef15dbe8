"""The walks: whole, as a deploy, a rollback and a second deploy would be; and the stairway, revision by revision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

from neontest.errors import NeontestError
from neontest.postgres.diff import Difference, diff
from neontest.postgres.model import Snapshot
from neontest.record import Direction, Visit, Walk
from neontest.talk import Talk
from neontest.trial import Trial, failed

THREE: tuple[Direction, ...] = ("upgrade", "downgrade", "upgrade")


class Pace:
    """Collects the visits of one walk, and what the schema was at its landings."""

    def __init__(self, trial: Trial, revision: str | None) -> None:
        self._trial = trial
        self._revision = revision
        self._before = trial.schema
        self._first: Snapshot | None = None
        self.visits: list[Visit] = []
        self._not_restored: tuple[Difference, ...] = ()
        self._not_repeated: tuple[Difference, ...] = ()

    def add(self, visit: Visit) -> bool:
        """Note a visit that has just been made; False if the walk cannot go on after it."""
        self.visits.append(visit)
        now = self._trial.schema
        if failed(visit):
            return False
        if len(self.visits) == 1:
            self._first = now
        elif len(self.visits) == 2:
            self._not_restored = diff(self._before, now)
        else:
            assert self._first is not None
            self._not_repeated = diff(self._first, now)
        return True

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
            note=note,
        )


def whole(trial: Trial, *, target: str, start: str, talk: Talk) -> tuple[Walk, bool]:
    """The whole walk, and whether it left the branch fit to run tests on.

    `target` is `head` or `heads`; `start` is what to go back to, `base` or the parent's revisions.
    """
    pace = Pace(trial, None)
    for direction, to in zip(THREE, (target, start, target), strict=True):
        talk.say(f"whole walk: {direction} to {to}")
        if not pace.add(trial.visit(direction, to)):
            break
    return pace.walk(), pace.fit


class Stairway:
    """Up, down and up again for each revision, on as many branches as it takes.

    With `isolate`, each step has a run of env.py and a connection of its own, as a rollback would have; that takes its
    time, and is for where no whole walk has shown that.

    A revision that leaves its branch unfit costs a fresh sibling, brought to that revision by upgrades only: so one bad
    revision never hides the next.
    """

    def __init__(self, fresh: Callable[[Trial | None], Trial], *, isolate: bool, talk: Talk) -> None:
        self._fresh = fresh
        self._isolate = isolate
        self._talk = talk
        self.walks: list[Walk] = []
        self.trial: Trial | None = None
        """The branch that the last revision was walked on."""
        self.fit = False
        """That branch is at the last revision, as upgrades alone would have left it."""
        self.blocked: str | None = None
        """The revision whose upgrade fails: none after it could be walked."""

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

    def _climb(self, trial: Trial, revisions: Sequence[str]) -> int:
        """Walk revisions until one leaves the branch unfit, or ends the run of env.py; how many were walked."""
        remaining = list(revisions)
        pace = Pace(trial, remaining[0])

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
            if remaining:
                pace = Pace(trial, remaining[0])
            return self.fit

        trial.stairway(
            [(direction, revision) for revision, direction in product(revisions, THREE)], after, isolate=self._isolate
        )
        if (pace.visits and len(pace.visits) < 3) or (pace.visits and failed(pace.visits[-1])):
            self._stumbled(pace, remaining)
        return len(revisions) - len(remaining)

    def _stumbled(self, pace: Pace, remaining: list[str]) -> None:
        """A visit failed: note the walk, and what that means for the revisions after it."""
        self.walks.append(pace.walk())
        revision = remaining.pop(0)
        if len(pace.visits) == 1:
            self.blocked = revision
            self.fit = False
        else:
            self.fit = pace.fit and usable(pace.visits[-1])


def usable(visit: Visit) -> bool:
    """The worker outlived the failure: it was not stopped, and its process did not end."""
    return visit.error is None or visit.error.kind not in ("timeout", "exit")
