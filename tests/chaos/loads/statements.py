"""A migration of very many statements, walked for real."""

from __future__ import annotations

from collections.abc import Iterator

from tests.chaos.loads.measuring import Row, growth, neontest, too_much
from tests.chaos.loads.projects import project, surroundings

UP = "op.execute('CREATE TABLE a (b int)')\n    for n in range({count}): op.execute(f'INSERT INTO a VALUES ({{n}})')"
OPTIONS = ("run", "--local", "--no-tests", "--mode", "whole", "--rows", "0", "--data", "off", "--timeout", "2h",
           "--visit-timeout", "1h", "-q")  # fmt: skip


def rows(*, large: bool) -> Iterator[Row]:
    sizes = (100_000, 200_000, 1_000_000) if large else (3_000, 9_000)
    seconds: list[float] = []
    with surroundings() as environ:
        for number, size in enumerate(sizes):
            with project([(UP.format(count=size), "op.drop_table('a')")]) as root:
                ran = neontest(*OPTIONS, cwd=root, environ=environ)
            seconds.append(ran.seconds)
            grew = growth((sizes[number - 1], size), (seconds[-2], ran.seconds)) if number else None
            yield Row(
                what="migration of many statements", size=f"2 x {size:,}", seconds=ran.seconds, peak=ran.peak,
                growth=grew, note=f"worker {ran.worker / 1e6:.0f} MB" + (f"; {ran.err[-300:]}" if ran.code else ""),
                ok=ran.code == 0 and max(ran.peak, ran.worker) < 300_000_000, slow=too_much(grew),
            )  # fmt: skip
