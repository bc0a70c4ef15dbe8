"""A leased branch with the project loaded on it: what a walk walks on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import msgspec

from neontest.errors import DatabaseError, WrongDatabase
from neontest.lease.lease import Lease
from neontest.migrate.session import Loaded, Session
from neontest.postgres.connect import Connection, alive
from neontest.postgres.diff import diff
from neontest.postgres.model import Snapshot
from neontest.postgres.snapshot import Reader
from neontest.record import Direction, Failure, Visit
from neontest.stop import Deadline

CREATE_EXTENSION: Final = re.compile(r'create\s+extension\s+(?:if\s+not\s+exists\s+)?"?([\w-]+)', re.IGNORECASE)
EXTENSION_MISSING: Final = ("0A000", "58P01")
"""feature_not_supported, undefined_file: what Postgres answers for an extension that is not installed."""


@dataclass(slots=True, kw_only=True)
class Trial:
    """One branch under test. `schema` is what its catalogs said when they were last read."""

    lease: Lease
    url: str = field(repr=False)
    environment: dict[str, str] = field(repr=False)
    connection: Connection
    reader: Reader
    session: Session
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
    remedy: Callable[[str], str | None]
    """What to do about an extension that the branch's server does not have."""

    def visit(self, direction: Direction, to: str) -> Visit:
        """Run env.py anew, with a new connection, and read the schema afterwards."""
        limit = self.deadline.sooner(self.visit_seconds, what=f"the {direction} to {to}")
        with guarding(self.connection):
            return self.seen(self.session.visit(direction, to, deadline=limit))

    def stairway(
        self, steps: Sequence[tuple[Direction, str]], after: Callable[[Visit], bool], *, isolate: bool
    ) -> None:
        """Drive the steps through one run of env.py, or one each; `after` gets each visit, says whether to go on."""
        limit = min(self.visit_seconds, max(0.1, self.deadline.left()))
        with guarding(self.connection):
            self.session.stairway(
                steps, step_seconds=limit, after=lambda visit: after(self.seen(visit)), isolate=isolate
            )

    def seen(self, visit: Visit) -> Visit:
        """The visit with what it did to the schema, which is read again."""
        if visit.error is not None:
            visit = msgspec.structs.replace(visit, error=self.advised(visit.error))
        before, self.schema = self.schema, self.reader.snapshot()
        if before is self.schema:
            return visit
        changes = tuple(each.line() for each in diff(before, self.schema))
        return msgspec.structs.replace(visit, schema_changes=changes)

    def advised(self, failure: Failure) -> Failure:
        """The failure with a hint, where an extension is missing."""
        wanted = CREATE_EXTENSION.search(failure.sql or "")
        if wanted is None or failure.sqlstate not in EXTENSION_MISSING:
            return failure
        return msgspec.structs.replace(failure, hint=self.remedy(wanted[1]))

    def close(self) -> None:
        """End the worker and the connection; the lease is given back elsewhere."""
        self.session.close()
        self.connection.close()


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


def failed(visit: Visit) -> bool:
    return visit.error is not None or not visit.moved


def result(future: Future[Lease], deadline: Deadline, tick: Callable[[float], bool]) -> Lease:
    """The lease that was asked for in a thread; `tick` waits a little, and raises when the run is to stop."""
    while not future.done():
        deadline.check()
        tick(0.01)
    return future.result()
