"""neontest's walks without the rest of a run: no branch, nothing compared, nothing told.

`python -m tests.benchmarks.engine` goes up, down and up again in the project of the current folder, on DATABASE_URL,
and prints the seconds of processor that it took, with its worker.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from neontest.migrate.environment import render_environment, stripped
from neontest.migrate.forkserver import ForkServer
from neontest.migrate.project import Project, find
from neontest.migrate.session import Session
from neontest.record import Direction
from neontest.stop import Deadline, Stop
from tests.benchmarks.measure import descent

THREE: Final[tuple[tuple[Direction, str], ...]] = (("upgrade", "head"), ("downgrade", "base"), ("upgrade", "head"))


@contextlib.contextmanager
def opened(
    project: Project,
    url: str,
    *,
    trace: bool,
    more: Mapping[str, str] = MappingProxyType({}),
    guard: tuple[int, int] | None = None,
) -> Iterator[Session]:
    """A session with the project, loaded; `more` is added to its environment."""
    environ = stripped({**os.environ, **more})
    with contextlib.ExitStack() as stack:
        server = ForkServer(
            Path(sys.executable), kind=project.kind, cwd=project.cwd, environ=environ, stop=Stop(), log=lambda _: None
        )
        stack.callback(server.close)
        session = Session(project, server, trace=trace, stop=Stop(), log=lambda _: None)
        stack.callback(session.kill)
        rendered = render_environment(
            url, session.interpreter, templates={}, files=None, base_environ=environ, asynchronous=False
        )
        session.open(url, rendered, guard=guard, deadline=Deadline(60, what="loading the project"))
        yield session


def main() -> None:
    with opened(find(Path.cwd(), environ={}), os.environ["DATABASE_URL"], trace=False) as session:
        for direction, to in THREE:
            visit = session.visit(direction, to, deadline=Deadline(600, what=f"{direction} to {to}"))
            if visit.error is not None or not visit.moved:
                raise SystemExit(f"{direction} to {to}: {visit.error.message if visit.error else 'nothing moved'}")
        print(descent())


if __name__ == "__main__":
    main()
