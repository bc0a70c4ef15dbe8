"""The local parent of an earlier run, in place of a new one, where nothing that it was made of has changed.

It was made of settings, whose digest is its key, and of files, which the project was seen to read meanwhile
(`migrate.inputs`): among those are its revisions up to where it stands, and none of those above. It is not kept where
a command made a part of it, or where the project was seen to do what may not come out the same another time.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from neontest import __version__
from neontest.ground import Context, Ground
from neontest.migrate import reports
from neontest.migrate.inputs import digest, installed, listing
from neontest.process import MARK
from neontest.sessions import Sessions

PASSING: Final = re.compile(
    r"_|PWD|OLDPWD|SHLVL|COLUMNS|LINES|DISPLAY|WAYLAND_DISPLAY|WINDOWID|TTY|STY|PS1|INVOCATION_ID|JOURNAL_STREAM|PATH"
    r"|(?:TERM|COLORTERM|LC_TERMINAL|ITERM|KITTY|ALACRITTY|WEZTERM|WT|KONSOLE|GNOME_TERMINAL|VTE|TMUX|ZELLIJ|SSH|GPG"
    r"|VSCODE|DIRENV|STARSHIP|ATUIN|FNM|XDG_SESSION|DBUS|SECURITYSESSION|SESSION_MANAGER|PYTEST|NEONTEST)(?:_.*|ID|)"
)
"""Variables of a terminal, a login or a test, which another one has otherwise; and where programs are: what a project
made that runs any is not kept."""
ASKED_FOR: Final = (".env", ".flaskenv")
"""Files that are looked for and, where they are not there, not opened."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept with a parent: when it was made, and what the project read, with digests."""

    at: datetime
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    packages: dict[str, str] = {}


def key(context: Context, sessions: Sessions, ground: Ground, start: tuple[str, ...]) -> str | None:
    """Of all settings that the parent is made of; None where it is to be made anew in any case."""
    settings, project = context.settings, context.project
    scripts = [each for each in (settings.prepare, settings.seed) if each is not None]
    commands = settings.commands is not None or not all(each.endswith(".sql") for each in scripts)
    if not settings.reuse_parent or commands or settings.from_url is not None or context.source.schema_only:
        return None
    parts = (
        __version__, start, ground.access.database, ground.access.role, project, settings.x, settings.isolate,
        settings.other_databases, sorted(settings.env.items()), sorted(settings.files.items()),
        *((each, content(settings.root / each)) for each in scripts), _surroundings(sessions.environ),
        *(digest(str(folder / each)) for folder in (settings.root, project.cwd) for each in ASKED_FOR),
        str(sessions.python), _identity(sessions.python),
    )  # fmt: skip
    return hashlib.sha256(msgspec.json.encode(parts, enc_hook=str)).hexdigest()


def begun(context: Context, ground: Ground, key: str) -> datetime | None:
    """Have the parent begin as the one that was kept under the key; when that was made. None where it cannot be."""
    assert ground.local is not None
    found: list[Told] = []

    def fits(text: str) -> bool:
        try:
            told = msgspec.json.decode(text, type=Told)
        except msgspec.DecodeError:
            return False
        changed = differs(told)
        if changed is not None:
            context.talk.detail(f"the local parent is made anew: {context.project.name(Path(changed))} has changed")
            return False
        found.append(told)
        return True

    return found[0].at if ground.local.begin_as_made(ground.parent.id, key, fits) else None


def keep(context: Context, sessions: Sessions, ground: Ground, key: str, read: reports.Inputs | None) -> None:
    """Keep the parent, which is suspended, for later runs; why not, where it cannot be, for who wants to know."""
    assert ground.local is not None
    if read is not None and read.unseen is not None:
        context.talk.detail(f"the local parent is not kept for the next run: {read.unseen}")
        return
    told = Told(at=datetime.now(UTC).replace(microsecond=0))
    if read is not None:
        own = f"{sessions.scratch.path}{os.sep}"  # written of settings, for this run
        files = {name: each for name, each in read.files.items() if not name.startswith(own)}
        told = Told(at=told.at, files=files, folders=read.folders, packages=read.packages)
    if not ground.local.hand_in(ground.parent.id, key, msgspec.json.encode(told).decode()):
        context.talk.detail("the local parent is not kept for the next run: another one uses what is kept, or no room")


def differs(told: Told) -> str | None:
    """The first of what was read that is not the same any more; None where all is."""
    sides = ((told.files, digest), (told.folders, listing), (told.packages, installed))
    return next((name for known, now in sides for name, each in known.items() if now(name) != each), None)


def content(script: Path) -> str | None:
    """Digest of a script, which may be a dump of any size; None where it cannot be read, as the run is about to say."""
    try:
        with script.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _surroundings(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """The variables that the project's code gets, without those that say nothing of what it does."""
    return sorted((name, each) for name, each in environ.items() if name != MARK and not PASSING.fullmatch(name))


def _identity(python: Path) -> tuple[int, int, int] | None:
    """Of the interpreter's file: another version is another one."""
    try:
        facts = python.stat()
    except OSError:
        return None
    return facts.st_ino, facts.st_size, facts.st_mtime_ns
