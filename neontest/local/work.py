"""Operations, done one after the other in threads, as Neon does them behind its answers.

An answer with operations is a receipt; the work follows. What happens to a branch's data happens under that branch's
own lock, so that a copy, a start and a stop of the same data never meet.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Final

from neontest.local.moments import now
from neontest.local.store import Operation, Status, Store

THREADS: Final = 8

Act = Callable[[], None]


class Work:
    """Does operations and writes down how they ended."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="neontest-local")
        self._locks: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)

    @contextmanager
    def data(self, *branch_ids: str) -> Iterator[None]:
        """Nobody else touches the data of these branches.

        Never entered with the store's lock held: who holds the data asks for that one.
        """
        with self._store.lock:
            locks = [self._locks[each] for each in sorted(set(branch_ids))]
        with ExitStack() as held:
            for lock in locks:
                held.enter_context(lock)
            yield

    def submit(self, operations: Sequence[Operation], acts: Sequence[Act], *, failed: Act) -> Future[None]:
        """Begin the operations, an act each; `failed` mends the facts when one of them does not end well."""
        assert len(operations) == len(acts)
        return self._threads.submit(self._run, operations, acts, failed)

    def close(self) -> None:
        """Wait for what runs; take nothing more."""
        self._threads.shutdown(wait=True, cancel_futures=False)

    def _run(self, operations: Sequence[Operation], acts: Sequence[Act], failed: Act) -> None:
        for index, (operation, act) in enumerate(zip(operations, acts, strict=True)):
            began = time.monotonic()
            self._note(operation, "running")
            try:
                act()
            except Exception as error:  # noqa: BLE001 (whatever it is, it is the operation's result)
                with self._store.lock:
                    operation.error = _sentence(error)
                    operation.duration_ms = _milliseconds(began)
                    for later in operations[index + 1 :]:
                        later.status = "cancelled"
                        later.updated_at = now()
                    failed()
                    self._note(operation, "failed")
                return
            with self._store.lock:
                operation.duration_ms = _milliseconds(began)
                self._note(operation, "finished")

    def _note(self, operation: Operation, status: Status) -> None:
        with self._store.lock:
            if operation.status != status or status != "running":
                operation.status = status
                operation.updated_at = now()
                self._store.save()


def _milliseconds(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


def _sentence(error: Exception) -> str:
    """What went wrong, without a traceback; our own errors never hold a secret."""
    return str(error).strip() or type(error).__name__
