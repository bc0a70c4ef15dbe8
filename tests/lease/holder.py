"""A process that takes a branch and waits for ever, for tests that end it: `holder.py URL PROJECT PARENT LEDGER`.

The key is in its environment. It exits as the command line does: with the code of whatever ended it.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from neontest.cli.signals import stoppable
from neontest.errors import NeontestError
from neontest.lease.give_back import left_behind
from neontest.lease.lease import Leases
from neontest.lease.ledger import Ledger
from neontest.lease.names import owner
from neontest.neon.client import Neon
from neontest.stop import Deadline


def main(url: str, project: str, parent: str, folder: str) -> int:
    with stoppable() as stop, Neon(os.environ["NEON_API_KEY"], host=url, stop=stop) as neon:
        leases = Leases(
            neon,
            Ledger(Path(folder)),
            project_id=project,
            parent=neon.branch(project, parent),
            owner=owner({}, user="test", pid=os.getpid()),
            expires_at=datetime.now(UTC) + timedelta(hours=1),
            stop=stop,
        )
        try:
            try:
                leases.take(deadline=Deadline(120, what="the test"))
                print("taken", flush=True)
                stop.wait(120)
                stop.check()
            finally:
                given = leases.give_back_all(budget=7.0 if stop else 60.0)
                print(f"proved {sum(each.proved for each in given)}", flush=True)
        except NeontestError as error:
            return error.exit_code
        return 4 if left_behind(given) else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:5]))
