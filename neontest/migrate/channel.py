"""JSON lines to and from a worker, over pipes of their own, with an end that no grandchild can hold up."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from neontest.errors import WorkerError
from neontest.migrate import reports
from neontest.process import FIRST_FREE, Child, Start, how_it_ended
from neontest.stop import Deadline, Stop

_POLL: Final = 0.1
"""Seconds between two looks whether a silent worker still lives."""
_LINE: Final = 32 << 20
"""Bytes of the longest report: the history of a very large project has a few million."""
_LEFT: Final = 64
"""Times that what it had left to say is looked for: whoever else may write there never stops."""


class Ended(Exception):
    """The worker's process is gone; `status` is its exit status, negative for a signal."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the process {how_it_ended(status)}")
        self.status = status


class TimeUp(Exception):
    """No report came before the deadline."""


def high_pipe() -> tuple[int, int]:
    """A pipe whose ends a child may inherit: (to read, to write)."""
    low = os.pipe()
    try:
        read, write = (fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, FIRST_FREE) for number in low)
    finally:
        for number in low:
            os.close(number)
    return read, write


class Channel:
    """A worker's process with its pipes: commands, reports, cancels. Not for several threads at once."""

    def __init__(self, worker: Callable[[int, int, int], Start], *, stop: Stop, log: Callable[[str], None]) -> None:
        self._stop = stop
        commands, self._commands = high_pipe()
        self._reports, told = high_pipe()
        cancels, self._cancels = high_pipe()
        os.set_blocking(self._reports, False)
        os.set_blocking(self._commands, False)
        self._unsent = bytearray()
        """Commands that are too long for the pipe: the worker may be busy, and is not waited for without limit."""
        self._held = bytearray()
        self._lines: deque[bytes] = deque()
        self._told: deque[reports.Report] = deque()
        self._cancelled = False
        self.alive = True
        try:
            self._child = Child(worker(commands, told, cancels), stop=stop, log=log)
        except OSError as error:
            self._close()
            raise WorkerError(f"no worker can be started: {error.strerror}") from error
        except BaseException:
            self._close()
            raise
        finally:
            for each in (commands, told, cancels):
                os.close(each)

    def send(self, what: str, **facts: Any) -> None:
        """Give a command. One that nobody reads any more is found out at the next `receive`."""
        self._unsent += (json.dumps({**facts, "do": what}) + "\n").encode()
        self._push()

    def _push(self) -> None:
        try:
            while self._unsent and self.alive:
                del self._unsent[: os.write(self._commands, self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent.clear()

    def cancel(self) -> None:
        """Have it say what is running, and interrupt that."""
        self._cancelled = True
        with contextlib.suppress(OSError):
            os.write(self._cancels, b"c")

    def receive(self, deadline: Deadline) -> reports.Report:
        """The next report.

        Raises:
            Ended: there will be none.
            TimeUp: the deadline passed.
            Stopped: a signal asked to stop.
            WorkerError: something else than the worker has written there; it is ended.
        """
        while not self._told:
            while not self._lines:
                self._wait(deadline)
            try:
                self._told.extend(reports.read(self._lines.popleft()))
            except ValueError as error:
                if not self._cancelled:  # an interrupt cuts a line short
                    raise self._foreign(str(error)) from None
        return self._told.popleft()

    def _wait(self, deadline: Deadline) -> None:
        """Take what is there, or wait a little for it; what is there counts even when the deadline has passed."""
        self._stop.check()
        if not self.alive:
            raise Ended(self._child.end())
        left, gone = deadline.left(), self._child.poll() is not None
        wanted = [self._commands] if self._unsent else []
        ready, free, _ = select.select([self._reports], wanted, [], 0 if gone else min(left, _POLL))
        if free:
            self._push()
        if ready and self._read():
            return
        if gone:
            raise Ended(self.kill())
        if left <= 0:
            raise TimeUp
        if ready:
            self._child.wait(min(left, _POLL))  # its end of the pipe is closed: it is about to end

    def _read(self) -> bool:
        """Take what is there; False where there is nothing, or the end."""
        try:
            data = os.read(self._reports, 1 << 20)
        except BlockingIOError:
            return False
        *lines, rest = data.split(b"\n")
        if lines:
            lines[0] = bytes(self._held) + lines[0]
            self._held.clear()
            self._lines.extend(lines)
        self._held += rest
        if len(self._held) > _LINE:
            raise self._foreign(f"a line of more than {_LINE >> 20} MiB")
        return bool(data)

    def _foreign(self, what: str) -> WorkerError:
        self.kill()
        return WorkerError(
            f"the project wrote on neontest's own channel: {what}",
            hint="it writes to, or closes, files that it did not open: look for os.write and os.closerange",
        )

    def close(self) -> int:
        """Ask the worker to end, then make it; returns its exit status."""
        self.send("close")
        self._child.wait(1.0)
        return self.kill()

    def kill(self) -> int:
        """End the worker and all that it started; returns its exit status. What it had left to say is received."""
        with self._stop.shield():
            if self.alive and self._child.poll() is None:
                self.cancel()
            status = self._child.end()
            if self.alive:
                self.alive = False
                with contextlib.suppress(OSError, WorkerError):
                    for _ in range(_LEFT):
                        if not self._read():
                            break
                self._close()
        return status

    def _close(self) -> None:
        self.alive = False
        for each in (self._commands, self._reports, self._cancels):
            os.close(each)
