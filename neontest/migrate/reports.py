"""What a worker reports, as the record has it; secrets hidden."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from neontest.errors import WorkerError, WrongDatabase
from neontest.record import Failure, Revision, Statement

Facts = Mapping[str, Any]
Hide = Callable[[str], str]


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


def statement(facts: Facts, hide: Hide) -> Statement:
    return Statement(sql=hide(facts["sql"]), seconds=facts["seconds"], file=facts["file"], line=facts["line"])


def failure(facts: Facts, hide: Hide) -> Failure:
    return Failure(
        message=hide(facts["message"]),
        kind=facts["kind"],
        revision=facts.get("revision"),
        file=facts.get("file"),
        line=facts.get("line"),
        sql=hide(facts["sql"]) if facts.get("sql") else None,
        sqlstate=facts.get("sqlstate"),
    )


def revision(facts: Facts) -> Revision:
    return Revision(
        id=facts["id"],
        down=tuple(facts["down"]),
        depends_on=tuple(facts["depends_on"]),
        labels=tuple(facts["labels"]),
        message=facts["message"],
        file=facts["file"],
        upgrade_line=facts["upgrade_line"],
        downgrade_line=facts["downgrade_line"],
    )


def unloadable(facts: Facts, hide: Hide, python: object) -> WorkerError:
    """Why there can be no visits."""
    missing = facts.get("missing")
    if missing:
        return WorkerError(
            f"{python} has no {missing}",
            hint=f"install {missing} there, or name the project's interpreter with --python",
        )
    failed = failure(facts, hide)
    where = f" ({failed.file}:{failed.line})" if failed.file else ""
    return WorkerError(
        f"the project does not load: {failed.kind}: {failed.message}{where}",
        hint="the project's own command, such as `alembic current`, says more",
    )


def wrong_database(facts: Facts) -> WrongDatabase:
    where = f"{facts['host'] or 'a local socket'}/{facts['database'] or ''}"
    return WrongDatabase(
        f"the project connects to {where}, not to the branch; nothing was migrated",
        hint='say where it reads its URL: [tool.neontest.env] with NAME = "{url}", or [tool.neontest.files]',
    )
