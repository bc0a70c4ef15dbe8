"""What a run does on its branches: walks, tests, and what it makes of a project that moves while it is loaded."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from contextlib import AbstractContextManager

import msgspec

from neontest import suite
from neontest.branches import Branches, Sessions
from neontest.errors import BranchLeftBehind, CouldNotTest
from neontest.ground import BASE, Context, Ground, known
from neontest.migrate import history as histories
from neontest.parent import prepare_parent
from neontest.postgres.diff import diff
from neontest.record import History, SuiteResult, Walk
from neontest.redact import Redactor
from neontest.trial import Trial, failed
from neontest.walking import THREE, Stairway, whole


class Acting:
    """The acting of one run. `note` takes facts for the record, `timed` measures a phase."""

    def __init__(
        self,
        context: Context,
        note: Callable[..., None],
        timed: Callable[[str], AbstractContextManager[None]],
        redactor: Redactor,
    ) -> None:
        self.context = context
        self.left_behind: BranchLeftBehind | None = None
        self.notes: list[str] = []
        self._note = note
        self._timed = timed
        self._redactor = redactor
        self._sessions = Sessions(context, redactor)
        self._branches: Branches | None = None
        self._closed = False
        self._walks: list[Walk] = []
        self._history = History()
        self._start: tuple[str, ...] = ()
        self._target = "heads" if context.settings.heads == "many" else "head"

    def test(self, ground: Ground, history: History, start: tuple[str, ...] | None) -> None:
        """Take the candidate, walk, test. `start` is None where only the project can read the parent's revision."""
        settings = self.context.settings
        self._history = history
        if ground.local is not None:
            with self._timed("parent"):
                prepare_parent(self.context, self._sessions, ground, start or ())
        self._branches = branches = Branches(self.context, ground, self._sessions, self._note, self._redactor)
        with self._timed("branch"):
            candidate = branches.trial("candidate", history)
        start = self._started(candidate, ground.parent.name)
        if not self._history.pending:
            return
        if settings.mode == "both":
            branches.ask_for_sibling(candidate)
            self._sessions.warm()
        at_head, applies = (None, True) if settings.mode == "stairway" else self._whole(candidate, start)
        if settings.mode != "whole":
            stairway = self._stairway(branches, candidate if settings.mode == "stairway" else None)
            if settings.mode == "stairway":
                applies = stairway.blocked is None
                at_head = stairway.trial if stairway.fit and applies else None
        self._tests(branches, at_head, applies)
        if settings.keep:
            self.notes.append(branches.keep())

    def _whole(self, candidate: Trial, start: tuple[str, ...]) -> tuple[Trial | None, bool]:
        """The whole walk: the branch at head, if it is still fit for tests, and whether the upgrade applies at all."""
        with self._timed("whole"):
            walk, fit = whole(candidate, target=self._target, start=", ".join(start) or BASE, talk=self.context.talk)
        self._walked([walk])
        return candidate if fit else None, not failed(walk.visits[0])

    def _started(self, candidate: Trial, name: str) -> tuple[str, ...]:
        """Settle the history by what the loaded project says, and go back to the start where loading moved on."""
        loaded = candidate.loaded
        if {each.id for each in loaded.history} - {each.id for each in self._history.revisions}:
            # env.py looks in more places than its configuration says.
            graph = histories.read(self.context.project, locations=loaded.version_locations)
            self._history = graph if graph.revisions else histories.from_revisions(loaded.history)
        actual = candidate.start
        if loaded.current is not None and not candidate.load_changes:
            actual = loaded.current
        known(self._history, actual, name)
        pending = histories.pending(self._history, actual)
        self._history = msgspec.structs.replace(self._history, start=", ".join(actual) or None, pending=pending)
        self._note(history=self._history, load_changes=candidate.load_changes)
        self._start = actual
        if pending:
            self.notes += self._back(candidate)
        return actual

    def _fresh(self, old: Trial | None) -> Trial:
        """A fresh branch at the start, in place of `old`."""
        assert self._branches is not None
        trial = self._branches.fresh(old)
        self._back(trial)
        return trial

    def _back(self, trial: Trial) -> tuple[str, ...]:
        """Go back to the start where loading the project moved on from it; what is to be said of that.

        The downgrade cannot be judged: the branch was never seen between its upgrades, so what it leaves is told.
        """
        current = trial.loaded.current
        if current is None or set(current) == set(self._start):
            return ()
        moved, start = ", ".join(current) or BASE, ", ".join(self._start) or BASE
        self.context.talk.say(f"loading the project moved its database to {moved}: going back to {start}")
        visit = trial.visit("downgrade", start)
        if failed(visit):
            why = f": {visit.error.message}" if visit.error else ""
            raise CouldNotTest(
                f"loading the project moves its database to {moved}, and that could not be undone{why}",
                hint="do not upgrade on import: guard it with an environment variable and set that in"
                " [tool.neontest.env]",
            )
        left = tuple(each.line() for each in diff(trial.before, trial.schema))
        return (
            f"loading the project moves its database to {moved}: each branch was taken back to {start} before its walk",
            *(f"after loading and going back to {start}: {line}" for line in left),
        )

    def _stairway(self, branches: Branches, trial: Trial | None) -> Stairway:
        """Walk each pending revision; the record has the walks even if it ends early."""
        # What only works in the connection of its upgrade is found by a whole walk down, else step by step.
        isolate = not any(walk.kind == "whole" and len(walk.visits) == len(THREE) for walk in self._walks)
        stairway = Stairway(self._fresh, isolate=isolate, talk=self.context.talk)
        if trial is not None:
            stairway.trial, stairway.fit = trial, True
        with self._timed("stairway"):
            try:
                stairway.walk(self._history.pending)
            finally:
                self._walked(stairway.walks)
        if stairway.blocked is not None:
            rest = len(self._history.pending) - self._history.pending.index(stairway.blocked) - 1
            if rest:
                self.notes.append(
                    f"{rest} later revision{'s' if rest > 1 else ''} not walked: {stairway.blocked} does not apply"
                )
        return stairway

    def _walked(self, walks: list[Walk]) -> None:
        self._walks += walks
        self._note(walks=tuple(self._walks))

    def _tests(self, branches: Branches, trial: Trial | None, applies: bool) -> None:
        """Run the project's tests on a branch at head: the one that is there, else a fresh one."""
        settings = self.context.settings
        if not settings.run_tests:
            self._note(tests_note="--no-tests" if settings.sources.get("run_tests") == "flag" else "tests = false")
            return
        if not applies:
            self._note(tests_note="the upgrade does not apply")
            return
        words = suite.command(settings.tests, self._sessions.python)
        with self._timed("tests"):
            if trial is None:
                trial = self._fresh(None)
                if failed(trial.visit("upgrade", self._target)):
                    self._note(tests_note="a fresh branch could not be upgraded")
                    return
            self.context.talk.say(f"tests: {shlex.join(words)}")
            found = suite.run(
                words,
                environment=trial.environment,
                cwd=settings.root,
                deadline=self.context.deadline.sooner(settings.test_timeout, what="the tests"),
                stop=self.context.stop,
                log=lambda line: self.context.talk.show(self._redactor.text(line)),
                scratch=self._sessions.scratch.folder(),
            )
        named: SuiteResult = msgspec.structs.replace(found, named=settings.tests is not None)
        self._note(tests=named)

    def close(self) -> None:
        """End every child and give every branch back, once; no signal interrupts it."""
        with self.context.stop.shield():
            self._sessions.close(stopped=bool(self.context.stop))
            if self._branches is not None and not self._closed:
                with self._timed("give_back"):
                    self.left_behind = self._branches.close()
                self._closed = True
