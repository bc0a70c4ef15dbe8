"""Which of its WAL files a server at rest still needs."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Final

SEGMENT: Final = re.compile(r"[0-9A-F]{24}")
"""The name of a WAL file: time line, and place in it."""

CONTROL: Final = struct.Struct("=QIII4xqQQI")
"""The beginning of ControlFileData, to the time line of the last checkpoint: src/include/catalog/pg_control.h."""
VERSIONS: Final = frozenset({1300, 1700, 1800})
"""Of pg_control, for Postgres 14 to 18, that begin so."""
SHUT_DOWN: Final = 1
RECORD: Final = 8192
"""Bytes that the record of a checkpoint takes at most, wherever its pages end."""


def last_segment(data: Path) -> str | None:
    """The WAL file with the checkpoint of a clean stop; all others are behind it or empty. None: any may be needed."""
    try:
        control = (data / "global" / "pg_control").read_bytes()
        _, version, _, state, _, checkpoint, _, line = CONTROL.unpack_from(control)
        size = next(each.stat().st_size for each in (data / "pg_wal").iterdir() if SEGMENT.fullmatch(each.name))
        number, a_log = checkpoint // size, (1 << 32) // size
        whole = checkpoint % size + RECORD <= size
    except (OSError, StopIteration, struct.error, ZeroDivisionError):
        return None
    name = f"{line:08X}{number // a_log:08X}{number % a_log:08X}"
    known = version in VERSIONS and state == SHUT_DOWN and whole
    return name if known and (data / "pg_wal" / name).is_file() else None
