"""Whose data this run's branches hold: what was asked for, what makes it whole, and what the record says of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from neontest import whose
from neontest.data_seen import DataSeen
from neontest.errors import CouldNotTest
from neontest.ground import Context, Ground
from neontest.settings import Settings
from neontest.whose import Source

if TYPE_CHECKING:
    from neontest.postgres.connect import Connection


def source(settings: Settings) -> Source:
    """What the settings ask for; ConfigError where the file with the masking rules is none."""
    return whose.source(
        schema_only=settings.schema_only, anonymize=settings.anonymize, time=settings.parent_time,
        lsn=settings.parent_lsn,
    )  # fmt: skip


def tell_revisions(context: Context, ground: Ground, connection: Connection) -> None:
    """Give a branch without rows back the rows of its version tables: without them it would be at no revision.

    Raises:
        CouldNotTest: nobody could read them on the parent.
    """
    if not context.source.schema_only:
        return
    if ground.versions is None:
        raise CouldNotTest(
            f"--schema-only: the revision of branch {ground.parent.name} could not be read there, and a branch without"
            " rows does not say it",
            hint="give the parent a compute that can be reached from here, or leave --schema-only out",
        )
    from neontest.postgres.versions import fill_version_tables

    fill_version_tables(connection, ground.versions)


def seen(context: Context, ground: Ground, *, start: tuple[str, ...], rows: int, lsn: str | None) -> DataSeen:
    """What the record says. Of a command only that there was one: it may hold a password."""
    settings, source, local = context.settings, context.source, ground.local is not None
    of_this = DataSeen(
        kind="schema-only" if source.schema_only else "anonymized" if source.rules else "copy",
        lsn=None if local or source.schema_only else lsn or source.lsn,
        time=source.time,
        masked=len(source.rules),
        rules=_below(settings.root, settings.anonymize) if settings.anonymize else None,
        rows=rows,
    )
    if not local:
        return of_this
    return msgspec.structs.replace(
        of_this,
        revisions=start,
        prepared=_named(settings.prepare),
        seeded=_named(settings.seed),
        made_at=ground.made_at,
    )


def _below(root: Path, file: Path) -> str:
    """The file's name as it is typed in the project's folder; of a file elsewhere only its last part."""
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name


def _named(how: str | None) -> str | None:
    return how if how is None or how.endswith(".sql") else "a command"
