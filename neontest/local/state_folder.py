"""The state folder: ours, and nothing that another user could put something else in the place of.

The servers' files are chmodded, chowned and removed in it, for root as root, and its default path is known to all. So
the way to it is walked step by step, and where others could lead us elsewhere, we do not go.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
from pathlib import Path
from typing import Final

from neontest.errors import UsageError
from neontest.local.account import Account

MARKER: Final = "neontest-state"
"""An empty file: neontest made this folder, and may clear it."""
LAYOUT: Final = ("b", "lock", "new")
"""What every state folder has had since before there was a marker."""
MOST_LINKS: Final = 40

ELSEWHERE: Final = "name another one with --state or NEONTEST_STATE"


def prepare_state(state: Path, account: Account) -> Path:
    """Make the state folder, reachable for the account and closed to everybody else's writing; its real path.

    Raises:
        UsageError: it belongs to somebody else, others can write in it or replace it, it holds something that is not
            ours, or the account cannot reach it.
    """
    try:
        real = _walk(state, make=0o711 if account.switch else 0o700)
        assert real is not None
        _refuse_unless_ours(real, others_group=account.switch)
        if not _is_marked(real):
            if os.listdir(real) and not _is_marked(real):  # noqa: PTH208 (marked by another owner just now, perhaps)
                raise UsageError(f"the folder {state} is not empty, and neontest did not make it", hint=ELSEWHERE)
            (real / MARKER).touch(mode=0o600)
    except OSError as error:
        raise UsageError(f"the state folder {state} cannot be made: {error.strerror}", hint=ELSEWHERE) from error
    if account.switch and not account.can("test", "-x", str(real)):
        name = pwd.getpwuid(account.uid).pw_name
        raise UsageError(
            f"the servers run as the user {name}, who cannot reach the state folder {state}",
            hint="name one in NEONTEST_STATE that every user can reach, for example under /var/tmp",
        )
    return real


def find_state(state: Path) -> Path | None:
    """The real path of a state folder that was made earlier; None where there is none.

    Raises:
        UsageError: it belongs to somebody else, or others can write in it or replace it.
    """
    try:
        real = _walk(state)
        if real is None:
            return None
        _refuse_unless_ours(real, others_group=False)
        return real if _is_marked(real) else None
    except OSError as error:
        raise UsageError(f"the state folder {state} cannot be read: {error.strerror}", hint=ELSEWHERE) from error


def make_real_folder(folder: Path, mode: int) -> None:
    """A folder inside the state folder, with exactly this mode; a link in its place is refused."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir()
    if not stat.S_ISDIR(folder.lstat().st_mode):
        raise UsageError(f"{folder} is not a folder", hint="remove it, or name another state folder")
    folder.chmod(mode)


def _walk(path: Path, *, make: int | None = None) -> Path | None:
    """The real path, none of whose steps another user can change; what is missing is made, or the answer is None.

    `make` is the mode of the last step: others may pass through it only where the servers run as another user.
    """
    whole = Path.cwd() / path
    real, links = Path(whole.anchor), 0
    steps = list(reversed(whole.parts[1:]))
    while steps:
        step = steps.pop()
        if step == "..":
            real = real.parent
            continue
        _refuse_if_others_can_replace(real, path)
        here = real / step
        try:
            facts = here.lstat()
        except FileNotFoundError:
            if make is None:
                return None
            with contextlib.suppress(FileExistsError):
                here.mkdir(mode=0o755)
                if not steps:
                    here.chmod(make)
            facts = here.lstat()
        if not stat.S_ISLNK(facts.st_mode):
            real = here
            continue
        links += 1
        if facts.st_uid not in (0, os.geteuid()) or links > MOST_LINKS:
            raise UsageError(f"{here}, on the way to the state folder {path}, is another user's link", hint=ELSEWHERE)
        target = here.readlink()
        if target.is_absolute():
            real = Path(target.anchor)
        steps += reversed(target.parts[1:] if target.is_absolute() else target.parts)
    return real


def _refuse_if_others_can_replace(folder: Path, state: Path) -> None:
    facts = folder.lstat()
    group = 0o020 if facts.st_gid not in (0, os.getegid()) else 0  # one's own group is often oneself alone
    if facts.st_mode & (0o002 | group) and not facts.st_mode & stat.S_ISVTX:
        raise UsageError(
            f"others can write in {folder}, and so put something else in the place of the state folder {state}",
            hint=ELSEWHERE,
        )


def _refuse_unless_ours(real: Path, *, others_group: bool) -> None:
    facts = real.lstat()
    if not stat.S_ISDIR(facts.st_mode):
        raise UsageError(f"the state folder {real} is not a folder", hint=ELSEWHERE)
    if facts.st_uid != os.geteuid():
        raise UsageError(f"the state folder {real} belongs to another user", hint=ELSEWHERE)
    group = 0o020 if others_group or facts.st_gid != os.getegid() else 0
    if facts.st_mode & (0o002 | group):
        raise UsageError(f"others can write in the state folder {real}", hint=f"chmod go-w {real}, or {ELSEWHERE}")


def _is_marked(real: Path) -> bool:
    """It has the marker, or, made before there was one, the layout."""
    return (real / MARKER).exists() or all((real / name).is_dir() for name in LAYOUT)
