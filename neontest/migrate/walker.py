"""Loads the project once, and runs its env.py as often as a session says: whole visits and stairways.

A part of `worker`, so it runs in the project's interpreter too: Python 3.8, Alembic 1.8 to 1.20, nothing of ours.
"""

# ruff: noqa: UP006, UP035, UP045, PTH109
from __future__ import annotations

import contextlib
import gc
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Optional, Tuple

if TYPE_CHECKING:
    from neontest.migrate import guard, loading, pause, watch
else:
    import neontest_guard as guard  # put there by worker
    import neontest_loading as loading
    import neontest_pause as pause
    import neontest_watch as watch

Facts = Dict[str, Any]
MARK = "NEONTEST_MARK"
"""The variable by which neontest finds what this process leaves behind: it stays whatever else changes."""


class Unloadable(Exception):
    """The project cannot be loaded, or its env.py does not run; the first argument says why, as a failure."""


class Walker:
    """Loads the project once, and runs its env.py as often as it is told to."""

    def __init__(
        self, send: Callable[..., None], go_on: Callable[[], bool], watching: watch.Watch, project: Facts
    ) -> None:
        self._send, self._go_on, self._watch, self._project = send, go_on, watching, project
        self.guard = guard.Guard(send)
        self.pause = pause.Pause(watching, send, go_on)
        self._app: Any = None
        self._cwd, self._environ = os.getcwd(), dict(os.environ)
        self.config: Any = None
        self.script: Any = None
        self.calls: List[Facts] = []
        """One for each time that the running env.py asked for migrations: heads before, heads after."""
        self.step: Optional[Facts] = None
        self.several = False
        """env.py asks for migrations more than once: several databases."""

    # -- loading

    def load(self, environ: Dict[str, str], urls: Dict[str, str]) -> None:
        for name in set(os.environ) - set(environ) - {MARK}:
            del os.environ[name]
        os.environ.update(environ)
        self._environ = environ
        # Applications ask how they were started, to leave their upgrade to the command that does it.
        sys.argv = ["flask", "db", "current"] if self._project["kind"] == "flask" else ["alembic", "current"]
        if self._project["kind"] == "flask":
            self._app = loading.flask_app()
        self.config = loading.config(self._project, urls, self._app)
        self._read_scripts()

    def _read_scripts(self) -> None:
        from alembic.script import ScriptDirectory

        self.script = ScriptDirectory.from_config(self.config)

    # -- one run of env.py

    def run(self, fn: Callable[..., Any], *, verb: str, to: str, stepwise: bool = False, on: bool = True) -> Any:
        """Execute env.py with `fn` as what it migrates by. Returns the failure that came out of it, or None."""
        from alembic.runtime.environment import EnvironmentContext

        options: Facts = {"dont_mutate": True} if verb == "current" else {}
        context = EnvironmentContext(
            self.config, self.script, fn=fn, as_sql=False, starting_rev=None, destination_rev=to, tag=None, **options
        )
        configure = context.configure

        def configured(*args: Any, **kwargs: Any) -> None:
            self._check(args[0] if args else kwargs.get("connection"))
            theirs = kwargs.get("on_version_apply") or ()
            kwargs["on_version_apply"] = (*(theirs if isinstance(theirs, (list, tuple)) else (theirs,)), self._applied)
            if stepwise:
                kwargs["transaction_per_migration"] = True
            configure(*args, **kwargs)

        context.configure = configured  # type: ignore[method-assign]
        self._as_begun(verb, to)
        self.calls, failure = [], None
        self._watch.begin(on)
        try:
            with self._app.app_context() if self._app is not None else contextlib.nullcontext(), context:
                self.script.run_env()
        except BaseException as error:  # noqa: BLE001  # exit() and interrupts too: all end up in the report
            failure = self.explain(error)
        finally:
            self._watch.on = False
        self._watch.tidy(collect=not stepwise or failure is not None)
        if self.guard.refused:
            raise guard.Refused
        return failure

    def _as_begun(self, verb: str, to: str) -> None:
        """Undo what the last run did to the process, and look like `alembic upgrade head` or `flask db upgrade head`.

        What the project added to the environment stays: modules that are imported once may have put it there.
        """
        import alembic.command

        os.chdir(self._cwd)
        for name, value in self._environ.items():
            os.environ.setdefault(name, value)
        self.config.cmd_opts.revision = to
        self.config.cmd_opts.cmd = (getattr(alembic.command, verb), ["revision"], ["sql", "tag"])
        sys.argv = (["flask", "db"] if self._app is not None else ["alembic"]) + [verb]
        sys.argv += [to] if verb != "current" else []

    def _check(self, connection: Any) -> None:
        self._watch.backend = self.guard.check(connection) or self._watch.backend

    def called(self, heads: Tuple[str, ...], context: Any) -> Facts:
        """Note that env.py asks for migrations on this connection, which has to be the branch's."""
        if context.connection is None:
            raise RuntimeError("env.py gave context.configure() no connection")
        self._check(context.connection)
        self._watch.trace.spare(context.version_table_schema, context.version_table)
        external = bool(getattr(context, "_in_external_transaction", False))
        call = {"before": sorted(heads), "after": sorted(heads), "external": external}
        self.calls.append(call)
        return call

    def _applied(self, heads: Any = (), **_: Any) -> None:
        self.calls[-1]["after"] = sorted(heads)
        if self.step is not None:
            self.step["applied"] = True

    def explain(self, error: Optional[BaseException]) -> Optional[Facts]:
        """The first database error that was not recovered from, else the step's own, else `error`."""
        step = self.stepping()
        failure: Optional[Facts] = self._watch.first or step.get("error")
        if failure is None and error is not None:
            failure = self.plain(error)
        return failure and dict(failure, revision=step.get("revision"))

    def plain(self, error: BaseException) -> Facts:
        file, line = self._watch.traceback(error)
        return dict(watch.described(error), file=file, line=line, sql=None)

    # -- walking

    def stepping(self) -> Facts:
        return self.step or {}

    def begin(self, direction: str, revision: str, stepwise: bool = False) -> None:
        self.step = {"direction": direction, "revision": revision, "at": time.perf_counter()}
        self._watch.revision = revision
        if stepwise:  # who asked for it knows which it is
            self._watch.step()
        else:
            self._send("step", kept=True, direction=direction, revision=revision)

    def watched(self, step: Any) -> Any:
        """The step, with its migration's own exception kept even where env.py swallows it."""
        migrate = step.migration_fn

        def migration(**kwargs: Any) -> None:
            try:
                migrate(**kwargs)
            except BaseException as error:
                if self.step is not None and not self.guard.refused:
                    self.step["error"] = self.explain(error)
                raise

        migration.__name__ = getattr(migrate, "__name__", "migration")
        step.migration_fn = migration
        return step

    def heads(self) -> List[List[str]]:
        """The current heads as another run of env.py finds them, a list each time that it asks."""

        def look(heads: Tuple[str, ...], context: Any) -> List[Any]:
            self.called(heads, context)
            return []

        self.step = None
        failure = self.run(look, verb="current", to="heads", on=False)
        if failure is not None:
            raise Unloadable(failure)
        return [call["before"] for call in self.calls]

    def open(self, command: Facts) -> None:
        try:
            self.guard.begin(command["guard"], command["others"])
            self.load(command["environ"], command["urls"])
            current = self.heads()
            self.several = len(current) > 1
            scripts = list(self.script.walk_revisions())
            names = self._watch.scripts([script.path for script in scripts])
            revisions = loading.revisions(scripts, names)
        except BaseException as error:
            if self.guard.refused:
                raise guard.Refused from error
            if isinstance(error, Unloadable):
                raise
            raise Unloadable(self.plain(error)) from error
        gc.freeze()  # what is loaded by now stays: each run's end looks for what that run left, and for nothing older
        locations = [str(place) for place in self.script._version_locations]
        self._send("loaded", current=current, revisions=revisions, locations=locations)

    def plan(self, direction: str, to: str, heads: Tuple[str, ...]) -> List[Any]:
        """Alembic's own steps; where its downgrade would leave more than `to` and what is below, all of that.

        It does where there are several heads, or will be: `downgrade a1` leaves the branches that a1 is not part of.
        """
        from alembic.runtime.migration import MigrationStep
        from alembic.util import CommandError

        names = [name.strip() for name in to.split(",")]
        one = names[0] if len(names) == 1 else None
        if direction == "upgrade":
            return list(self.script._upgrade_revs(one or tuple(names), heads))
        steps: List[Any] = []
        if one is not None:
            with contextlib.suppress(CommandError) if len(heads) > 1 else contextlib.nullcontext():
                steps = list(self.script._downgrade_revs(one, heads))
        keep = set(self._ancestry([name for name in names if name != "base"]))
        leave = [name for name in self._ancestry(list(heads)) if name not in keep]
        if {step.revision.revision for step in steps} == set(leave):
            return steps
        revisions = self.script.revision_map
        return [MigrationStep.downgrade_from_script(revisions, revisions.get_revision(name)) for name in leave[::-1]]

    def _ancestry(self, names: List[str]) -> List[str]:
        """The revisions and all below them, parents and dependencies first."""
        found: Dict[str, None] = {}
        todo = [(name, False) for name in names]
        while todo:
            name, ready = todo.pop()
            script = self.script.revision_map.get_revision(name)
            if ready:
                found[script.revision] = None
            elif script.revision not in found:
                todo.append((name, True))
                todo.extend((below, False) for below in script._all_down_revisions)
        return list(found)

    def beyond(self, names: List[str]) -> List[str]:
        """The files of the revisions that are neither these nor below them."""
        below = set(self._ancestry(names))
        return [script.path for script in self.script.walk_revisions() if script.revision not in below]

    def target(self, to: str) -> List[str]:
        """The ids that `to` stands for; itself where Alembic cannot tell."""
        try:
            found = [self.script.get_revisions(name.strip()) for name in to.split(",")]
            return sorted(script.revision for scripts in found for script in scripts if script is not None)
        except Exception:  # noqa: BLE001  # the run itself says what is wrong with it
            return [to]

    def visit(self, direction: str, to: str, at: Optional[Facts] = None) -> None:
        # All are read anew, while env.py runs, as by another `alembic`. What an upgrade left in its module's variables,
        # its rollback has not; what env.py sets, in the environment or on modules in `context.script`, it has.
        self._read_scripts()
        self.step = None
        began = time.perf_counter()
        unfinished = []

        def fn(heads: Tuple[str, ...], context: Any) -> Iterator[Any]:
            self.called(heads, context)
            unfinished.append(True)
            for step in self.plan(direction, to, heads):
                self.begin("upgrade" if step.is_upgrade else "downgrade", step.revision.revision)
                yield self.watched(step)
            unfinished.pop()

        with self.pause(at):
            failure = self.run(fn, verb=direction, to=to)
        seconds = time.perf_counter() - began
        if failure is None and unfinished:
            failure = self.explain(None)
        self.told(direction, self.target(to), seconds, failure)

    def told(self, direction: str, to: List[str], seconds: float, failure: Optional[Facts]) -> Optional[Facts]:
        """Report the visit that just ended, having looked whether the version table moved as Alembic meant it to."""
        calls, explained, moved = self.calls, self.explain(None), False
        if failure is None and calls:
            try:
                moved = self._moved(calls)
                failure = None if moved else explained
                to = calls[0]["after"] if moved else to
            except Unloadable as error:
                failure = error.args[0]
        before = calls[0]["before"] if calls else None
        facts: Facts = {"direction": direction, "from": before, "to": to, "seconds": seconds}
        self._send("visited", moved=moved, error=failure, **facts)
        return failure

    def _moved(self, calls: List[Facts]) -> bool:
        """Whether the version table is where Alembic meant it to be; neontest may know, over its own connection.

        What env.py does not bear of its own migrations, its next run shows.
        """
        if len(calls) == 1 and calls[0]["before"] != calls[0]["after"]:
            self._send("landed", before=calls[0]["before"], after=calls[0]["after"])
            if self._go_on():
                return True
        return self.heads() == [call["after"] for call in calls]

    def stairway(self, steps: List[Tuple[str, str]], isolate: bool) -> None:
        """All steps in one run of env.py, a commit and a report after each; a run a step where that cannot be.

        It cannot where env.py holds a transaction of its own around everything, or asks for several databases.
        """
        from alembic.runtime.migration import MigrationStep

        left = list(steps)

        def fn(heads: Tuple[str, ...], context: Any) -> Iterator[Any]:
            single = self.called(heads, context)["external"] or self.several or isolate
            while left:
                direction, name = left[0]
                if self.step is None or not single:
                    self.begin(direction, name, stepwise=True)
                make = (
                    MigrationStep.upgrade_from_script if direction == "upgrade" else MigrationStep.downgrade_from_script
                )
                script = self.script.revision_map.get_revision(name)
                # Alembic notes for one run of env.py which types it made, and would not make them again.
                getattr(context.impl, "memo", {}).clear()
                yield self.watched(make(self.script.revision_map, script))
                step = self.stepping()
                step["done"] = time.perf_counter()
                if single:
                    return
                left.pop(0)
                self.step = None
                facts = {"direction": direction, "from": None, "to": None, "seconds": step["done"] - step["at"]}
                self._send("visited", moved=step.get("applied", False), error=None, **facts)
                if not self._go_on():
                    left.clear()

        while left:
            self.step, began = None, time.perf_counter()
            failure = self.run(fn, verb=left[0][0], to=left[0][1], stepwise=True)
            if not left:
                if failure is not None:
                    self._send("note", text="after the last step, env.py failed: " + failure["message"])
                return
            step = self.stepping()
            direction, name = left.pop(0)
            if failure is None and "done" not in step:
                nothing = {"kind": "NothingRun", "message": "env.py ended without running any migration"}
                failure = self.explain(None) or dict(nothing, revision=name)
            failure = self.told(direction, [], time.perf_counter() - step.get("at", began), failure)
            if failure is not None or not self._go_on():
                return
