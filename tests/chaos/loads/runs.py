"""Whole runs at once, on real Postgres, in a project that has branches for a few of them only."""

from __future__ import annotations

import os
import re
import statistics
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from neontest.local.binaries import find
from neontest.local.engine import LocalNeon
from neontest.neon.client import Neon
from tests.chaos.loads.measuring import Ran, Row, neontest
from tests.chaos.loads.projects import project, surroundings

MADE = [(f"op.execute('CREATE TABLE t{n} (id int)')", f"op.execute('DROP TABLE t{n}')") for n in range(3)]


def rows(*, large: bool) -> Iterator[Row]:
    runs, branches = (12, 4) if large else (3, 1)
    with (
        surroundings() as environ,
        project(MADE) as root,
        LocalNeon(
            Path(environ["NEONTEST_STATE"]), find(environ=os.environ), persistent=False, branches_limit=1 + branches
        ) as local,
        Neon(local.api_key, host=local.api_host) as neon,
    ):
        own = {
            **environ, "NEON_API_KEY": local.api_key, "NEON_API_HOST": local.api_host,
            "NEON_PROJECT_ID": local.project_id,
        }  # fmt: skip

        def one(_: int) -> Ran:
            return neontest("run", "--no-tests", "--wait", "20m", cwd=root, environ=own)

        with ThreadPoolExecutor(runs) as pool:
            done = list(pool.map(one, range(runs)))
        left = len(neon.branches(local.project_id)) - 1
    well = sum(each.code == 0 for each in done)
    waited = sum("waiting for a free one" in each.err for each in done)
    alone = sum("one at a time" in each.err for each in done)
    seconds = sorted(each.seconds for each in done)
    bad = next((f"; {re.sub(chr(10), ' ', each.err[-300:])}" for each in done if each.code), "")
    yield Row(
        what="whole runs at once, --wait 20m", size=f"{runs} runs", seconds=seconds[-1],
        peak=max(each.peak for each in done), ok=well == runs and left == 0,
        note=f"{well} of {runs} passed with {branches} branches, {left} left; {waited} waited, {alone} went on with one"
        f" at a time; {statistics.median(seconds):.0f} s (median), {seconds[0]:.0f} s (first){bad}",
    )  # fmt: skip
