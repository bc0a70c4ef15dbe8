"""The project's tests on a branch: whose code, on which schema, and whether they left the schema as it was."""

from __future__ import annotations

import json
import shlex
import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from neontest import suite
from neontest.cells import CellName
from neontest.errors import DatabaseError
from neontest.ground import Context
from neontest.lent import BRANCH, written
from neontest.outcomes import Outcomes, outcomes
from neontest.postgres.connect import mapped
from neontest.postgres.diff import diff
from neontest.postgres.model import Snapshot
from neontest.postgres.snapshot import tables
from neontest.postgres.versions import version_tables
from neontest.record import SuiteResult
from neontest.redact import Redactor
from neontest.sessions import Sessions
from neontest.stop import Stop
from neontest.trial import Trial

TOLD: Final = "-o junit_logging=all -o junit_log_passing_tests=false"
"""For pytest: what a failing test has logged, such as the error behind an answer with status 500, is in the file."""
PLUGIN: Final = "neontest_only"
USE: Final = """
    SELECT clock_timestamp()::text, CASE WHEN current_setting('track_counts')::bool
        AND current_setting('track_activities')::bool THEN (to_jsonb(d) ->> 'sessions')::int8 END,
        EXISTS (SELECT FROM pg_stat_activity a WHERE a.datname = current_database() AND a.pid <> ALL (%s)
            AND a.backend_type = 'client backend' AND coalesce(a.state_change >= %s::timestamptz, true))
    FROM pg_stat_database d WHERE d.datname = current_database()
"""
"""The time, how many sessions the database has had (since Postgres 14), and whether one of others was at work since a
moment: behind a pooler there may be no new one."""
LATE: Final = 0.3
LATE_BEFORE_15: Final = 1.2
"""Seconds within which a server counts a session; until 15 it writes its statistics twice a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A tree with the project's code, and how its tests are run."""

    root: Path
    words: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What it needs besides what a branch gives."""


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """The tests once through."""

    result: SuiteResult
    outcomes: Outcomes
    branch: str
    void: str | None
    """Why the result proves nothing about the migration, if so, in a few words."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A branch's schema before the tests."""

    schema: Snapshot
    revisions: tuple[tuple[str, tuple[str, ...]], ...]
    tables: frozenset[int]
    moment: str
    sessions: int | None

    @classmethod
    def of(cls, trial: Trial) -> Seen:
        connection = trial.connection
        moment, sessions, _ = use(trial)
        return cls(
            schema=trial.read(), revisions=version_tables(connection), tables=tables(connection),
            moment=moment, sessions=sessions,
        )  # fmt: skip

    def rebuilt(self, trial: Trial) -> str | None:
        """What the tests have changed since, in a few words; None where they left all as it was."""
        try:
            after = Seen.of(trial)
        except DatabaseError:  # it was dropped, or nobody else may be connected: they do as they please with it
            return "the database cannot be read any more"
        if self.revisions != after.revisions:
            return "other revisions in the version table"
        if changes := diff(self.schema, after.schema):
            return changes[0].line()
        return "tables dropped and made again" if self.tables - after.tables else None

    def unused(self, trial: Trial, stop: Stop) -> bool:
        """Nobody has connected to the branch's database since, as far as its server counts that."""
        late = LATE if trial.connection.server_version >= 150_000 else LATE_BEFORE_15
        until = time.monotonic() + late
        while True:
            _, sessions, active = use(trial, since=self.moment)
            if sessions is None or sessions != self.sessions or active:
                return False
            if time.monotonic() >= until or stop.wait(late / 4):
                return True


def use(trial: Trial, *, since: str = "infinity") -> tuple[str, int | None, bool]:
    """What `USE` asks of the branch's server."""
    with mapped("the branch cannot be asked who uses it"), trial.connection.cursor() as cursor:
        cursor.execute(USE, (trial.reader.backends(), since))
        moment, sessions, active = cursor.fetchone() or ("", None, True)
        return moment, sessions, active


class Tests:
    """Runs the project's tests for one run of neontest.

    Two never run in one folder at once: what they write there would get into each other's way.
    """

    def __init__(self, context: Context, sessions: Sessions, redactor: Redactor) -> None:
        self._context = context
        self._sessions = sessions
        self._redactor = redactor
        self._folders: defaultdict[Path, threading.Lock] = defaultdict(threading.Lock)

    def busy(self, code: Code) -> bool:
        """Tests run in its folder just now."""
        return self._folders[code.root].locked()

    def here(self) -> Code:
        """The code as it is in the project's folder."""
        settings = self._context.settings
        return Code(root=settings.root, words=suite.command(settings.tests, self._sessions.python))

    def run(self, trial: Trial, code: Code, cell: CellName, *, only: Collection[str] = ()) -> Ran:
        """What the tests did on the branch; with `only` these alone, where pytest runs them."""
        context, sessions = self._context, self._sessions
        trial.refuse_elsewhere()
        context.talk.say(f"tests: {shlex.join(code.words)}")
        lent = sessions.lent(trial.session, trial.lease, trial.url, trial.environment)
        folder = sessions.scratch.folder()
        environment = {
            **trial.environment, **code.environ, BRANCH: written(lent), "NEONTEST": "1", "NEONTEST_CELL": cell,
        }  # fmt: skip
        if context.settings.grid:
            add(environment, "PYTEST_ADDOPTS", TOLD, between=" ")
        if only:
            select(environment, folder, only)
        before = Seen.of(trial)
        with self._folders[code.root]:
            context.stop.check()
            result = suite.run(
                code.words,
                environment=environment,
                cwd=code.root,
                deadline=context.deadline.sooner(context.settings.test_timeout, what="the tests"),
                stop=context.stop,
                log=lambda line: context.talk.show(self._redactor.text(line)),
                scratch=folder,
            )
        named = msgspec.structs.replace(result, named=context.settings.tests is not None)
        found = outcomes(named, suite.root(folder / suite.JUNIT) if context.settings.grid else None)
        return Ran(result=named, outcomes=found, branch=trial.lease.branch.id, void=self._void(before, trial, named))

    def _void(self, before: Seen, trial: Trial, result: SuiteResult) -> str | None:
        if (rebuilt := before.rebuilt(trial)) is not None:
            return f"the tests change the schema themselves ({rebuilt})"
        if result.exit_code == 0 and before.unused(trial, self._context.stop):
            return "the tests never connected to the branch's database"
        return None


def add(environment: dict[str, str], name: str, value: str, *, between: str) -> None:
    """Put the value in front of what the variable has."""
    environment[name] = between.join(filter(None, (value, environment.get(name, ""))))


def select(environment: dict[str, str], folder: Path, only: Collection[str]) -> None:
    """Have pytest, wherever it is called, run only these tests."""
    shutil.copyfile(Path(__file__).with_name("only.py"), folder / f"{PLUGIN}.py")
    (folder / "only.json").write_text(json.dumps(sorted(only)), encoding="utf-8")
    add(environment, "PYTHONPATH", str(folder), between=":")
    add(environment, "PYTEST_ADDOPTS", f"-p {PLUGIN}", between=" ")
