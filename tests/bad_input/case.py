"""One case of bad input: what is wrong, the command line, and what neontest must say to it; and how it is tried."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests import forking
from tests.conftest import SCRUBBED

REPOSITORY = Path(__file__).parent.parent.parent

ENV_PY = """
import os
from alembic import context
from sqlalchemy import create_engine

engine = create_engine(os.environ["DATABASE_URL"])
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""


def revision(id_: str, down: str | None, upgrade: str = "pass", downgrade: str = "pass") -> str:
    """A revision file."""
    return (
        f'"""it"""\nfrom alembic import op\nrevision = {id_!r}\ndown_revision = {down!r}\n\n\n'
        f"def upgrade():\n    {upgrade}\n\n\ndef downgrade():\n    {downgrade}\n"
    )


GOOD = revision("r1", None, 'op.execute("CREATE TABLE a (id int PRIMARY KEY)")', 'op.execute("DROP TABLE a")')

SOUND: Mapping[str, str] = {
    "alembic.ini": "[alembic]\nscript_location = %(here)s/migrations\n",
    "migrations/env.py": ENV_PY,
    "migrations/versions/r1.py": GOOD,
}
"""The files of a project with which nothing is wrong."""

RUN = ("run", "--local", "--no-tests", "--mode", "whole", "--rows", "0", "--data", "off")
"""The shortest run that reaches the database."""


class Refused(Exception):
    """This machine cannot make the case; why."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where one case is tried: nothing but the shared template of databases is outside of it."""

    top: Path
    root: Path
    """The project."""
    home: Path
    tmp: Path
    ledger: Path
    state: Path
    """The local engine's; shared by the cases."""

    def filled(self, text: str) -> str:
        """`{root}` and the like, as they are here."""
        for each in dataclasses.fields(self):
            text = text.replace(f"{{{each.name}}}", str(getattr(self, each.name)))
        return text


@dataclass(frozen=True, kw_only=True)
class Case:
    """One row of the table. In `args`, `env` and `through`, `{root}` and the other names of Place are filled in."""

    name: str
    args: tuple[str, ...] = RUN
    code: int = 2
    says: str
    """A regular expression for the one line that says what is wrong; no other line matches it."""
    files: Mapping[str, str | bytes | None] = field(default_factory=dict)
    """Over the sound project; None takes a file away."""
    make: Callable[[Place], None] | None = None
    """What is more than files."""
    env: Mapping[str, str | None] = field(default_factory=dict)
    through: tuple[str, ...] = ()
    """The command that starts neontest, in a process of its own; else it is forked, which decides less."""
    user: int | None = None
    """Root tries it as this user, whom it need not be possible to lock out."""
    slow: bool = False
    """Only the command tries it, not the tests."""
    silent: bool = False
    """Nobody can hear what it says: standard error is closed."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    code: int
    said: str
    """The line that says what is wrong; empty where none did."""
    wrong: tuple[str, ...]
    """What is not as it must be; empty for a case that went well."""
    out: str
    err: str
    seconds: float


SECONDS = 60
"""After which a case has hung, and is killed."""
NEONTESTS_OWN = re.compile(r'File "[^"]*/neontest/[^"]*", line|a defect in neontest|Exception ignored|Fatal Python')


def tried(case: Case, state: Path) -> Outcome:
    """Make the case, run its command line, and look at what it said and left.

    Raises:
        Refused: this machine cannot make it.
    """
    top = Path(tempfile.mkdtemp(prefix="neontest-bad-", dir=state.parent)).resolve()
    top.chmod(0o711)
    before = branches(state)
    place = Place(top=top, root=top / "project", home=top / "home", tmp=top / "tmp", ledger=top / "ledger", state=state)
    try:
        made(case, place)
        began = time.monotonic()
        code, out, err = ran(case, place)
        took = time.monotonic() - began
        wrong = faults(case, place, before, code, out, err)
        line = said(case, out + err)[0]
        return Outcome(code=code, said=line, wrong=tuple(wrong), out=out, err=err, seconds=took)
    finally:
        removed(top)


def made(case: Case, place: Place) -> None:
    for folder in (place.root, place.home, place.tmp):
        folder.mkdir()
    place.tmp.chmod(0o1777)
    for name, content in {**SOUND, **case.files}.items():
        path = place.root / name
        if content is None:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    if case.make is not None:
        case.make(place)


def environment(case: Case, place: Place) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(SCRUBBED)}
    ours: dict[str, str | None] = {
        **kept,
        "HOME": str(place.home),
        "TMPDIR": str(place.tmp),
        "NEONTEST_LEDGER": str(place.ledger),
        "NEONTEST_STATE": str(place.state),
        "PYTHONPATH": str(REPOSITORY),
        "COLUMNS": "100",
        "VIRTUAL_ENV": None,
        **{name: value and place.filled(value) for name, value in case.env.items()},
    }
    return {name: value for name, value in ours.items() if value is not None}


def ran(case: Case, place: Place) -> tuple[int, str, str]:
    """The exit code and what was said on standard output and error."""
    args = [place.filled(each) for each in case.args]
    environ = environment(case, place)
    if case.through or case.user is not None:
        start = [place.filled(each) for each in case.through]
        python = sys.executable
        if case.user is not None:
            python, packages = for_all()
            environ["PYTHONPATH"] = f"{REPOSITORY}{os.pathsep}{packages}"
            if os.geteuid() == 0:
                start = ["setpriv", f"--reuid={case.user}", f"--regid={case.user}", "--clear-groups", *start]
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            process = subprocess.Popen(
                [*start, python, "-m", "neontest", *args],
                cwd=place.root, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            )  # fmt: skip
            try:
                code = process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
            out.seek(0)
            err.seek(0)
            return code, out.read().decode(errors="replace"), err.read().decode(errors="replace")
    try:
        done = forking.run(args, cwd=place.root, env=environ, seconds=SECONDS)
    except subprocess.TimeoutExpired as late:
        return -signal.SIGKILL, str(late.output), str(late.stderr)
    return done.returncode, done.stdout, done.stderr


def for_all() -> tuple[str, str]:
    """A Python that every user can run, and where what it needs is installed; Refused where there is none."""
    packages = sysconfig.get_path("purelib")
    version = "{}.{}".format(*sys.version_info)
    for python in (os.path.realpath(sys.executable), f"/usr/local/bin/python{version}", f"/usr/bin/python{version}"):
        every = [Path(python), *Path(python).parents, Path(packages), *Path(packages).parents]
        if Path(python).exists() and all(
            each.stat().st_mode & 0o005 == 0o005 or each.stat().st_mode & 0o001 for each in every
        ):
            return python, packages
    raise Refused("no Python here can be run by every user")


def said(case: Case, text: str) -> list[str]:
    """The lines that match; one empty where there is none."""
    return [line.strip() for line in text.splitlines() if re.search(case.says, line)] or [""]


def faults(case: Case, place: Place, before: frozenset[str], code: int, out: str, err: str) -> list[str]:
    wrong = []
    if code != case.code:
        wrong.append(f"exit code {code}, not {case.code}")
    lines = said(case, out + err)
    if not case.silent and lines == [""]:
        wrong.append("it does not say so")
    if len(lines) > 1:
        wrong.append(f"it says so {len(lines)} times")
    if match := NEONTESTS_OWN.search(out + err):
        wrong.append(f"a traceback of neontest's own: {match[0]}")
    return wrong + left(place) + [f"a branch was left: {each}" for each in sorted(branches(place.state) - before)]


def branches(state: Path) -> frozenset[str]:
    return frozenset(each.name for each in state.glob("b/*"))


def left(place: Place) -> list[str]:
    """What is there that should have been given back: processes, ledger entries, temporary files."""
    found = [f"left in the ledger: {each.name}" for each in sorted(place.ledger.glob("*")) if place.ledger.is_dir()]
    found += [f"left in TMPDIR: {each.name}" for each in sorted(place.tmp.glob("*")) if place.tmp.is_dir()]
    found += [f"left in HOME: {each}" for each in sorted(place.home.rglob("*.json")) if place.home.is_dir()]
    for number, words in processes(place).items():
        found.append(f"a process was left: {words}")
        with suppress(ProcessLookupError):  # so that one case is not the next one's
            os.kill(number, signal.SIGKILL)
    return found


def processes(place: Place) -> dict[int, str]:
    """Those that were started in this place, as their environment, folder or command line says."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int(folder.name) == os.getpid():
                continue
            command = (folder / "cmdline").read_bytes()
            if not command:  # the kernel's own, and the dead
                continue
            about = command + (folder / "environ").read_bytes() + os.fsencode((folder / "cwd").readlink())
        except OSError:
            continue
        if os.fsencode(place.top) in about:
            found[int(folder.name)] = command.replace(b"\0", b" ").decode(errors="replace").strip()[:100]
    return found


def removed(top: Path) -> None:
    for folder, names, _ in os.walk(top):
        for name in names:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o700)
    shutil.rmtree(top, ignore_errors=True)
