"""Alembic's scripts executed anew, as by another `alembic`, without being searched, read and compiled anew.

A part of `worker`, so it runs in the project's interpreter too: Python 3.8, Alembic 1.8 to 1.20, nothing of ours.

Each visit needs new modules of all revisions, as their files are by then. Most of what that costs is to follow every
part of every path, to read the files and to look for compiled ones, of files that are as they were.
"""

# ruff: noqa: PTH110, PTH116, PTH118, UP006, UP035, UP045
from __future__ import annotations

import contextlib
import importlib.util
import os
from importlib.machinery import SourceFileLoader
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

Files = List[Tuple[str, Tuple[int, ...]]]
"""Paths, and what changes when their content does."""


class Known(NamedTuple):
    """A script that was read, without its module."""

    kind: Any
    revision: str
    path: str
    spec: Any
    code: Any

    def again(self) -> Any:
        """It, with a new module."""
        module: Any = importlib.util.module_from_spec(self.spec)
        exec(self.code, vars(module))  # noqa: S102  # as its loader does
        return self.kind(module, getattr(module, "revision", self.revision), self.path)


class Rereading:
    """Takes the place of the method by which Alembic reads all scripts, and lets it do whatever is not as it was."""

    def __init__(self) -> None:
        self._own = reading()
        self._files: Optional[Files] = None
        """What was read last, where all of it is known."""
        self._known: List[Known] = []
        """Of those files."""

    def listen(self) -> None:
        from alembic.script import ScriptDirectory

        directory: Any = ScriptDirectory
        directory._load_revisions = self.loading(directory._load_revisions)

    def loading(self, plain: Callable[[Any], Iterator[Any]]) -> Callable[[Any], Iterator[Any]]:
        def load(directory: Any) -> Iterator[Any]:
            files = listed(directory) if reading() == self._own else None
            if files is None or files != self._files:
                codes: Dict[str, Any] = {}
                with noted(codes):
                    scripts = list(plain(directory))
                self._known = list(filter(None, [known(script, codes) for script in scripts]))
                self._files = files if len(self._known) == len(scripts) else None
                return iter(scripts)
            return (each.again() for each in self._known)

        return load


def reading() -> Tuple[Any, ...]:
    """What reads a script, as it is by now: a project may have put something of its own in its place."""
    from alembic import util
    from alembic.script import Script

    of_name = "_from_path" if hasattr(Script, "_from_path") else "_from_filename"
    return util.load_python_file, vars(Script).get(of_name), vars(SourceFileLoader).get("get_code")


def listed(directory: Any) -> Optional[Files]:
    """The files that Alembic would look at; None where that is for it to say."""
    from alembic.script import Script

    files: Files = []
    try:
        for folder in directory._version_locations:
            for file in Script._list_py_dir(directory, folder) if os.path.exists(folder) else ():
                path = os.path.join(folder, file)
                stat = os.stat(path)
                files.append((path, (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)))
    except Exception:  # noqa: BLE001  # Alembic says what is wrong with it
        return None
    return files


@contextlib.contextmanager
def noted(codes: Dict[str, Any]) -> Iterator[None]:
    """Keep the code of each file that is executed meanwhile, by its path."""
    loader: Any = SourceFileLoader
    if "get_code" in vars(loader):  # somebody else's
        yield
        return
    plain = loader.get_code

    def get_code(self: Any, name: str) -> Any:
        codes[self.path] = code = plain(self, name)
        return code

    loader.get_code = get_code
    try:
        yield
    finally:
        del loader.get_code


def known(script: Any, codes: Dict[str, Any]) -> Optional[Known]:
    """None where Python's own loader has not made its module from a source file."""
    spec = getattr(script.module, "__spec__", None)
    loader = getattr(spec, "loader", None)
    code = codes.get(loader.path) if type(loader) is SourceFileLoader else None
    return None if code is None else Known(type(script), script.revision, script.path, spec, code)
