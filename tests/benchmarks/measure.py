"""Costs of calls that take turns, and their ratios: the same noise hits both sides of each."""

from __future__ import annotations

import contextlib
import math
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
TICK_SECONDS = 1 / TICK
"""What the servers' work is told in: less than ten of these are no figure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Seconds by the clock, and of processor: of this process, of its children that have ended, of the servers.

    What no parent waits for is in no process's figure: so neontest's workers, and the servers of its own engine.
    """

    wall: float
    cpu: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One comparison of a benchmark."""

    bench: str
    size: str
    ours: str
    seconds: float
    """Median of ours."""
    theirs: str = ""
    """Empty where ours stands alone."""
    their_seconds: float | None = None
    wall: float | None = None
    """Median of the paired ratios, ours to theirs."""
    cpu: float | None = None
    bound: float | None = None
    """The ratio (of seconds where ours stands alone) that is not to be passed."""
    by: str = "wall"
    """Which of the ratios the bound is for."""
    unit: str = "s"
    """Of what `seconds` counts; an `exponent` tells how ours grows with the size."""

    @property
    def judged(self) -> float | None:
        if not self.theirs:
            return self.seconds
        return self.wall if self.by == "wall" else self.cpu

    @property
    def met(self) -> bool | None:
        return None if self.bound is None or self.judged is None else self.judged <= self.bound


class Meter:
    """Measures calls. `postmasters` are the servers whose work counts.

    A call that knows its own cost better, as it is a part of a process, returns it; the servers' work is added.
    """

    def __init__(self, postmasters: Collection[int] = ()) -> None:
        self._postmasters = frozenset(postmasters)

    def cost(self, call: Callable[[], object]) -> Cost:
        served, used, began = self._servers(), self._client(), time.perf_counter()
        known = call()
        wall, used = time.perf_counter() - began, self._client() - used
        served = self._servers() - served
        if isinstance(known, Cost):
            return Cost(wall=known.wall, cpu=known.cpu + served)
        return Cost(wall=wall, cpu=used + served)

    def _client(self) -> float:
        found = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(each.ru_utime + each.ru_stime for each in found)

    def _servers(self) -> float:
        """Read until nothing of theirs has ended meanwhile: that would be counted twice, or not at all."""
        before: object = None
        while self._postmasters:
            masters, children = [], []
            for each in processes():
                if each.pid in self._postmasters:  # it knows of the server processes that have ended
                    masters.append(each)
                elif each.parent in self._postmasters:
                    children.append(each)
            now = {each.ended for each in masters}, {each.pid for each in children}
            if now == before:
                return sum(each.own + each.ended for each in masters) + sum(each.own for each in children)
            before = now
        return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One of the system's, and the seconds of processor that it and its ended children have used."""

    pid: int
    parent: int
    name: str
    own: float
    ended: float


def processes() -> Iterator[Process]:
    """All that there are."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            before, _, rest = stat.read_text().rpartition(")")
            fields = rest.split()
            user, system, ended_user, ended_system = (int(each) / TICK for each in fields[11:15])
            yield Process(
                pid=int(stat.parent.name), parent=int(fields[1]), name=before.partition("(")[2], own=user + system,
                ended=ended_user + ended_system,
            )  # fmt: skip


def alive(call: Callable[[], object]) -> Cost:
    """Its cost in this process and in all that descends from it and is alive before and after, but for servers."""
    before, began = descent(), time.perf_counter()
    call()
    wall = time.perf_counter() - began
    return Cost(wall=wall, cpu=descent() - before)


def descent() -> float:
    """Seconds of processor that this process and all that descends from it have used, but for servers."""
    others = [each for each in processes() if each.name != "postgres"]
    family = {os.getpid()}
    while more := {each.pid for each in others if each.parent in family} - family:
        family |= more
    return sum(each.own for each in others if each.pid in family)


Variant = Callable[[], Callable[[], object]]
"""Makes ready what one call needs, which costs nothing, and gives the call."""


def in_turns(variants: Mapping[str, Variant], meter: Meter, *, rounds: int, warm: int = 1) -> dict[str, list[Cost]]:
    """The costs of each, a call a round, the order turned round each time; the first `warm` rounds do not count.

    Where one round is enough, none comes before it.
    """
    warm = warm if rounds > 1 else 0
    say(f"{', '.join(variants)}: {warm + rounds} x")
    found: dict[str, list[Cost]] = {name: [] for name in variants}
    for number in range(warm + rounds):
        order = list(variants.items())
        for name, ready in order if number % 2 else reversed(order):
            cost = meter.cost(ready())
            if number >= warm:
                found[name].append(cost)
    return found


def say(text: str) -> None:
    """What is under way, for whoever waits."""
    print(f"    {time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def compared(
    bench: str,
    size: str,
    costs: Mapping[str, Sequence[Cost]],
    *,
    ours: str,
    bounds: Mapping[str, float | None] | None = None,
    by: str = "wall",
) -> list[Row]:
    """A row for each of the others."""
    rows = []
    for name, theirs in costs.items():
        if name == ours:
            continue
        pairs = list(zip(costs[ours], theirs, strict=True))
        coarse = statistics.median(each.cpu for each in theirs) < 10 * TICK_SECONDS
        rows.append(
            Row(
                bench=bench,
                size=size,
                ours=ours,
                seconds=statistics.median(each.wall for each in costs[ours]),
                theirs=name,
                their_seconds=statistics.median(each.wall for each in theirs),
                wall=statistics.median(one.wall / max(other.wall, 1e-9) for one, other in pairs),
                cpu=None if coarse else statistics.median(one.cpu / max(other.cpu, 1e-9) for one, other in pairs),
                bound=(bounds or {}).get(name),
                by=by,
            )
        )
    return rows


def exponent(points: Mapping[int, float]) -> float:
    """Of the power of the size that the seconds grow with, by least squares of the logarithms."""
    logs = [(math.log(size), math.log(max(seconds, 1e-9))) for size, seconds in points.items()]
    return statistics.linear_regression([x for x, _ in logs], [y for _, y in logs]).slope


def growth(
    bench: str, ours: str, points: Mapping[int, float], *, of: str = "", bound: float | None = None
) -> Iterator[Row]:
    """The exponent as a row of its own; none of a single size. `of` is what the sizes count."""
    if len(points) > 1:
        sizes = "-".join(f"{size:,}" for size in (min(points), max(points)))
        yield Row(bench=bench, size=f"{sizes} {of}".rstrip(), ours=ours, seconds=exponent(points), bound=bound,
                  unit="exponent")  # fmt: skip
