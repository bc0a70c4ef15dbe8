"""A test suite that prints without end: lines, one line, and no text at all."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from neontest import suite
from neontest.cli.progress import Progress
from neontest.redact import Redactor
from neontest.stop import Deadline, Stop
from tests.chaos.loads.measuring import Row, measured

KINDS: Final = {
    "lines of 80": "import sys\nfor _ in range({mb} * 12500): sys.stdout.write('x' * 79 + '\\n')",
    "one line": "import sys\nfor _ in range({mb}): sys.stdout.write('x' * 1000000)",
    "no text": "import os, sys\nfor _ in range({mb}): sys.stdout.buffer.write(os.urandom(1000000))",
}
MOST: Final = 40_000_000
"""Bytes: neontest and a tenth of a megabyte of tail, but not the smallest of these outputs as well."""
END: Final = "\nprint('\\nthe end')"


def printing(mb: int, kind: str) -> Callable[[], int]:
    """The tests' output, read, redacted and shown as a run does it; the length of the tail."""
    redactor = Redactor()
    redactor.add_url("postgresql://app:bcdefghijk@example.test/db")
    sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 -- for the rest of this process

    def run() -> int:
        with Progress() as talk, tempfile.TemporaryDirectory() as folder:
            result = suite.run(
                (sys.executable, "-c", KINDS[kind].format(mb=mb) + END), environment=dict(os.environ),
                cwd=Path(folder), deadline=Deadline(3600, what="the tests"), stop=Stop(), scratch=Path(folder),
                log=lambda line: talk.show(redactor.text(line)),
            )  # fmt: skip
        assert result.output_tail.endswith("the end"), result.output_tail[-100:]
        assert len(result.output_tail) < 200_000
        return len(result.output_tail)

    return run


def rows(*, large: bool) -> Iterator[Row]:
    for kind in KINDS:
        sizes = ((100, 1000) if kind == "lines of 80" else (50, 200)) if large else (15,)
        yield from measured(f"output: {kind}", printing, sizes, kind, unit=" MB", most=MOST)
