"""What the project reads while it is loaded and migrated: who finds the same again would do the same again.

A part of `worker`, so it runs in the project's interpreter too: Python 3.8, nothing of ours. neontest compares with the
same functions.

Python's audit events tell of every file that is opened and every folder that is listed, those of imports among them
(https://docs.python.org/3/library/audit_events.html, 2026-11-30). They do not tell whether a file was asked for that is
not opened then, what C code reads by itself, or what is read of the environment, the clock and the network; what could
matter of that is `unseen` where an event tells that it happened.
"""

# ruff: noqa: PTH100, PTH113, PTH116, PTH118, PTH120, PTH123, PTH206, PTH208, UP006, UP035, UP045
from __future__ import annotations

import hashlib
import os
import sys
from typing import Any, Dict, Iterable, List, Optional, Set, Tuple

HERE = os.path.dirname(os.path.abspath(__file__))
STANDARD = tuple({os.path.dirname(each(os.__file__)) + os.sep for each in (os.path.abspath, os.path.realpath)})
PACKAGES = ("site-packages", "dist-packages")
INSTALLED = (".dist-info", ".egg-info", ".egg-link", ".pth")
"""Ends of the names in a folder of packages that say what is installed there."""
SYSTEM = ("/dev/", "/proc/", "/sys/")
MISSING = ""
"""In place of the digest of what is not there, or cannot be read."""
LARGEST = 64 << 20
"""Bytes of a file that is read to see whether it is still the same."""
MOST = 20_000
"""Files and folders that are noted."""
ELSEWHERE = {
    "subprocess.Popen": "a program was run",
    "os.system": "a program was run",
    "os.exec": "a program was run",
    "os.posix_spawn": "a program was run",
    "os.spawn": "a program was run",
    "os.fork": "the process was forked",
    "os.forkpty": "the process was forked",
    "sqlite3.connect": "another database was opened",
}

Stamp = Optional[Tuple[int, int, int]]


class Inputs:
    """Notes from `listen` on; it cannot be taken back, so there is one in a process."""

    def __init__(self) -> None:
        self.on = False
        self.files: Dict[str, Stamp] = {}
        self.folders: Dict[str, str] = {}
        self.unseen: Optional[str] = None
        self._written: Set[str] = set()
        self._database: Tuple[Any, ...] = ()

    def listen(self, host: str, port: int) -> None:
        """`host` and `port` are the database's: who connects there reads what the migrations made."""
        self._database = (host, port)
        if hasattr(sys, "addaudithook"):
            sys.addaudithook(self._heard)
            self.on = True
        else:
            self.unseen = "this Python does not tell what it reads"

    def told(self, spared: Iterable[str]) -> Dict[str, Any]:
        """All that was read, but for the files `spared`, by its digest of now."""
        self.on = False
        self._loaded()
        files, left = {}, set(map(os.path.abspath, spared))
        for name, stamp in self.files.items():
            if name not in left:
                files[name] = digest(name)
                if files[name] is None or stamp != stamped(name):
                    self.unseen = self.unseen or f"{name} is too large, or was changed meanwhile"
                    files[name] = MISSING
        found = {os.path.abspath(each): installed(each) for each in sys.path}
        packages = {name: each for name, each in found.items() if each != MISSING}
        return {"files": files, "folders": self.folders, "packages": packages, "unseen": self.unseen}

    def _loaded(self) -> None:
        """Note what was imported before, or is no Python and so was not opened."""
        for module in list(sys.modules.values()):
            file = getattr(module, "__file__", None)
            name = os.path.abspath(file) if self._database and isinstance(file, str) else ""
            if name and name not in self.files and name not in self._written and not library(name):
                self.files[name] = stamped(name)

    def _heard(self, event: str, args: Tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == "open":
            self._safely(self._opened, *args[:3])
        elif event in ("os.listdir", "os.scandir"):
            self._safely(self._listed, args[0])
        elif event == "socket.connect":
            self._safely(self._connected, args[1])
        elif event in ELSEWHERE:
            self.unseen = self.unseen or ELSEWHERE[event]

    def _safely(self, note: Any, *args: Any) -> None:
        """None of ours may become the migration's."""
        try:
            note(*args)
        except Exception as error:  # noqa: BLE001
            self.unseen = self.unseen or f"a file could not be noted: {error}"

    def _opened(self, path: Any, mode: Optional[str], flags: int) -> None:
        if not isinstance(path, (str, bytes)):  # by its descriptor, which something else had opened
            return
        name = os.path.abspath(os.fsdecode(path))
        if name.endswith(".pyc"):
            name = compiled_from(name)
        if name in self.files or name in self._written or name.startswith(SYSTEM) or library(name):
            return
        if only_written(mode, flags):
            self._written.add(name)
        elif len(self.files) < MOST:
            self.files[name] = stamped(name)
        else:
            self.unseen = f"more than {MOST:,} files were read"

    def _listed(self, path: Any) -> None:
        """Not the lists of who looks for modules and packages, nor Alembic's of revisions: what they find is opened."""
        frame: Any = sys._getframe(3)  # above `_safely`, `_heard` and this
        while frame is not None:
            file = frame.f_code.co_filename
            if "importlib" in file and (file.startswith("<frozen") or library(file)):
                return
            if not file.startswith("<") and not library(file):
                break
            if "alembic" in file.split(os.sep):
                return
            frame = frame.f_back
        name = os.path.abspath(os.fsdecode(path if isinstance(path, (str, bytes)) else os.curdir))
        if name not in self.folders and not name.startswith(SYSTEM) and not library(name + os.sep):
            self.folders[name] = MISSING  # to list it is heard, too
            self.folders[name] = listing(name)

    def _connected(self, address: Any) -> None:
        if not isinstance(address, tuple) or tuple(address[:2]) != self._database:
            self.unseen = self.unseen or "a connection was made to somewhere else than the database"


def only_written(mode: Optional[str], flags: int) -> bool:
    """What was in the file before is not read: it is new, emptied, or added to."""
    if mode is None:
        return bool(flags & (os.O_WRONLY | os.O_TRUNC | os.O_EXCL))
    return "w" in mode or "x" in mode or (mode.startswith("a") and "+" not in mode)


def compiled_from(name: str) -> str:
    """The source of a compiled module; itself where that is not known."""
    folder, file = os.path.split(name)
    above, last = os.path.split(folder)
    source = os.path.join(above, file.split(".")[0] + ".py") if last == "__pycache__" else name[:-1]
    return source if os.path.isfile(source) else name


def library(name: str) -> bool:
    """Python's own, or an installed package's, which `installed` tells of; or neontest's."""
    parts = name.split(os.sep)
    return name.startswith((*STANDARD, HERE + os.sep)) or any(each in parts for each in PACKAGES)


def stamped(name: str) -> Stamp:
    """What changes when the file is written to; None where it is not there."""
    try:
        facts = os.stat(name)
    except OSError:
        return None
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


def digest(name: str) -> Optional[str]:
    """Of a file's content; `MISSING` where there is none, None where it is too large."""
    try:
        with open(name, "rb") as file:
            content = file.read(LARGEST + 1)
    except OSError:
        return MISSING
    return hashlib.sha256(content).hexdigest() if len(content) <= LARGEST else None


def listing(folder: str) -> str:
    """Of the names in a folder, without what Python compiles."""
    return _names(folder, lambda name: name != "__pycache__" and not name.endswith(".pyc"))


def installed(folder: str) -> str:
    """Of what is installed in a folder, by names that have the versions."""
    return _names(folder, lambda name: name.endswith(INSTALLED))


def _names(folder: str, wanted: Any) -> str:
    try:
        found: List[str] = sorted(name for name in os.listdir(folder or os.curdir) if wanted(name))
    except OSError:
        return MISSING
    return hashlib.sha256("\0".join(found).encode("utf-8", "surrogateescape")).hexdigest() if found else MISSING
