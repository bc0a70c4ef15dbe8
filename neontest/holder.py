"""The process that holds a branch for this one, and gives it back whatever becomes of this one."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from neontest.errors import BranchLeftBehind, CouldNotTest, NeontestError, UsageError
from neontest.lent import Lent, read

SECONDS: Final = 75.0
"""For giving the branch back: `neontest hold` gives itself 60."""
STOPPED: Final = 10.0


class Holder:
    """A `neontest hold` of a project's folder, with the branch that it holds.

    It is a process of its own, with a session of its own: Ctrl-C does not reach it, a killed owner does not take it
    along, and neither its threads nor what it imports are in the way of the owner's tests.

    Raises:
        NeontestError: what `neontest hold` said, if it got no branch.
    """

    def __init__(self, root: Path, environ: Mapping[str, str]) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 -- closed by `end`
        self._process = subprocess.Popen(
            # -P: no module of the project takes the place of one that neontest needs.
            [sys.executable, "-P", "-m", "neontest", "hold", "--root", str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env=environ,
            cwd=root,
            start_new_session=True,
        )
        self.branch = self._begun()

    def end(self) -> None:
        """Have the branch given back, and wait for that.

        Raises:
            BranchLeftBehind: it could not be, or nobody knows.
        """
        code = self._left(SECONDS)
        said = self._sentence()
        self._said.close()
        if code != 0:
            if said:
                raise told(BranchLeftBehind, said)
            raise BranchLeftBehind(
                f"the process that held branch {self.branch.name} ended with {code}", hint="run `neontest cleanup`"
            )

    def _begun(self) -> Lent:
        assert self._process.stdout is not None
        try:
            line = self._process.stdout.readline()
            if line:
                return read(line.decode())
        except BaseException:
            # Ctrl-C. If a second one ends this wait, the process goes on alone.
            self._left(STOPPED)
            self._said.close()
            raise
        code = self._left(STOPPED)
        said = self._sentence() or f"no branch could be had: `neontest hold` ended with {code} and said nothing"
        self._said.close()
        raise told(UsageError if code == UsageError.exit_code else CouldNotTest, said)

    def _left(self, seconds: float) -> int | None:
        """Let go of the process, and wait for its end; its exit code, None if it takes too long."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(OSError):
            process.stdin.close()
        try:
            with suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
        finally:
            process.stdout.close()
        return process.returncode

    def _sentence(self) -> str:
        """What it said last, after `Error: `."""
        self._said.seek(0)
        text = self._said.read().decode(errors="replace")
        _, found, rest = ("\n" + text).rpartition("\nError: ")
        return rest.strip() if found else ""


def told(kind: type[NeontestError], said: str) -> NeontestError:
    """What another neontest printed of an error, as that error: a sentence, and below it what to do."""
    message, _, hint = said.partition("\n")
    return kind(message, hint=" ".join(hint.split()) or None)
