"""A long history, walked for real, whole and by each revision."""

from __future__ import annotations

from collections.abc import Iterator

from tests.chaos.loads.measuring import Row, growth, neontest
from tests.chaos.loads.projects import project, surroundings

OPTIONS = ("run", "--local", "--no-tests", "--rows", "0", "--timeout", "2h", "--visit-timeout", "1h", "-q")


def rows(*, large: bool) -> Iterator[Row]:
    sizes = (250, 500, 1_000) if large else (10, 30)
    seconds: list[float] = []
    with surroundings() as environ:
        for number, size in enumerate(sizes):
            made = [
                (f"op.execute('CREATE TABLE t{each} (id int PRIMARY KEY)')", f"op.execute('DROP TABLE t{each}')")
                for each in range(size)
            ]
            with project(made) as root:
                ran = neontest(*OPTIONS, cwd=root, environ=environ)
            seconds.append(ran.seconds)
            grew = growth((sizes[number - 1], size), (seconds[-2], ran.seconds)) if number else None
            yield Row(
                what="history walked", size=f"{size:,}", seconds=ran.seconds, peak=ran.peak, growth=grew,
                note=f"worker {ran.worker / 1e6:.0f} MB" + (f"; {ran.err[-300:]}" if ran.code else ""),
                ok=ran.code == 0 and ran.peak < 500_000_000, slow=grew is not None and grew >= 2,
            )  # fmt: skip
