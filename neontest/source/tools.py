"""The source by the server's own tools: pg_dump into a file, pg_restore out of it into the local parent."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from neontest.errors import CouldNotTest, one_line
from neontest.process import Child, spawned
from neontest.source import way
from neontest.source.survey import LOCK_SECONDS, LOCKED, WAIT_FOR_IT, Source, sized
from neontest.stop import Deadline, Stop

_PLAIN: Final = (
    *("--no-owner", "--no-privileges", "--no-tablespaces", "--no-security-labels", "--no-publications"),
    *("--no-subscriptions",),
)
TICK: Final = 0.5
_ERROR: Final = re.compile(r"^(?:pg_dump|pg_restore|copy): (?:error|fatal): (.*)")
_NEWER: Final = re.compile(r'unrecognized configuration parameter "(?:transaction_timeout|idle_\w+|\w*row_security)"')
"""What a newer pg_dump sets for its own session, and an older server may leave unset."""
_WAITED: Final = re.compile("canceling statement due to (?:lock|statement) timeout")
"""pg_dump bounds its waits for locks by the time that a statement may take."""
_BESIDE: Final = re.compile(
    r"warning: errors ignored on restore|from TOC entry|while (?:PROCESSING|INITIALIZING)", re.I
)


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """A pg_dump and the pg_restore beside it."""

    dump: Path
    restore: Path
    major: int
    tls: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Tries:
    """What a tool is run with: a private folder, and how it is told to stop."""

    folder: Path
    environ: Mapping[str, str] = field(repr=False)
    stop: Stop
    deadline: Deadline
    say: Callable[[str], None]
    clean: Callable[[str], str]
    """Takes secrets out of a text."""


def find(source_major: int, folders: Iterable[Path], path: str, *, tls: bool = False) -> Tools | None:
    """The oldest that are not older than the source, with TLS where it needs that.

    The older they are, the fewer settings do they write that a server does not know.
    """
    on_path = shutil.which("pg_dump", path=path)
    places = [*folders, *([Path(on_path).parent] if on_path else [])]
    found = [tools for tools in map(examined, dict.fromkeys(places)) if tools and tools.major >= source_major]
    return min((each for each in found if each.tls or not tls), key=lambda each: each.major, default=None)


@cache
def examined(folder: Path) -> Tools | None:
    dump, restore = folder / "pg_dump", folder / "pg_restore"
    if not restore.is_file():
        return None
    try:
        told = subprocess.run([dump, "--version"], capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"\) (\d+)", told)
    return Tools(dump=dump, restore=restore, major=int(match[1]), tls=has_tls(dump)) if match else None


def has_tls(dump: Path) -> bool:
    """libpq refuses the setting before it connects to anything, where it was built without."""
    words = [str(dump), "--no-password", "--dbname=host=/nonexistent sslmode=require"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False, env={"LC_ALL": "C"})
    return "not compiled in" not in done.stderr


def copy(source: Source, url: str, target: str, tools: Tools, tries: Tries) -> None:
    """Schema and rows of the source, as its snapshot has them.

    Raises:
        CouldNotTest: a tool failed; with its last word.
    """
    file = tries.folder / "source.dump"
    left_out = {each.name for each in source.tables} - {each.name for each in source.chosen}
    run(
        [
            *(str(tools.dump), "--format=custom", "--compress=0", f"--file={file}", f"--snapshot={source.snapshot}"),
            *(f"--lock-wait-timeout={LOCK_SECONDS * 1000}", "--no-password", *_PLAIN),
            *(f"--exclude-table-data={quoted(each.schema)}.{quoted(each.bare)}" for each in source.tables
              if each.name in left_out),
        ],
        tries, way.environment(url, tries.folder, "source", tries.environ),
        what="the source could not be read", progress=lambda: f"copying: {sized(size(file))} read",
    )  # fmt: skip
    source.release()
    try:
        run(
            [str(tools.restore), "--no-password", "--dbname=service=target", *_PLAIN, str(file)],
            tries, way.environment(way.here(target), tries.folder, "target", tries.environ),
            what="the local parent could not be filled",
            progress=lambda: f"copying: {sized(size(file))} into the local parent",
        )  # fmt: skip
    finally:
        file.unlink(missing_ok=True)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def run(
    words: list[str],
    tries: Tries,
    environ: Mapping[str, str],
    *,
    what: str,
    progress: Callable[[], str],
    heard: Callable[[str], None] = lambda line: None,
) -> None:
    """Run a tool to its end, or to its first error that matters; nothing of it is left.

    Raises:
        CouldNotTest: it failed, with what it said.
    """
    said: deque[str] = deque(maxlen=20)
    errors: list[str] = []

    def log(line: str) -> None:
        heard(line)
        said.append(line)
        if (match := _ERROR.match(line)) and not _NEWER.search(line) and not _BESIDE.search(line):
            errors.append(match[1])

    child = Child(spawned(words, cwd=tries.folder, environ=environ), stop=tries.stop, log=log)
    in_time, told = True, time.monotonic()
    try:
        while not child.wait(min(0.1, tries.deadline.left())) and not errors:
            tries.stop.check()
            in_time = tries.deadline.left() > 0
            if not in_time:
                break
            if time.monotonic() - told > TICK:
                tries.say(progress())
                told = time.monotonic()
        tries.stop.check()
    finally:
        status = child.end()
    if not in_time:
        tries.deadline.check()
    if errors or (status != 0 and not any(_NEWER.search(each) for each in said)):
        if any(_WAITED.search(each) for each in errors):
            raise CouldNotTest(f"{what}: {LOCKED}", hint=WAIT_FOR_IT)
        last = errors[0] if errors else said[-1] if said else f"exit status {status}"
        raise CouldNotTest(
            f"{what}: {one_line(tries.clean(last))}", hint="see what the source has that this server has not"
        )
