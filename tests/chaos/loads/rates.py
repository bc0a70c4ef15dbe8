"""Many leases at once, as processes of their own, on an API with Neon's limits of requests and branches."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tests.chaos.loads.measuring import Row
from tests.chaos.loads.stand_in import Limits, server


def rows(*, large: bool) -> Iterator[Row]:
    if large:
        yield many(50, branches=9, limits=Limits(), wait=900, hold=2.0)
        yield many(50, branches=9, limits=Limits(retry_after=5), wait=900, hold=2.0)
    else:
        yield many(3, branches=1, limits=Limits(minute=400, second=5), wait=100, hold=0.1)


def many(runs: int, *, branches: int, limits: Limits, wait: float, hold: float) -> Row:
    """So many processes at once; each takes two branches, one after the other.

    `branches` fit beside the default one, which counts as well: of Neon's ten, nine.
    """
    most = 0
    began = time.monotonic()
    with server.serving() as fake, tempfile.TemporaryDirectory() as folder:
        fake.limit, fake.checked, fake.limiter = 1 + branches, False, limits
        ended = threading.Event()

        def watch() -> None:
            nonlocal most
            while not ended.wait(0.02):
                most = max(most, len(fake.branches) - 1)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        command = [
            sys.executable, str(Path(__file__).with_name("lease.py")), fake.url, server.PROJECT, fake.main["id"],
            str(Path(folder) / "ledger"), str(wait), str(hold),
        ]  # fmt: skip
        environ = {**os.environ, "NEON_API_KEY": server.KEY}
        processes = [
            subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(runs)
        ]
        try:
            told = [process.communicate(timeout=2 * wait) for process in processes]
        finally:
            for process in processes:
                process.kill()
            ended.set()
            watcher.join()
        left = len(fake.branches) - 1
    codes = [process.returncode for process in processes]
    waits = [sum(json.loads(out)) for (out, _), code in zip(told, codes, strict=True) if code == 0]
    troubles = {err.strip() for (_, err), code in zip(told, codes, strict=True) if code}
    middle, worst = (statistics.median(waits), max(waits)) if waits else (0.0, 0.0)
    retry = "with" if limits.headers else "without"
    return Row(
        what=f"leases at once, 429 {retry} Retry-After",
        size=f"{runs} runs",
        seconds=time.monotonic() - began,
        ok=codes == [0] * runs and left == 0 and most <= branches,
        note=f"{codes.count(0)} of {runs} ended well, {left} branches left, at most {most} of {branches} at once;"
        f" {limits.accepted} requests, {limits.refused} answered 429; waited {middle:.0f} s (median), {worst:.0f} s"
        f" (worst)" + "".join(f"; {each[:200]}" for each in sorted(troubles)[:2]),
    )
