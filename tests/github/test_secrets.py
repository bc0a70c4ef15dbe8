"""A whole run, watched from beside: who has the key and the passwords, and that nothing that is told has them."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

import pytest

from neontest.local.binaries import find
from neontest.local.engine import LocalNeon
from neontest.renderers import formats
from tests.conftest import environment as surroundings
from tests.github.conftest import Environment
from tests.github.hub import TOKEN, Hub

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are watched through /proc")

WATCH = "NEONTEST_TESTS_WATCH"
ENV_PY = """
import os
from alembic import context
from sqlalchemy import create_engine

print("the URL is", os.environ["DATABASE_URL"], os.environ.get("PGPASSWORD"))
with create_engine(os.environ["DATABASE_URL"]).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
REVISION = """
import base64, json, os
from urllib.parse import quote
from alembic import op
revision, down_revision = "a1", None
def upgrade():
    op.execute("CREATE TABLE a (id int)")
    word = os.environ["PGPASSWORD"]
    op.execute("COMMENT ON TABLE a IS '" + word + "'")
def downgrade():
    word = os.environ["PGPASSWORD"]
    raise ValueError(" ".join((word, quote(word), json.dumps(word), base64.b64encode(b"u:" + word.encode()).decode())))
"""
TEST = """
import base64, json, os, pathlib, time
from urllib.parse import quote
def test_it():
    word, url = os.environ["PGPASSWORD"], os.environ["DATABASE_URL"]
    pathlib.Path(os.environ["PROBE"]).write_text(json.dumps({"pid": os.getpid(), "word": word, "url": url}))
    while not os.path.exists(os.environ["PROBE"] + ".seen"):
        time.sleep(0.005)
    print(word, quote(word, safe=""), json.dumps(word), base64.b64encode(("x:" + word).encode()).decode(), url)
    raise RuntimeError(url + base64.urlsafe_b64encode(url.encode()).decode())
"""


@dataclass
class Seen:
    """A process of the run, as any process of its user could see it."""

    argv: str
    environ: set[str] = field(default_factory=set)
    """All that ever stood in its environment."""

    @property
    def what(self) -> str:
        """Which of the run's processes it is."""
        known = {
            "-m neontest run": "neontest", "forkserver.py": "worker", "worker.py": "worker", "neontest-guard": "guard",
            "postgres": "postgres", "initdb": "postgres", "-m pytest": "tests", "git": "git",
        }  # fmt: skip
        if "neontest-guard" in self.argv:
            return "tests' guard" if "pytest" in self.argv else "guard"
        return next((name for part, name in known.items() if part in self.argv), self.argv)


class Watch:
    """Looks at all processes that descend from one, or carry its mark, until it is told to stop."""

    def __init__(self, mark: str) -> None:
        self.seen: dict[int, Seen] = {}
        self._mark = mark
        self._over = threading.Event()

    def look(self, root: int) -> None:
        while not self._over.is_set():
            self.once(root)
            time.sleep(0.01)

    def once(self, root: int) -> None:
        family = {root}
        for entry in sorted(int(each.name) for each in Path("/proc").glob("[0-9]*")):
            try:
                status = Path(f"/proc/{entry}/stat").read_text()
                argv = Path(f"/proc/{entry}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            except OSError:
                continue
            environ = ""
            with contextlib.suppress(OSError):  # closed to all but root, such as neontest's own
                environ = Path(f"/proc/{entry}/environ").read_bytes().decode("utf-8", "replace")
            parent = int(status.rpartition(")")[2].split()[1])
            if entry in family or parent in family or self._mark in environ:
                family.add(entry)
                if argv:
                    one = self.seen.setdefault(entry, Seen(argv=argv))
                    one.argv = argv if argv in one.argv else f"{one.argv} {argv}"
                    one.environ.add(environ)

    def end(self) -> None:
        self._over.set()


def forms(secret: str) -> set[str]:
    """The secret as it may stand in a text; of base64 what is the same wherever it stands."""
    spelled = {secret, quote(secret, safe=""), quote(secret), unquote(secret), json.dumps(secret)[1:-1]}
    for before in range(3):
        inner = base64.b64encode(b"\0" * before + secret.encode() + b"\0" * 3).decode()
        spelled.add(inner[4 if before else 0 : (len(secret) + before) // 3 * 4])
    return {each for each in spelled if len(each) >= 8}


@dataclass
class Watched:
    code: int
    told: dict[str, str]
    """By where it was told."""
    seen: dict[int, Seen]
    password: str
    url: str

    def of(self, secret: str, part: str) -> set[str]:
        """The processes that have it in their command line, or in their environment."""
        return {
            each.what
            for each in self.seen.values()
            if any(one in text for one in forms(secret) for text in ([each.argv] if part == "argv" else each.environ))
        }

    def telling(self, secret: str) -> list[str]:
        return [place for place, text in self.told.items() if any(each in text for each in forms(secret))]


def project(root: Path) -> Path:
    (root / "migrations/versions").mkdir(parents=True)
    (root / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/migrations\n")
    (root / "migrations/env.py").write_text(ENV_PY)
    (root / "migrations/versions/a1_.py").write_text(REVISION)
    (root / "test_it.py").write_text(TEST)
    return root


def watched(tmp_path: Path, *words: str, env: dict[str, str], private: tuple[Path, ...]) -> Watched:
    """Run `neontest run` with all forms of report under umask 0, and look at all of its processes until its end."""
    root, mark, probe = project(tmp_path / "project"), secrets.token_hex(8), tmp_path / "probe"
    reports = {form: tmp_path / f"report.{form}" for form in formats() if form != "console"}
    files = [each for form, file in reports.items() for each in (f"--{form}", str(file))]
    command = [sys.executable, "-m", "neontest", "run", "-v", *words, *files, "--", "pytest", "-q", "test_it.py"]
    with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
        process = subprocess.Popen(
            command, cwd=root, stdout=out, stderr=err, env={**env, WATCH: mark, "PROBE": str(probe)}, umask=0
        )
        watch = Watch(mark)
        thread = threading.Thread(target=watch.look, args=(process.pid,))
        thread.start()
        told: dict[str, str] = {}
        try:
            while process.poll() is None and not probe.is_file():
                time.sleep(0.005)
            if probe.is_file():
                while not any(
                    "test_it.py" in each.argv and "-m pytest" in each.argv for each in list(watch.seen.values())
                ):
                    time.sleep(0.005)
                for folder in private:
                    told |= {str(each): each.read_bytes().decode("latin-1") for each in plain(folder)}
                Path(f"{probe}.seen").touch()
            code = process.wait(240)
        finally:
            watch.end()
            thread.join()
            if process.poll() is None:
                process.terminate()
                process.wait()
    told |= {
        name: file.read_text() for name, file in {**reports, "out": tmp_path / "out", "err": tmp_path / "err"}.items()
    }
    assert probe.is_file(), told["err"]
    known = json.loads(probe.read_text())
    return Watched(code=code, told=told, seen=watch.seen, password=known["word"], url=known["url"])


def plain(folder: Path) -> Iterator[Path]:
    """The files below that neontest itself writes; nothing below can be changed by others, nor read, but for names."""
    for each in sorted(folder.rglob("*")):
        facts = each.lstat()
        if "data" in each.relative_to(folder).parts or stat.S_ISLNK(facts.st_mode):
            continue  # the servers' own, which Postgres looks after: in folders of mode 0700
        if stat.S_ISSOCK(facts.st_mode):
            continue  # whoever connects there needs a password, as on a port
        assert not facts.st_mode & 0o022, f"{each} can be changed by others: {stat.filemode(facts.st_mode)}"
        way = [part for part in each.parents if part == folder or folder in part.parents]
        open_to_all = all(part.stat().st_mode & 0o001 for part in way)
        # Postgres's own, the same everywhere: its programs, where those of a private home had to be copied.
        if each.relative_to(folder).parts[0] not in ("ext", "bin"):
            assert not (stat.S_ISREG(facts.st_mode) and facts.st_mode & 0o044 and open_to_all), f"{each} can be read"
        if stat.S_ISREG(facts.st_mode) and "tmpl" not in each.parts:
            yield each


def check(run: Watched, *, keys: tuple[str, ...]) -> None:
    """Nothing that was told has a secret; and of the processes only those have one that need it."""
    assert run.code == 1, run.told["err"]
    assert {"neontest", "worker", "tests", "tests' guard"} <= {each.what for each in run.seen.values()}
    for secret in (*keys, run.password):
        assert run.of(secret, "argv") == set()
        assert run.telling(secret) == []
    for key in keys:
        # Others of its user see it only until neontest has closed it, before anything of the project runs.
        assert run.of(key, "environ") in ([{"neontest"}] if os.geteuid() == 0 else [{"neontest"}, set()])
    # Whoever runs the project's tests hands them the branch. The worker gets it through a pipe.
    assert run.of(run.password, "environ") == {"tests", "tests' guard"}
    assert "***" in run.told["err"]
    assert "ValueError" in run.told["json"]


def test_a_local_run_tells_no_password(tmp_path: Path, local_state: Path) -> None:
    env = surroundings(local_state, {"NEONTEST_LEDGER": str(tmp_path / "ledger")})
    run = watched(tmp_path, "--local", "--redact", "literals", env=env, private=(tmp_path / "ledger", local_state))
    assert "postgres" in {each.what for each in run.seen.values()}
    assert "CREATE TABLE a (id int)" in run.told["json"]
    assert "COMMENT ON TABLE a IS '…'" in run.told["json"]
    assert any("/ledger/" in place for place in run.told)
    check(run, keys=())


def test_a_run_on_neon_tells_neither_key_nor_token_nor_password(
    tmp_path: Path,
    local_state: Path,
    hub: Hub,
    environment: Environment,
) -> None:
    with LocalNeon(
        local_state, find(environ=os.environ), persistent=False, api_key="napi_" + secrets.token_hex(20)
    ) as neon:
        env = surroundings(local_state, {"NEONTEST_LEDGER": str(tmp_path / "ledger")}) | environment()
        env |= {"NEON_API_KEY": neon.api_key, "NEON_PROJECT_ID": neon.project_id, "NEON_API_HOST": neon.api_host}
        run = watched(tmp_path, "--neon", env=env, private=(tmp_path / "ledger",))
    # The lines that have the runner hide them; it never shows these.
    hidden = [each for each in run.told["err"].splitlines() if each.startswith("::add-mask::")]
    run.told["err"] = "\n".join(each for each in run.told["err"].splitlines() if not each.startswith("::add-mask::"))
    assert any(run.password in each for each in hidden)
    for number, request in enumerate(hub.requests):
        run.told[f"GitHub {number}"] = json.dumps(request.body)
    assert any("neontest" in text for place, text in run.told.items() if place.startswith("GitHub"))
    for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT", "GITHUB_ENV"):
        run.told[name] = Path(env[name]).read_text()
    assert run.told["GITHUB_STEP_SUMMARY"]
    check(run, keys=(neon.api_key, TOKEN))


def test_what_is_looked_for_is_found() -> None:
    """The look-out itself: each form of a secret is seen in a text that has it."""
    secret = "s3cret/Ünd%more"
    for text in (
        secret,
        quote(secret),
        json.dumps(secret),
        *(base64.b64encode(b"x" * before + secret.encode() + b"yy").decode() for before in range(3)),
    ):
        assert [each for each in forms(secret) if each in text], text
    assert not [each for each in forms(secret) if each in "nothing of it"]
