"""What a worker reports, checked and as the record has it: its process is the project's, which may write there too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final, TypeVar

import msgspec

from neontest.errors import WorkerError
from neontest.errors import WrongDatabase as WrongDatabaseError
from neontest.record import Direction, Drift, Failure, Models, Revision, Statement

Hide = Callable[[str], str]
Said = TypeVar("Said", Statement, Failure)
Seconds = Annotated[float, msgspec.Meta(ge=0)]
Path = Annotated[str, msgspec.Meta(pattern=r"\A[^\x00]+\Z")]
Heads = tuple[tuple[str, ...], ...]
MOST: Final = 10_000
"""Statements of a visit, and notes of a session, that are kept; the worker reports fewer."""


class Hello(msgspec.Struct, frozen=True, tag_field="is", tag="hello"):
    python: str
    alembic: str
    sqlalchemy: str
    drivers: tuple[str, ...]


class Loaded(msgspec.Struct, frozen=True, tag_field="is", tag="loaded"):
    current: Heads
    revisions: tuple[Revision, ...]
    locations: tuple[Path, ...]


class Step(msgspec.Struct, frozen=True, tag_field="is", tag="step"):
    direction: Direction
    revision: str


class Began(msgspec.Struct, frozen=True, tag_field="is", tag="began"):
    backend: int
    autocommit: bool


class Ran(msgspec.Struct, frozen=True, tag_field="is", tag="statement"):
    statement: Statement
    began: float
    """By the worker's clock, as `at` below."""


class Sized(msgspec.Struct, frozen=True, array_like=True):
    """What the statistics and the files of a relation say inside of a transaction."""

    table: int
    """The oid of the table that it is a part of, or its own."""
    tuples: float
    pages: int
    bytes: int | None
    parent: int | None
    parts: tuple[tuple[int, int], ...] | None = None
    """Of a table whose rows may have been written, the oids and bytes of its indexes and its toast table; None where
    nobody asked."""


class Locked(msgspec.Struct, frozen=True, array_like=True):
    """A relation that a transaction holds locks on."""

    oid: int
    schema: str
    name: str
    """Empty where it was dropped."""
    kind: str
    node: int
    """The number of its file."""
    modes: tuple[str, ...]
    scans: int
    """Since the look before."""
    changed: bool
    size: Sized | None


class Looked(msgspec.Struct, frozen=True, tag_field="is", tag="looked"):
    transaction: int
    statement: int | None
    """The number of the statement that it came right after; None before a commit."""
    at: float
    seconds: Seconds
    timeout: Seconds
    wal: int
    xid: int | None
    """By which the server knows the transaction, if it has written by now, and what it counts will be brought in."""
    made: int | None
    """Rows that are counted as inserted and updated in the catalogs of relations when it ends."""
    deleted: int | None
    database: str | None
    """Of the branch; None where the guard has not seen that it is."""
    relations: tuple[Locked, ...]
    """Those that are not as they were at the look before."""
    gone: tuple[int, ...]


class Ended(msgspec.Struct, frozen=True, tag_field="is", tag="ended"):
    transaction: int
    at: float
    rolled_back: bool
    known: bool = False
    """Looks told of all that it has done: nothing of Alembic's was altered, and it has ended on the server, too, which
    one that is committed in two phases has not."""


class Paused(msgspec.Struct, frozen=True, tag_field="is", tag="paused"):
    """The worker waits before a statement."""

    statement: Statement
    backend: int
    """The server's process where the statement is in autocommit; 0 in a transaction."""
    search_path: str


class Resumed(msgspec.Struct, frozen=True, tag_field="is", tag="resumed"):
    """The statement that was let go is over; the worker waits again."""

    ended: bool
    """It came to its own end; False: an error ended it."""


class Landed(msgspec.Struct, frozen=True, tag_field="is", tag="landed"):
    """The worker waits to hear whether the version table has gone from these revisions to those; else it looks."""

    before: tuple[str, ...]
    after: tuple[str, ...]


class Visited(msgspec.Struct, frozen=True, tag_field="is", tag="visited"):
    direction: Direction
    from_: tuple[str, ...] | None = msgspec.field(name="from")
    to: tuple[str, ...] | None
    seconds: Seconds
    moved: bool
    error: Failure | None


class Current(msgspec.Struct, frozen=True, tag_field="is", tag="current"):
    current: Heads


class Compared(msgspec.Struct, frozen=True, tag_field="is", tag="models"):
    models: Models


class Inputs(msgspec.Struct, frozen=True, tag_field="is", tag="inputs"):
    """What the project read while it was loaded and migrated, by absolute paths, and digests as `inputs` makes them."""

    files: dict[str, str]
    folders: dict[str, str]
    """Whose names were listed."""
    packages: dict[str, str]
    """Where Python looks for modules, and what is installed there."""
    unseen: str | None
    """Why that may not be all."""


class Running(msgspec.Struct, frozen=True, tag_field="is", tag="running"):
    statement: Statement | None


class Note(msgspec.Struct, frozen=True, tag_field="is", tag="note"):
    text: str


class WrongDatabase(msgspec.Struct, frozen=True, tag_field="is", tag="wrong-database"):
    host: str | None
    port: int | None
    database: str | None
    early: bool
    """It was refused before its first statement."""


class Unloadable(Failure, frozen=True, kw_only=True):
    missing: str | None = None
    """The module that the interpreter has not."""


class Failed(msgspec.Struct, frozen=True, tag_field="is", tag="failed"):
    error: Unloadable


class Done(msgspec.Struct, frozen=True, tag_field="is", tag="done"):
    pass


Report = (
    Hello
    | Loaded
    | Step
    | Began
    | Ran
    | Looked
    | Ended
    | Paused
    | Resumed
    | Landed
    | Visited
    | Current
    | Compared
    | Inputs
    | Running
    | Note
    | WrongDatabase
    | Failed
    | Done
)
ON_THE_WAY: Final = (Running, Began, Ran, Looked, Ended, Step, Note)
"""Those that answer nothing."""
_decoder: Final[msgspec.json.Decoder[list[Report]]] = msgspec.json.Decoder(list[Report])


def read(line: bytes) -> list[Report]:
    """The reports in one line of the worker's.

    Raises:
        ValueError: it is none, whatever it is.
    """
    try:
        return _decoder.decode(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def hidden(said: Said, hide: Hide) -> Said:
    """The same with its secrets hidden."""
    changed = {
        name: clean
        for name in said.__struct_fields__
        if isinstance(value := getattr(said, name), str) and (clean := hide(value)) != value
    }
    return msgspec.structs.replace(said, **changed) if changed else said


def compared(models: Models, hide: Hide) -> Models:
    """The same with its secrets hidden."""
    drift = tuple(Drift(what=hide(each.what), line=each.line and hide(each.line)) for each in models.drift)
    return msgspec.structs.replace(models, drift=drift, note=models.note and hide(models.note))


def unloadable(facts: Unloadable, hide: Hide, python: object) -> WorkerError:
    """Why there can be no visits."""
    failed = hidden(facts, hide)
    if facts.missing:
        return WorkerError(
            f"{python} has no {facts.missing}",
            hint=f"install {facts.missing} there, or name the project's interpreter with --python",
        )
    where = f" ({failed.file}:{failed.line})" if failed.file else ""
    return WorkerError(
        f"the project does not load: {failed.kind}: {failed.message}{where}",
        hint="the project's own command, such as `alembic current`, says more",
    )


def no_start(python: object, end: BaseException) -> WorkerError:
    """Why there is no worker: what was started is no Python, or one in which nothing starts."""
    return WorkerError(
        f"{python} cannot be the project's Python: {end} before it said anything",
        hint="name another one with --python; -v shows what it printed",
    )


def not_begun() -> WorkerError:
    return WorkerError(
        "the project's process said that it was done, and had not begun",
        hint="it writes to files that it did not open: look for os.write",
    )


def wrong_database(report: WrongDatabase) -> WrongDatabaseError:
    where = f"{report.host or 'a local socket'}/{report.database or ''}"
    if not report.early:
        return WrongDatabaseError(
            f"env.py migrates {where}, not the branch; nothing was migrated there, but statements may have run before",
            hint='say where it reads its URL: [tool.neontest.env] with NAME = "{url}", or [tool.neontest.files]',
        )
    return WrongDatabaseError(
        f"the project connects to {where}, not to the branch; that was refused, and nothing was run there",
        hint='say where it reads its URL: [tool.neontest.env] with NAME = "{url}", or [tool.neontest.files];'
        ' if it is meant to use another database: other-databases = "allow"',
    )
