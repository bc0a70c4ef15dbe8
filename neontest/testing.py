"""The project's tests on a branch: whose code, on which schema, and whether they left the schema as it was."""

from __future__ import annotations

import json
import shlex
import shutil
import threading
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
from neontest.postgres.diff import diff
from neontest.postgres.model import Snapshot
from neontest.postgres.snapshot import tables, version_tables
from neontest.record import SuiteResult
from neontest.redact import Redactor
from neontest.sessions import Sessions
from neontest.trial import Trial

TOLD: Final = "-o junit_logging=all -o junit_log_passing_tests=false"
"""For pytest: what a failing test has logged, such as the error behind an answer with status 500, is in the file."""
PLUGIN: Final = "neontest_only"


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A tree with the project's code, and how its tests are run."""

    root: Path
    words: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What it needs besides what a branch gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """The tests once through."""

    result: SuiteResult
    outcomes: Outcomes
    branch: str
    rebuilt: str | None
    """What the tests did to the schema themselves, if anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A branch's schema before the tests."""

    schema: Snapshot
    revisions: tuple[tuple[str, tuple[str, ...]], ...]
    tables: frozenset[int]

    @classmethod
    def of(cls, trial: Trial) -> Seen:
        connection = trial.connection
        return cls(schema=trial.reader.snapshot(), revisions=version_tables(connection), tables=tables(connection))

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
        return Ran(result=named, outcomes=found, branch=trial.lease.branch.id, rebuilt=before.rebuilt(trial))


def add(environment: dict[str, str], name: str, value: str, *, between: str) -> None:
    """Put the value in front of what the variable has."""
    environment[name] = between.join(filter(None, (value, environment.get(name, ""))))


def select(environment: dict[str, str], folder: Path, only: Collection[str]) -> None:
    """Have pytest, wherever it is called, run only these tests."""
    shutil.copyfile(Path(__file__).with_name("only.py"), folder / f"{PLUGIN}.py")
    (folder / "only.json").write_text(json.dumps(sorted(only)), encoding="utf-8")
    add(environment, "PYTHONPATH", str(folder), between=":")
    add(environment, "PYTEST_ADDOPTS", f"-p {PLUGIN}", between=" ")
