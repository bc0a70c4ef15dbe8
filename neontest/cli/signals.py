"""Signals become an order to stop."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from neontest.stop import Stop

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stoppable() -> Iterator[Stop]:
    """A Stop that SIGINT, SIGTERM and SIGHUP request, until the block ends.

    click's defaults run no `finally` on SIGTERM, and nohup's ignored SIGHUP stays ignored.
    """
    stop = Stop()

    def handler(signum: int, frame: FrameType | None) -> None:
        stop.request(signum)

    before = {each: signal.getsignal(each) for each in SIGNALS}
    for each in SIGNALS:
        if not (each == signal.SIGHUP and before[each] == signal.SIG_IGN):
            signal.signal(each, handler)
    try:
        yield stop
    finally:
        for each, old in before.items():
            signal.signal(each, old)
