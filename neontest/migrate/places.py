"""Alembic's paths made absolute: plain, or `package:path`, which is found here without importing the package."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from os import pathsep
from pathlib import Path

import msgspec

from neontest.errors import UsageError


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """What paths are relative to, and where packages are looked for."""

    cwd: Path
    root: Path
    environ: Mapping[str, str]

    def path(self, name: str) -> Path:
        """A path of the configuration, made absolute without following links."""
        return Path(*_normal(self.cwd / name))

    def resource(self, name: str, *, first: tuple[Path, ...] = ()) -> Path:
        """A path, or the folder that `package:path` means.

        Raises:
            UsageError: the package is nowhere that the project's interpreter would look.
        """
        if ":" not in name or Path(name).is_absolute():
            return self.path(name)
        package, *inside = name.split(":")
        searched = tuple(self._import_path(first))
        for folder in searched:
            found = folder.joinpath(*package.split("."))
            if found.is_dir():
                return found.joinpath(*inside)
        top, *rest = package.split(".")
        spec = importlib.util.find_spec(top) if top.isidentifier() else None
        for folder_name in (spec.submodule_search_locations if spec else None) or ():
            found = Path(folder_name).joinpath(*rest)
            if found.is_dir():
                return found.joinpath(*inside)
        raise UsageError(
            f"the package {package!r} of {name!r} was not found; looked in "
            + ", ".join(str(folder) for folder in searched),
            hint="set PYTHONPATH as the project needs it, or write a path instead of package:path",
        )

    def _import_path(self, first: tuple[Path, ...]) -> Iterator[Path]:
        yield from first
        for name in self.environ.get("PYTHONPATH", "").split(pathsep):
            if name:
                yield self.path(name)
        yield from dict.fromkeys((self.cwd, self.cwd / "src", self.root, self.root / "src"))
        for venv in (self.environ.get("VIRTUAL_ENV"), self.root / ".venv"):
            if venv:
                for packages in sorted(Path(venv).glob("lib/python3*/site-packages")):
                    yield packages
                    yield from _added(packages)


def _added(packages: Path) -> Iterator[Path]:
    """The folders that .pth files put on the path: what an editable install is, mostly."""
    for file in sorted(packages.glob("*.pth")):
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            if line and not line.startswith(("import ", "import\t", "#")) and (folder := packages / line).is_dir():
                yield folder


def _normal(path: Path) -> tuple[str, ...]:
    """The parts without `.` and `..`, the links left as they are."""
    parts: list[str] = []
    for part in path.absolute().parts:
        if part == ".." and len(parts) > 1:
            parts.pop()
        elif part not in (".", ".."):
            parts.append(part)
    return tuple(parts)
