"""A visit by the project's own command, where [tool.neontest.commands] names one."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from neontest.errors import UsageError
from neontest.process import how_it_ended, run_child
from neontest.record import Direction, Failure
from neontest.stop import Deadline, Stop


class Commands(msgspec.Struct, frozen=True, kw_only=True):
    """[tool.neontest.commands]: run for a visit in place of Alembic; `{revision}` stands for where to go."""

    upgrade: str | tuple[str, ...]
    downgrade: str | tuple[str, ...]

    def words(self, direction: Direction, revision: str) -> tuple[str, ...]:
        command = self.upgrade if direction == "upgrade" else self.downgrade
        split = shlex.split(command) if isinstance(command, str) else command
        return tuple(word.replace("{revision}", revision) for word in split)


def run(
    words: tuple[str, ...],
    *,
    cwd: Path,
    environ: Mapping[str, str],
    deadline: Deadline,
    stop: Stop,
    log: Callable[[str], None],
) -> tuple[float, Failure | None]:
    """Run the command to its end; returns its seconds and why it failed.

    Raises:
        UsageError: there is no such program.
    """
    began, last = time.monotonic(), [""]

    def logged(line: str) -> None:
        last[0] = line.strip() or last[0]
        log(line)

    try:
        status, ended = run_child(words, cwd=cwd, environ=environ, deadline=deadline, stop=stop, log=logged)
    except OSError as error:
        raise UsageError(
            f"the project's own command {words[0]} does not start: {error.strerror}",
            hint="correct upgrade and downgrade in [tool.neontest.commands]",
        ) from error
    seconds, name = time.monotonic() - began, " ".join(words)
    if not ended:
        late = f"{deadline.what} took longer than {deadline.seconds:g} s: {name}"
        return seconds, Failure(kind="timeout", message=late)
    if status:
        said = f": {last[0]}" if last[0] else ""
        return seconds, Failure(kind="command", message=f"{name} {how_it_ended(status)}{said}")
    return seconds, None
