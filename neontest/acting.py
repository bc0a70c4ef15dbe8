"""What a run does on its branches: walks, tests, and what it makes of a project that moves while it is loaded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from typing import Final

import msgspec

from neontest import lanes, whose_data
from neontest.branches import Branches
from neontest.errors import BranchLeftBehind, CouldNotTest, UsageError
from neontest.grid import Grid
from neontest.ground import BASE, Context, Ground, beside_base, known
from neontest.interrupting import interrupted
from neontest.lanes import Lanes
from neontest.lint import find, lint
from neontest.migrate import history as histories
from neontest.old_code import left_out, without_tests
from neontest.parent import prepare_parent
from neontest.postgres.diff import diff
from neontest.postgres.fingerprint import State, compare
from neontest.postgres.model import Snapshot
from neontest.record import History, Interruption, Refused, Walk
from neontest.redact import Redactor
from neontest.rows import Plan
from neontest.sessions import NONE, Sessions
from neontest.testing import Tests
from neontest.trial import Trial, failed
from neontest.twins import Rows as TwinRows
from neontest.twins import not_compared, twins
from neontest.walking import THREE, Afterwards, Stairway, upgrade_statements, whole

LOCAL_ROWS: Final = 20
"""Rows to invent for each empty table on the local engine, whose parent mostly has none."""
LAST_WORDS: Final = 1.0
"""Seconds to wait for a lane whose workers were ended."""


class Acting:
    """The acting of one run. `note` takes facts for the record, `timed` measures a phase."""

    def __init__(
        self,
        context: Context,
        note: Callable[..., None],
        timed: Callable[[str], AbstractContextManager[None]],
        redactor: Redactor,
        sessions: Sessions,
    ) -> None:
        self.context = context
        self.left_behind: BranchLeftBehind | None = None
        self.notes: list[str] = []
        settings = context.settings
        many = lanes.default(settings.parallel, grid=settings.grid)
        self._lanes = Lanes(many, stop=context.stop, deadline=context.deadline)
        self._noting = note
        self._timed = timed
        self._redactor = redactor
        self._sessions = sessions
        self._branches: Branches | None = None
        self._closed = False
        self._walks: list[Walk] = []
        self._refusals: tuple[Refused, ...] = ()
        self._unread: Afterwards | None = None
        """The rows after the whole walk's downgrade, while there is no untouched branch to compare them with."""
        self._plan = Plan(
            rows=settings.rows if settings.rows is not None else LOCAL_ROWS if settings.engine == "local" else 0,
            seed=settings.rows_seed,
            how=settings.data,
            seconds=settings.data_timeout,
            deadline=context.deadline,
        )
        self._history = History()
        self._start: tuple[str, ...] = ()
        self._undisturbed: Snapshot | None = None
        """The schema that the upgrade of all leaves, but for the order of columns; None where it had invented rows, of
        which an upgrade may have made something: another number of statements, another schema."""
        self._turn = threading.Lock()
        self._runner = Tests(context, sessions, redactor)
        self._grid: Grid | None = None
        self._target = "heads" if context.settings.heads == "many" else "head"

    def _note(self, **facts: object) -> None:
        if not self._lanes.silenced:
            self._noting(**facts)

    def test(
        self, ground: Ground, history: History, start: tuple[str, ...] | None, *, parents_server: tuple[str, ...] = ()
    ) -> None:
        """Take the candidate, walk, test. `start` is None where only the project can read the parent's revision."""
        settings = self.context.settings
        self._history = history
        if ground.local is not None:
            with self._timed("parent"):
                ground = prepare_parent(self.context, self._sessions, ground, start or ())
            self.notes += ground.notes
        self._branches = branches = Branches(
            self.context, ground, self._sessions, self._plan, self._note, self._redactor, self._lanes, parents_server
        )
        with self._timed("branch"):
            # The stairway's branch is made while the project is loaded and the whole walk goes on.
            candidate = branches.trial("candidate", history, sibling=settings.mode == "both")
        lsn = candidate.lease.branch.parent_lsn
        self._note(data=whose_data.seen(self.context, ground, start=start or (), rows=self._plan.rows, lsn=lsn))
        start = self._started(candidate, ground.parent.name)
        if not self._history.pending:
            return
        branches.prepare()
        at_head, applies = (None, True) if settings.mode == "stairway" else self._whole(candidate, start)
        if settings.mode == "stairway":
            stairway = self._stairway(candidate)
            applies = stairway.blocked is None
            at_head = stairway.trial if stairway.fit and applies else None
        elif settings.mode == "both" and not applies:
            self._stairway(None)
        if settings.grid and not applies:
            self.notes.append(left_out(UsageError("the upgrade does not apply")))
        elif settings.grid:
            with self._timed("grid"):
                self._grid = Grid(
                    self.context, self._sessions, self._runner, self._lanes, fresh=lambda: self._fresh(None),
                    done=branches.give_back, target=self._target,
                )  # fmt: skip
        with ExitStack() as beside:
            if settings.mode == "both" and applies:
                beside.enter_context(self._lanes.beside(self._stairway_and_cells))
            for _ in range(self._lanes.left(self._grid.waiting if self._grid is not None else 0)):
                beside.enter_context(self._lanes.beside(self._drained))
            self._lint(candidate)
            if applies:
                at_head = self._models(at_head)
            self._tests(at_head, applies)
            self._drained()
        self._gridded()
        if self._unread is not None:
            self._fresh(None)  # an untouched branch, which compares itself
        if settings.interrupt and applies:
            self._interrupted(branches)
        if settings.deterministic and applies:
            self._twins(branches)
        if settings.keep:
            self.notes.append(branches.keep())
        branches.hand_over()

    def _whole(self, candidate: Trial, start: tuple[str, ...]) -> tuple[Trial | None, bool]:
        """The whole walk: the branch at head, if it is still fit for tests, and whether the upgrade applies at all."""
        trial, back, alone = candidate, ", ".join(start) or BASE, self.context.settings.mode == "whole"
        with self._timed("whole"):
            trial.rows.invent(trial.schema)
            filled, before = trial.rows.invented, trial.schema
            found = whole(trial, target=self._target, start=back, grow=alone, talk=self.context.talk)
            refused = trial.refused(found.walk.visits[0])
            if refused is not None and refused.invented:
                self.context.talk.say("the upgrade fails, and rows were invented: once more without them")
                bare = trial.without_rows(found.walk.visits[0], since=before)
                trial, filled = trial if bare else self._fresh(trial), False
                found = whole(trial, target=self._target, start=back, grow=alone, talk=self.context.talk)
                if failed(found.walk.visits[0]):
                    refused = trial.refused(found.walk.visits[0])
        if refused is not None:
            self._refused([refused])
        self._walked([found.walk])
        self._unread = found.afterwards
        self._undisturbed = trial.schema if found.fit and not filled else None
        self._plan.learn(found.walk.visits)
        return trial if found.fit else None, not failed(found.walk.visits[0])

    def _started(self, candidate: Trial, name: str) -> tuple[str, ...]:
        """Settle the history by what the loaded project says, and go back to the start where loading moved on."""
        loaded = candidate.loaded
        if {each.id for each in loaded.history} - {each.id for each in self._history.revisions}:
            # env.py looks in more places than its configuration says.
            project = msgspec.structs.replace(self.context.project, version_locations=loaded.version_locations)
            graph, _ = beside_base(replace(self.context, project=project), histories.read(project))
            self._history = graph if graph.revisions else histories.from_revisions(loaded.history)
        actual = candidate.start
        if loaded.current is not None and not candidate.load_changes:
            actual = loaded.current
        known(self._history, actual, f"branch {name}")
        pending = histories.pending(self._history, actual)
        self._history = msgspec.structs.replace(self._history, start=", ".join(actual) or None, pending=pending)
        self._note(history=self._history, load_changes=candidate.load_changes)
        self._start = actual
        if pending:
            self.notes += self._back(candidate)
        return actual

    def _fresh(self, old: Trial | None, surroundings: Mapping[str, str] = NONE) -> Trial:
        """A fresh branch at the start, in place of `old`."""
        assert self._branches is not None
        trial = self._branches.fresh(old, surroundings)
        self._back(trial)
        with self._turn:
            afterwards, self._unread = self._unread, None
        if afterwards is not None:
            lost = afterwards.lost(trial)
            self._walks[0] = msgspec.structs.replace(self._walks[0], data_lost=lost)
            self._walked([])
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

    def _stairway(self, trial: Trial | None) -> Stairway:
        """Walk each pending revision; the record has the walks even if it ends early."""
        # What only works in the connection of its upgrade is found by a whole walk down, else step by step.
        isolate = not any(walk.kind == "whole" and len(walk.visits) == len(THREE) for walk in self._walks)
        stairway = Stairway(self._fresh, isolate=isolate, touches=self._plan.touched.get, talk=self.context.talk)
        if trial is not None:
            stairway.trial, stairway.fit = trial, True
        with self._timed("stairway"):
            try:
                stairway.walk(self._history.pending)
            finally:
                self._walked(stairway.walks)
                self._refused(stairway.refused)
        if stairway.blocked is not None:
            rest = len(self._history.pending) - self._history.pending.index(stairway.blocked) - 1
            if rest:
                self.notes.append(
                    f"{rest} later revision{'s' if rest > 1 else ''} not walked: {stairway.blocked} does not apply"
                )
        return stairway

    def _twins(self, branches: Branches) -> None:
        """Upgrade two branches in different surroundings; what could not be compared is said."""
        states: list[State] = []
        rows = None if self._plan.how == "off" else self._twin_rows(states)
        with self._timed("deterministic"):
            found = twins(self._fresh, self._target, talk=self.context.talk, done=branches.give_back, rows=rows)
        self._note(twin=found)
        self._rows_noted()
        if found.failure is None:
            self.notes += not_compared(states)

    def _twin_rows(self, states: list[State]) -> TwinRows[State]:
        """How the rows of two branches are compared: of the tables that the whole walk touched, if there was one.

        What was read is added to `states`.
        """
        names = self._plan.upgraded

        def read(trial: Trial) -> State:
            states.append(trial.rows.state(names))
            return states[-1]

        return TwinRows(read=read, compare=compare)

    def _walked(self, walks: list[Walk]) -> None:
        self._walks += walks
        self._note(walks=tuple(self._walks))
        self._rows_noted()

    def _rows_noted(self) -> None:
        self._note(filled=tuple(self._plan.filled.values()), read=tuple(self._plan.read.values()))

    def _refused(self, refused: list[Refused]) -> None:
        """Note what rows stood in the way of; a revision's own walk knows better than the whole one."""
        known = {each.revision: each for each in (*self._refusals, *refused)}
        self._refusals = tuple(known.values())
        self._note(refused=self._refusals)

    def _lint(self, trial: Trial) -> None:
        """Have squawk read the statements of the upgrades, where it is installed."""
        context, own = self.context, self.context.settings.root / ".squawk.toml"
        if not context.settings.lint:
            return
        with self._timed("lint"):
            found = lint(
                upgrade_statements(self._walks),
                server_version=trial.schema.server_version,
                executable=find(context.environ),
                stop=context.stop,
                deadline=context.deadline,
                config=own if own.is_file() else None,
            )
        self._note(lint=found)

    def _at_head(self) -> Trial | None:
        """A fresh branch without invented rows, upgraded; None where that fails."""
        trial = self._fresh(None)
        return None if failed(trial.visit("upgrade", self._target)) else trial

    def _models(self, trial: Trial | None) -> Trial | None:
        """Compare the project's models with the database at head; the branch at head, if one is there now."""
        with self._timed("models"):
            trial = trial if trial is not None and not trial.ended else self._at_head()
            if trial is None:
                return None
            found = trial.models()
        self._note(models=found)
        if found.note:
            self.notes.append(f"models: {found.note}")
        return trial if trial.session.alive else None

    def _tests(self, trial: Trial | None, applies: bool) -> None:
        """Run the project's tests on a branch at head without invented rows: the one there is, else a fresh one."""
        settings = self.context.settings
        if not settings.run_tests:
            self._note(tests_note=without_tests(settings))
            return
        if not applies:
            self._note(tests_note="the upgrade does not apply")
            return
        with self._timed("tests"):
            trial = trial if trial is not None and not trial.rows.invented else self._at_head()
            if trial is None:
                self._note(tests_note="a fresh branch could not be upgraded")
                return
            ran = self._runner.run(trial, self._runner.here(), "new-new")
        self._note(tests=ran.result)
        if self._grid is not None:
            self._grid.seen("new-new", ran)
        elif ran.void is not None:
            self.notes.append(f"{ran.void}: their result proves nothing about the migration")

    def _gridded(self) -> None:
        """Have the cells judged together, once all have run."""
        if self._grid is not None:
            with self._timed("grid"):
                self._note(cells=self._grid.end(self._history.pending))
            self.notes += self._grid.notes

    def _stairway_and_cells(self) -> None:
        self._stairway(None)
        self._drained()

    def _drained(self) -> None:
        """Run cells of the grid as long as any wait for a lane."""
        if self._grid is not None and self._grid.waiting:
            with self._timed("grid"):
                self._grid.work()

    def _interrupted(self, branches: Branches) -> None:
        """Cut the upgrade off and run it again, a branch each; the record has what was seen even if it ends early."""
        with self._timed("interrupted"):
            walk = next((walk for walk in self._walks if walk.kind == "whole"), None)
            after, statements = self._undisturbed, walk.visits[0].statements if walk else ()
            trial: Trial | None = None
            if after is None:
                trial = self._fresh(None)
                self.context.talk.say("interrupting: first an upgrade that is left alone")
                visit = trial.visit("upgrade", self._target)
                if failed(visit):
                    self.notes.append("nothing was interrupted: a fresh branch could not be upgraded")
                    return
                after, statements = trial.schema, visit.statements
            if not statements:
                self.notes.append("nothing was interrupted: no statement of the upgrade was seen")
                return
            found: list[Interruption] = []
            for each in interrupted(
                self._fresh, statements, after, self._target, talk=self.context.talk, done=branches.give_back, old=trial
            ):
                found.append(each)
                self._note(interruptions=tuple(found))
            missed = sum(not each.interrupted for each in found)
            if missed:
                self.notes.append(
                    f"interrupted: {missed} of {len(found)} moments were not reached: the upgrade ran other statements,"
                    " or the statement ended before it could be cancelled"
                )

    def close(self) -> None:
        """End every child and give every branch back, once; no signal interrupts it."""
        with self.context.stop.shield():
            self._lanes.silence()
            self._sessions.close(stopped=bool(self.context.stop) or self._lanes.busy)
            self._lanes.join(LAST_WORDS)
            if self._branches is not None and not self._closed:
                with self._timed("give_back"):
                    self.left_behind = self._branches.close()
                self.notes += self._sessions.notes
                self._closed = True
