"""A project that minds no signal and leaves children behind wherever it runs; and which hangs where it is told to.

`CHAOS_HANG=PLACE:N` has it hang at the Nth passing of a place: env, r1.upgrade, r2.downgrade, tests and so on. The
file `CHAOS_MARK.hangs` is then there.
"""

from __future__ import annotations

from pathlib import Path

WILD = '''
import os, signal, subprocess, time
from pathlib import Path

MARK = Path(os.environ["CHAOS_MARK"])


def leave_children():
    """One in the group, one in a session of its own, one whose parent is gone; all mind no signal."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.Popen(["sleep", "900"], **quiet)
    subprocess.Popen(["sleep", "900"], start_new_session=True, **quiet)
    forked = os.fork()
    if not forked:
        os.setsid()
        if os.fork():
            os._exit(0)
        os.execvp("sleep", ["sleep", "900"])
    os.waitpid(forked, 0)


def passing(place, statement=None):
    """Pass a place for one more time; hang there if that was asked for."""
    with open(f"{MARK}.{place}", "ab") as file:
        file.write(b".")
        file.flush()
        times = os.fstat(file.fileno()).st_size
    if os.environ.get("CHAOS_HANG") == f"{place}:{times}":
        Path(f"{MARK}.hangs").write_text(str(os.getpid()))
        if statement is not None:
            statement("SELECT pg_sleep(900)")
        while True:
            time.sleep(900)
'''

ENV_PY = """
import os, sys
from alembic import context
from sqlalchemy import create_engine

sys.path.insert(0, os.path.dirname(os.path.dirname(__file__)))
from wild import passing

passing("env")
engine = create_engine(os.environ["DATABASE_URL"])
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""

REVISION = '''
"""revision {number}"""
from alembic import op
from wild import leave_children, passing

revision = "r{number}"
down_revision = {down!r}


def upgrade():
    op.execute("CREATE TABLE t{number} (id int PRIMARY KEY)")
    leave_children()
    passing("r{number}.upgrade", op.execute if {number} == 3 else None)
    op.execute("SELECT pg_sleep(0.1)")


def downgrade():
    passing("r{number}.downgrade")
    op.execute("DROP TABLE t{number}")
'''

TEST = """
import time
from wild import leave_children, passing


def test_it():
    leave_children()
    passing("tests")
    time.sleep(0.5)
"""

TOML = """
[tool.neontest]
tests = ["pytest", "-q", "-p", "no:cacheprovider"]
lint = false
[tool.neontest.files]
"settings.toml" = 'database = "{url}"'
"""


def write(root: Path) -> Path:
    """The project in a new folder `root`: three revisions and a test, which all take their time."""
    versions = root / "migrations" / "versions"
    versions.mkdir(parents=True)
    (root / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/migrations\n")
    (root / "migrations" / "env.py").write_text(ENV_PY)
    (root / "wild.py").write_text(WILD)
    (root / "test_it.py").write_text(TEST)
    (root / "pyproject.toml").write_text(TOML)
    for number in (1, 2, 3):
        down = f"r{number - 1}" if number > 1 else None
        (versions / f"r{number}_it.py").write_text(REVISION.lstrip().format(number=number, down=down))
    return root
