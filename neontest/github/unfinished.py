"""A status that was begun always ends: what a killed run could not end, `neontest cleanup` does, later in the same job.

A small file in the runner's folder for temporary files stands for it, from the beginning of the run to the end of its
status. The pull request's code can write there, too: so nothing is read of it but which configuration it was.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from neontest.errors import GitHubError
from neontest.github import status
from neontest.github.comment import edit, marker, own, unfinished
from neontest.github.job import Job
from neontest.github.patience import Patience
from neontest.stop import Deadline

if TYPE_CHECKING:
    from neontest.github.client import GitHub

SECONDS: Final = 20.0
PREFIX: Final = "neontest-unfinished-"
LARGEST: Final = 4096
SENTENCE: Final = "killed before it could end"


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that tells GitHub of itself."""

    name: str
    context: str


class Note(msgspec.Struct, frozen=True):
    """The file, locked as long as its run lives."""

    path: Path
    descriptor: int


def note(job: Job, name: str, context: str) -> Note | None:
    """Write down that a status is about to be begun; None where there is no place for it."""
    if job.temp is None or job.token is None:
        return None
    path = job.temp / f"{PREFIX}{secrets.token_hex(8)}.json"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, msgspec.json.encode(Begun(name=name, context=context)))
    return Note(path, descriptor)


def forget(note: Note | None) -> None:
    """The status has ended."""
    if note is not None:
        with suppress(OSError):
            note.path.unlink(missing_ok=True)
            os.close(note.descriptor)


def finish(job: Job | None, say: Callable[[str], None]) -> None:
    """End what dead runs of this job have left as if they ran."""
    if job is None or job.temp is None or job.token is None or not job.sha:
        return
    left = {path: begun for path in sorted(job.temp.glob(PREFIX + "*.json")) if (begun := read(path)) is not None}
    if not left:
        return
    from neontest.github.client import GitHub

    patience = Patience(deadline=Deadline(SECONDS, what="telling GitHub"))
    try:
        hub = GitHub(job.api_url, job.token, repository=job.repository, patience=patience)
    except GitHubError as error:
        say(error.message)
        return
    try:
        for path, begun in left.items():
            if status.state(hub, job.sha, begun.context) in ("pending", None):
                status.set_status(hub, job.sha, "error", SENTENCE, url=job.run_url, context=begun.context)
                say(f"the commit status {begun.context} said that it runs: ended")
            with suppress(OSError):
                path.unlink()
            if job.pull is not None and begun.name != "off":
                rewrite(hub, job, begun.name)
    except GitHubError as error:
        say(f"what a run left unfinished on GitHub could not be ended: {error.message}")
    finally:
        hub.close()


def rewrite(hub: GitHub, job: Job, name: str) -> None:
    """Let a comment that still says that this job's run goes on say that it does not; of what had ended it says so."""
    from neontest.renderers import several

    assert job.pull is not None
    start = f"{marker(name)}\n{unfinished(job.key)}"
    for comment in own(hub, job.pull, start):
        lines = [
            f"{marker(name)}\n### ⏹️ neontest: {SENTENCE}",
            "",
            *filter(several.ended, (comment.body or "").splitlines()),
        ]
        edit(hub, comment.id, "\n".join(lines) + "\n")


def read(path: Path) -> Begun | None:
    """What the file says, if it is neontest's and its run is dead."""
    try:
        # It may be anything by now, such as a pipe, which would have us wait.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            begun = msgspec.json.decode(file.read(LARGEST), type=Begun)
    except (OSError, msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    ours = begun.context == status.CONTEXT or begun.context.startswith(status.CONTEXT + "/")
    return begun if ours else None
