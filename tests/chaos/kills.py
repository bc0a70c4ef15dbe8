"""Hits whole runs with signals at every phase and at random moments, and looks what is left (10 minutes on 2 cores)."""

from __future__ import annotations

import argparse
import queue
import random
import statistics
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from tests.chaos import left
from tests.chaos.lane import HITS, Engine, Hit, Lane, Moment, Trial, lane

RANDOM = "random moments"
PHASES: dict[str, dict[Engine, Moment]] = {
    "program starts": {"local": Moment(after=0.1), "neon": Moment(after=0.1)},
    "preflight": {"local": Moment(line="engine:"), "neon": Moment(line="engine:")},
    "engine starts": {
        "local": Moment(line="engine:", after=0.3),
        "neon": Moment(call=("GET", "/projects/", "asked")),
    },
    "first start ever": {"local": Moment(line="engine:", after=0.8, fresh=True)},
    "parent made ready": {
        "local": Moment(hang="r1.upgrade:1"),
        "neon": Moment(call=("GET", "connection_uri", "answered")),
    },
    "branch is asked for": {
        "local": Moment(line="branch: candidate"),
        "neon": Moment(call=("POST", "branches$", "asked")),
    },
    "branch is being made": {
        "local": Moment(line="branch: candidate", after=0.1),
        "neon": Moment(call=("POST", "branches$", "answered")),
    },
    "project loads": {"local": Moment(hang="env:2"), "neon": Moment(hang="env:1")},
    "whole walk, upgrade": {"local": Moment(hang="r2.upgrade:1"), "neon": Moment(hang="r2.upgrade:1")},
    "whole walk, statement": {"local": Moment(hang="r3.upgrade:1"), "neon": Moment(hang="r3.upgrade:1")},
    "whole walk, downgrade": {"local": Moment(hang="r2.downgrade:1"), "neon": Moment(hang="r2.downgrade:1")},
    "stairway": {"local": Moment(hang="r2.upgrade:3"), "neon": Moment(hang="r2.upgrade:3")},
    "tests": {"local": Moment(hang="tests:1"), "neon": Moment(hang="tests:1")},
    "giving back": {
        "local": Moment(line="giving the branch back"),
        "neon": Moment(call=("DELETE", "branches/", "asked")),
    },
    "deletion accepted": {
        "local": Moment(line="giving the branch back", after=0.08),
        "neon": Moment(call=("DELETE", "branches/", "answered")),
    },
    "report is written": {"local": Moment(reading=True), "neon": Moment(reading=True)},
}


@dataclass(frozen=True)
class Cell:
    """One run to be hit."""

    phase: str
    engine: Engine
    hit: Hit
    share: float | None = None
    """The moment, as a share of an undisturbed run; None: the phase's own."""


def cells(moments: int, seed: int, phases: Iterable[str] = PHASES, hits: Iterable[Hit] = HITS) -> list[Cell]:
    """Every phase with every way to be hit, and so many random moments, which the ways and the engines share."""
    found = [Cell(phase, engine, hit) for phase in phases for engine in PHASES[phase] for hit in hits]
    rolled = random.Random(seed)
    for number in range(moments):
        engine: Engine = ("local", "neon")[number // len(HITS) % 2]
        found.append(Cell(RANDOM, engine, HITS[number % len(HITS)], rolled.random()))
    return found


def tried(here: Lane, cell: Cell) -> Trial:
    if cell.share is None:
        return here.hit(cell.engine, cell.hit, PHASES[cell.phase][cell.engine])
    return here.hit(cell.engine, cell.hit, Moment(after=cell.share * here.seconds[cell.engine]))


def worked_off(
    todo: Sequence[Cell], *, lanes: int, engines: Sequence[Engine], seed: int = 0, trace: bool = False
) -> list[tuple[Cell, Trial]]:
    """Try all of them, in an order by chance, as many at once as there are lanes."""
    waiting: queue.SimpleQueue[Cell] = queue.SimpleQueue()
    for cell in random.Random(seed).sample(todo, len(todo)):
        waiting.put(cell)
    done: list[tuple[Cell, Trial]] = []
    failures: list[BaseException] = []

    def work(here: Lane) -> None:
        try:
            while not failures:
                cell = waiting.get_nowait()
                trial = tried(here, cell)
                done.append((cell, trial))
                if trace:
                    say(cell, trial, len(done), len(todo))
        except queue.Empty:
            pass
        except BaseException as error:  # noqa: BLE001 -- raised again where it is waited for
            failures.append(error)

    with ExitStack() as stack:
        made = [stack.enter_context(lane(served="neon" in engines)) for _ in range(lanes)]
        if any(cell.share is not None for cell in todo):
            threads = [threading.Thread(target=measure, args=(each, engines, failures)) for each in made]
            run_all(threads)
        threads = [threading.Thread(target=work, args=(each,)) for each in made]
        run_all(threads)
    if failures:
        raise failures[0]
    return done


def measure(here: Lane, engines: Sequence[Engine], failures: list[BaseException]) -> None:
    """Learn how long runs take that nobody hits; the first one of a new state does not count."""
    try:
        for engine in engines:
            here.undisturbed(engine)
            here.undisturbed(engine)
    except BaseException as error:  # noqa: BLE001 -- raised again where it is waited for
        failures.append(error)


def run_all(threads: Sequence[threading.Thread]) -> None:
    for each in threads:
        each.start()
    for each in threads:
        each.join()


def say(cell: Cell, trial: Trial, number: int, of: int) -> None:
    bad = [*trial.wrong, *(["its moment never came"] if not trial.reached else []), *trial.remains]
    moment = "" if cell.share is None else f" at {cell.share:.3f}"
    print(
        f"{number}/{of} {cell.phase}{moment}, {cell.engine}, {cell.hit}: "
        + ("; ".join(bad) + "\n" + trial.said if bad else f"{trial.code} after {trial.ended:.2f} s"),
        file=sys.stderr,
        flush=True,
    )


# -- the table -------------------------------------------------------------------------------------------------------

HEAD = (
    f"{'phase':24}{'signal':9}{'tried':>6}{'wrong':>6}{'left':>6}   "
    f"{'given back: median':>18}{'worst':>8}   {'ended: median':>13}{'worst':>8}"
)


def row(phase: str, hit: str, trials: Sequence[Trial]) -> str:
    wrong = sum(bool(each.wrong) or not each.reached for each in trials)
    remaining = sum(bool(each.remains) for each in trials)
    given = [each.accepted for each in trials if each.accepted is not None]
    ended = [each.ended for each in trials]
    return (
        f"{phase:24}{hit:9}{len(trials):6}{wrong:6}{remaining:6}   "
        f"{seconds(given, statistics.median):>18}{seconds(given, max):>8}   "
        f"{seconds(ended, statistics.median):>13}{seconds(ended, max):>8}"
    )


def seconds(values: Sequence[float], of: object) -> str:
    return f"{of(values):.2f}" if values and callable(of) else "-"


def table(done: Sequence[tuple[Cell, Trial]]) -> list[str]:
    """A line for each phase and signal, then for each signal, then for all."""
    by: dict[tuple[str, str], list[Trial]] = defaultdict(list)
    for cell, trial in done:
        by[cell.phase, cell.hit].append(trial)
    lines = [HEAD]
    for phase in (*PHASES, RANDOM):
        lines += [row(phase, hit, by[phase, hit]) for hit in HITS if by[phase, hit]]
    for hit in HITS:
        mine = [trial for cell, trial in done if cell.hit == hit]
        lines += [row("all", hit, mine)] if mine else []
    return lines


def bad(trial: Trial) -> bool:
    return bool(trial.wrong or trial.remains or not trial.reached)


def main(args: list[str]) -> int:
    """Print the table; 1 if anything was left or wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos kills", description=__doc__)
    parser.add_argument("--moments", type=int, default=100, help="how many random moments")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lanes", type=int, default=3, help="how many runs at once")
    parser.add_argument("--no-phases", action="store_true", help="random moments only")
    parser.add_argument("--phase", action="append", choices=[*PHASES], help="only this phase; can be given more often")
    given = parser.parse_args(args)
    phases = () if given.no_phases else given.phase or PHASES
    before, began = left.dynamic(), time.monotonic()
    todo = cells(given.moments, given.seed, phases)
    done = worked_off(todo, lanes=given.lanes, engines=("local", "neon"), seed=given.seed, trace=True)
    print("\n".join(table(done)))
    for cell, trial in done:
        if bad(trial):
            print(f"wrong: {cell}: {[*trial.wrong, *trial.remains]} {'' if trial.reached else 'its moment never came'}")
    memory = sorted(left.dynamic() - before)
    for each in memory:
        print(f"left in /dev/shm: {each}")
    wrong = sum(bad(trial) for _, trial in done)
    print(
        f"{len(done)} runs hit, {wrong} wrong or with something left, {len(memory)} files left in memory,"
        f" in {time.monotonic() - began:.0f} s (seed {given.seed})"
    )
    return 1 if wrong or memory else 0
