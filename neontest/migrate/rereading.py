"""Alembic's scripts executed anew, as by another `alembic`, without being searched, read and compiled anew.

A part of `worker`, so it runs in the project's interpreter too: Python 3.8, Alembic 1.8 to 1.20, nothing of ours.

Each visit needs new modules of all revisions, as their files are by then. Most of what that costs is to follow every
part of every path, to read the files and to look for compiled ones, of files that are as they were. Alembic makes the
modules; only their code is given to it.
"""

# ruff: noqa: PTH110, PTH116, PTH118, UP006, UP035, UP045
from __future__ import annotations

import contextlib
import os
import time
from importlib.machinery import SourceFileLoader
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

Files = List[Tuple[Any, ...]]
"""Paths, and what changes when their content does."""
TICK_NS = 50_000_000
"""Nanoseconds within which some systems give two changes of a file the same time."""


class Known(NamedTuple):
    """A script that was read, without its module."""

    kind: Any
    revision: str
    path: str
    name: str
    file: str
    code: Any


class Rereading:
    """Takes the place of the method by which Alembic reads all scripts, and lets it do whatever is not as it was."""

    def __init__(self) -> None:
        self._own = reading()
        self._last: Tuple[Optional[Files], List[Known]] = (None, [])
        """What was read last, where all of it is known."""

    def listen(self) -> None:
        from alembic.script import ScriptDirectory

        directory: Any = ScriptDirectory
        directory._load_revisions = self.loading(directory._load_revisions)

    def loading(self, plain: Callable[[Any], Iterator[Any]]) -> Callable[[Any], Iterator[Any]]:
        def load(directory: Any) -> Iterator[Any]:
            files = listed(directory) if reading() == self._own else None
            last, scripts = self._last
            if files is not None and files == last:
                with fetching({each.file: each.code for each in scripts}):
                    return iter([again(each) for each in scripts])
            with fetching({}) as codes:
                fresh = list(plain(directory))
            found = list(filter(None, [known(script, codes) for script in fresh]))
            self._last = (files if len(found) == len(fresh) else None, found)
            return iter(fresh)

        return load


def reading() -> Tuple[Any, ...]:
    """What is passed over, as it is by now: a project may have put something of its own in its place."""
    from alembic import util
    from alembic.script import Script

    of_name = "_from_path" if hasattr(Script, "_from_path") else "_from_filename"
    loader = (getattr(SourceFileLoader, name) for name in ("get_code", "source_to_code", "get_data", "path_stats"))
    return (util.load_python_file, vars(Script).get(of_name), *loader)


def listed(directory: Any) -> Optional[Files]:
    """The files that Alembic would look at; None where that is for it to say, or where one has changed just now."""
    from alembic.script import Script

    files: Files = [(directory.sourceless,)]
    young = time.time_ns() - TICK_NS
    try:
        for folder in directory._version_locations:
            for file in Script._list_py_dir(directory, folder) if os.path.exists(folder) else ():
                path = os.path.join(folder, file)
                stat = os.stat(path)
                if stat.st_ctime_ns > young:
                    return None
                files.append((path, stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
    except Exception:  # noqa: BLE001  # Alembic says what is wrong with it
        return None
    return files


@contextlib.contextmanager
def fetching(given: Dict[str, Any]) -> Iterator[Dict[str, Any]]:
    """Let Python's loader take the code of these files from here; gives that of the others, as it is fetched."""
    loader: Any = SourceFileLoader
    codes: Dict[str, Any] = {}
    if "get_code" in vars(loader):  # somebody else's
        yield codes
        return
    plain = loader.get_code
    over: List[bool] = []

    def get_code(self: Any, name: str) -> Any:
        if over:  # who has put something around it meanwhile still calls it
            return plain(self, name)
        if type(self) is SourceFileLoader and self.path in given:
            return given[self.path]
        codes[self.path] = code = plain(self, name)
        return code

    loader.get_code = get_code
    try:
        yield codes
    finally:
        over.append(True)
        if vars(loader).get("get_code") is get_code:
            del loader.get_code


def known(script: Any, codes: Dict[str, Any]) -> Optional[Known]:
    """None where Python's own loader has not made its module from a source file."""
    spec: Any = getattr(script.module, "__spec__", None)
    loader: Any = getattr(spec, "loader", None)
    if type(loader) is not SourceFileLoader or loader.path not in codes:
        return None
    return Known(type(script), script.revision, script.path, spec.name, loader.path, codes[loader.path])


def again(script: Known) -> Any:
    """The script with a new module."""
    from alembic.util import pyfiles

    module: Any = pyfiles.load_module_py(script.name, script.file)
    return script.kind(module, getattr(module, "revision", script.revision), script.path)
