"""The project's own tests, run on a branch."""

from __future__ import annotations

import os
import shlex
import stat
import time
import xml.etree.ElementTree as ElementTree
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from neontest.errors import UsageError
from neontest.outcomes import name
from neontest.process import run_child
from neontest.record import SuiteResult
from neontest.stop import Deadline, Stop

TAIL_LINES: Final = 60
LINE_SHOWN: Final = 2000
"""Characters of each of these."""
FAILURES_NAMED: Final = 50
JUNIT: Final = "junit.xml"
JUNIT_LIMIT: Final = 256 << 20
"""Bytes."""


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
    scratch: Path,
) -> SuiteResult:
    """What the command did; it runs in a process group of its own, of which nothing is left afterwards.

    Counts are read from a JUnit file in the folder `scratch`, which pytest is asked for through PYTEST_ADDOPTS, however
    deep it is called.

    Raises:
        UsageError: if the command cannot be started.
        Stopped: after the group has ended.
    """
    junit = scratch / JUNIT
    addopts = f"{environment.get('PYTEST_ADDOPTS', '')} --junitxml={shlex.quote(str(junit))}".strip()
    began = time.monotonic()
    tail, status, in_time = run_to_end(
        words, what="the test command", cwd=cwd, environment={**environment, "PYTEST_ADDOPTS": addopts},
        deadline=deadline, stop=stop, log=log,
    )  # fmt: skip
    return SuiteResult(
        command=tuple(words),
        exit_code=status,
        seconds=time.monotonic() - began,
        timed_out=not in_time,
        output_tail=tail,
        **counts(junit),
    )


def run_to_end(
    words: Sequence[str],
    *,
    what: str,
    cwd: Path,
    environment: Mapping[str, str],
    deadline: Deadline,
    stop: Stop,
    log: Callable[[str], None],
) -> tuple[str, int, bool]:
    """The last lines of a command's output, its exit status (negative for a signal), and whether it ended in time.

    Nothing of its process group is left.

    Raises:
        UsageError: if there is no such command.
    """
    tail: deque[str] = deque(maxlen=TAIL_LINES)

    def heard(line: str) -> None:
        tail.append(shortened(line))
        log(line)

    try:
        status, in_time = run_child(words, cwd=cwd, environ=environment, deadline=deadline, stop=stop, log=heard)
    except OSError as error:
        raise UsageError(
            f"{what} cannot be started: {words[0]}: {error.strerror}",
            hint="give it as you would type it in the project's folder",
        ) from error
    return "\n".join(tail), status, in_time


def shortened(line: str) -> str:
    """The line as it is kept: its beginning and its end, where it is very long."""
    if len(line) <= LINE_SHOWN:
        return line
    half = LINE_SHOWN // 2
    return f"{line[:half]} … {len(line) - 2 * half:,} characters … {line[-half:]}"


def content(junit: Path) -> bytes:
    """The file, which the tests could have replaced by anything: a link, a pipe that never ends."""
    file = os.open(junit, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(file, "rb") as opened:
        facts = os.fstat(opened.fileno())
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > JUNIT_LIMIT:
            raise ValueError("not a JUnit file")
        return opened.read(JUNIT_LIMIT)


def root(junit: Path) -> ElementTree.Element | None:
    """The root of a JUnit file; None if there is no such file."""
    try:
        return ElementTree.fromstring(content(junit))  # noqa: S314 -- Python's expat bounds entity expansion
    except (OSError, ElementTree.ParseError, ValueError):
        return None


def counts(junit: Path) -> dict[str, Any]:
    """The counts of a JUnit file as fields of SuiteResult; empty if there is no such file."""
    found = root(junit)
    if found is None:
        return {}
    cases = list(found.iter("testcase"))
    kinds = [next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "") for case in cases]
    bad = [name(case) for case, kind in zip(cases, kinds, strict=True) if kind in ("failure", "error")]
    return {
        "passed": kinds.count(""),
        "failed": kinds.count("failure"),
        "errors": kinds.count("error"),
        "skipped": kinds.count("skipped"),
        "failures": tuple(bad[:FAILURES_NAMED]),
    }
