"""A schema of thousands of tables: snapshots, rows and the observer, in a real run."""

from __future__ import annotations

from collections.abc import Iterator

from tests.chaos.loads.measuring import Row, growth, neontest, too_much
from tests.chaos.loads.projects import project, surroundings

OPTIONS = ("run", "--local", "--no-tests", "--data", "full", "--rows", "1", "--timeout", "1h", "-q")


def rows(*, large: bool) -> Iterator[Row]:
    sizes = (1_000, 2_500, 5_000) if large else (100, 300)
    seconds: list[float] = []
    with surroundings() as environ:
        for number, size in enumerate(sizes):
            # A transaction for each hundred: the server has locks for a few thousand tables only.
            made = "".join(
                ("COMMIT; BEGIN; " if each % 100 == 0 else "")
                + f"CREATE TABLE t{each} (id int PRIMARY KEY, a text, b int);\n"
                for each in range(size)
            )
            revisions = [
                ("op.execute('ALTER TABLE t7 ADD c int')", "op.execute('ALTER TABLE t7 DROP c')"),
                ("op.execute('CREATE INDEX i ON t8 (b)')", "op.execute('DROP INDEX i')"),
            ]
            with project(revisions, {"before.sql": f"BEGIN;{made}COMMIT;"}) as root:
                ran = neontest(*OPTIONS, "--prepare", "before.sql", cwd=root, environ=environ)
            seconds.append(ran.seconds)
            grew = growth((sizes[number - 1], size), (seconds[-2], ran.seconds)) if number else None
            yield Row(
                what="run on many tables", size=f"{size:,}", seconds=ran.seconds, peak=ran.peak, growth=grew,
                note=f"worker {ran.worker / 1e6:.0f} MB" + (f"; {ran.err[-300:]}" if ran.code not in (0, 1) else ""),
                ok=ran.code in (0, 1) and ran.peak < 500_000_000, slow=too_much(grew),
            )  # fmt: skip
