"""What this machine has asked for and not yet given back: one small file a lease.

A file is on the disk (fsynced) before the branch is asked for, and locked by the process that owns the lease for as
long as it lives: what is not locked has lost its owner. The API key is never in it.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

import msgspec

from neontest.errors import UsageError

DRAFT_SECONDS: Final = 3600.0
"""A draft that old is nobody's any more."""

_NEW_FILE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_OTHERS: Final = 0o077

Engine = Literal["neon", "local"]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One lease."""

    name: str
    project_id: str
    api_host: str
    expires_at: datetime
    created_at: datetime
    annotation: dict[str, str]
    engine: Engine = "neon"
    branch_id: str | None = None
    """None until the API has answered."""
    state: str | None = None
    """The local engine's folder."""
    pid: int = 0
    version: int = 1


class Hold:
    """A ledger's file while this process has it locked."""

    def __init__(self, path: Path, descriptor: int, entry: Entry) -> None:
        self.path = path
        self.entry = entry
        self._descriptor: int | None = descriptor
        self._guard = threading.Lock()

    def update(self, branch_id: str) -> None:
        """Write down the branch's id; nothing is ever half written."""
        with self._guard:
            if self._descriptor is None:
                return
            entry = msgspec.structs.replace(self.entry, branch_id=branch_id)
            try:
                new = _write(self.path, entry)
            except OSError:
                return  # a full disk; without the id, the branch is still found by its name
            os.close(self._descriptor)
            self.entry, self._descriptor = entry, new

    def remove(self) -> None:
        """Given back: forget it."""
        # Where it cannot be removed, whoever cleans up finds that its branch is gone.
        with self._guard, suppress(OSError):
            self.path.unlink()
        self.release()

    def release(self) -> None:
        """Leave it to whoever cleans up."""
        with self._guard:
            descriptor, self._descriptor = self._descriptor, None
            if descriptor is not None:
                os.close(descriptor)


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the ledger as another process finds it."""

    path: Path
    entry: Entry | None = None
    """None: it cannot be read."""
    hold: Hold | None = None
    """None: its owner lives (or it cannot be read)."""


class Ledger:
    """The folder of the files; it is made when it is first written to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def check(self) -> None:
        """Make the folder and write to it, to know before anything is begun; UsageError where that cannot be."""
        with self._writing():
            draft = self.folder / f".check.json.{secrets.token_hex(4)}"
            try:
                with os.fdopen(os.open(draft, _NEW_FILE, 0o600), "wb") as file:
                    file.write(b"{}")
            finally:  # a signal may come right here
                draft.unlink(missing_ok=True)

    def write(self, entry: Entry) -> Hold:
        """Note a lease that is about to be asked for. UsageError where the folder cannot be written."""
        with self._writing():
            path = self.folder / f"{entry.created_at:%Y%m%dT%H%M%S}-{secrets.token_hex(6)}.json"
            return Hold(path, _write(path, entry), entry)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            _make_private(self.folder)
            yield
        except OSError as error:
            raise UsageError(
                f"the ledger {self.folder} cannot be written: {error.strerror}",
                hint="name a folder of your own in NEONTEST_LEDGER",
            ) from error

    def found(self) -> Iterator[Found]:
        """Each file, oldest first, locked where nobody else has it locked: release or remove what you get.

        Raises:
            UsageError: it cannot be read, or is another user's, who could have us give back what we must not.
        """
        try:
            _refuse_others(self.folder)
            paths = sorted(path for path in self.folder.iterdir() if path.suffix == ".json" and path.name[0] != ".")
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise UsageError(f"the ledger {self.folder} cannot be read: {error.strerror}") from error
        self._remove_drafts()
        for path in paths:
            with suppress(FileNotFoundError):
                yield _found(path)

    def _remove_drafts(self) -> None:
        """Remove what a process left that was killed while it wrote: nothing had been asked for yet."""
        for path in self.folder.glob(".*.json.*"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > DRAFT_SECONDS:
                    path.unlink()


def default_folder(environ: Mapping[str, str]) -> Path:
    """Where a person's ledger is: in `$XDG_STATE_HOME`, else `~/.local/state`.

    Source: https://specifications.freedesktop.org/basedir-spec/latest/ (2026-11).
    """
    state = environ.get("XDG_STATE_HOME") or ""
    # The specification: a relative path is to be ignored.
    if state.startswith("/"):
        return Path(state) / "neontest" / "ledger"
    try:
        folder = Path(environ.get("HOME") or "~").expanduser() / ".local/state"
    except RuntimeError as error:  # a user without a name, too
        raise UsageError(
            "there is no place for the ledger: HOME is not set", hint="name a folder of your own in NEONTEST_LEDGER"
        ) from error
    return folder / "neontest" / "ledger"


def _make_private(folder: Path) -> None:
    """Make the folder and what is missing above it for its owner only, whatever the umask; one of ours is closed."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
    _refuse_others(folder)
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & _OTHERS:
        folder.chmod(mode & ~_OTHERS)


def _refuse_others(folder: Path) -> None:
    if folder.stat().st_uid != os.geteuid():
        raise UsageError(
            f"the ledger {folder} belongs to another user", hint="name a folder of your own in NEONTEST_LEDGER"
        )


def _found(path: Path) -> Found:
    try:
        if not path.is_file() and path.exists():  # a pipe would be waited for without end
            return Found(path=path)
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError:
        return Found(path=path)
    locked = _locked(descriptor)
    try:
        same = os.fstat(descriptor).st_ino == path.stat().st_ino
        entry = msgspec.json.decode(path.read_bytes(), type=Entry)
    except (OSError, msgspec.DecodeError) as error:
        os.close(descriptor)
        if isinstance(error, FileNotFoundError):
            raise
        return Found(path=path)
    if locked and same:
        return Found(path=path, entry=entry, hold=Hold(path, descriptor, entry))
    # Not locked by us, or replaced by its living owner while we looked.
    os.close(descriptor)
    return Found(path=path, entry=entry)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(path: Path, entry: Entry) -> int:
    """Put the entry at the path in one step; the descriptor of the new file, locked."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, _NEW_FILE, 0o600)
    try:
        # Locked before it has its name, so that it is never there without an owner.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(descriptor, msgspec.json.encode(entry))
        os.fsync(descriptor)
        draft.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except BaseException:
        os.close(descriptor)
        with suppress(FileNotFoundError):
            draft.unlink()
        raise
    return descriptor
