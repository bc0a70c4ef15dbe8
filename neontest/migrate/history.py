"""A project's revisions and their graph, read without a database and without running anything of the project."""

from __future__ import annotations

import errno
import os
import stat
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from neontest.errors import UnknownRevision, UsageError
from neontest.migrate import scripts
from neontest.migrate.graph import Graph
from neontest.migrate.project import Project
from neontest.record import Fault, History, Revision


def read(project: Project, *, locations: Iterable[Path] | None = None) -> History:
    """The revisions in the project's version locations; what is wrong with them stands in `faults`.

    `locations` replaces the project's version locations, for an env.py that sets its own. `start` and `pending` are
    left empty. Heads are those of `alembic heads`: a revision that another one only depends on is still a head.
    """
    faults: list[Fault] = []
    sources = read_sources(project, project.version_locations if locations is None else locations, faults)
    found = from_sources(sources)
    if not faults:
        return found
    return History(heads=found.heads, revisions=found.revisions, faults=(*faults, *found.faults))


def read_sources(
    project: Project, locations: Iterable[Path], faults: list[Fault] | None = None
) -> list[tuple[str, bytes]]:
    """The revision files in these folders, (name, content), in Alembic's order; those without one go to `faults`."""
    sources: list[tuple[str, bytes]] = []
    unread: list[Fault] = [] if faults is None else faults

    def unreadable(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # Alembic takes a folder that is not there for an empty one
            name = project.name(Path(error.filename))
            message = f"{name} cannot be read: {error.strerror}"
            unread.append(Fault(kind="unreadable", message=message, file=name))

    for file in _files(project, tuple(locations), unreadable):
        name = project.name(file)
        if file.suffix != ".py":
            message = f"{name} is compiled and has no source beside it, so it cannot be read without running it"
            unread.append(Fault(kind="unreadable", message=message, file=name))
            continue
        try:
            if not stat.S_ISREG(file.stat().st_mode):  # a pipe would be waited for without end
                raise OSError(errno.EINVAL, "it is no file")
            sources.append((name, file.read_bytes()))
        except OSError as error:
            message = f"{name} cannot be read: {error.strerror or error}"
            unread.append(Fault(kind="unreadable", message=message, file=name))
    return sources


def from_sources(sources: Iterable[tuple[str, bytes]]) -> History:
    """The history in these files, (name, content) pairs in the order in which Alembic would load them."""
    revisions: list[Revision] = []
    faults: list[Fault] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # such as SyntaxWarning for "\d" in a migration
        for name, source in sources:
            match scripts.parse(source, name):
                case Fault() as fault:
                    faults.append(fault)
                case Revision() as revision:
                    revisions.append(revision)
    graph = Graph(revisions)
    return History(heads=graph.heads(), revisions=graph.ordered(), faults=(*faults, *graph.faults()))


def from_revisions(revisions: Iterable[Revision]) -> History:
    """The history of revisions that Alembic itself has read."""
    graph = Graph(revisions)
    return History(heads=graph.heads(), revisions=graph.ordered(), faults=graph.faults())


def pending(history: History, start: tuple[str, ...]) -> tuple[str, ...]:
    """The ids that `alembic upgrade heads` runs on a database at `start` (its version table), in that order.

    Raises:
        UnknownRevision: no file here has one of `start`.
        UsageError: the graph has a circle, so there is no order.
    """
    if circle := next((fault for fault in history.faults if fault.kind == "cycle"), None):
        raise UsageError(
            f"no order of revisions: {circle.message}", hint="mend the down_revision that closes the circle"
        )
    known = {revision.id for revision in history.revisions}
    if unknown := [id_ for id_ in start if id_ not in known]:
        one = len(unknown) == 1
        raise UnknownRevision(
            f"the parent branch is at revision{'' if one else 's'} {', '.join(unknown)}, which no file here has",
            hint=f"the branch whose migrations were applied there has the missing file{'' if one else 's'}: "
            "merge or rebase onto it, or name another parent or --from-revision",
        )
    return _graph(history).upgrade_order(start)


def effective_heads(history: History) -> tuple[str, ...]:
    """What the version table holds after `upgrade heads`: heads that no other revision depends on."""
    return _graph(history).effective_heads()


def _graph(history: History) -> Graph:
    """The graph again, its heads in the order of their files, which decides between branches."""
    by_id = {revision.id: revision for revision in history.revisions}
    heads = [by_id[id_] for id_ in history.heads if id_ in by_id]
    return Graph((*heads, *(revision for revision in history.revisions if revision.id not in history.heads)))


def _files(project: Project, locations: tuple[Path, ...], unreadable: Callable[[OSError], None]) -> Iterator[Path]:
    """The files that Alembic would load, in its order: each once, however many locations show it."""
    seen: set[Path] = set()
    for location in locations:
        for folder, names, files in os.walk(location, onerror=unreadable):
            if Path(folder).name.endswith("__pycache__"):
                names.clear()
                continue
            compiled = _compiled(Path(folder), files) if project.sourceless else ()
            for path in (*(Path(folder, name) for name in sorted(files) if scripts.is_script(name)), *compiled):
                real = Path(os.path.realpath(path))  # a circle of links stays as it is
                if real not in seen and (scripts.is_script(real.name) or path in compiled):
                    seen.add(real)
                    yield path
            if not project.recursive:
                break
            names.sort()


def _compiled(folder: Path, files: list[str]) -> tuple[Path, ...]:
    """Compiled revisions whose source is not there, which Alembic loads only under `sourceless`."""
    sources = {name.split(".")[0] for name in files if name.endswith(".py")}
    here = [folder / name for name in sorted(files) if name.endswith((".pyc", ".pyo"))]
    cached = sorted((folder / "__pycache__").glob("*.pyc"))
    return tuple(
        path for path in (*here, *cached) if path.name.split(".")[0] not in sources and path.name[:8] != "__init__"
    )
