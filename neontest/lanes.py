"""Work of one run that goes on side by side, each piece of it on a branch of its own."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, TypeVar

from neontest.stop import Deadline, Stop

T = TypeVar("T")

LOOK: Final = 0.02
"""Seconds between two looks whether the others have ended, and whether a stop was requested."""
LATE: Final = 5.0
"""Seconds after the run's deadline in which a lane can say itself what took too long."""
MOST: Final = 2
"""Lanes that there is work for: one walks the stairway, the other compares the models and runs the tests."""

CELLS: Final = 3
"""More that there is work for with the grid: each cell but the run's own tests."""


class Lanes:
    """The lanes of a run: the thread that made this is the first of them.

    Only that thread is interrupted by a stop; the others find out by their own waits, or as their branches go.
    """

    def __init__(self, many: int, *, stop: Stop, deadline: Deadline) -> None:
        self._many = many
        self._stop = stop
        self._deadline = deadline
        self._first = threading.current_thread()
        self._turn = threading.Condition()
        self._working = 1
        """Lanes at work, which none is that waits for the others."""
        self._awaited: list[Callable[[], bool]] = []
        """What lanes wait for: who finds it over is at work again, though he may not know yet."""
        self._lanes: list[tuple[threading.Thread, Future[Any]]] = []
        self._closed = False

    @contextmanager
    def beside(self, work: Callable[[], object]) -> Iterator[None]:
        """Do `work` while the block goes on, or before it where there is one lane only.

        At the block's end it is waited for, and what it raised is raised. It is not waited for if the block raises.
        """
        if self._many < 2:
            work()
            yield
            return
        done = self.start(work)
        self._stop.check()
        yield
        self.until(done.done)
        done.result()

    def start(self, work: Callable[[], T]) -> Future[T]:
        """Do `work` in a lane of its own from now on."""
        future: Future[T] = Future()

        def lane() -> None:
            try:
                done = work()
            except BaseException as error:  # noqa: BLE001 -- whoever waits for the lane raises it
                end = partial(future.set_exception, error)
            else:
                end = partial(future.set_result, done)
            with self._turn:
                self._working -= 1
                end()
                self._turn.notify_all()

        with self._stop.shield():
            thread = threading.Thread(target=lane, name="neontest-lane", daemon=True)
            self._working += 1
            self._lanes.append((thread, future))
            thread.start()
        return future

    def left(self, wanted: int) -> int:
        """How many more lanes, of those that are wanted, may go on at the same time."""
        with self._turn:
            return max(0, min(wanted, self._many - self._working))

    def wait_until_alone(self) -> None:
        """Return when no other lane is at work: each has ended, or waits as well, and for what is not there yet."""
        self._wait(lambda: not (self._working or any(over() for over in self._awaited)))
        self._deadline.check()

    def until(self, over: Callable[[], bool]) -> None:
        """Be at work no more until it is over.

        Raises:
            DeadlineExceeded: of the run, where a lane has not found it out by itself: its server may be frozen.
        """
        with self._turn:
            self._awaited.append(over)
        try:
            self._wait(over)
        finally:
            with self._turn:
                self._awaited.remove(over)

    def _wait(self, over: Callable[[], bool]) -> None:
        end = time.monotonic() + self._deadline.left() + LATE
        with self._turn:
            self._working -= 1
            self._turn.notify_all()
            try:
                while not over():
                    self._stop.check()
                    if time.monotonic() > end:
                        self._deadline.check()
                    self._turn.wait(LOOK)
            finally:
                self._working += 1

    @property
    def silenced(self) -> bool:
        """Nobody wants to know any more what the current thread has found out."""
        return self._closed and threading.current_thread() is not self._first

    @property
    def busy(self) -> bool:
        """Other lanes than the first are still at work."""
        return any(not future.done() for _, future in self._lanes)

    def silence(self) -> None:
        """From now on nobody hears from the other lanes."""
        self._closed = True

    def join(self, seconds: float) -> None:
        """Wait a moment for their ends."""
        for thread, _ in self._lanes:
            thread.join(seconds)


def default(wanted: int | None, *, grid: bool = False) -> int:
    """How many lanes: as many as were asked for, else one for each processor, up to what there is work for."""
    if wanted is None:
        wanted = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST + CELLS * grid, wanted)
