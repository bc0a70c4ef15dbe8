"""Where benchmarks run: a folder, a Postgres of their own with new databases, and projects of many small revisions."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from neontest.local.binaries import Binaries, find
from neontest.local.cluster import Cluster, Clusters
from neontest.local.roles import OWNER, set_password
from tests.benchmarks.measure import Meter
from tests.migrate.conftest import Files

ROOT = Path(__file__).parents[2]
PASSWORD = secrets.token_hex(8)
"""Without a `%`, which some of the others do not take."""

COLUMNS = "sa.Column('id', sa.Integer, primary_key=True), sa.Column('name', sa.String(50)), sa.Column('t1', sa.Integer)"
KINDS = (
    ("op.create_table('t{n}', {columns})", "op.drop_table('t{n}')"),
    ("op.add_column('t{n}', sa.Column('extra', sa.Integer))", "op.drop_column('t{n}', 'extra')"),
    ("op.create_index('ix_{n}', 't{n}', ['name'])", "op.drop_index('ix_{n}')"),
    (
        "op.create_foreign_key('fk_{n}', 't{n}', 't{n}', ['t1'], ['id'])",
        "op.drop_constraint('fk_{n}', 't{n}', type_='foreignkey')",
    ),
    (
        "e = sa.Enum('a', 'b', name='e{n}')\ne.create(op.get_bind())\nop.add_column('t{n}', sa.Column('e', e))",
        "op.drop_column('t{n}', 'e')\nop.execute('DROP TYPE e{n}')",
    ),
    (
        "op.alter_column('t{n}', 'extra', new_column_name='more')",
        "op.alter_column('t{n}', 'more', new_column_name='extra')",
    ),
    (
        "op.create_check_constraint('ck_{n}', 't{n}', 'more > 0')",
        "op.drop_constraint('ck_{n}', 't{n}', type_='check')",
    ),
    ("op.execute(\"INSERT INTO t{n} (id, name) VALUES (1, 'a')\")", "op.execute('DELETE FROM t{n}')"),
)
"""Up and down of the kinds of revisions that most projects have: a table, a column, an index, a foreign key, an enum,
a rename, a check, rows."""
ENV_PY = """
import os
from alembic import context
from sqlalchemy import create_engine, pool

connectable = context.config.attributes.get("connection")
if connectable is None:
    connectable = create_engine(os.environ["DATABASE_URL"], poolclass=pool.NullPool)
with connectable.connect() as connection:
    context.configure(connection=connection, target_metadata=None)
    with context.begin_transaction():
        context.run_migrations()
"""
"""Takes an engine from whoever has one, as the test plugins of others ask for."""


@dataclass
class Place:
    """What every benchmark is handed."""

    folder: Path
    cluster: Cluster
    binaries: Binaries
    quick: bool
    """Small sizes and few rounds: to see that everything runs."""
    count: int = 0
    projects: dict[int, Files] = field(default_factory=dict)

    def sizes(self, *all_of_them: int) -> tuple[int, ...]:
        return all_of_them[:1] if self.quick else all_of_them

    def rounds(self, many: int = 5) -> int:
        return 1 if self.quick else many

    @property
    def postmaster(self) -> int:
        with contextlib.closing(self.cluster.admin()) as admin, admin.cursor() as cursor:
            cursor.execute("SHOW data_directory")
            ((folder,),) = cursor.fetchall()
        return int((Path(str(folder)) / "postmaster.pid").read_text().split()[0])

    def meter(self) -> Meter:
        return Meter([self.postmaster])

    def database(self) -> str:
        """The URL of a new, empty database."""
        self.count += 1
        name = f"b{self.count}"
        with contextlib.closing(self.cluster.admin()) as admin, admin.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name} OWNER {OWNER}")
        return f"postgresql://{OWNER}:{PASSWORD}@127.0.0.1:{self.cluster.port}/{name}?sslmode=disable"

    def admin_url(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?host={self.cluster.sockets}&port={self.cluster.port}"

    def project(self, revisions: int) -> Files:
        """An Alembic project with a linear history; made once."""
        if revisions not in self.projects:
            folder = self.folder / f"project-{revisions}"
            folder.mkdir()
            files = Files(folder).alembic(ENV_PY)
            for number in range(revisions):
                up, down = KINDS[number % len(KINDS)]
                n = number // len(KINDS)
                files.revision(f"r{number:05}", up.format(n=n, columns=COLUMNS), down.format(n=n))
            self.projects[revisions] = files
        return self.projects[revisions]

    def run(
        self, *words: str, cwd: Path, env: Mapping[str, str] | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """A command to its end, with the environment of a machine on which nothing is set."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        environ = {
            **kept,
            "PYTHONPATH": str(ROOT),
            "NEONTEST_STATE": str(self.folder / "engine"),
            "NEONTEST_LEDGER": str(self.folder / "ledger"),
            **(env or {}),
        }
        done = subprocess.run(
            words, cwd=cwd, env=environ, capture_output=True, text=True, errors="replace", check=False
        )
        if check and done.returncode:
            raise SystemExit(
                f"{' '.join(words)}: exit code {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
            )
        return done


def tool(name: str) -> str:
    """A program of this interpreter's environment."""
    return str(Path(sys.executable).with_name(name))


@contextlib.contextmanager
def place(*, quick: bool) -> Iterator[Place]:
    """Everything of it ends, and is gone, with the block."""
    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="neontest-bench-", dir="/var/tmp"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)  # as root, the server runs as another user
        binaries = find(environ=os.environ)
        clusters = stack.enter_context(Clusters(folder / "state", binaries))
        cluster = clusters.create("bench")
        with contextlib.closing(cluster.admin()) as admin:
            set_password(admin, OWNER, PASSWORD)
        yield Place(folder=folder, cluster=cluster, binaries=binaries, quick=quick)


def unique() -> str:
    return secrets.token_hex(4)
