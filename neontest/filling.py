"""The local parent filled from an existing Postgres (`--from`), by whichever way works here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import msgspec

from neontest.errors import CouldNotTest
from neontest.ground import Context, Ground
from neontest.local.binaries import find_all
from neontest.postgres.connect import connect_when_ready, mapped, server_version
from neontest.process import MARK
from neontest.redact import Redactor
from neontest.sessions import Sessions
from neontest.source import driver, tools, way
from neontest.source.survey import Source, sized, surveyed


class Filling(msgspec.Struct, frozen=True, kw_only=True):
    """The two moments at which the parent can be filled; one of them does nothing."""

    empty: Callable[[], None]
    """Before the project's revisions: schema and rows."""
    upgraded: Callable[[], None]
    """After them: rows."""
    notes: list[str]


@contextmanager
def filling(
    context: Context, sessions: Sessions, ground: Ground, url: str, start: tuple[str, ...]
) -> Iterator[Filling]:
    """How the parent at `url` is filled from the source, which is held at one moment until the end of the block.

    Raises:
        CouldNotTest: it cannot be, for want of a tool or of an extension.
    """
    settings = context.settings
    assert settings.from_url is not None
    assert ground.local is not None
    context.talk.say("the source is read")
    with surveyed(settings.from_url, settings.tables, settings.from_limit) as source:
        major = fitting(context, ground, source, url)
        folders = [ground.local.bindir, *(each.bindir for each in find_all(environ=context.environ))]
        found = tools.find(source.major, folders, context.environ.get("PATH", ""), tls=source.tls)
        redactor = Redactor()
        for secret in (*way.secrets(settings.from_url), *way.secrets(url)):
            redactor.add(secret)
        mark = context.environ.get(MARK, "") + sessions.scratch.mark
        tries = tools.Tries(
            folder=sessions.scratch.folder(),
            environ={**way.hidden(settings.from_url, context.environ), MARK: mark},
            stop=context.stop, deadline=context.deadline, say=context.talk.say, clean=redactor.text,
        )  # fmt: skip
        yield chosen(source, found, settings.from_url, url, tries, start, major, sized(settings.from_limit))


def chosen(
    source: Source,
    found: tools.Tools | None,
    url: str,
    target: str,
    tries: tools.Tries,
    start: tuple[str, ...],
    major: int,
    limit: str,
) -> Filling:
    """By the tools that were found, else by the driver."""
    notes: list[str] = []
    what = f"the parent was filled from a Postgres {source.version}"
    which = f"{len(source.chosen)} of {len(source.tables)} tables" if source.chosen != source.tables else (
        f"{len(source.tables)} table{'' if len(source.tables) == 1 else 's'}"
    )  # fmt: skip

    def by_tools() -> None:
        assert found is not None
        try:
            tools.copy(source, url, target, found, tries)
        except CouldNotTest as error:
            if source.major > major:
                error.hint = (
                    f"the source is Postgres {source.version} and the local one {major}, which may lack what it has:"
                    f" name a newer one with --postgres or --postgres-version"
                )
            raise
        notes.append(f"{what}: {which}, {sized(source.size)} of rows (limit {limit}), by pg_dump {found.major}")

    def by_driver() -> None:
        rows = driver.copy(source, url, target, tries)
        notes.append(f"{what}: {rows}, {sized(source.size)} (limit {limit}), by COPY, as no pg_dump here can read it")

    if found is not None:
        return Filling(empty=by_tools, upgraded=lambda: None, notes=notes)
    if not start:
        raise CouldNotTest(
            f"the source is Postgres {source.version}, which no pg_dump here can read (newer, or TLS that it lacks),"
            " and its version table names no revision from which the schema could be made instead",
            hint=f"install the client tools of Postgres {source.major} (Debian: postgresql-client-{source.major})",
        )
    return Filling(empty=lambda: None, upgraded=by_driver, notes=notes)


def fitting(context: Context, ground: Ground, source: Source, url: str) -> int:
    """The local server's major version; CouldNotTest where it lacks an extension of the source."""
    assert ground.local is not None
    with closing(connect_when_ready(url, context.deadline, context.stop)) as connection:
        with mapped("the local parent cannot be asked for its extensions"), connection.cursor() as cursor:
            cursor.execute("SELECT name::text FROM pg_available_extensions")
            there = {name for (name,) in cursor.fetchall()}
        for name in source.extensions:
            if name not in there:
                raise CouldNotTest(
                    f"the source has the extension {name}, which the local Postgres has not",
                    hint=ground.local.missing_extension(name),
                )
        return server_version(connection) // 10_000
