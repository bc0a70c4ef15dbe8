"""What a worker reports, checked and as the record has it: its process is the project's, which may write there too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final, TypeVar

import msgspec

from neontest.errors import WorkerError
from neontest.errors import WrongDatabase as WrongDatabaseError
from neontest.record import Direction, Failure, Revision, Statement

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


class Ran(msgspec.Struct, frozen=True, tag_field="is", tag="statement"):
    statement: Statement


class Visited(msgspec.Struct, frozen=True, tag_field="is", tag="visited"):
    direction: Direction
    from_: tuple[str, ...] | None = msgspec.field(name="from")
    to: tuple[str, ...] | None
    seconds: Seconds
    moved: bool
    error: Failure | None


class Current(msgspec.Struct, frozen=True, tag_field="is", tag="current"):
    current: Heads


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


Report = Hello | Loaded | Step | Ran | Visited | Current | Running | Note | WrongDatabase | Failed | Done
_decoder: Final[msgspec.json.Decoder[Report]] = msgspec.json.Decoder(Report)


def read(line: bytes) -> Report:
    """One line of the worker's.

    Raises:
        ValueError: it is none, whatever it is.
    """
    try:
        return _decoder.decode(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None


class Trail:
    """What a visit has shown so far."""

    def __init__(self) -> None:
        self.statements: list[Statement] = []
        self.revision: str | None = None
        self.running: Statement | None = None

    def failure(self, kind: str, message: str) -> Failure:
        """Of a visit that was cut short: named by the statement that ran, if any did."""
        at = self.running
        return Failure(
            kind=kind,
            message=message,
            revision=self.revision,
            file=at.file if at else None,
            line=at.line if at else None,
            sql=at.sql if at else None,
        )


def hidden(said: Said, hide: Hide) -> Said:
    """The same with its secrets hidden."""
    texts = {name: value for name, value in msgspec.structs.asdict(said).items() if isinstance(value, str)}
    return msgspec.structs.replace(said, **{name: hide(value) for name, value in texts.items()})


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
