"""What the project reads while it is loaded and migrated: who finds the same again would do the same again.

A part of `worker`, so it runs in the project's interpreter too: Python 3.8, nothing of ours. neontest compares with the
same functions.

Python's audit events tell of every file that is opened and every folder that is listed, those of imports among them
(https://docs.python.org/3/library/audit_events.html, 2026-11-30). They do not tell of files that are asked for and not
opened, of what C code reads, nor of the environment, the clock and the network. What can be told of that is `unseen`.
"""

# ruff: noqa: PTH100, PTH109, PTH110, PTH112, PTH113, PTH115, PTH116, PTH117, PTH118, PTH119, PTH120, PTH206
# ruff: noqa: PTH208, UP006, UP032, UP035, UP045
from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import sys
from typing import Any, Dict, Iterable, List, Optional, Set, Tuple

HERE = os.path.dirname(os.path.abspath(__file__))
STANDARD = tuple({os.path.dirname(each(os.__file__)) + os.sep for each in (os.path.abspath, os.path.realpath)})
PACKAGES = ("site-packages", "dist-packages")
INSTALLED = (".dist-info", ".egg-info", ".egg-link", ".pth")
"""Ends of the names in a folder of packages that say what is installed there."""
SYSTEM = ("/dev/", "/proc/", "/sys/")
LOGS = ("/dev/log", "/run/systemd/", "/var/run/syslog")
"""Sockets that nothing is read from."""
COMPILED = re.compile(r"(?:\.opt-\w+)?\.pyc\Z")
MISSING = ""
"""In place of the digest of what is not there, cannot be read, or is no file."""
LARGEST = 64 << 20
"""Bytes of a file that is read to see whether it is still the same."""
MOST = 20_000
"""Files that are noted."""
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
        self._made: Set[str] = set()
        self._database: Tuple[Any, ...] = ()
        self._root = ""
        self._own: Tuple[str, ...] = ()

    def listen(self, host: str, port: int, root: str, own: List[str]) -> None:
        """`host` and `port` are the database's: who connects there reads what the migrations made.

        `root`: the project's, whose files neontest knows by name; `own`: the folders of the migrations, which are no
        installed package even among those.
        """
        self._database, self._root = (host, port), os.path.join(root, "")
        own = own + [os.path.realpath(each) for each in own]
        self._own = tuple(os.path.join(each, "") for each in own)
        if hasattr(sys, "addaudithook"):
            sys.addaudithook(self._heard)
            self.on = True
        else:
            self._miss("this Python does not tell what it reads")

    def told(self, spared: Iterable[str]) -> Dict[str, Any]:
        """All that was read, but for the files `spared`, by its digest of now."""
        self.on = False
        files: Dict[str, str] = {}
        packages: Dict[str, str] = {}
        try:
            self._imported()
            left = set(map(os.path.normpath, spared))
            for name, stamp in list(self.files.items()):
                if os.path.normpath(name) not in left:
                    found = digest(name)
                    if found is None or stamp != stamped(name):
                        self._miss("{} is too large, or was changed meanwhile".format(name))
                    files[name] = found or MISSING
            for place in self._places():
                found = installed(place)
                if found != MISSING:
                    packages[place] = found
                if os.path.isdir(place) and not self._library(os.path.join(place, "")) and not self._known(place):
                    self.folders[place] = listing(place)  # a new module may come before another one of its name
        except Exception as error:  # noqa: BLE001  # whatever the project did to Python, no migration is to fail of it
            self._miss("what was read cannot be told: {!r}".format(error))
        return {"files": files, "folders": dict(self.folders), "packages": packages, "unseen": self.unseen}

    def _places(self) -> List[str]:
        """Where modules are looked for: at first, and within packages that are not installed."""
        found: List[Any] = list(sys.path)
        for module in list(sys.modules.values()):
            with contextlib.suppress(Exception):
                found.extend(each for each in getattr(module, "__path__", ()) if not self._library(each + os.sep))
        return list(dict.fromkeys(os.path.abspath(each) for each in found if isinstance(each, str)))

    def _known(self, place: str) -> bool:
        """It lies in the project, where neontest knows all files that are not hidden."""
        real, root = os.path.join(os.path.realpath(place), ""), os.path.join(os.path.realpath(self._root), "")
        hidden = any(each[:1] == "." for each in real[len(root) :].split(os.sep))
        return real.startswith(root) and not hidden and not real.startswith(self._own)

    def _imported(self) -> None:
        """Note what was imported before, or is no Python and so was not opened."""
        for module in list(sys.modules.values()) if self._database else ():
            file = getattr(module, "__file__", None)
            if isinstance(file, str):
                self._note(os.path.join(os.getcwd(), file))

    # -- events

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
            self._miss(ELSEWHERE[event])

    def _safely(self, note: Any, *args: Any) -> None:
        """None of ours may become the migration's."""
        try:
            note(*args)
        except Exception as error:  # noqa: BLE001
            self._miss("a file could not be noted: {}".format(error))

    def _opened(self, path: Any, mode: Optional[str], flags: int) -> None:
        if not isinstance(path, (str, bytes)):  # by its descriptor, which something else had opened
            return
        text = os.fsdecode(path)
        name, how = os.path.join(os.getcwd(), text), way(mode, flags)
        if how == "made":
            self._made.add(name)
        elif how == "read" and (os.path.isfile(name) or not os.path.exists(name)):
            if mode is None and not os.path.isabs(text) and not os.path.exists(name):
                # It may be in a folder that is not told. Python's own code walks and removes folders in this way.
                if not library(sys._getframe(3).f_code.co_filename):  # above `_safely`, `_heard` and this
                    self._miss("{} was opened from within a folder".format(text))
                return
            self._note(compiled_from(name) if name.endswith(".pyc") else name)

    def _listed(self, path: Any) -> None:
        """Not the lists of who looks for modules and packages, nor Alembic's of revisions: what they find is opened."""
        frame: Any = sys._getframe(3)  # above `_safely`, `_heard` and this
        while frame is not None:
            file = frame.f_code.co_filename
            if file.startswith("<frozen importlib") or os.path.join("importlib", "metadata", "") in file:
                return
            if not file.startswith("<") and not library(file):
                break
            if re.search(r"[\\/](?:site|dist)-packages[\\/]alembic[\\/]", file):
                return
            frame = frame.f_back
        if isinstance(path, int):
            path = os.readlink("/proc/self/fd/{}".format(path))
        name = os.path.join(os.getcwd(), os.fsdecode(path or os.curdir))
        if name not in self.folders and not name.startswith(SYSTEM) and not self._library(name + os.sep):
            self.folders[name] = MISSING  # to list it is heard, too
            self.folders[name] = listing(name)

    def _connected(self, address: Any) -> None:
        if isinstance(address, (str, bytes)) and os.fsdecode(address).startswith(LOGS):
            return
        if not isinstance(address, tuple) or tuple(address[:2]) != self._database:
            self._miss("a connection was made to somewhere else than the database")

    def _note(self, name: str) -> None:
        if name in self.files or name in self._made or name.startswith(SYSTEM) or self._library(name):
            return
        if len(self.files) < MOST:
            self.files[name] = stamped(name)
        else:
            self._miss("more than {:,} files were read".format(MOST))

    def _miss(self, why: str) -> None:
        self.unseen = self.unseen or why

    def _library(self, name: str) -> bool:
        return library(name) and not name.startswith(self._own)


def way(mode: Optional[str], flags: int) -> str:
    """`read`; `made` where nothing of what was in the file before is left; else `added` to, without a look."""
    if mode is None:
        if flags & (os.O_TRUNC | os.O_EXCL):
            return "made"
        return "added" if flags & os.O_WRONLY else "read"
    if "w" in mode or "x" in mode:
        return "made"
    return "added" if mode.startswith("a") and "+" not in mode else "read"


def compiled_from(name: str) -> str:
    """The source of a compiled module; itself where it has none."""
    folder, file = os.path.split(name)
    tag = ".{}".format(sys.implementation.cache_tag)
    stem = COMPILED.sub("", file)
    stem = stem[: -len(tag)] if stem.endswith(tag) else stem
    prefix = sys.pycache_prefix
    if os.path.basename(folder) == "__pycache__":
        folder = os.path.dirname(folder)
    elif prefix and name.startswith(prefix + os.sep):
        folder = folder[len(prefix) :]
    source = os.path.join(folder, stem + ".py")
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
        opened = os.open(name, os.O_RDONLY | os.O_NONBLOCK)  # a pipe would be waited for
        try:
            if not stat.S_ISREG(os.fstat(opened).st_mode):
                return MISSING
            with open(opened, "rb", closefd=False) as file:
                content = file.read(LARGEST + 1)
        finally:
            os.close(opened)
    except OSError:
        return MISSING
    return hashlib.sha256(content).hexdigest() if len(content) <= LARGEST else None


def listing(folder: str) -> str:
    """Of the names in a folder, without what Python compiles."""
    return _digests([name for name in _names(folder) if name != "__pycache__" and not name.endswith(".pyc")])


def installed(folder: str) -> str:
    """Of what is installed in a folder: names that have the versions, when each was put there, and where links lead."""
    found = []
    for name in _names(folder):
        if name.endswith(INSTALLED):
            place = os.path.join(folder, name)
            record = stamped(os.path.join(place, "RECORD")) or stamped(os.path.join(place, "PKG-INFO"))
            found.append("{} {} {}".format(name, record, digest(place)))
    return _digests(found)


def _names(folder: str) -> List[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _digests(found: List[str]) -> str:
    return hashlib.sha256("\0".join(found).encode("utf-8", "surrogateescape")).hexdigest() if found else MISSING
