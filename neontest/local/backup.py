"""Copies the data of a server in use, as of one moment, without stopping anybody."""

from __future__ import annotations

import os
from pathlib import Path

from psycopg2.extensions import connection as Connection  # noqa: N812 (a class)

from neontest.errors import LocalError
from neontest.local.account import Account
from neontest.local.copy_tree import copy_tree, copy_wal


def copy_running(admin: Connection, major: int, source: Path, target: Path, *, account: Account) -> None:
    """Copy the data folder `source` of the server that `admin` is connected to; recovery makes it whole at its start.

    The temporary replication slot keeps the WAL since the backup's start: without it, a server under load recycled it
    during the copy, and 10 of 11 copies did not start. The slot ends with its session, so `admin` is used for this
    alone, and closed after it.
    """
    start, stop = (
        ("SELECT pg_backup_start(%s, true)", "SELECT labelfile FROM pg_backup_stop(false)")
        if major >= 15
        else ("SELECT pg_start_backup(%s, true, false)", "SELECT labelfile FROM pg_stop_backup(false, false)")
    )
    label = f"neontest_{target.parent.name}"
    slot = "neontest_" + os.urandom(8).hex()
    with admin.cursor() as cursor:
        cursor.execute("SELECT pg_create_physical_replication_slot(%s, true, true)", [slot])
        cursor.execute(start, [label])
        copy_tree(source, target, account=account, wal=False)
        cursor.execute(stop)
        row = cursor.fetchone()
    copy_wal(source, target, account=account)
    if row is None:  # pragma: no cover (the function returns one row)
        raise LocalError("Postgres ended the backup without a label")
    path = target / "backup_label"
    path.write_text(row[0])
    path.chmod(0o600)
    account.give(path)  # recovery renames it


def refuse_tablespaces(data: Path) -> None:
    """Raise LocalError if the data folder has tablespaces: a copy would share them with the original."""
    if any((data / "pg_tblspc").iterdir()):
        raise LocalError(
            "the local parent has tablespaces, so it cannot be branched", hint="drop its tablespaces; Neon has none"
        )
