"""The cached, fresh cluster that every new parent is a copy of: `initdb` costs 0.65 s, a copy 0.04 s."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from neontest.errors import LocalError
from neontest.local.account import Account
from neontest.local.binaries import Binaries
from neontest.local.once import once
from neontest.local.remains import end_making
from neontest.local.roles import template_sql

VERSION: Final = 2
"""Raised when the making of a template changes in a way that its hash does not see."""

HBA: Final = """\
local all all trust
host all all 127.0.0.1/32 scram-sha-256
host all all ::1/128 scram-sha-256
"""
"""The socket's folder is closed to others; over TCP everybody needs a password, with TLS or without."""

MAPS: Final = ("*_fsm", "*_vm")
"""Of free space and of what all can see: Postgres does without, and makes them anew where it needs them.

https://www.postgresql.org/docs/18/storage-fsm.html and /docs/18/storage-vm.html (2026-11-29).
"""

CONF: Final = "\ntimezone = 'GMT'\nlog_timezone = 'GMT'\n"
"""initdb writes the machine's time zone; Neon's is GMT."""


def template(folder: Path, binaries: Binaries, account: Account) -> Path:
    """The data folder of a fresh cluster, made by `initdb` the first time, under a lock, and then cached."""
    options, statements = _options(binaries.major), template_sql(binaries.major)
    key = json.dumps([VERSION, str(binaries.bindir), binaries.version, options, statements, HBA, CONF, account.uid])
    done = folder / hashlib.sha256(key.encode()).hexdigest()[:16]

    def build(fresh: Path) -> None:
        account.give(fresh)
        _make(fresh, binaries, options, account)

    return once(done, build, before_clearing=end_making)


def _options(major: int) -> list[str]:
    options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "-N", "--wal-segsize=1", "--locale=C"]
    if major >= 16:  # so that a killed initdb leaves nothing in /dev/shm
        options += ["-c", "dynamic_shared_memory_type=mmap"]
    if major >= 17:  # the same order of text on every operating system
        options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return options


def _make(data: Path, binaries: Binaries, options: Sequence[str], account: Account) -> None:
    bindir = binaries.bindir
    _run("initdb", [str(bindir / "initdb"), "-D", str(data), *options], account)
    single = [str(bindir / "postgres"), "--single", "-j", "-F", "-D", str(data), "-c", "exit_on_error=on"]
    single += ["-c", "dynamic_shared_memory_type=mmap"]
    for database, statements in groupby(template_sql(binaries.major), key=lambda pair: pair[0]):
        lines = "".join(f"{statement};\n\n" for _, statement in statements)
        _run("postgres --single", [*single, database], account, lines)
    for name in MAPS:  # a quarter of all files
        for file in data.rglob(name):
            file.unlink()
    (data / "pg_hba.conf").write_text(HBA)
    with (data / "postgresql.conf").open("a") as conf:
        conf.write(CONF)


def _run(what: str, command: list[str], account: Account, lines: str = "") -> None:
    try:
        done = subprocess.run(
            account.words(*command),
            input=lines,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=120,
            check=False,
            **account.how(),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LocalError(f"{what} did not run: {error.__class__.__name__}") from error
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        raise LocalError(f"{what} failed while the fresh cluster was made:\n{tail}")
