"""One line of an examination, and how lines are come by: no failure, and no wait, hides the lines after it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Literal, TypeVar

import msgspec

from neontest.errors import NeontestError, Stopped

T = TypeVar("T")

State = Literal["ok", "wrong", "warning", "not known", "not set", "not needed"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """How one thing stands. `wrong`: a run cannot work like this."""

    what: str
    state: State
    said: str = ""
    todo: str | None = None


class Not(Exception):
    """A probe's answer that is not "ok"."""

    def __init__(self, state: State, said: str, todo: str | None = None) -> None:
        super().__init__(said)
        self.state: State = state
        self.said, self.todo = said, todo


def attempt(what: str, probe: Callable[[], tuple[str, T]]) -> tuple[Finding, T | None]:
    """The finding of one probe, and what it found for others; whatever it raises is its finding."""
    try:
        said, found = probe()
    except Stopped:
        raise
    except Not as answer:
        return Finding(what=what, state=answer.state, said=answer.said, todo=answer.todo), None
    except NeontestError as error:
        return Finding(what=what, state="wrong", said=error.message, todo=error.hint), None
    except Exception as error:  # noqa: BLE001 -- of this one thing nothing is known, of the others all
        return _defect(what, error), None
    return Finding(what=what, state="ok", said=said), found


def _defect(what: str, error: Exception) -> Finding:
    said = f"could not be examined: {type(error).__name__}: {error}"
    return Finding(what=what, state="not known", said=said, todo="please report this")


class Group:
    """Findings that come from one generator, which runs on a thread of its own."""

    def __init__(self, what: str, findings: Callable[[], Iterator[Finding]]) -> None:
        self._what, self._findings = what, findings
        self._found: list[Finding] = []
        # A thread that hangs does not keep the process alive.
        self._thread = threading.Thread(target=self._work, name=f"examining the {what}", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            for each in self._findings():
                self._found.append(each)
        except Stopped:
            pass
        except Exception as error:  # noqa: BLE001 -- the other groups are still to be told
            self._found.append(_defect(self._what, error))

    def wait(self, seconds: float) -> tuple[Finding, ...]:
        """What is found within that time, and a line about what is not."""
        self._thread.join(max(0.0, seconds))
        found = tuple(self._found)
        if not self._thread.is_alive():
            return found
        late = Finding(what=self._what, state="wrong", said="no answer in time", todo="see what hangs there")
        return (*found, late)
