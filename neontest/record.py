"""Everything that a run saw, before anyone judges it.

These types are also what the JSON report carries (`neontest.report`), so their field names are public.
Seconds are floats, moments are UTC, revisions are Alembic's ids.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from neontest.postgres.diff import Difference

Direction = Literal["upgrade", "downgrade"]


class Revision(msgspec.Struct, frozen=True, kw_only=True):
    """One revision file, read without running it."""

    id: str
    down: tuple[str, ...] = ()
    """Its parents' ids as the file gives them; none for a base."""
    depends_on: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    message: str = ""
    """The first line of the file's docstring."""
    file: str = ""
    """Relative to the project's root, with `/`."""
    line: int = 1
    """Of the `revision =` assignment."""
    upgrade_line: int = 0
    """Of `def upgrade`; 0 where there is none."""
    downgrade_line: int = 0
    upgrade_empty: bool = False
    """The body is only `pass`, `...` or a docstring."""
    downgrade_empty: bool = False
    downgrade_raises: bool = False
    """The body begins by raising: irreversible on purpose."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """Something wrong with the graph of revisions that can be seen without a database."""

    kind: Literal["duplicate", "missing-parent", "cycle", "unreadable"]
    message: str
    revision: str | None = None
    file: str | None = None
    line: int | None = None


class History(msgspec.Struct, frozen=True, kw_only=True):
    """The graph of revisions, and the part of it that this run tests."""

    heads: tuple[str, ...] = ()
    start: str | None = None
    """The parent's revision; several are joined by ", "; None is the empty base."""
    pending: tuple[str, ...] = ()
    """Ids in the order in which Alembic applies them."""
    revisions: tuple[Revision, ...] = ()
    """All that were read, parents first."""
    faults: tuple[Fault, ...] = ()


class Statement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One statement that a visit sent to the database, without the values of its parameters."""

    sql: str
    seconds: float = 0.0
    file: str | None = None
    """The migration's file and line that issued it, where the stack shows one."""
    line: int | None = None


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a visit did not arrive: the first database error, else the exception that ended it."""

    message: str
    kind: str
    """The exception's class name, such as `DuplicateObject` or `NotImplementedError`; `timeout`, `exit`, `command`."""
    revision: str | None = None
    """The revision whose code was running."""
    file: str | None = None
    line: int | None = None
    sql: str | None = None
    sqlstate: str | None = None
    hint: str | None = None
    """What to do, where the place where it ran is the reason."""


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """One upgrade or downgrade to one revision, and what was seen."""

    direction: Direction
    from_: str | None = msgspec.field(name="from")
    """As `History.start`: ids joined by ", ", None is base."""
    to: str | None
    seconds: float = 0.0
    statements: tuple[Statement, ...] = ()
    error: Failure | None = None
    schema_changes: tuple[str, ...] = ()
    """What the visit did to the schema, a line a difference."""
    moved: bool = True
    """The version table changed as it should."""
    traced: bool = True
    """False where the project's own command ran, whose statements nobody saw."""


class Walk(msgspec.Struct, frozen=True, kw_only=True):
    """Visits on one branch: whole (upgrade, downgrade, upgrade of all) or the stairway's three of one revision."""

    kind: Literal["whole", "stairway"]
    revision: str | None = None
    branch: str = ""
    """The id of the branch it ran on."""
    visits: tuple[Visit, ...] = ()
    not_restored: tuple[Difference, ...] = ()
    """The schema before the first visit, and after the downgrade: empty is right."""
    not_repeated: tuple[Difference, ...] = ()
    """The schema after the first upgrade, and after the second: empty is right."""
    note: str | None = None
    """Why it is shorter than three visits, where no visit failed."""


class BranchUse(msgspec.Struct, frozen=True, kw_only=True):
    """One branch that this run took, and what became of it."""

    id: str
    name: str
    created_at: datetime
    ready_seconds: float
    """From the request until the first query was answered."""
    role: Literal["candidate", "sibling"] = "candidate"
    expires_at: datetime | None = None
    deleted: bool = False
    proved: bool = False
    """The API answered 404 for it afterwards."""
    delete_seconds: float | None = None
    kept: bool = False
    """Left on purpose, by --keep."""


class SuiteResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the project's own tests did on the migrated branch.

    The counts are None where the command left no JUnit file to read them from.
    """

    command: tuple[str, ...]
    named: bool = True
    """The project named this command; False for the default."""
    exit_code: int
    seconds: float
    passed: int | None = None
    failed: int | None = None
    errors: int | None = None
    skipped: int | None = None
    timed_out: bool = False
    failures: tuple[str, ...] = ()
    """Names of failed tests, at most 50."""
    output_tail: str = ""
    """The last lines of its output, secrets removed."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run, as seen. Checks read it and nothing else."""

    engine: Literal["neon", "local"]
    engine_why: str = ""
    server_version: str = ""
    """Of the branch's Postgres, such as `18.6`."""
    project_id: str = ""
    parent: str = ""
    """Id of the parent branch."""
    parent_name: str = ""
    branches: tuple[BranchUse, ...] = ()
    history: History = msgspec.field(default_factory=History)
    heads_allowed: Literal["one", "many"] = "one"
    walks: tuple[Walk, ...] = ()
    load_changes: tuple[str, ...] = ()
    """What merely loading the project changed in the schema."""
    tests: SuiteResult | None = None
    tests_note: str | None = None
    """Why no tests were run."""
    seconds: dict[str, float] = {}
    """By phase."""
    notes: tuple[str, ...] = ()
