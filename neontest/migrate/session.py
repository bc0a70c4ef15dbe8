"""A session with the project's own migrations: a worker in the project's interpreter, told what to walk.

One session has one database for its life, since modules of the project keep the URL that they were imported with.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TypeVar

import msgspec

from neontest.errors import DeadlineExceeded, WorkerError
from neontest.migrate import commands, reports
from neontest.migrate.channel import Channel, Ended, TimeUp
from neontest.migrate.commands import Commands
from neontest.migrate.environment import UrlForms, driver_for, is_asynchronous, secrets_of, usable
from neontest.migrate.forkserver import ForkServer
from neontest.migrate.interpreter import Interpreter
from neontest.migrate.loaded import Loaded
from neontest.migrate.observer import Observer
from neontest.migrate.pausing import Pausing, receive
from neontest.migrate.project import Project
from neontest.migrate.traced import Trail
from neontest.migrate.written import Written
from neontest.process import MARK
from neontest.record import Direction, Failure, Models, Visit
from neontest.stop import Deadline, Stop

__all__ = ["Commands", "Interpreter", "Session"]

START_SECONDS: Final = 60.0
"""For the imports of alembic, sqlalchemy and flask: no code of the project runs yet."""
LONGEST_LINE: Final = 4096
"""Characters of a line of output that are logged."""
CANCEL_SECONDS: Final = 2.0
"""How long a visit whose time is up may take to end by itself, once its statement was cancelled."""

Answer = TypeVar("Answer", reports.Hello, reports.Loaded, reports.Current, reports.Compared, reports.Inputs)


class Versions(Protocol):
    def moved(self, before: Sequence[str], after: Sequence[str], *, seconds: float) -> bool:
        """Whether it is sure, within so many, that the table held these revisions and holds those now."""


class Session:
    """Starts the worker at once, in the interpreter and the environment of the server."""

    def __init__(
        self,
        project: Project,
        server: ForkServer,
        *,
        x_arguments: Sequence[str] = (),
        isolate: bool = False,
        commands: Commands | None = None,
        other_databases: Literal["refuse", "allow"] = "refuse",
        trace: bool = True,
        stop: Stop,
        log: Callable[[str], None],
        deadline: Deadline | None = None,
    ) -> None:
        """`deadline` is the run's: it bounds the start of the interpreter too."""
        self.project, self.python = project, server.python
        self._environ: Mapping[str, str] = server.environ
        self._isolate, self.commands, self._stop, self._log = isolate, commands, stop, log
        self._secrets: tuple[str, ...] = ()
        self._interpreter: Interpreter | None = None
        self._loaded: Loaded | None = None
        self._pausing: Pausing | None = None
        self._others, self._trace = other_databases == "allow", trace
        self.observer: Observer | None = None
        """Sees the database from beside; without one the trace has only what the migration's connection shows."""
        self.versions: Versions | None = None
        """Sees the version table from beside; without it, and where it is not sure, env.py is run once more."""
        self.notes: list[str] = []
        self.written = Written()
        self._channel = Channel(partial(server.worker, cwd=project.cwd), stop=stop, log=self._logged)
        what = "starting the project's Python"
        self._began = deadline.sooner(START_SECONDS, what=what) if deadline else Deadline(START_SECONDS, what=what)
        self._channel.send(
            "start",
            kind=project.kind,
            root=os.path.realpath(project.root),
            ini=project.told(project.ini),
            toml=project.told(project.toml),
            section=project.section,
            scripts=project.told(project.script_location),
            x=list(x_arguments),
        )

    @property
    def alive(self) -> bool:
        """The worker can be told to walk; after a timeout or an exit() a new session is needed."""
        return self._channel.alive

    @property
    def interpreter(self) -> Interpreter:
        """What the project's interpreter has; waits until its imports are done.

        Raises:
            WorkerError: it does not start, or has no Alembic.
        """
        if self._interpreter is None:
            try:
                found = self._answer(self._began, reports.Hello)
            except WorkerError as error:
                if not isinstance(error.__cause__, Ended):
                    raise
                raise reports.no_start(self.python, error.__cause__) from error
            self._interpreter = Interpreter(
                python=self.python,
                version=found.python,
                alembic=found.alembic,
                sqlalchemy=found.sqlalchemy,
                drivers=found.drivers,
            )
        return self._interpreter

    def open(
        self, url: str, environ: Mapping[str, str], *, guard: tuple[int, int] | None, deadline: Deadline,
        inputs: bool = False,
    ) -> Loaded:  # fmt: skip
        """Load the project with the branch's `url`, which `environ` already carries, and read where it stands.

        Args:
            url: As Neon hands it out; `sqlalchemy.url` gets it with the driver that the project uses.
            guard: Key of the advisory lock that the caller holds on the branch, as pg_locks shows it (classid,
                objid): a connection to Postgres from which it is not to be seen is refused before any statement.
            inputs: Note what the project reads from now on, for `inputs` to tell.

        Raises:
            WorkerError: the project cannot be loaded, with the reason.
            WrongDatabase: the project connects to something that is not the branch.
        """
        interpreter = self.interpreter
        self._secrets, self._environ = secrets_of(url), environ
        forms = UrlForms.parse(url)
        asynchronous = is_asynchronous(self.project.env_py)
        default = driver_for(interpreter, [environ.get("DATABASE_URL")], asynchronous=asynchronous)
        drivers = usable(interpreter)
        bare = "asyncpg" in drivers
        urls = {name: forms.url(name, bare=bare) for name in drivers} | {"": forms.url(default, bare=bare)}
        theirs = {name: value for name, value in environ.items() if name != MARK}  # its own is there already
        own = [str(each) for each in (self.project.script_location, *self.project.version_locations)]
        heard = [forms.host, forms.port, str(self.project.root), own] if inputs else None
        self._told("open", environ=theirs, urls=urls, guard=guard, others=self._others, trace=self._trace, inputs=heard)
        try:
            found = self._answer(deadline, reports.Loaded)
        except WorkerError as error:
            if self.commands is None:
                raise
            self._loaded = Loaded(current=None, history=(), version_locations=(), notes=(str(error),))
            return self._loaded
        self._loaded = Loaded(
            current=found.current[0] if found.current else (),
            history=found.revisions,
            version_locations=tuple(Path(place) for place in found.locations),
            notes=() if len(found.current) < 2 else (f"env.py migrates {len(found.current)} databases",),
        )
        return self._loaded

    def visit(self, direction: Direction, to: str, *, deadline: Deadline, pause: Pausing | None = None) -> Visit:
        """Walk to `to` in one run of the project's own env.py, with a new connection.

        Args:
            to: A revision id, `head`, `heads`, `base`, or several ids joined by `, `.
            pause: At which statement the worker stops, and what is done about it; not seen where the project's own
                command runs.
        """
        if self.commands is not None:
            return self._command(direction, to, deadline)
        self._pausing = pause
        self._told("visit", direction=direction, to=to, pause=pause and {"at": pause.at, "after": pause.after})
        visit = self._visited(direction, to, deadline)
        self._pausing = None
        if self.alive:
            self._finish(deadline)
        return visit

    def stairway(
        self,
        steps: Sequence[tuple[Direction, str]],
        *,
        step_seconds: float,
        after: Callable[[Visit], bool],
        isolate: bool = False,
    ) -> None:
        """Walk `steps`, the revision to upgrade or to downgrade each, in one run of env.py with a commit after each.

        With `isolate`, in a run of env.py and with a new connection each.

        `after` gets each visit when it is committed, while the worker waits; False ends the stairway, and so does a
        failed step, after which the rest may be walked by another call if the session is still `alive`.
        """
        history = self._loaded.history if self._loaded is not None else ()
        below = {revision.id: ", ".join(revision.down) or None for revision in history}
        if self.commands is not None:
            for direction, name in steps:
                to = name if direction == "upgrade" else (below.get(name) or "base" if name in below else "-1")
                visit = self._command(direction, to, Deadline(step_seconds, what=f"{direction} {name}"))
                if not after(visit) or not self.alive:
                    return
            return
        self._told("stairway", steps=[list(step) for step in steps], isolate=isolate or self._isolate)
        for direction, name in steps:
            deadline = Deadline(step_seconds, what=f"{direction} {name}")
            visit = self._visited(direction, name, deadline, below=below)
            go = after(visit)
            if not self.alive:
                return
            if visit.error is not None:
                break
            self._channel.send("go" if go else "stop", sums=self.written.counted)
            if not go:
                break
        self._finish(Deadline(step_seconds, what="the end of the stairway"))

    def current(self, *, deadline: Deadline | None = None) -> tuple[str, ...]:
        """The revisions that the database is at, as the project's own env.py finds them."""
        self._told("current")
        found = self._answer(deadline or Deadline(START_SECONDS, what="reading the current revision"), reports.Current)
        return found.current[0] if found.current else ()

    def models(self, deadline: Deadline) -> Models:
        """Compare the project's own metadata with the database, in one more run of env.py; its note says why not.

        Raises:
            WrongDatabase: the project connects to something that is not the branch.
        """
        if self._loaded is None or self._loaded.current is None:
            return Models(note="the project is migrated by its own command, and does not load without it")
        try:
            self._told("models")
            return reports.compared(self._answer(deadline, reports.Compared).models, self._hidden)
        except (WorkerError, DeadlineExceeded) as error:
            return Models(note=str(error))

    def inputs(self, at: Sequence[str], *, deadline: Deadline) -> reports.Inputs:
        """What the project has read, but for the files of revisions that those of `at` do not need."""
        self._told("inputs", at=list(at))
        return self._answer(deadline, reports.Inputs)

    def close(self) -> None:
        """End the worker: ask it to, then make it."""
        self._channel.close()

    def kill(self) -> None:
        """End the worker and all that it started: interrupt, terminate, kill."""
        self._channel.kill()

    def _told(self, what: str, **facts: Any) -> None:
        """Give a command that begins something."""
        if not self.alive:
            raise WorkerError("the session with the project is over", hint="begin another one, on a fresh branch")
        if self.observer is not None and self._trace and what in ("visit", "stairway"):
            self.observer.begin()
        self._channel.send(what, **facts, sums=self.written.counted)

    def _visited(
        self, direction: Direction, to: str, deadline: Deadline, below: Mapping[str, str | None] | None = None
    ) -> Visit:
        """Read reports until the visit's own; a stairway's visit is named by the graph, `below`."""
        trail = Trail(self.observer, to if below is not None else None, self.written)
        began = time.monotonic()
        visited: reports.Visited | None = None
        try:
            while not isinstance(
                report := receive(self._channel, deadline, self._pausing, self._hidden), reports.Visited
            ):
                self._noted(report, trail, deadline)
            visited, error = report, report.error and reports.hidden(report.error, self._hidden)
        except Ended as end:
            error = trail.failure("exit", str(end))
        except TimeUp:
            error = self._stopped(trail, deadline)
        if below is not None:
            from_, to_ = (below.get(to), to) if direction == "upgrade" else (to, below.get(to))
        else:
            from_, to_ = (_joined(visited.from_), _joined(visited.to)) if visited else (None, to)
        statements, written, sizes = trail.finish()
        return Visit(
            direction=direction,
            from_=from_,
            to=to_,
            seconds=visited.seconds if visited else time.monotonic() - began,
            statements=statements,
            error=error,
            moved=visited is not None and visited.moved,
            traced=self._trace,
            wal_bytes=written,
            sizes=sizes,
        )

    def _noted(self, report: reports.Report, trail: Trail, deadline: Deadline) -> None:
        """Take a report that is not an answer: what was seen on the way."""
        if trail.take(report, self._hidden):
            return
        if isinstance(report, reports.Note) and len(self.notes) < reports.MOST:
            self.notes.append(self._hidden(report.text))
        elif isinstance(report, reports.Landed):
            seen, left = self.versions, deadline.left()
            sure = seen is not None and seen.moved(report.before, report.after, seconds=left)
            self._channel.send("go" if sure else "stop")
        elif isinstance(report, reports.WrongDatabase):
            self.kill()  # it may have gone on all the same
            raise reports.wrong_database(report)
        elif isinstance(report, reports.Failed):
            self._finish(deadline)
            raise reports.unloadable(report.error, self._hidden, self.python)

    def _stopped(self, trail: Trail, deadline: Deadline) -> Failure:
        """Cancel what runs, learn what it was, and end the worker: nobody knows what state it is in."""
        self._channel.cancel()
        grace = Deadline(CANCEL_SECONDS, what="ending the visit")
        with suppress(Ended, TimeUp):
            while isinstance(report := self._channel.receive(grace), reports.ON_THE_WAY):
                self._noted(report, trail, grace)
        self.kill()
        with suppress(Ended):
            while True:
                trail.take(self._channel.receive(grace), self._hidden)
        return trail.failure("timeout", f"{deadline.what} took longer than {deadline.seconds:g} s")

    def _answer(self, deadline: Deadline, wanted: type[Answer]) -> Answer:
        """The report that answers a command without visits."""
        trail = Trail()
        found: Answer | None = None
        try:
            while not isinstance(report := self._channel.receive(deadline), reports.Done):
                if isinstance(report, wanted):
                    found = report
                else:
                    self._noted(report, trail, deadline)
        except Ended as end:
            raise WorkerError(f"loading the project: {end}", hint=f"run its own command with {self.python}") from end
        except TimeUp as late:
            failure = self._stopped(trail, deadline)
            doing = f" in {failure.sql!r}" if failure.sql else ""
            raise DeadlineExceeded(f"{failure.message}{doing}", hint="raise the limit, or find what hangs") from late
        if found is None:
            raise reports.not_begun()
        return found

    def _finish(self, deadline: Deadline) -> None:
        """Read on until the command is done; env.py may still do something after the last visit."""
        trail = Trail()
        try:
            while not isinstance(report := self._channel.receive(deadline), reports.Done):
                self._noted(report, trail, deadline)
        except Ended as end:
            self.notes.append(f"after the last step, {end}")
        except TimeUp:
            self.notes.append(self._stopped(trail, deadline).message)

    def _command(self, direction: Direction, to: str, deadline: Deadline) -> Visit:
        """One visit by the project's own command; only what the version table says is known of it."""
        assert self.commands is not None
        before = self._look()
        seconds, error = commands.run(
            self.commands.words(direction, to),
            cwd=self.project.cwd,
            environ=self._environ,
            deadline=deadline,
            stop=self._stop,
            log=self._logged,
        )
        after = self._look() if error is None else None
        error = error and msgspec.structs.replace(error, message=self._hidden(error.message))
        return Visit(
            direction=direction,
            from_=_joined(before),
            to=to if after is None else _joined(after),
            seconds=seconds,
            error=error,
            moved=error is None and (before is None or before != after),
            traced=False,
        )

    def _look(self) -> Sequence[str] | None:
        loaded = self._loaded is not None and self._loaded.current is not None and self.alive
        return self.current() if loaded else None

    def _hidden(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def _logged(self, line: str) -> None:
        self._log(self._hidden(line)[:LONGEST_LINE])


def _joined(heads: Sequence[str] | None) -> str | None:
    return ", ".join(heads) if heads else None
