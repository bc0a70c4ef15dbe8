"""Everything that a run saw, before anyone judges it.

These types are also what the JSON report carries (`neontest.report`), so their field names are public.
Seconds are floats, moments are UTC, revisions are Alembic's ids.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

import msgspec

from neontest.cells import Cell
from neontest.data_seen import DataSeen
from neontest.postgres.data import DataChange, Filled, Read, Violation
from neontest.postgres.diff import Difference
from neontest.postgres.indexes import UnindexedKey
from neontest.seconds import Seconds

Direction = Literal["upgrade", "downgrade"]


class Acceptance(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A finding that somebody takes responsibility for, with the reason."""

    check: str
    reason: str
    revision: str | None = None
    """None: of any revision."""
    until: date | None = None
    """The last day on which it holds."""
    file: str | None = None
    line: int | None = None


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
    accepts: tuple[Acceptance, ...] = ()
    """Its comments `# neontest: accept CHECK: REASON`."""


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
    on_base: tuple[str, ...] | None = None
    """Ids that the base branch already has; None where no base branch is known."""
    edited: tuple[str, ...] = ()
    """Ids of those whose file is not as the base branch has it."""
    merged_heads: tuple[str, ...] = ()
    """Heads of this branch and the base branch together, where the base branch went on since this one left it."""


class Lock(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A lock on a relation that a statement took, beyond those that its transaction already had."""

    relation: str
    """Qualified, such as `public.user`."""
    kind: str = "table"
    """table, index, sequence, view, materialized view, toast, …"""
    mode: str
    """As SQL writes it: `ACCESS EXCLUSIVE`."""
    held_seconds: Seconds = 0.0
    """From the beginning of the statement to the end of its transaction; where not seen by "statement", a bound."""
    seen: Literal["statement", "commit", "sampled", "inferred"] = "statement"
    """Right after its statement; only before the commit, so that one of several statements took it; by another
    connection, while a statement in autocommit ran; or told from the kind of statement alone."""
    existed: bool = True
    """The relation was there before the visit."""
    rows: int | None = None
    """About so many rows were in it before the visit, in a partitioned table's partitions together; None where that is
    not known."""
    timeout_seconds: Seconds = 0.0
    """The `lock_timeout` in effect when it was taken; 0 is none."""
    part_of: tuple[str, ...] = ()
    """Of a partition: the partitioned tables that it belonged to before the visit, the nearest first."""


class Statement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One statement that a visit sent to the database, without the values of its parameters."""

    sql: str
    seconds: Seconds = 0.0
    file: str | None = None
    """The migration's file and line that issued it, where the stack shows one."""
    line: int | None = None
    revision: str | None = None
    """The revision whose step was running."""
    transaction: int = 0
    """Its number within the visit, from 1; 0 in autocommit."""
    rows: int | None = None
    """Rows that it changed or returned, as the driver counts them."""
    locks: tuple[Lock, ...] = ()
    rewrote: tuple[str, ...] = ()
    """Relations that have new files."""
    scanned: tuple[str, ...] = ()
    """Relations that were there before, and were read whole by a statement that changes the schema."""
    changed: tuple[str, ...] = ()
    """Tables of which rows were inserted, updated or deleted since the statement before that was looked after."""
    waited_seconds: Seconds = 0.0
    """For other connections' locks, as far as that was sampled."""
    wal_bytes: int = 0
    """Written ahead since the statement before that was looked after."""


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """A relation that is not as large as it was, with its indexes and its toast table: bytes, 0 where it is not there.

    Without the maps of where there is room and what all see, which Postgres writes when it likes.
    """

    relation: str
    before: int
    after: int


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a visit did not arrive: the first database error, else the exception that ended it."""

    message: str
    kind: str
    """The exception's class name, such as `DuplicateObject` or `NotImplementedError`; `timeout`, `exit`, `command`,
    `lost` for a connection."""
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
    seconds: Seconds = 0.0
    statements: tuple[Statement, ...] = ()
    error: Failure | None = None
    schema_changes: tuple[str, ...] = ()
    """What the visit did to the schema, a line a difference."""
    moved: bool = True
    """The version table changed as it should."""
    traced: bool = True
    """False where the project's own command ran, whose statements nobody saw."""
    wal_bytes: int | None = None
    """Written ahead by the whole server meanwhile."""
    sizes: tuple[Size, ...] = ()
    invalid_indexes: tuple[str, ...] = ()
    """Qualified names of those that were not invalid before the visit, and are so after it."""
    unindexed_keys: tuple[UnindexedKey, ...] = ()
    """New foreign keys whose columns no index begins with after the visit."""


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
    data_changed: DataChange | None = None
    """The rows before the first visit, and after it; None where they were not read."""
    data_lost: DataChange | None = None
    """The rows before the first visit, and after the downgrade; empty is right, None where they were not read."""
    with_rows: bool = False
    """On rows that neontest invented."""
    note: str | None = None
    """Why it is shorter than three visits, where no visit failed."""


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """An upgrade that rows stood in the way of: it works on empty tables, where these were invented."""

    revision: str | None
    failure: Failure
    invented: bool
    """The rows are neontest's own; False: the parent's."""
    violations: tuple[Violation, ...] = ()
    uncounted: bool = False
    """The time for reading rows was over before those that stand in the way were counted."""


class Drift(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing in which the project's models and the migrated database differ."""

    what: str
    """In one line, such as `add column user.phone`."""
    line: str | None = None
    """The operation to write in a new revision."""


class Models(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The project's own metadata, compared with the database at head."""

    tables: int = 0
    """In the metadata."""
    drift: tuple[Drift, ...] = ()
    note: str | None = None
    """Why nothing was compared."""


class Interruption(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An upgrade that was cancelled in the middle of a statement, and run again."""

    revision: str | None
    statement: Statement
    """The one that was cancelled."""
    interrupted: bool
    """It was: a statement can end before the cancellation arrives."""
    again: Failure | None = None
    """Why the second upgrade failed."""
    different: tuple[Difference, ...] = ()
    """The schema after an undisturbed upgrade, and after the second one."""


class Twin(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The same upgrade on two siblings, with another time zone, hash seed and locale."""

    different: tuple[Difference, ...] = ()
    data: DataChange = msgspec.field(default_factory=DataChange)
    failure: Failure | None = None
    """Why the upgrade failed on the second, where it worked on the first."""


class Lint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a linter of SQL says of a statement that was seen."""

    rule: str
    message: str
    level: Literal["error", "warning", "info"] = "warning"
    hint: str | None = None
    sql: str = ""
    revision: str | None = None
    file: str | None = None
    line: int | None = None


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Where checks that judge numbers draw their lines: seconds and rows."""

    lock_seconds: Seconds = 1.0
    small_table: int = 10_000
    migration_seconds: Seconds = 180.0
    statement_seconds: Seconds = 30.0
    many_locks: int = 5


class BranchUse(msgspec.Struct, frozen=True, kw_only=True):
    """One branch that this run took, and what became of it."""

    id: str
    name: str
    created_at: datetime
    ready_seconds: Seconds
    """From the request until the first query was answered."""
    role: Literal["candidate", "sibling"] = "candidate"
    expires_at: datetime | None = None
    deleted: bool = False
    proved: bool = False
    """The API answered 404 for it afterwards."""
    delete_seconds: Seconds | None = None
    kept: bool = False
    """Left on purpose, by --keep."""
    passed_on: bool = False
    """The next project's run has it, and gives it back."""


class SuiteResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the project's own tests did on the migrated branch.

    The counts are None where the command left no JUnit file to read them from.
    """

    command: tuple[str, ...]
    named: bool = True
    """The project named this command; False for the default."""
    exit_code: int
    seconds: Seconds
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
    project: str = ""
    """The name of its `[[tool.neontest.project]]`, where there are several."""
    skipped: str = ""
    """Why nothing was looked at, where nothing had to be."""
    server_version: str = ""
    """Of the branch's Postgres, such as `18.6`."""
    project_id: str = ""
    parent: str = ""
    """Id of the parent branch."""
    parent_name: str = ""
    data: DataSeen | None = None
    """None where the run took no branch."""
    branches: tuple[BranchUse, ...] = ()
    history: History = msgspec.field(default_factory=History)
    heads_allowed: Literal["one", "many"] = "one"
    walks: tuple[Walk, ...] = ()
    load_changes: tuple[str, ...] = ()
    """What merely loading the project changed in the schema."""
    limits: Limits = msgspec.field(default_factory=Limits)
    filled: tuple[Filled, ...] = ()
    """The rows that were invented, by table; empty where none were."""
    read: tuple[Read, ...] = ()
    """How the rows of tables were read."""
    refused: tuple[Refused, ...] = ()
    models: Models | None = None
    interruptions: tuple[Interruption, ...] = ()
    twin: Twin | None = None
    lint: tuple[Lint, ...] = ()
    acceptances: tuple[Acceptance, ...] = ()
    """Those of pyproject.toml; a revision's own stand in it."""
    today: date | None = None
    """The day of the run, in UTC, for acceptances that end."""
    tests: SuiteResult | None = None
    tests_note: str | None = None
    """Why no tests were run."""
    cells: tuple[Cell, ...] = ()
    """Old and new code on the old and the new schema; empty without --grid."""
    seconds: dict[str, Seconds] = {}
    """By phase."""
    notes: tuple[str, ...] = ()
