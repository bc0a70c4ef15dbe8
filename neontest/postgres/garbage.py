"""Python's search for garbage, put off while many things are made that are all kept."""

from __future__ import annotations

import gc
import threading
from typing import Final

MANY: Final = 10_000
"""Objects that were made and are kept, from which on they count as old when the block ends: to search those of 1,000
tables once takes 3 of the 115 ms in which they are read."""
OFTEN: Final = 8
"""Every so many times everything is searched instead: what counts as old at once does not make Python look for it."""


class NoCollection:
    """A block in which nothing is searched: it would take longer than what is made there.

    Of several threads that are in such blocks the last one lets the search go on.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._was = False
        self._large = 0

    def __enter__(self) -> None:
        with self._lock:
            self._was = self._was if self._inside else gc.isenabled()
            self._inside += 1
            gc.disable()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._was and not self._inside:
                try:
                    self._aged()
                finally:
                    gc.enable()

    def _aged(self) -> None:
        if gc.get_count()[0] > MANY:
            self._large += 1
            if self._large % OFTEN:
                gc.freeze()  # and back, to the oldest generation; what somebody else has frozen goes there, too
                gc.unfreeze()
            else:
                gc.collect()


no_collection: Final = NoCollection()
"""The process's own: there is one collector."""
