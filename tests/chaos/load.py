"""Many runs at once, many branches, long histories, large migrations, endless output: time and memory stay in bounds.

`python -m tests.chaos load [PART...] [--small]` runs the parts at their large size and prints a table: what, how much,
how long, neontest's peak of memory, and how the time grew from one size to the next. It exits with 1 where anything is
not as it should be.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from typing import Final

from tests.chaos.loads.measuring import HEAD, Row, line

PARTS: Final = ("rates", "runs", "branches", "history", "walk", "statements", "tables", "output", "source")
"""The modules of `tests.chaos.loads`, each with a function `rows(*, large: bool) -> Iterator[Row]`."""


def rows(part: str, *, large: bool) -> Iterator[Row]:
    found: Callable[..., Iterator[Row]] = importlib.import_module(f"tests.chaos.loads.{part}").rows
    return found(large=large)


def main(args: list[str]) -> int:
    large = "--small" not in args
    chosen = [each for each in args if each != "--small"] or list(PARTS)
    if unknown := set(chosen) - set(PARTS):
        print(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    print(HEAD, flush=True)
    bad = total = 0
    for part in chosen:
        for row in rows(part, large=large):
            print(line(row), flush=True)
            total, bad = total + 1, bad + (row.slow or not row.ok)
    print(f"{total - bad} of {total} measurements within bounds")
    return 1 if bad else 0
