"""The lease of a run, as a process: `lease.py URL PROJECT PARENT LEDGER WAIT HOLD`, the key in its environment.

It takes a branch, gives it back and takes a second one, as a run does that has one at a time; it prints how long it
waited for both. It exits as the command line does.
"""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from neontest.cli.signals import stoppable
from neontest.errors import NeontestError
from neontest.lease.give_back import left_behind
from neontest.lease.lease import Leases
from neontest.lease.ledger import Ledger
from neontest.lease.names import owner
from neontest.lease.patience import Patience
from neontest.neon.client import Neon
from neontest.stop import Deadline


def main(url: str, project: str, parent: str, folder: str, wait: str, hold: str) -> int:
    waits = []
    with stoppable() as stop, Neon(os.environ["NEON_API_KEY"], host=url, stop=stop) as neon:
        deadline = Deadline(1800, what="the run")
        try:
            leases = Leases(
                neon, Ledger(Path(folder)), project_id=project, parent=neon.branch(project, parent, deadline=deadline),
                owner=owner({}, user="load", pid=os.getpid()), expires_at=datetime.now(UTC) + timedelta(hours=1),
                stop=stop,
            )  # fmt: skip
            try:
                for _ in range(2):
                    began = time.monotonic()
                    lease = leases.take(deadline=deadline, patience=Patience(seconds=float(wait)))
                    waits.append(round(time.monotonic() - began, 2))
                    stop.wait(float(hold))
                    leases.give_back(lease)
            finally:
                given = leases.give_back_all()
        except NeontestError as error:
            print(error.message, file=sys.stderr)
            return error.exit_code
    print(json.dumps(waits))
    return 4 if left_behind(given) else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:7]))
