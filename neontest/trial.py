"""A leased branch with the project loaded on it: what a walk walks on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Final

import msgspec

from neontest.errors import DatabaseError, WrongDatabase, one_line
from neontest.ground import BASE
from neontest.lease.lease import Lease
from neontest.migrate.loaded import Loaded
from neontest.migrate.pausing import Pausing
from neontest.migrate.session import Session
from neontest.postgres.connect import Connection, alive, connect, shows
from neontest.postgres.counted import Known
from neontest.postgres.demands import demands
from neontest.postgres.diff import diff
from neontest.postgres.feasibility import violations
from neontest.postgres.indexes import newly_invalid, newly_unindexed
from neontest.postgres.locks import Observer
from neontest.postgres.model import Snapshot
from neontest.postgres.reasons import on_rows
from neontest.postgres.snapshot import Reader
from neontest.postgres.versions import VersionTables
from neontest.record import Direction, Failure, Models, Refused, Visit
from neontest.rows import Rows, arrived
from neontest.statements import opaque
from neontest.stop import Deadline

CREATE_EXTENSION: Final = re.compile(r'create\s+extension\s+(?:if\s+not\s+exists\s+)?"?([\w-]+)', re.IGNORECASE)
EXTENSION_MISSING: Final = ("0A000", "58P01")
"""feature_not_supported, undefined_file: what Postgres answers for an extension that is not installed."""
BROKEN: Final = frozenset(
    {"timeout", "exit", "SyntaxError", "IndentationError", "ImportError", "ModuleNotFoundError", "NameError"}
)
"""Kinds of failure that no row is the reason of, or that ended the worker."""
LOST: Final = "lost"
"""The kind of a failure for which a connection broke: `migrate.watch` says it."""


@dataclass(slots=True, kw_only=True)
class Trial:
    """One branch under test. `schema` is what its catalogs said when they were last read."""

    lease: Lease
    url: str = field(repr=False)
    guard: tuple[int, int]
    """The lock by which every other connection to the branch knows it."""
    environment: dict[str, str] = field(repr=False)
    connection: Connection
    reader: Reader
    session: Session
    observer: Observer
    """Of the session's visits."""
    loaded: Loaded
    before: Snapshot
    """The schema before the project was loaded."""
    schema: Snapshot
    start: tuple[str, ...]
    """The version table's revisions before the project was loaded."""
    load_changes: tuple[str, ...]
    """What loading the project changed in the schema and in the version tables, a line each."""
    visit_seconds: float
    deadline: Deadline
    rows: Rows
    remedy: Callable[[str], str | None]
    """What to do about an extension that the branch's server does not have."""
    ended: bool = False
    """Nothing can be done on it any more."""

    def visit(self, direction: Direction, to: str, pause: Pausing | None = None) -> Visit:
        """Run env.py anew, with a new connection, and read the schema afterwards."""
        limit = self.deadline.sooner(self.visit_seconds, what=f"the {direction} to {to}")
        if self.session.commands is not None:
            self.refuse_elsewhere()
        with guarding(self.connection):
            return self.seen(self.session.visit(direction, to, deadline=limit, pause=pause))

    def refuse_elsewhere(self) -> None:
        """Raise WrongDatabase where the connection string does not lead to this branch any more.

        Before what cannot be watched: the project's own commands and its tests. Env.py's connections all show it.
        """
        with guarding(self.connection), closing(connect(self.url, timeout=min(30.0, self.deadline.left()))) as other:
            if not shows(other, self.guard):
                raise WrongDatabase(
                    f"the connection string of branch {self.lease.name} leads elsewhere than before; nothing was run"
                    " there",
                    hint="was its compute or its name moved to another branch? run it again",
                )

    def stairway(
        self, steps: Sequence[tuple[Direction, str]], after: Callable[[Visit], bool], *, isolate: bool
    ) -> None:
        """Drive the steps through one run of env.py, or one each; `after` gets each visit, says whether to go on."""
        limit = min(self.visit_seconds, max(0.1, self.deadline.left()))
        if self.session.commands is not None:
            self.refuse_elsewhere()

        def followed(visit: Visit) -> bool:
            go_on = after(self.seen(visit))
            if go_on and self.session.commands is not None:
                self.refuse_elsewhere()
            return go_on

        with guarding(self.connection):
            self.session.stairway(steps, step_seconds=limit, after=followed, isolate=isolate)

    def models(self) -> Models:
        """Compare the project's models with the branch as it is; nothing is written."""
        limit = self.deadline.sooner(self.visit_seconds, what="comparing the models")
        with guarding(self.connection):
            return self.session.models(limit)

    def seen(self, visit: Visit) -> Visit:
        """The visit with what it did to the schema, which is read again.

        Raises:
            DatabaseError: its connection was lost, which says nothing about the migration.
        """
        if visit.error is not None:
            self.refuse_lost(visit.direction, visit.error)
            visit = msgspec.structs.replace(visit, error=self.advised(visit.error))
        self.rows.saw(visit)
        before, self.schema = self.schema, self.read()
        if before is self.schema:
            return visit
        changes = tuple(each.line() for each in diff(before, self.schema))
        return msgspec.structs.replace(
            visit,
            schema_changes=changes,
            invalid_indexes=newly_invalid(before, self.schema),
            unindexed_keys=newly_unindexed(before, self.schema),
        )

    def read(self) -> Snapshot:
        """The schema now; what the session knows of transactions is used up."""
        reader = self.reader
        return reader.snapshot(Known(*self.session.written.taken(reader.database, counted=reader.counts)))

    def refuse_lost(self, direction: Direction, failure: Failure) -> None:
        """Raise DatabaseError where the connection broke: the network, or a server that was restarted or suspended."""
        if failure.kind == LOST:
            where = f" at {failure.file}:{failure.line}" if failure.file else ""
            raise DatabaseError(
                f"the {direction} lost its connection to branch {self.lease.name}{where}: {one_line(failure.message)}",
                hint="run again; where it is lost at the same statement each time, that statement ends it",
            )

    def refused(self, visit: Visit) -> Refused | None:
        """The upgrade that just failed, where rows can be why: which ones, as far as the statement tells.

        Of rows that were invented only another walk without them can tell; of others, what does not fit.
        """
        failure = visit.error
        if failure is None or not by_rows(failure):
            return None
        sql, invented = failure.sql or "", self.rows.invented
        with self.rows.budget() as limit:
            found = violations(self.connection, sql, sqlstate=failure.sqlstate, deadline=limit)
            late = limit.left() <= 0 and any(True for _ in demands(sql))
        if not invented and not found and not late:
            return None
        return Refused(revision=failure.revision, failure=failure, invented=invented, violations=found, uncounted=late)

    def without_rows(self, visit: Visit, *, since: Snapshot) -> bool:
        """Take all invented rows away after an upgrade that failed; False where that does not leave it as `since`."""
        return usable(visit) and self.schema == since and self.rows.withdraw()

    def advised(self, failure: Failure) -> Failure:
        """The failure with a hint, where an extension is missing."""
        wanted = CREATE_EXTENSION.search(failure.sql or "")
        if wanted is None or failure.sqlstate not in EXTENSION_MISSING:
            return failure
        return msgspec.structs.replace(failure, hint=self.remedy(wanted[1]))

    def close(self) -> None:
        """End the worker and the connections; the lease is given back elsewhere."""
        self.ended = True
        self.session.close()
        self.observer.close()
        self.reader.close()


@contextmanager
def guarding(connection: Connection) -> Iterator[None]:
    """Say so where all that is wrong is that `connection`, whose lock the project has to see, has ended."""
    try:
        yield
    except (WrongDatabase, DatabaseError) as error:
        if alive(connection):
            raise
        raise DatabaseError(
            "neontest's own connection to the branch was ended, by the migration or by the server",
            hint="a migration that ends other connections has to spare those whose application_name is neontest",
        ) from error


def by_rows(failure: Failure) -> bool:
    """Rows can be why. What class 42 finds wrong with a text, code may have put together from them."""
    written = (failure.sqlstate or "")[:2] == "42" and opaque(failure.sql or "")
    return failure.kind not in BROKEN and (on_rows(failure.sqlstate) or written)


def usable(visit: Visit) -> bool:
    """The worker outlived the failure: it was not stopped, and its process did not end."""
    return visit.error is None or visit.error.kind not in ("timeout", "exit")


def failed(visit: Visit) -> bool:
    return not arrived(visit)


def load_changes(before: Snapshot, after: Snapshot, was: VersionTables, tables: VersionTables) -> tuple[str, ...]:
    """What loading the project changed: in the schema, and in the version tables."""
    old, new = dict(was), dict(tables)
    moved = (
        f"{name.removeprefix('public.')}: {', '.join(one) or BASE} → {', '.join(other) or BASE}"
        for name, one, other in ((name, old.get(name, ()), new.get(name, ())) for name in old | new)
        if sorted(one) != sorted(other)
    )
    return (*(each.line() for each in diff(before, after)), *moved)


def result(future: Future[Lease], deadline: Deadline, tick: Callable[[float], bool]) -> Lease:
    """The lease that was asked for in a thread; `tick` waits a little, and raises when the run is to stop."""
    while not future.done():
        deadline.check()
        tick(0.01)
    return future.result()
