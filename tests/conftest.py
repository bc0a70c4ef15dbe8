"""What every test shares: a clean environment, a Postgres of its own, and projects to run the tool on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from neontest.local.binaries import find
from neontest.local.engine import LocalNeon
from neontest.neon.client import Neon
from neontest.report import Report, from_json
from neontest.stop import Deadline

SCRUBBED = (
    "NEON_",
    "NEONTEST_",
    "GITHUB_",
    "PG",
    "ALEMBIC_",
    "FLASK_",
    "XDG_STATE_HOME",
    "SQLALCHEMY_",
    "DATABASE_URL",
)


@pytest.fixture(autouse=True)
def clean_environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees what happens to be set; the application's own suite keeps its DATABASE_URL."""
    for name in list(os.environ):
        own = name == "DATABASE_URL" and "tests/app/" in request.node.nodeid
        if name.startswith(SCRUBBED) and not own:
            monkeypatch.delenv(name)


def away(name: str) -> Path:
    """A new folder that the account which runs Postgres may pass through, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix=f"neontest-{name}-"))
    folder.chmod(0o711)
    return folder


@pytest.fixture(scope="session")
def local_state() -> Iterator[Path]:
    """A folder for local engines; nothing may be left running in it at the end."""
    folder = away("tests")
    yield folder / "state"
    left = [each.name for each in (folder / "state").glob("b/*")]
    shutil.rmtree(folder, ignore_errors=True)
    assert not left, f"branches were left behind: {left}"


@pytest.fixture(scope="session")
def postgres_url(local_state: Path) -> Iterator[str]:
    """An empty database of its own for this session."""
    with (
        LocalNeon(local_state, find(environ=os.environ), persistent=False) as local,
        Neon(local.api_key, host=local.api_host) as neon,
    ):
        branch = neon.default_branch(local.project_id, deadline=Deadline(30, what="the branch"))
        yield neon.connection_uri(local.project_id, branch.id, database="neondb", role="neondb_owner")


@dataclass(frozen=True)
class Ran:
    """What one `neontest` command did."""

    code: int
    out: str
    err: str
    json: Path | None

    @property
    def report(self) -> Report:
        assert self.json is not None
        return from_json(self.json.read_bytes())

    @property
    def checks(self) -> list[str]:
        return sorted({each.check for each in self.report.findings})


Run = Callable[..., Ran]


def environment(state: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a `neontest` of its own: what is set here, its own ledger, the shared template."""
    return {
        **os.environ,
        "NEONTEST_STATE": str(state),
        "NEONTEST_LEDGER": str(state.parent / "ledger"),
        "PYTHONPATH": str(Path(__file__).parent.parent),
        "COLUMNS": "100",
        **(more or {}),
    }


@pytest.fixture
def neontest(local_state: Path, tmp_path: Path) -> Run:
    """Run `python -m neontest ARGS` in a folder, as a real process."""

    def run(*args: str, cwd: Path, env: Mapping[str, str] | None = None, json: bool = True) -> Ran:
        file = tmp_path / "report.json" if json and args[:1] == ("run",) else None
        extra = ("--json", str(file)) if file else ()
        head, tail = (args[: args.index("--")], args[args.index("--") :]) if "--" in args else (args, ())
        done = subprocess.run(
            [sys.executable, "-m", "neontest", *head, *extra, *tail],
            cwd=cwd,
            env=environment(local_state, env),
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        return Ran(code=done.returncode, out=done.stdout, err=done.stderr, json=file)

    return run


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which releases of SQLAlchemy and Alembic migrations were walked with, whatever the verbosity."""
    passed = terminalreporter.stats.get("passed", [])
    seen = [value for report in passed for name, value in report.user_properties if name == "pair"]
    if seen:
        terminalreporter.section("migrations were walked with")
        terminalreporter.write_line("\n".join(sorted(dict.fromkeys(map(str, seen)))))
