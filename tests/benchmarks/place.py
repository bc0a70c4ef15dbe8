"""Where benchmarks run: a folder, and a Postgres of their own with new databases."""

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
from tests.benchmarks import projects
from tests.benchmarks.measure import Meter
from tests.migrate.conftest import Files

ROOT = Path(__file__).parents[2]
PASSWORD = secrets.token_hex(8)
"""Without a `%`, which some of the others do not take."""


@dataclass
class Place:
    """What every benchmark is handed."""

    folder: Path
    cluster: Cluster
    binaries: Binaries
    port: int
    """Where databases are reached: the cluster's own, or a cable's to it."""
    quick: bool
    """Small sizes and few rounds: to see that everything runs."""
    nightly: bool = False
    """The others are waited for where they take minutes, too."""
    wanted: int | None = None
    """The major version of Postgres, where not that of any local run."""
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
        return f"postgresql://{OWNER}:{PASSWORD}@127.0.0.1:{self.port}/{name}?sslmode=disable"

    def admin_url(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?host={self.cluster.sockets}&port={self.cluster.port}"

    def project(self, revisions: int) -> Files:
        """An Alembic project with a linear history, and models that fit; made once."""
        if revisions not in self.projects:
            self.projects[revisions] = projects.written(self.folder / f"project-{revisions}", revisions)
        return self.projects[revisions]

    def environ(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """That of a machine on which nothing is set, with an engine of the benchmarks' own."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        return {
            **kept,
            "PYTHONPATH": str(ROOT),
            "NEONTEST_STATE": str(self.folder / "engine"),
            "NEONTEST_LEDGER": str(self.folder / "ledger"),
            **({"NEONTEST_POSTGRES_VERSION": str(self.wanted)} if self.wanted is not None else {}),
            **(more or {}),
        }

    def run(
        self, *words: str, cwd: Path, env: Mapping[str, str] | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """A command to its end."""
        done = subprocess.run(
            words, cwd=cwd, env=self.environ(env), capture_output=True, text=True, errors="replace", check=False
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
def place(*, quick: bool, nightly: bool = False, wanted: int | None = None) -> Iterator[Place]:
    """Everything of it ends, and is gone, with the block.

    Raises:
        NoPostgres: there is none of the major version `wanted` on this machine.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="neontest-bench-", dir="/var/tmp"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)  # as root, the server runs as another user
        binaries = find(wanted_major=wanted, environ=os.environ)
        clusters = stack.enter_context(Clusters(folder / "state", binaries))
        cluster = clusters.create("bench")
        with contextlib.closing(cluster.admin()) as admin:
            set_password(admin, OWNER, PASSWORD)
        yield Place(
            folder=folder, cluster=cluster, binaries=binaries, port=cluster.port, quick=quick, nightly=nightly,
            wanted=wanted,
        )  # fmt: skip


def unique() -> str:
    return secrets.token_hex(4)
