"""Worktrees of git in a run's private folder: noted before they are made, and taken away with their notes.

Whoever removes the folder, the run itself or a sweep after it was killed, removes them first, so that the repository
knows nothing of them any more. No other worktree is touched.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

NOTE: Final = ".worktree.json"
"""How the note's name ends."""
SECONDS: Final = 120.0
"""For checking out, or removing, one of them."""


def add(folder: Path, *, common: Path, commit: str, environ: Mapping[str, str]) -> Path:
    """A worktree with the commit in it, its HEAD detached, in this private folder.

    Raises:
        subprocess.SubprocessError, OSError: git cannot make it; what it left is removed with the folder.
    """
    # Its name is what the repository knows it by: the folder's own is nobody else's.
    place = folder / f"old-{folder.name}"
    place.with_name(place.name + NOTE).write_text(json.dumps({"common": str(common), "environ": dict(environ)}))
    _git(common, environ, "worktree", "add", "--detach", "--quiet", str(place), commit)
    return place


def remove(folder: Path) -> None:
    """Remove every worktree that is noted in the folder, with what the repository knows of it."""
    for note in folder.glob(f"*{NOTE}"):
        place = note.with_name(note.name.removesuffix(NOTE))
        with suppress(OSError, ValueError, KeyError, TypeError, subprocess.SubprocessError):
            noted = json.loads(note.read_text())
            # The files first: git refuses where somebody took away what it looks for in them.
            shutil.rmtree(place, ignore_errors=True)
            # Twice: also while git, before it was killed, had locked it for making it.
            _git(Path(noted["common"]), noted["environ"], "worktree", "remove", "--force", "--force", str(place))


def _git(common: Path, environ: Mapping[str, str], *arguments: str) -> None:
    """Run git there, without the hooks that the repository may have."""
    given = {name: value for name, value in environ.items() if name not in ("GIT_DIR", "GIT_WORK_TREE")}
    command = ["git", f"--git-dir={common}", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", *arguments]
    subprocess.run(command, env=given, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=SECONDS)
