"""What every test shares: a clean environment, a Postgres of its own, and projects to run the tool on."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import forking

if TYPE_CHECKING:
    from neontest.report import Report

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
    "PYTEST_ADDOPTS",
    "CI",
    "PYTHONDONTWRITEBYTECODE",  # containers set it, and each process would compile all of neontest anew
)


@pytest.fixture(autouse=True)
def clean_environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees what happens to be set; the application's own suite keeps its DATABASE_URL."""
    for name in list(os.environ):
        own = name == "DATABASE_URL" and "tests/app/" in request.node.nodeid
        if name.startswith(SCRUBBED) and not own:
            monkeypatch.delenv(name)


def memory() -> Path | None:
    """A file system in memory, large enough, where programs can be run: a branch is a thousand small files."""
    shm = Path("/dev/shm")
    if sys.platform != "linux" or not os.access(shm, os.W_OK | os.X_OK):
        return None
    facts = os.statvfs(shm)
    return shm if facts.f_bavail * facts.f_frsize > 4 << 30 and not facts.f_flag & os.ST_NOEXEC else None


def away(name: str) -> Path:
    """A new folder that the account which runs Postgres may pass through, unlike pytest's own; in memory if it can."""
    folder = Path(tempfile.mkdtemp(prefix=f"neontest-{name}-", dir=memory())).resolve()
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
    # Imported here: the application's suite, which `neontest run` starts again and again, has no need of it.
    from neontest.local.binaries import find
    from neontest.local.engine import LocalNeon
    from neontest.neon.client import Neon
    from neontest.stop import Deadline

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
        from neontest.report import from_json

        assert self.json is not None
        return from_json(self.json.read_bytes())

    @property
    def checks(self) -> list[str]:
        return sorted({each.check for each in self.report.findings})


Run = Callable[..., Ran]


BARE_PYTEST = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
"""For a pytest that needs no plugins: to import those that are here takes longer than most of our small suites."""


def environment(state: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a `neontest` of its own: what is set here, its own ledger, the shared template."""
    return {
        **os.environ,
        "NEONTEST_STATE": str(state),
        "NEONTEST_LEDGER": str(state.parent / "ledger"),
        "PYTHONPATH": str(Path(__file__).parent.parent),
        "COLUMNS": "100",
        **BARE_PYTEST,
        **(more or {}),
    }


def run_neontest(*args: str, cwd: Path, environ: Mapping[str, str], json: Path | None) -> Ran:
    """Run `neontest ARGS` in a folder, as a process of its own; a run's report goes to the file `json`."""
    extra = ("--json", str(json)) if json else ()
    head, tail = (args[: args.index("--")], args[args.index("--") :]) if "--" in args else (args, ())
    done = forking.run([*head, *extra, *tail], cwd=cwd, env=environ, seconds=240)
    return Ran(code=done.returncode, out=done.stdout, err=done.stderr, json=json)


@pytest.fixture
def neontest(local_state: Path, tmp_path: Path) -> Run:
    """`run_neontest` with the session's engine, and a report where the command writes one."""

    def run(*args: str, cwd: Path, env: Mapping[str, str] | None = None, json: bool = True) -> Ran:
        file = tmp_path / "report.json" if json and args[:1] == ("run",) else None
        return run_neontest(*args, cwd=cwd, environ=environment(local_state, env), json=file)

    return run


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew; look at what changed")
    parser.addoption(
        "--thorough",
        action="store_true",
        help="every test on every Postgres here, all parameters, all releases of SQLAlchemy and Alembic, all loads,"
        " more random trials",
    )


def asked_for(config: pytest.Config) -> bool:
    """Tests were chosen by id, by a word or a mark, or because they failed the last time."""
    by_id = any("::" in each for each in config.args)
    return by_id or any(config.getoption(each, False) for each in ("keyword", "markexpr", "lf"))


def pytest_report_header(config: pytest.Config) -> str | None:
    if asked_for(config):
        return None
    if config.getoption("thorough"):
        return "thorough: nothing is left out"
    return (
        "not thorough: many tests on one Postgres each of those here, some parameters, releases and loads;"
        " --thorough for the rest"
    )


ON_POSTGRES = re.compile(r"\bpg\d+\b")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without `--thorough`: of the same test on several Postgres versions one, another one from test to test.

    But of a test marked `every_postgres`, all. What is marked `thorough` is left out.
    """
    if config.getoption("thorough") or asked_for(config):
        return
    left = {id(item) for item in items if item.get_closest_marker("thorough")}
    alike: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if ON_POSTGRES.search(item.nodeid) and not item.get_closest_marker("every_postgres"):
            alike[ON_POSTGRES.sub("", item.nodeid)].append(item)
    for test, these in alike.items():
        taken = these[zlib.crc32(test.encode()) % len(these)]
        left |= {id(item) for item in these if item.nodeid != taken.nodeid}
    config.hook.pytest_deselected(items=[item for item in items if id(item) in left])
    items[:] = [item for item in items if id(item) not in left]


def pytest_unconfigure() -> None:
    forking.end()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which releases of SQLAlchemy and Alembic were walked with, and what each check found where, in any case."""
    reports = terminalreporter.stats.get("passed", []) + terminalreporter.stats.get("failed", [])
    properties = [each for report in reports if report.when == "call" for each in report.user_properties]
    pairs = [str(value) for name, value in properties if name == "pair"]
    if pairs:
        terminalreporter.section("migrations were walked with")
        terminalreporter.write_line("\n".join(sorted(dict.fromkeys(pairs))))
    cases = sorted(value for name, value in properties if name == "case")
    if cases:
        terminalreporter.section("every check on a project that it catches, and on one that it passes")
        for check, kind, found in cases:
            mark = "caught" if check in found else "silent"
            others = ", ".join(each for each in found if each != check)
            terminalreporter.write_line(f"{check:32}{kind:14}{mark}" + (f"  (and {others})" if others else ""))
