"""The local parent of an earlier run, in place of a new one, where nothing that it was made of has changed.

It was made of settings, whose digest is its key, and of files, which the project was seen to read meanwhile
(`migrate.inputs`): among those are its revisions up to where it stands, and none of those above. It is not kept where
a command made a part of it, or where the project was seen to do what may not come out the same another time.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from neontest import __version__
from neontest.errors import DeadlineExceeded, WorkerError
from neontest.ground import Context, Ground
from neontest.migrate import reports
from neontest.migrate.inputs import digest, installed, listing, stamped
from neontest.migrate.project import Project
from neontest.migrate.session import Session
from neontest.sessions import Sessions
from neontest.surroundings import lasting
from neontest.whose import PLAIN

ASKED_FOR: Final = (".env", ".flaskenv")
"""Files that are looked for, here and in every folder above, and not opened where they are not there."""
ASIDE: Final = frozenset({"__pycache__", "node_modules", "htmlcov"})
ENVIRONMENT: Final = frozenset({"pyvenv.cfg", "conda-meta"})
"""What lies in the folder of an interpreter with its packages."""
PASSED_OVER: Final = re.compile(
    r".*\.(?:pyc|log|log\.\d+|pid)|.*-(?:journal|wal|shm)|.*~|#.*#|4913|\.#.*|\..*\.sw.|.*___jb_(?:tmp|old)___"
    r"|\.DS_Store|\.nfs.*|\.fuse_hidden.*|\.coverage.*|coverage\.xml"
)
"""Files that Python compiles, and that programs, editors and test runners leave."""
READING: Final = 10.0
"""Seconds for all that the project has read to be read again."""
MOST: Final = 20_000
"""Files of a project whose names are compared."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept with a parent: when it was made, which files the project had, what it read, with digests."""

    at: datetime
    names: str
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    packages: dict[str, str] = {}


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """What a parent is made of, as far as it is known beforehand."""

    key: str
    """Of all settings, and of the environment."""
    names: str
    """Of the project's files, but for their contents: those count that are read."""


def recipe(context: Context, sessions: Sessions, ground: Ground, start: tuple[str, ...]) -> Recipe | None:
    """What the parent is about to be made of; None, and why for who wants to know, where that cannot all be known."""
    settings, project = context.settings, context.project
    scripts = [each for each in (settings.prepare, settings.seed) if each is not None]
    why, digests, names = unknowable(context, scripts), [], None
    if why is None:
        digests = [content(settings.root / each) for each in scripts]
        names = names_below(settings.root, aside=project.version_locations)
        why = "what prepares or seeds it cannot be read" if None in digests else None
    if why is not None or names is None:
        context.talk.detail(
            f"the local parent is made anew, and not kept: {why or f'the project has more than {MOST:,} files'}"
        )
        return None
    above = dict.fromkeys(folder for each in (project.cwd, settings.root) for folder in (each, *each.parents))
    parts = (
        __version__, start, ground.access.database, ground.access.role, project, settings.x, settings.isolate,
        sorted(settings.env.items()), sorted(settings.files.items()), scripts, digests, lasting(sessions.environ),
        [digest(str(folder / each)) for folder in above for each in ASKED_FOR],
        str(sessions.python), stamped(os.path.realpath(sessions.python)),
    )  # fmt: skip
    # Of what is no UTF-8, JSON could not tell.
    return Recipe(key=hashlib.sha256(repr(parts).encode("utf-8", "surrogateescape")).hexdigest(), names=names)


def unknowable(context: Context, scripts: Iterable[str]) -> str | None:
    """Why nobody can know all that the parent is made of, or need not; None where somebody may."""
    settings = context.settings
    reasons = {
        "it was not to be, or this is CI": not settings.reuse_parent,
        "it is filled from elsewhere": settings.from_url is not None,
        "branches are no plain copies of it": context.source != PLAIN,
        "commands of the project migrate it": settings.commands is not None,
        "migrations may use other databases": settings.other_databases != "refuse",
        "a command prepares or seeds it": not all(each.endswith(".sql") for each in scripts),
    }
    return next((why for why, so in reasons.items() if so), None)


def begun(context: Context, ground: Ground, of: Recipe) -> datetime | None:
    """Have the parent begin as the one that was kept of the same; when that was made. None where there is none."""
    assert ground.local is not None
    found: list[Told] = []
    why = ["none is kept of these settings in this environment"]

    def fits(text: str) -> bool:
        try:
            told = msgspec.json.decode(text, type=Told)
        except msgspec.DecodeError:
            return False
        changed = "files of the project came or went" if told.names != of.names else differs(context.project, told)
        if changed is None:
            found.append(told)
            return True
        why[0] = changed
        return False

    if ground.local.begin_as_made(ground.parent.id, of.key, fits):
        return found[0].at
    context.talk.detail(f"the local parent is made anew: {why[0]}")
    return None


def read(
    context: Context, session: Session, of: Recipe, start: tuple[str, ...]
) -> tuple[Recipe | None, reports.Inputs | None]:
    """What the project has read, beside the recipe; neither where it cannot say: the run goes on all the same."""
    try:
        return of, session.inputs(start, deadline=context.deadline.sooner(READING, what="what the project has read"))
    except (WorkerError, DeadlineExceeded) as error:
        context.talk.detail(f"the local parent is not kept for the next run: {error.message}")
        return None, None


def keep(
    context: Context, sessions: Sessions, ground: Ground, of: Recipe, now: Recipe | None, read: reports.Inputs | None
) -> None:
    """Keep the parent, which is suspended, for later runs; why not, where it cannot be, for who wants to know.

    `now` is the recipe once more: a script may have been changed meanwhile.
    """
    assert ground.local is not None
    why = "what it is made of was changed meanwhile" if now != of else read.unseen if read is not None else None
    if why is None:
        told = Told(at=datetime.now(UTC).replace(microsecond=0), names=of.names)
        if read is not None:
            own = f"{sessions.scratch.path}{os.sep}"  # written of settings, for this run
            files, folders = (
                {name: each for name, each in noted.items() if not name.startswith(own)}
                for noted in (read.files, read.folders)
            )
            told = msgspec.structs.replace(told, files=files, folders=folders, packages=read.packages)
        if ground.local.hand_in(ground.parent.id, of.key, msgspec.json.encode(told).decode()):
            return
        why = "the state folder does not take it"
    context.talk.detail(f"the local parent is not kept for the next run: {why}")


def differs(project: Project, told: Told) -> str | None:
    """What of what was read is not the same any more; None where all is."""
    sides = ((told.files, digest), (told.folders, listing), (told.packages, installed))
    changed = next((name for known, now in sides for name, each in known.items() if now(name) != each), None)
    return None if changed is None else f"{project.name(Path(changed))} has changed"


def names_below(root: Path, *, aside: Iterable[Path]) -> str | None:
    """Digest of the names of all files, but for what is in hidden folders, installed, compiled, or told by tools.

    `aside`: folders whose files are known otherwise. None where there are more than `MOST`.
    """
    found: list[str] = []
    left, seen = {identity(each) for each in aside}, set[tuple[int, int] | None]()
    for folder, folders, files in os.walk(root, followlinks=True):
        place = identity(folder)
        environment = bool(seen) and not ENVIRONMENT.isdisjoint([*files, *folders])  # the root is none in any case
        if place is None or place in seen or place in left or environment:
            folders.clear()
            continue
        seen.add(place)
        folders[:] = sorted(each for each in folders if not each.startswith(".") and each not in ASIDE)
        found += (f"{folder}/{each}" for each in sorted(files) if not PASSED_OVER.fullmatch(each))
        if len(found) > MOST:
            return None
    return hashlib.sha256("\0".join(found).encode("utf-8", "surrogateescape")).hexdigest()


def identity(folder: str | Path) -> tuple[int, int] | None:
    """The same for all ways to a folder; None where it is not there."""
    try:
        facts = Path(folder).stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def content(script: Path) -> str | None:
    """Digest of a script, which may be a dump of any size; None where it is no file that can be read again."""
    try:
        if not script.is_file():
            return None
        with script.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
