"""The workers of one run, and what the project's code gets of a branch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from neontest import scratch
from neontest.errors import NeontestError
from neontest.ground import Context
from neontest.lent import Lent
from neontest.migrate import environment
from neontest.migrate.forkserver import ForkServer
from neontest.migrate.interpreter import find_python
from neontest.process import MARK
from neontest.redact import Redactor

if TYPE_CHECKING:
    from neontest.lease.lease import Lease
    from neontest.migrate.session import Session

NONE: Final[Mapping[str, str]] = {}


class Sessions:
    """The workers of one run, and the environment that the project's code gets on a branch."""

    def __init__(self, context: Context, redactor: Redactor) -> None:
        settings = context.settings
        self._context = context
        self._redactor = redactor
        self.python = find_python(settings.root, wanted=settings.python, environ=context.environ)
        scratch.sweep()
        self.scratch = scratch.Scratch()
        environ = environment.stripped(context.environ)
        if settings.from_url is not None:
            from neontest.source import way

            redactor.add_url(settings.from_url)
            for secret in way.secrets(settings.from_url):
                redactor.add(secret)
            environ = way.hidden(settings.from_url, environ)
        # Whatever is started with it is known as this run's, even once this process was killed.
        self.environ = {**environ, MARK: environ.get(MARK, "") + self.scratch.mark}
        self._all: list[Session] = []
        self._servers: list[ForkServer] = []
        try:
            # Importing alembic takes longer than making a branch: begin now.
            self._server = self._served(self.environ)
        except BaseException:
            self.scratch.close()
            raise

    def take(self, surroundings: Mapping[str, str] = NONE, *, trace: bool = True) -> Session:
        """A worker of which nobody has asked anything yet; with `surroundings` one whose interpreter began in these.

        Without `trace` it does not look for the locks of what it runs.
        """
        from neontest.migrate.session import Commands, Session

        settings = self._context.settings
        commands = settings.commands
        session = Session(
            self._context.project,
            self._served({**self.environ, **surroundings}) if surroundings else self._server,
            x_arguments=settings.x,
            isolate=settings.isolate,
            commands=Commands(upgrade=commands.upgrade, downgrade=commands.downgrade) if commands else None,
            other_databases=settings.other_databases,
            trace=trace,
            stop=self._context.stop,
            log=self._logged,
            deadline=self._context.deadline,
        )
        self._all.append(session)
        return session

    def _served(self, environ: Mapping[str, str]) -> ForkServer:
        project = self._context.project
        server = ForkServer(
            self.python,
            kind=project.kind,
            cwd=project.cwd,
            environ=environ,
            stop=self._context.stop,
            log=self._logged,
        )
        self._servers.append(server)
        return server

    def _logged(self, line: str) -> None:
        self._context.talk.detail(self._redactor.text(line))

    def rendered(self, session: Session, url: str, surroundings: Mapping[str, str] = NONE) -> dict[str, str]:
        """The environment of everything that runs on the branch; its files are written."""
        settings = self._context.settings
        self._redactor.add_url(url)
        folder = self.scratch.folder() if settings.files else None
        environ = environment.render_environment(
            url,
            session.interpreter,
            templates=settings.env,
            files=folder,
            base_environ={**self.environ, **surroundings},
            asynchronous=environment.is_asynchronous(self._context.project.env_py),
            own_urls=environment.own_urls(self._context.project),
        )
        if folder is not None:
            environment.write_files(settings.files, url, environ["DATABASE_URL"], folder)
        return environ

    def lent(self, session: Session, lease: Lease, url: str, environ: Mapping[str, str]) -> Lent:
        """The branch as tests are told of it; `environ` is what the session's project got."""
        driver = environment.named_driver(environ["DATABASE_URL"]) or environment.plain_driver(session.interpreter)
        return Lent(id=lease.branch.id, name=lease.name, url=url, driver=driver)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the workers had to say, each thing once."""
        return tuple(dict.fromkeys(note for session in self._all for note in session.notes))

    def end(self) -> None:
        """Close, as fast as a stop wants it; no signal interrupts it."""
        with self._context.stop.shield():
            self.close(stopped=bool(self._context.stop))

    def close(self, *, stopped: bool) -> None:
        """End every worker and forget every file."""
        if stopped:
            # Those that mind no signal are killed in the end: all at once, as a stop leaves little time.
            ends = [threading.Thread(target=self._end, args=(each.kill,), daemon=True) for each in self._all]
            for end in ends:
                end.start()
            for end in ends:
                end.join()
        else:
            for session in self._all:
                self._end(session.close)
        for each in self._servers:
            with suppress(NeontestError, OSError):
                each.close()
        self.scratch.close()

    @staticmethod
    def _end(how: Callable[[], None]) -> None:
        with suppress(NeontestError, OSError):
            how()
