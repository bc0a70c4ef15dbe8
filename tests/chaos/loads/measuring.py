"""What a piece of work takes: processor time and memory of a process of its own, and how they grow with its size."""

from __future__ import annotations

import math
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

QUADRATIC: Final = 1.5
"""The exponent of growth from which time is taken to grow faster than the work."""
NOISE: Final = 0.2
"""Seconds below which a growth says nothing."""
AGAIN: Final = 3
"""How often a time is taken at most."""
REPOSITORY: Final = Path(__file__).parents[3]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table."""

    what: str
    size: str
    seconds: float
    """Of the processor, where a process was measured alone; else of the clock."""
    peak: int | None = None
    """Bytes that neontest's process held at most."""
    growth: float | None = None
    note: str = ""
    ok: bool = True
    """It ended as it should, in the memory that it may take."""
    slow: bool = False
    """Its time grew faster than the work: for whoever measures to see, as no test is decided by a time."""


def line(row: Row) -> str:
    peak = f"{row.peak / 1e6:,.0f} MB" if row.peak else "-"
    growth = f"n^{row.growth:.2f}" if row.growth is not None else "-"
    verdict = "BAD" if not row.ok else "SLOW" if row.slow else "ok"
    told = f"{row.what:<34} {row.size:>16} {row.seconds:>8.2f} s {peak:>9} {growth:>7}  {verdict}"
    return f"{told}  {row.note}".rstrip()


HEAD: Final = f"{'what':<34} {'size':>16} {'time':>10} {'peak':>9} {'growth':>7}"


def growth(sizes: tuple[float, float], seconds: tuple[float, float]) -> float | None:
    """The exponent that both times tell; None where the second is too short to tell any."""
    if seconds[1] < NOISE:
        return None
    return math.log(seconds[1] / max(seconds[0], 0.01)) / math.log(sizes[1] / sizes[0])


def too_much(grew: float | None) -> bool:
    return grew is not None and grew >= QUADRATIC


def apart(work: Callable[..., Any], *arguments: Any) -> tuple[Any, float, int]:
    """What `work` returns in a process of its own, the processor seconds it took, and that process's peak in bytes.

    `work` is at the top of a module, and does what need not be measured before it returns a function: that is measured.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_measured, args=(theirs, work, arguments))
    process.start()
    theirs.close()
    try:
        result = ours.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f"{work.__name__} ended with {process.exitcode}") from None
    process.join()
    if isinstance(result, str):
        raise RuntimeError(f"{work.__name__}: {result}")
    found: tuple[Any, float, int] = result
    return found


def _measured(pipe: Any, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        run = work(*arguments)
        began = time.process_time()
        found = run()
        seconds = time.process_time() - began
        pipe.send((found, seconds, high_water(os.getpid())))
    except Exception as error:  # noqa: BLE001 -- the parent tells it
        pipe.send(f"{type(error).__name__}: {error}")


def measured(
    what: str, work: Callable[..., Any], sizes: Sequence[int], *more: Any, unit: str = "", most: int | None = None
) -> list[Row]:
    """`work` at each size, which should be linear in time, and below `most` bytes.

    Where it seems not to be, it is measured again: whatever else goes on on the machine can only add to a time.
    """
    rows: list[Row] = []
    for number, size in enumerate(sizes):
        seconds, peak, grew = math.inf, 0, None
        for _ in range(AGAIN):
            _, took, held = apart(work, size, *more)
            seconds, peak = min(seconds, took), max(peak, held)
            grew = growth((sizes[number - 1], size), (rows[-1].seconds, seconds)) if number else None
            if not too_much(grew):
                break
        rows.append(
            Row(
                what=what, size=f"{size:,}{unit}", seconds=seconds, peak=peak, growth=grew, slow=too_much(grew),
                ok=most is None or peak < most,
            )
        )  # fmt: skip
    return rows


@dataclass(frozen=True, kw_only=True)
class Ran:
    """One `neontest` command as a process of its own."""

    code: int
    seconds: float
    peak: int
    """Bytes that neontest's own process held at most."""
    worker: int
    """The same of the largest process that ran the project's code."""
    err: str


def neontest(*arguments: str, cwd: Path, environ: Mapping[str, str], seconds: float = 3600) -> Ran:
    """Run it to its end."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "neontest", *arguments],
        cwd=cwd, env=dict(environ), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
    )  # fmt: skip
    peaks: dict[str, int] = {}
    watcher = threading.Thread(target=_watch, args=(process, peaks), daemon=True)
    watcher.start()
    try:
        out, err = process.communicate(timeout=seconds)
    finally:
        process.kill()
        watcher.join()
    took = time.monotonic() - began
    return Ran(
        code=process.returncode,
        seconds=took,
        peak=peaks.get("own", 0),
        worker=peaks.get("worker", 0),
        err=(err + (out[-1000:] if process.returncode else ""))[-4000:],
    )


def _watch(process: subprocess.Popen[str], peaks: dict[str, int]) -> None:
    while process.poll() is None:
        peaks["own"] = max(peaks.get("own", 0), high_water(process.pid))
        for pid in below(process.pid):
            if b"python" in _read(f"/proc/{pid}/cmdline"):
                peaks["worker"] = max(peaks.get("worker", 0), high_water(pid))
        time.sleep(0.1)


def high_water(pid: int) -> int:
    """The most memory that the process ever held, in bytes; 0 where it has ended."""
    for text in _read(f"/proc/{pid}/status").splitlines():
        if text.startswith(b"VmHWM:"):
            return int(text.split()[1]) * 1024
    return 0


def below(pid: int) -> list[int]:
    """The processes that it started, and theirs."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        if stat := _read(f"{folder}/stat"):
            children.setdefault(int(stat.rpartition(b")")[2].split()[1]), []).append(int(folder.name))
    found, todo = [], [pid]
    while todo:
        found += (mine := children.get(todo.pop(), []))
        todo += mine
    return found


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""
