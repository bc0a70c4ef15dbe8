"""What all servers of a state folder share: its folders, the account they run as, their programs and settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from neontest.local.account import Account, choose, runnable
from neontest.local.binaries import Binaries
from neontest.local.copy_tree import apart
from neontest.local.extensions import extensions
from neontest.local.state_folder import make_real_folder, prepare_state
from neontest.local.tls import certificate

FOLDERS: Final = {
    "b": 0o711,
    "kept": 0o711,
    "lock": 0o700,
    "new": 0o700,
    "tmpl": 0o711,
    "made": 0o700,
    "bin": 0o755,
    "ext": 0o755,
    "tls": 0o711,
}
"""In a state folder, and their modes: the account passes through some, and only we enter the others.

`b/<id>/{data,log}` branches that vanish with their owner, `kept/<id>/` those that stay, `lock/<id>` claims on them,
`new/` copies under way, `tmpl/` fresh clusters, `made/` what parents were made into, `bin/` programs that the account
could not execute where they are, `ext/` extensions' control files, `tls/` certificates.
"""


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    state: Path
    account: Account
    binaries: Binaries
    postgres: Path
    """The server's program: that of `binaries`, or a copy that shows it other extensions."""
    settings: Mapping[str, str]
    """On top of those that every server has."""
    tls: bool
    persistent: bool
    """Clusters outlive their owner."""

    def folder(self, id: str) -> Path:
        """Where the cluster with this id is, or will be."""
        return self.state / ("kept" if self.persistent else "b") / id


def prepare(state: Path, binaries: Binaries, *, persistent: bool) -> Setup:
    """Make the state folder ready for servers; about 50 ms when it is.

    Raises:
        LocalError: no account can run the servers.
        UsageError: the folder is not safely ours; see `state_folder`.
    """
    account = choose()
    state = prepare_state(state, account)
    for name, mode in FOLDERS.items():
        make_real_folder(state / name, mode)
    apart(state / "new")
    account.give(state / "b")  # guards, which are not root, remove folders in it
    account.give(state / "kept")
    usable = replace(binaries, bindir=runnable(binaries, state / "bin", account))
    shown = extensions(state / "ext", usable, account)
    secure = certificate(state / "tls" / str(account.uid), account) if binaries.tls else None
    settings = {**shown.settings, **(secure or {})}
    if usable.major >= 18:  # reads come from memory, and a server has three processes less to start and to end
        settings["io_method"] = "sync"
    if persistent:  # an answer given is kept, even if the owner is killed the next moment
        settings["synchronous_commit"] = "on"
    return Setup(
        state=state,
        account=account,
        binaries=usable,
        postgres=shown.postgres,
        settings=settings,
        tls=secure is not None,
        persistent=persistent,
    )
