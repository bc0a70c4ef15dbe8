"""This machine's side: the local engine, and what the ledger still holds."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from neontest.errors import UsageError
from neontest.examination.finding import Finding, Not, attempt
from neontest.ground import engine
from neontest.lease.ledger import Ledger, default_folder
from neontest.settings import Settings

if TYPE_CHECKING:
    from neontest.local.binaries import Binaries


def local_engine(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Which Postgres there is, and whether it starts. On Neon it is only named: nothing needs it."""
    line, found = attempt("postgres", lambda: _binaries(settings, environ))
    if settings.engine == "neon":
        here = f"; there is {line.said}" if found else "; there is none here"
        yield Finding(what="postgres", state="not needed", said=f"the run is on Neon{here}")
        return
    yield line
    if found is None:
        yield Finding(what="engine", state="not known", said="as there is no Postgres")
        return
    yield attempt("engine", lambda: _start(settings, environ))[0]


def _binaries(settings: Settings, environ: Mapping[str, str]) -> tuple[str, Binaries]:
    try:
        # The engine's own imports show whether the extra is there; `binaries` needs nothing of it.
        importlib.import_module("neontest.local.engine")
        from neontest.local import binaries
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the local engine needs {error.name}, which is not installed", hint="pip install 'neontest[local]'"
        ) from error
    found = binaries.find(wanted_major=settings.postgres_version, bindir=settings.postgres, environ=environ)
    return f"{found.version}, {found.source}", found


def _start(settings: Settings, environ: Mapping[str, str]) -> tuple[str, None]:
    """Start the engine with its state folder as a run does, and end it."""
    began = time.monotonic()
    with engine(settings, environ) as local:
        took = time.monotonic() - began
        return f"starts, in {took:.1f} s; its state is in {local.state}", None


def ledger(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Whether a lease can be written down, and which have been left."""
    yield attempt("ledger", lambda: _ledger(settings.ledger or default_folder(environ)))[0]


def _ledger(folder: Path) -> tuple[str, None]:
    book = Ledger(folder)
    there = next((each for each in (folder, *folder.parents) if each.exists()), folder)
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise Not("wrong", f"{folder} cannot be written", "name a folder of your own in NEONTEST_LEDGER")
    alive, dead, unread = [], [], 0
    for each in book.found():
        if each.entry is None:
            unread += 1
        elif each.hold is None:
            alive.append(f"{each.entry.name} (pid {each.entry.pid})")
        else:
            each.hold.release()
            dead.append(each.entry.name)
    held = f"; in use: {', '.join(alive)}" if alive else ""
    if dead or unread:
        left = ", ".join(dead) or f"{unread} that cannot be read"
        raise Not("warning", f"branches of runs that are over: {left}{held}", "run `neontest cleanup`")
    return f"{folder}, nothing left behind{held}", None
