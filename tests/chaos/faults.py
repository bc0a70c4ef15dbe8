"""The fault matrix: every fault at every call of a run, and what is left once the fault is over."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import dropwhile
from pathlib import Path
from queue import SimpleQueue

from neontest.local.binaries import find
from neontest.local.engine import LocalNeon
from neontest.neon.client import Neon
from neontest.stop import Deadline
from tests import forking
from tests.chaos.cables import Cables
from tests.chaos.door import Clear, Door, door
from tests.chaos.knobs import ALL, KNOBS, LEFT, NO_TEST, Answered, Knob, Told
from tests.conftest import SCRUBBED, away

REPOSITORY = Path(__file__).parents[2]
LIMIT = 120.0
"""Seconds after which a run is taken to hang."""
ENV_PY = """
import os
from alembic import context
from sqlalchemy import create_engine
with create_engine(os.environ["DATABASE_URL"]).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
REVISION = """
from alembic import op
revision, down_revision = "r1", None

def upgrade():
    op.execute("CREATE TABLE a (id int PRIMARY KEY)")
    op.execute("SELECT pg_sleep(0.01)")

def downgrade():
    op.execute("DROP TABLE a")
"""


@dataclass(kw_only=True)
class Trial:
    """What became of one run with a fault in its way."""

    knob: Knob
    call: int
    what: str = ""
    """Which call that was."""
    code: int = -1
    met: bool = True
    hit: list[str] = field(default_factory=list)
    """The calls that were answered by the fault."""
    seconds: float = 0.0
    left: list[str] = field(default_factory=list)
    """Branches at its end."""
    swept: bool = False
    """`neontest cleanup` had something to do."""
    wrong: list[str] = field(default_factory=list)
    said: str = ""

    @property
    def title(self) -> str:
        return f"{self.knob.id} at call {self.call} ({self.what})" if self.knob.calls else self.knob.id


class Lane:
    """A project, an engine, a door before it, and runs one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "project"
        versions = self.root / "migrations" / "versions"
        versions.mkdir(parents=True)
        (self.root / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/migrations\n")
        (self.root / "migrations" / "env.py").write_text(ENV_PY)
        (versions / "r1.py").write_text(REVISION)
        self.asked: list[str] = []
        """The calls of the last run."""
        self._ends = ExitStack()

    def __enter__(self) -> Lane:
        with ExitStack() as ends:
            binaries = find(environ=os.environ)
            local = ends.enter_context(LocalNeon(self.folder / "engine", binaries, persistent=False))
            self.neon = ends.enter_context(Neon(local.api_key, host=local.api_host))
            self.project_id, self.key = local.project_id, local.api_key
            self.door: Door = ends.enter_context(door(local.api_host))
            self.cables = Cables()
            ends.callback(self.cables.close)
            main = self.neon.default_branch(self.project_id)
            self.password = self.neon.reveal_password(self.project_id, main.id, "neondb_owner")
            self._others(main.id)
            self.others = {each.id for each in self.neon.branches(self.project_id)}
            self._ends = ends.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._ends.close()

    def _others(self, parent: str) -> None:
        """Branches of other people, which nobody may touch, one of them named as ours are."""
        for name in ("preview/pr-7", "neontest/pr-1/abc1234/1-1"):
            made = self.neon.create_branch(
                self.project_id, name=name, parent_id=parent, expires_at=datetime.now(UTC) + timedelta(days=2),
                annotation={"made": "by hand"}, deadline=Deadline(60, what="making it"),
            )  # fmt: skip
            self.neon.wait_for(self.project_id, made.operations, Deadline(60, what="making it"))

    def environ(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(SCRUBBED)}
        return kept | {
            "NEON_API_KEY": self.key,
            "NEON_API_HOST": self.door.url,
            "NEON_PROJECT_ID": self.project_id,
            "NEONTEST_LEDGER": str(self.folder / "ledger"),
            "NEONTEST_STATE": str(self.folder / "state"),
            "PYTHONPATH": str(REPOSITORY),
            "COLUMNS": "200",
        }

    def calls(self) -> list[str]:
        """The calls of a run that nothing stands in the way of, which has to pass."""
        trial = self.run(Knob(id="none", about="nothing"), 0)
        assert trial.code == 0, trial.said
        assert not trial.wrong, trial.wrong
        return self.asked

    def run(self, knob: Knob, call: int, since: re.Pattern[str] = ALL) -> Trial:
        """One run with the fault at that call, counted from the first that is like `since`: how often an operation is
        asked for before it depends on how busy the machine is."""
        trial = Trial(knob=knob, call=call)
        self.cables.reset()
        self.door.rewritten = bytes
        if knob.cables is not None:
            knob.cables(self.cables)
            self.door.rewritten = self.cables.rewritten
        fault = knob.make(call)
        if isinstance(fault, (Answered, Told)):
            fault.calls.since, trial.hit = since, fault.calls.hit
        self.door.forget(fault)
        report = self.folder / "report.json"
        report.unlink(missing_ok=True)
        words = ["run", "--neon", "--no-tests", "--no-lint", "-v", "--json", str(report), *knob.arguments]
        words += ["--python", sys.executable]
        began = time.monotonic()
        try:
            done = forking.run(words, cwd=self.root, env=self.environ(), seconds=LIMIT)
        except subprocess.TimeoutExpired as error:
            trial.wrong.append(f"it hangs: {error}")
            return trial
        trial.seconds, trial.code = time.monotonic() - began, done.returncode
        trial.said = done.stdout + done.stderr
        self.asked = [each.call for each in self.door.asked]
        counted = dropwhile(lambda each: not since.match(each), self.asked)
        its = [each for each in counted if knob.calls is not None and knob.calls.match(each)]
        trial.what = place(its[call - 1]) if 0 < call <= len(its) else ""
        trial.met = call <= len(its)
        self.door.forget(Clear())
        self.judge(trial, report.read_text() if report.exists() else "")
        self.look(trial, report.read_text() if report.exists() else "")
        return trial

    def judge(self, trial: Trial, report: str) -> None:
        knob, code, wrong = trial.knob, trial.code, trial.wrong
        if code not in knob.codes:
            wrong.append(f"exit code {code}")
        if "Traceback" in trial.said or "defect" in trial.said:
            wrong.append("a traceback")
        if self.key in trial.said + report or self.password in trial.said + report:
            wrong.append("a secret is told")
        problems = json.loads(report)["problems"] if report else []
        if code >= NO_TEST and not problems:
            wrong.append("no problem in the report")
        for each in problems:
            if "\n" in each["message"] or not each["message"]:
                wrong.append(f"not one sentence: {each['message']!r}")
        if code and knob.why and knob.why.lower() not in (trial.said + report).lower():
            wrong.append(f"nothing is said of {knob.why}")
        if knob.cables is not None and not self.cables.done:
            wrong.append("the fault was never met")

    def look(self, trial: Trial, report: str) -> None:
        """What is left, now that the fault is over; and what `neontest sweep` and `cleanup` make of it."""
        trial.left = self.ours()
        named = [each for each in trial.left if each in trial.said and each in report]
        if trial.left and (trial.code != LEFT or named != trial.left):
            trial.wrong.append(f"left unsaid: {', '.join(trial.left)}")
        if self.ledger() and trial.code == 0:
            trial.wrong.append(f"in the ledger of a run that passed: {', '.join(self.ledger())}")
        if trial.left:
            self.command(trial, "sweep")
        if self.ours():
            trial.wrong.append(f"left after sweep: {', '.join(self.ours())}")
        if self.ledger():
            trial.swept = True
            self.command(trial, "cleanup")
        if self.ours():
            trial.wrong.append(f"left after cleanup: {', '.join(self.ours())}")
        if self.ledger():
            trial.wrong.append(f"in the ledger after cleanup: {', '.join(self.ledger())}")
        if not self.others <= {each.id for each in self.neon.branches(self.project_id)}:
            trial.wrong.append("another's branch is gone")

    def command(self, trial: Trial, name: str) -> None:
        done = forking.run([name], cwd=self.root, env=self.environ(), seconds=LIMIT)
        if done.returncode:
            trial.wrong.append(f"{name}: exit code {done.returncode}: {done.stdout}{done.stderr}")

    def ours(self) -> list[str]:
        return [each.name for each in self.neon.branches(self.project_id) if each.id not in self.others]

    def ledger(self) -> list[str]:
        folder = self.folder / "ledger"
        return sorted(each.name for each in folder.glob("*.json")) if folder.is_dir() else []


def place(call: str) -> str:
    """The call without its ids."""
    method, _, path = call.partition(" ")
    kinds = [part for part in path.split("/")[4:] if part]
    shown = ["…" if number % 2 and len(part) > 12 else part for number, part in enumerate(kinds, 0)]
    return f"{method} {'/'.join(shown[1:]) or 'project'}"


@contextmanager
def lane() -> Iterator[Lane]:
    folder = away("faults")
    try:
        with Lane(folder) as made:
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def plan(calls: list[str], wanted: set[str], only: int | None) -> list[tuple[Knob, int]]:
    """Each fault with each call at which it can be."""
    found: list[tuple[Knob, int]] = []
    for knob in KNOBS:
        if wanted and knob.id not in wanted:
            continue
        if knob.calls is None:
            found.append((knob, 0))
            continue
        count = sum(knob.calls.match(call) is not None for call in calls)
        found += [(knob, number) for number in range(1, count + 1) if only in (None, number)]
    return found


def main(args: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos faults", description=__doc__)
    parser.add_argument("--fault", action="append", default=[], choices=[each.id for each in KNOBS])
    parser.add_argument("--call", type=int, help="only at the call of this number")
    parser.add_argument("--lanes", type=int, default=2, help="runs at once")
    options = parser.parse_args(args)
    with ExitStack() as stack:
        lanes: SimpleQueue[Lane] = SimpleQueue()
        first = stack.enter_context(lane())
        calls = first.calls()
        lanes.put(first)
        for _ in range(options.lanes - 1):
            lanes.put(stack.enter_context(lane()))
        todo = plan(calls, set(options.fault), options.call)
        print(f"{len(calls)} calls in a run; {len(todo)} runs with a fault", flush=True)

        def work(each: tuple[Knob, int]) -> Trial:
            mine = lanes.get()
            try:
                trial = mine.run(*each)
            finally:
                lanes.put(mine)
            for wrong in trial.wrong:
                print(f"WRONG  {trial.title}: {wrong}\n{trial.said}", flush=True)
            return trial

        with ThreadPoolExecutor(max_workers=options.lanes) as pool:
            trials = list(pool.map(work, todo))
    if trials:
        print(table(trials))
    return 1 if any(trial.wrong for trial in trials) else 0


def table(trials: list[Trial]) -> str:
    lines = [
        f"{'fault':18}{'tried':>6}{'met':>6}{'survived':>10}{'left':>6}{'cleanup':>9}  exit codes          median s"
    ]
    for knob in KNOBS:
        mine = [each for each in trials if each.knob is knob]
        if mine:
            lines.append(row(knob.id, mine))
    lines.append(row("all", trials))
    return "\n".join(lines)


def row(title: str, trials: list[Trial]) -> str:
    codes = Counter(each.code for each in trials)
    told = ", ".join(f"{code}: {count}" for code, count in sorted(codes.items()))
    survived = sum(not each.wrong for each in trials)
    unsaid = sum(bool(each.left) and each.code != LEFT for each in trials)
    seconds = statistics.median(each.seconds for each in trials)
    met, swept = sum(each.met for each in trials), sum(each.swept for each in trials)
    return f"{title:18}{len(trials):>6}{met:>6}{survived:>10}{unsaid:>6}{swept:>9}  {told:20}{seconds:>8.1f}"
