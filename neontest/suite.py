"""The project's own tests, run on a branch."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from neontest.errors import UsageError
from neontest.record import SuiteResult
from neontest.stop import Deadline, Stop

TAIL_LINES: Final = 60
FAILURES_NAMED: Final = 50
POLL_SECONDS: Final = 0.02
GUARD: Final = 'exec 3<&0; ( (read _ <&3; kill -KILL 0) & ); exec "$@" 3<&- </dev/null'
"""Starts a command under a watchman: when the pipe that is its standard input ends, because its owner closed it or
died, the whole process group is killed. The command itself has no standard input, and no watchman for a child."""


def command(tests: str | Sequence[str] | None, python: Path) -> tuple[str, ...]:
    """The command as a list: a string is split as a shell would, None is pytest with the project's interpreter.

    `pytest` alone means that interpreter's own, wherever PATH leads.
    """
    if tests is None:
        return (str(python), "-m", "pytest")
    try:
        words = tuple(shlex.split(tests)) if isinstance(tests, str) else tuple(tests)
    except ValueError as error:
        raise UsageError(f"the test command cannot be split into words: {error}") from error
    if not words:
        raise UsageError("the test command is empty", hint="give one, or use --no-tests")
    if words[0] in ("pytest", "py.test"):
        return (str(python), "-m", "pytest", *words[1:])
    return words


def run(
    words: Sequence[str],
    *,
    environment: Mapping[str, str],
    cwd: Path,
    deadline: Deadline,
    stop: Stop,
    log: Callable[[str], None],
) -> SuiteResult:
    """What the command did; it runs in a process group of its own, of which nothing is left afterwards.

    Counts are read from a JUnit file, which pytest is asked for through PYTEST_ADDOPTS, however deep it is called.

    Raises:
        UsageError: if the command cannot be started.
        Stopped: after the group has ended.
    """
    with tempfile.TemporaryDirectory(prefix="neontest-suite-") as folder:
        junit = Path(folder) / "junit.xml"
        addopts = f"{environment.get('PYTEST_ADDOPTS', '')} --junitxml={shlex.quote(str(junit))}".strip()
        began = time.monotonic()
        with started(words, what="the test command", cwd=cwd,
                     environment={**environment, "PYTEST_ADDOPTS": addopts}) as process:  # fmt: skip
            tail, in_time = wait_and_end(process, deadline=deadline, stop=stop, log=log)
        return SuiteResult(
            command=tuple(words),
            exit_code=process.returncode,
            seconds=time.monotonic() - began,
            timed_out=not in_time,
            output_tail=tail,
            **counts(junit),
        )


@contextmanager
def started(
    words: Sequence[str], *, what: str, environment: Mapping[str, str], cwd: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """The command, running in a process group that ends with this block and with this process, however that ends.

    Raises:
        UsageError: if there is no such command.
    """
    if shutil.which(words[0], path=environment.get("PATH")) is None and not (cwd / words[0]).is_file():
        raise UsageError(
            f"{what} cannot be started: there is no {words[0]!r}",
            hint="give another, as you would type it in the project's folder",
        )
    ours, theirs = os.pipe()
    try:
        process = subprocess.Popen(
            ["/bin/sh", "-c", GUARD, "neontest-guard", *words],
            env=dict(environment),
            cwd=cwd,
            stdin=ours,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        os.close(theirs)
        raise UsageError(f"{what} cannot be started: {error.strerror}") from error
    finally:
        os.close(ours)
    try:
        yield process
    finally:
        os.close(theirs)


def wait_and_end(
    process: subprocess.Popen[bytes], *, deadline: Deadline, stop: Stop, log: Callable[[str], None]
) -> tuple[str, bool]:
    """The last lines of a process's output, and whether it ended in time; nothing of its group is left.

    It must lead a process group of its own, with one pipe for its output and its errors.
    """
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    assert process.stdout is not None
    reader = threading.Thread(target=drain, args=(process.stdout, tail, log), daemon=True)
    reader.start()
    try:
        in_time = wait(process, deadline, stop)
    finally:
        end_group(process, patience=5.0 if not stop else 1.0)
        reader.join(timeout=2.0)
    return "\n".join(tail), in_time


def wait(process: subprocess.Popen[bytes], deadline: Deadline, stop: Stop) -> bool:
    """True when the process ended by itself, False when its time was up."""
    while process.poll() is None:
        stop.check()
        if deadline.left() <= 0:
            return False
        stop.wait(POLL_SECONDS)
    return True


def end_group(process: subprocess.Popen[bytes], *, patience: float) -> None:
    """End the process and all that it started: interrupt, then terminate, then kill."""
    for signum, seconds in ((signal.SIGINT, patience), (signal.SIGTERM, 1.0)):
        if process.poll() is not None:
            break
        signal_group(process.pid, signum)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue
    # What the command left in the background is not waited for.
    signal_group(process.pid, signal.SIGKILL)
    process.wait()


def signal_group(pid: int, signum: int) -> None:
    try:
        os.killpg(pid, signum)
    except (ProcessLookupError, PermissionError):
        # Nobody is left; or, on macOS, only a zombie is.
        return


def drain(pipe: IO[bytes], tail: deque[str], log: Callable[[str], None]) -> None:
    with pipe:
        for raw in pipe:
            line = raw.decode(errors="replace").rstrip("\r\n")
            tail.append(line)
            log(line)


def counts(junit: Path) -> dict[str, Any]:
    """The counts of a JUnit file as fields of SuiteResult; empty if there is no such file."""
    try:
        root = ElementTree.parse(junit).getroot()  # noqa: S314 -- Python's expat bounds entity expansion
    except (OSError, ElementTree.ParseError):
        return {}
    cases = list(root.iter("testcase"))
    kinds = [next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "") for case in cases]
    bad = [
        f"{case.get('classname', '')}::{case.get('name', '')}".removeprefix("::")
        for case, kind in zip(cases, kinds, strict=True)
        if kind in ("failure", "error")
    ]
    return {
        "passed": kinds.count(""),
        "failed": kinds.count("failure"),
        "errors": kinds.count("error"),
        "skipped": kinds.count("skipped"),
        "failures": tuple(bad[:FAILURES_NAMED]),
    }
