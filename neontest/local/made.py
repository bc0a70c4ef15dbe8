"""What parents were made into: data folders at rest, which the parents of later runs begin as copies of.

Each is `made/<key>-<random>/data`, with `facts.json` beside it. Who uses one holds a shared lock on that file, who
removes one an exclusive one. What the key stands for, and what is told, is the maker's business.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from neontest.local.held import Held

LASTS: Final = 24 * 3600.0
"""Seconds: what was made of today's clock, such as rows of the last hour, is not to be of last week."""
MOST: Final = 8
LARGEST: Final = 4 << 30
"""Bytes of all of them, but of the newest, which may be larger."""
FACTS: Final = "facts.json"
HALF: Final = ".new"
"""The end of a folder's name that is half made, or half removed."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one. The passwords that its roles have are in none."""

    told: str
    """By its maker."""
    roles: dict[str, bool]
    """Whether each can log in."""
    databases: dict[str, str]
    """The owner of each."""
    bytes: int


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """One that is in use: it stays until `held` is closed."""

    data: Path
    facts: Facts
    held: Held


def find(folder: Path, key: str) -> Iterator[Made]:
    """All that was made under the key no longer ago than `LASTS`, each in use until it is closed."""
    for place in folder.glob(f"{key}-*"):
        found = _opened(place) if place.suffix != HALF else None
        if found is not None:
            yield found


def _opened(place: Path) -> Made | None:
    try:
        held = Held(os.open(place / FACTS, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))
    except OSError:
        return None
    try:
        fcntl.flock(held.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
        same = os.path.samestat(os.fstat(held.fileno()), (place / FACTS).stat())
        if same and not _old(place) and (place / "data" / "PG_VERSION").is_file():
            with open(held.fileno(), "rb", closefd=False) as file:
                facts = msgspec.json.decode(file.read(), type=Facts)
            return Made(data=place / "data", facts=facts, held=held)
    except (OSError, msgspec.DecodeError):
        pass
    held.close()
    return None


def put(folder: Path, key: str, data: Path, facts: Facts) -> Made:
    """Move the data folder here, beside what else was made under the key.

    Raises:
        OSError: it could not be moved; it is where it was.
    """
    with _alone(folder):
        place = folder / f"{key}-{secrets.token_hex(4)}"
        fresh = place.with_suffix(HALF)
        fresh.mkdir(mode=0o700)
        held = Held(os.open(fresh / FACTS, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        try:
            os.write(held.fileno(), msgspec.json.encode(facts))
            fcntl.flock(held.fileno(), fcntl.LOCK_SH)
            data.rename(fresh / "data")
            try:
                fresh.rename(place)
            except BaseException:
                (fresh / "data").rename(data)
                raise
        except BaseException:
            held.close()
            raise
        return Made(data=place / "data", facts=facts, held=held)


def forget(data: Path) -> None:
    """Let nobody begin with these data any more: no server starts on a copy of them. Who uses them still holds them."""
    with suppress(OSError):
        os.truncate(data.parent / FACTS, 0)
        os.utime(data.parent / FACTS, (0, 0))


def clear(folder: Path) -> None:
    """Remove what is old, what is more than is kept, and what was left half made; nothing that is in use.

    What cannot be removed stays: nobody's run is to fail of it.
    """
    with suppress(OSError), _alone(folder, wait=False):
        for each in folder.iterdir():
            if each.is_dir() and (each.suffix == HALF or not (each / FACTS).exists()):
                shutil.rmtree(each, ignore_errors=True)
        found = [(path.stat().st_mtime, path.parent) for path in folder.glob(f"*/{FACTS}")]
        kept, total = 0, 0
        for _, place in sorted(found, reverse=True):
            size = _size(place)
            if _old(place) or kept >= MOST or (kept and total + size > LARGEST):
                _remove(place)
            else:
                kept, total = kept + 1, total + size


def boot() -> str:
    """Another one each time that the machine was started; "" where that is not known."""
    with suppress(OSError):  # Linux
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    with suppress(OSError, subprocess.SubprocessError):  # macOS
        asked = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
        return subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    return ""


def size_of(folder: str | Path) -> int:
    """Bytes of all files in it, and below."""
    with os.scandir(folder) as entries:
        return sum(
            size_of(each.path) if each.is_dir(follow_symlinks=False) else each.stat(follow_symlinks=False).st_size
            for each in entries
        )


@contextmanager
def _alone(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Nobody else changes what is there; BlockingIOError where somebody does, and one does not `wait`."""
    lock = Held(os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    try:
        fcntl.flock(lock.fileno(), fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        lock.close()


def _remove(place: Path) -> None:
    """Unless it is in use."""
    held = Held(os.open(place / FACTS, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))
    try:
        with suppress(BlockingIOError):
            fcntl.flock(held.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            aside = place.rename(place.with_suffix(HALF))  # gone at once, whole
            shutil.rmtree(aside, ignore_errors=True)
    finally:
        held.close()


def _old(place: Path) -> bool:
    """A clock that was set back makes it old, too."""
    return not 0 <= time.time() - (place / FACTS).stat().st_mtime <= LASTS


def _size(place: Path) -> int:
    try:
        return msgspec.json.decode((place / FACTS).read_bytes(), type=Facts).bytes
    except (OSError, msgspec.DecodeError):
        return 0
